"""Trace the script into the log, stop at its statements over RPC, and log levels of single modules."""

from __future__ import annotations

import logging
import os
from collections.abc import Awaitable
from logging.handlers import SysLogHandler
from typing import TYPE_CHECKING, Any

from kamtool.errors import ConfigError, RpcError, ScriptError
from kamtool.module import ANY, ONREPLY_ROUTE, REQUEST_ROUTE, Host, Module, Param, function, rpc
from kamtool.modules.debugger import dump
from kamtool.modules.debugger.actions import short, traced
from kamtool.modules.debugger.levels import Levels
from kamtool.modules.debugger.stepping import Stepper
from kamtool.script.guards import Action
from kamtool.script.levels import level_of, python_level

if TYPE_CHECKING:
    from kamtool.script.context import Context

TRACE, ALL, LINES = 1, 2, 4
"""The bits of `set` in `dbg.ls`."""


class Debugger(Levels, Module):
    """Kamailio's debugger: a line of the log for each statement, and `dbg.bp` to step through one message.

    `kamtool debug` can do more and needs neither this module nor a changed cfg. While trace and breakpoints
    are off, this module costs nothing.
    """

    cfgtrace = Param(0, "1: log every statement before it runs; `dbg.trace on` does it later")
    cfgtrace_format = Param(0, "1: leave the file out of the lines of the trace")
    breakpoint = Param(0, "1: stop a message before each statement; `dbg.bp on` does it later")
    log_level = Param(-1, "the level of the lines of the trace")
    log_level_name = Param("", "the word that stands for the level in the lines of the trace")
    log_facility = Param("", "the syslog facility of the trace, e.g. LOG_LOCAL3")
    log_prefix = Param("*** cfgtrace:", "what every line of the trace begins with")
    log_assign = Param(0, "1: log what every assignment sets, at level L_DBG")
    step_usleep = Param(100000, "accepted: nothing sleeps and polls here")
    step_loops = Param(200, "accepted, as step_usleep")
    cfgpkgcheck = Param(0, "accepted: there is no pool of memory to check")
    cfgtest = Param(0, "1 is refused: it needs the module cfgt")
    reset_msgid = Param(0, "1: the RPC dbg.reset_msgid may set `$mi` back")

    visits = False

    def __init__(self, server: Host) -> None:
        super().__init__(server)
        self.levels, self.facilities, self._before = {}, {}, {}
        self.tracing = False
        self.stepper = Stepper(server)
        self.logger = logging.getLogger("kamtool.modules.debugger")
        self._level = logging.ERROR
        self._extra: dict[str, Any] = {}
        self._assigned: tuple[Context, str] | None = None
        self._mentioned: dict[str, str] | None = None

    async def start(self) -> None:
        """Begin to trace and to stop, where the cfg says so."""
        self.start_levels()
        if self.cfgtest:
            raise ConfigError("cfgtest needs the module cfgt", code="KT1201")
        self._level = python_level(self.log_level)
        self._extra = {"prefix": self.log_prefix, "level_name": self.log_level_name}
        if self.log_facility:
            self._divert()
        self.tracing, self.stepper.on = bool(self.cfgtrace), bool(self.breakpoint)
        await self._watch()

    async def stop(self) -> None:
        """Let go of whoever waits."""
        self.tracing = False
        self.stepper.release()
        await self._watch()
        self.stop_levels()

    def _divert(self) -> None:
        name = self.log_facility.removeprefix("LOG_").lower()
        if name not in SysLogHandler.facility_names:
            raise ConfigError(f"no syslog facility {self.log_facility!r}", code="KT1201")
        theirs = [h for h in logging.getLogger("kamtool").handlers if isinstance(h, SysLogHandler)]
        if theirs:
            self.logger = logging.getLogger("kamtool.modules.debugger.trace")
            self.logger.propagate = False
            ours = SysLogHandler(theirs[0].address, SysLogHandler.facility_names[name])
            ours.setFormatter(theirs[0].formatter)
            self.logger.handlers[:] = [ours]

    # Watching

    async def _watch(self) -> None:
        """Watch the script while there is a reason to, and not a moment longer."""
        observers = self._server.observers
        wanted = self.tracing or self.stepper.on or self.stepper.stopped is not None
        if wanted and self not in observers.watching:
            await observers.add(self)
        elif not wanted and self in observers.watching:
            observers.remove(self)

    def wants(self, action: Action) -> bool:
        """All of them: there is no choosing in Kamailio's trace."""
        return True

    def at(self, action: Action, ctx: Context) -> Awaitable[None] | None:
        """Trace the statement; stop before it."""
        if self.log_assign:
            self._log_assigned(ctx)
            self._assigned = (ctx, action.target) if action.name == "assign" else None
        if self.tracing and self.logger.isEnabledFor(self._level):
            text = traced(action, with_file=not self.cfgtrace_format)
            self.logger.log(self._level, "dbg_cfg_trace(): %s", text, extra=self._extra)
        return self.stepper.at(action, ctx)

    def _log_assigned(self, ctx: Context) -> None:
        """What the assignment before this statement has set."""
        if self._assigned is None or self._assigned[0] is not ctx:
            return
        target = self._assigned[1]
        try:
            value = self.server.variable(target).get(ctx)
        except (ScriptError, ConfigError):
            return
        shown = value if isinstance(value, int) else f'"{value}"' if value is not None else "$null"
        self.logger.debug("%s:%s", target, shown)

    def entered(self, ctx: Context) -> None:
        """Never called: `visits` is false."""

    def left(self, ctx: Context, error: Exception | None) -> None:
        """Never called: `visits` is false."""

    def failed(self, ctx: Context, error: Exception) -> None:
        """The log has it already."""

    def replied(self, ctx: Context, status: int) -> None:
        """Never called: `visits` is false."""

    def relinked(self) -> None:
        """Another cfg mentions other variables."""
        self._mentioned = None

    # Functions

    @function("dbg_breakpoint", routes=ANY)
    def dbg_breakpoint(self, ctx: Context, mode: str) -> int:
        """A place to stop: `kamtool debug` stops here while it is attached, when `mode` is 1.

        As in 5.6.3, `dbg.bp` takes no notice of it: it stops at every statement or at none.
        """
        return 1

    @function("dbg_pv_dump", routes=ANY)
    def dbg_pv_dump(self, ctx: Context, mask: int = 31, level: str = "L_DBG") -> int:
        """Log the variables that the script mentions as JSON.

        The bits of `mask`: 1 also those that are null, 2 AVPs, 4 `$var`, 8 XAVPs, 16 all others.
        """
        number = python_level(_level(level))
        if self.logger.isEnabledFor(number):
            if self._mentioned is None:
                self._mentioned = dump.mentioned(self._server.script)
            self.logger.log(number, "dbg_dump_json(): %s", dump.variables(ctx, self._mentioned, mask))
        return 1

    @function("dbg_sip_msg", routes=REQUEST_ROUTE | ONREPLY_ROUTE)
    def dbg_sip_msg(self, ctx: Context, level: str = "L_ERR", facility: str = "") -> int:
        """Log the message as it would leave now, and the changes that are queued for it.

        `facility` is for the syslog; a server that logs to stderr takes no notice of it.
        """
        number = python_level(_level(level))
        if self.logger.isEnabledFor(number):
            self.logger.log(number, "w_dbg_sip_msg(): %s", dump.message(ctx, self._line()))
        return 1

    @staticmethod
    def _line() -> int:
        """The line of the cfg that calls: compiled routes keep it."""
        import sys

        return sys._getframe(2).f_lineno

    # RPC

    @rpc("dbg.ls", "dbg.list")
    def rpc_ls(self, pid: int | None = None) -> list[dict[str, int]]:
        """How this process is watched: `set` has the bits 1 trace, 2 breakpoints; `state` 1 waits."""
        if pid not in (None, os.getpid()):
            return []
        stepper = self.stepper
        return [
            {
                "entry": 0, "pid": os.getpid(), "set": TRACE * self.tracing | ALL * stepper.on,
                "state": stepper.state, "in.pid": 0, "in.cmd": 0,
            }
        ]  # fmt: skip

    @rpc("dbg.trace", workers="all")
    async def rpc_trace(self, command: str = "", pid: int | None = None) -> str:
        """`on` or `off`: log every statement, or stop doing so."""
        if not command:
            raise RpcError(500, "Config trace command missing")
        if command not in ("on", "off"):
            raise RpcError(500, "Unknown trace command")
        _own(pid)
        self.tracing = command == "on"
        await self._watch()
        return "200 ok"

    @rpc("dbg.bp", workers="all")
    async def rpc_bp(self, command: str = "", pid: int | None = None, variable: str = "") -> str:
        """Stop before statements: `on off keep release`; of the message stopped `show next move eval log`.

        `next PID` runs the statement and stops before the following one, `move PID` lets the message go,
        `eval PID $fu` shows a variable.
        """
        if not command:
            raise RpcError(500, "Config breakpoint command missing")
        act = self._COMMANDS.get(command)
        if act is None:
            raise RpcError(500, "Unknown inner command")
        if pid is None and command in ("keep", "next", "move", "show", "eval", "log"):
            raise RpcError(500, "Missing pid parameter")
        _own(pid)
        answer: str = await act(self, variable)
        await self._watch()
        return answer

    async def _on(self, _: str) -> str:
        self.stepper.on = True
        return "200 ok"

    async def _off(self, _: str) -> str:
        self.stepper.on = False
        return "200 ok"

    async def _keep(self, _: str) -> str:
        return "200 ok"  # there is one process, and it is the one to keep

    async def _release(self, _: str) -> str:
        if self.stepper.stopped is None:
            self.stepper.on = False
        return "200 ok"

    async def _move(self, _: str) -> str:
        self.stepper.release()
        return "200 ok"

    async def _next(self, _: str) -> str:
        action = await self.stepper.next() or self.stepper.last
        return f"exec {short(action)}" if action else "200 ok"

    async def _show(self, _: str) -> str:
        action = self.stepper.stopped.action if self.stepper.stopped else self.stepper.last
        return f"at bkp {short(action)}" if action else "200 ok"

    async def _eval(self, variable: str) -> str:
        return self._evaluated(variable)

    async def _log(self, variable: str) -> str:
        self.logger.log(self._level, "%s", self._evaluated(variable))
        return "200 ok"

    def _evaluated(self, text: str) -> str:
        if not text:
            raise RpcError(500, "pv param missing")
        if self.stepper.stopped is None:
            raise RpcError(500, "no message is stopped")
        try:
            value = self.server.variable(text).get(self.stepper.stopped.ctx)
        except (ConfigError, ScriptError) as error:
            raise RpcError(500, "invalid pv param") from error
        if value is None:
            return f"{text} : t=null"
        return f"{text} : t={'int' if isinstance(value, int) else 'str'} v={value}"

    _COMMANDS = {  # noqa: RUF012
        "on": _on, "off": _off, "keep": _keep, "release": _release, "move": _move, "next": _next,
        "show": _show, "eval": _eval, "log": _log,
    }  # fmt: skip

    @rpc("dbg.reset_msgid", workers="all")
    def rpc_reset_msgid(self) -> str:
        """Let `$mi` count from the beginning again, where `reset_msgid` allows it."""
        if not self.reset_msgid:
            raise RpcError(500, "reset_msgid is not enabled: set the parameter to 1")
        stats = self._server.stats
        stats["core:msgid_base"] = stats["core:rcv_requests"] + stats["core:rcv_replies"]
        return "200 ok"


def _own(pid: int | None) -> None:
    if pid not in (None, os.getpid()):
        raise RpcError(500, "No such pid")


def _level(text: str) -> int:
    level = level_of(text)
    if level is None:
        raise ScriptError(f"{text!r} is no log level")
    return level
