"""Log what a script has to say."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from kamtool.errors import ConfigError
from kamtool.module import ANY, Constants, Host, Module, Param, function
from kamtool.script.levels import level_of, python_level
from kamtool.script.nodes import String
from kamtool.server.log import say

if TYPE_CHECKING:
    from types import FrameType

    from kamtool.script.context import Context
    from kamtool.script.program import Script

_ERR = -1


def _is_on(level: int | None) -> str:
    return "" if level is None else f"logger.isEnabledFor({python_level(level)})"


def _guard(arguments: Sequence[str | None]) -> str:
    """Whether the level is on, asked before the text is put together."""
    if len(arguments) < 2:
        return _is_on(_ERR)
    level = arguments[-2]
    return "" if level is None else _is_on(level_of(level))


def _guard_at(level: int) -> Constants:
    return lambda _: _is_on(level)


def _facility(name: str) -> int | None:
    """The number of a syslog facility, `LOG_LOCAL3` or `local3`."""
    from logging.handlers import SysLogHandler  # with pickle and queue: only who diverts pays for it

    return SysLogHandler.facility_names.get(name.removeprefix("LOG_").lower())


class Xlog(Module):
    """Logs texts with pseudo-variables, at a level of the script's choice, to where the server logs."""

    live = ("buf_size", "long_format", "methods_filter")

    buf_size = Param(4096, "the most octets of one text; what is longer is cut, with an error beside it")
    force_color = Param(0, "write the colours of `$C(xy)` to syslog too, not to stderr alone")
    long_format = Param(0, "begin the lines of xlogl and xdbgl with the file as well as the line")
    prefix = Param("<script>: ", "what every text begins with")
    log_facility = Param("", "the syslog facility for the script's texts, e.g. LOG_LOCAL3")
    log_colors = Param(
        "", "accepted: colours of levels, `L_ERR=cr`; the server colours its log itself", repeat=True
    )
    prefix_mode = Param(0, "1: `prefix` holds variables, expanded for each text")
    methods_filter = Param(-1, "xlogm() is silent for these methods: their numbers, summed")

    def __init__(self, server: Host) -> None:
        super().__init__(server)
        self.logger = logging.getLogger("kamtool.script")
        self._extra: dict[str, str | bool] | None = None

        self._diverted: dict[str, logging.Logger] = {}
        self._prefix: Callable[[Context], str] | None = None

    def verify(self, script: Script) -> Iterable[ConfigError]:
        """Facilities must exist, in the parameter and in calls with three arguments."""
        self._check()
        for call in script.calls("xlog", "xlogl"):
            first = call.arguments[0]
            if len(call.arguments) < 3 or not isinstance(first, String):
                continue
            if _facility(first.value) is None:
                yield ConfigError("there is no such syslog facility", first.span, code="KT1151")

    def _check(self) -> None:
        if self.log_facility and _facility(self.log_facility) is None:
            raise ConfigError(f"no syslog facility {self.log_facility!r}", code="KT1201")
        if self.prefix_mode:
            self._prefix = self.server.format(self.prefix)

    async def start(self) -> None:
        """Open the syslog facility, when one of our own is asked for."""
        self._check()
        if self.prefix != "<script>: " or self.force_color:
            self._extra = {"prefix": self.prefix, "force_color": bool(self.force_color)}
        if self.log_facility:
            self.logger = self._divert(self.log_facility)

    def _divert(self, facility: str) -> logging.Logger:
        """The logger with a facility of its own, when the server logs to syslog at all."""
        found = self._diverted.get(facility)
        if found is not None:
            return found
        from logging.handlers import SysLogHandler

        theirs = [h for h in logging.getLogger("kamtool").handlers if isinstance(h, SysLogHandler)]
        number = _facility(facility)
        if not theirs or number is None:
            return self.logger
        found = self._diverted[facility] = logging.getLogger(f"kamtool.xlog.{number}")
        found.propagate = False
        ours = SysLogHandler(theirs[0].address, number)
        ours.setFormatter(theirs[0].formatter)
        found.handlers[:] = [ours]
        return found

    def write(self, ctx: Context, level: int, text: str, logger: logging.Logger | None = None) -> int:
        """Log `text` at a level of Kamailio's."""
        number = python_level(level)
        if not self.logger.isEnabledFor(number):
            return 1
        if len(text) >= self.buf_size:
            self.logger.error("xlog: a text of %d octets was cut at buf_size %d", len(text), self.buf_size)
            text = text[: max(self.buf_size - 1, 0)]
        extra = self._extra
        if self._prefix is not None:
            extra = {**(extra or {}), "prefix": self._prefix(ctx)}
        if extra is None:
            say(logger or self.logger, number, text)
        else:
            (logger or self.logger).log(number, "%s", text, extra=extra)
        return 1

    def _filtered(self, ctx: Context) -> bool:
        from kamtool.sip.message import METHODS, OTHER_METHOD

        return bool(METHODS.get(ctx.msg.method, OTHER_METHOD) & self.methods_filter)

    def _write(self, ctx: Context, first: str, second: str | None, third: str | None, place: str = "") -> int:
        """`text`, or `level, text`, or `facility, level, text`."""
        if second is None:
            return self.write(ctx, _ERR, place + first)
        named, text = (first, second) if third is None else (second, third)
        level = level_of(named)
        if level is None:
            self.logger.error("xlog: no log level %r", named)
            return -1
        return self.write(ctx, level, place + text, None if third is None else self._divert(first))

    def _place(self, frame: FrameType) -> str:
        # Compiled routes carry the cfg's own file names and line numbers.
        line = f"{frame.f_lineno}: "
        return f"{frame.f_code.co_filename}:{line}" if self.long_format else line

    @function("xlog", routes=ANY, guard=_guard)
    def xlog(self, ctx: Context, level: str, text: str | None = None, third: str | None = None) -> int:
        """Log a text; `xlog("text")` at the level of errors, `xlog("L_INFO", "text")` at another.

        With three arguments the first is the syslog facility: `xlog("LOG_LOCAL3", "L_INFO", "text")`.

        Levels: L_ALERT -5, L_BUG, L_CRIT2, L_CRIT, L_ERR -1, L_WARN 0, L_NOTICE 1, L_INFO 2, L_DBG 3. What is
        above the global parameter `debug` is not logged.
        """
        return self._write(ctx, level, text, third)

    @function("xlogl", routes=ANY, guard=_guard)
    def xlogl(self, ctx: Context, level: str, text: str | None = None, third: str | None = None) -> int:
        """Like `xlog`, beginning with the line of the cfg."""
        return self._write(ctx, level, text, third, self._place(sys._getframe(1)))

    @function("xlogm", routes=ANY)
    def xlogm(self, ctx: Context, level: str, text: str) -> int:
        """Like `xlog(level, text)`, but silent for the methods in `methods_filter`."""
        return 1 if self._filtered(ctx) else self._write(ctx, level, text, None)

    @function("xdbg", routes=ANY, guard=_guard_at(3))
    def xdbg(self, ctx: Context, text: str) -> int:
        """Log at L_DBG."""
        return self.write(ctx, 3, text)

    @function("xdbgl", routes=ANY, guard=_guard_at(3))
    def xdbgl(self, ctx: Context, text: str) -> int:
        """Log at L_DBG, beginning with the line of the cfg."""
        return self.write(ctx, 3, self._place(sys._getframe(1)) + text)

    @function("xinfo", routes=ANY, guard=_guard_at(2))
    def xinfo(self, ctx: Context, text: str) -> int:
        """Log at L_INFO."""
        return self.write(ctx, 2, text)

    @function("xnotice", routes=ANY, guard=_guard_at(1))
    def xnotice(self, ctx: Context, text: str) -> int:
        """Log at L_NOTICE."""
        return self.write(ctx, 1, text)

    @function("xwarn", routes=ANY, guard=_guard_at(0))
    def xwarn(self, ctx: Context, text: str) -> int:
        """Log at L_WARN."""
        return self.write(ctx, 0, text)

    @function("xerr", routes=ANY)
    def xerr(self, ctx: Context, text: str) -> int:
        """Log at L_ERR."""
        return self.write(ctx, _ERR, text)

    @function("xcrit", routes=ANY)
    def xcrit(self, ctx: Context, text: str) -> int:
        """Log at L_CRIT."""
        return self.write(ctx, -2, text)

    @function("xbug", routes=ANY)
    def xbug(self, ctx: Context, text: str) -> int:
        """Log at L_BUG."""
        return self.write(ctx, -4, text)

    @function("xalert", routes=ANY)
    def xalert(self, ctx: Context, text: str) -> int:
        """Log at L_ALERT."""
        return self.write(ctx, -5, text)
