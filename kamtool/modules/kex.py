"""What Kamailio's core keeps in a module of its own: branch flags, script flags, the destination URI."""

from __future__ import annotations

import itertools
import logging
import os
import time
from typing import TYPE_CHECKING, Any

from kamtool.module import (
    ANY,
    FAILURE_ROUTE,
    REQUEST_ROUTE,
    FlagName,
    Host,
    Module,
    Plain,
    Value,
    Variable,
    function,
    pv,
)
from kamtool.script import uri_text
from kamtool.script.branches import append
from kamtool.script.levels import python_level
from kamtool.script.pv_socket import sockets

if TYPE_CHECKING:
    from kamtool.script.context import Context

logger = logging.getLogger("kamtool.modules.kex")


class Kex(Module):
    """Branch and script flags, the destination URI, and odds and ends that every cfg of Kamailio's uses."""

    _before_setdebug: int | None = None

    def __init__(self, server: Host) -> None:
        super().__init__(server)
        self._ids = f"srid-{int(time.time()):x}-{os.getpid():x}-"
        self._numbers = itertools.count(1)

    @pv("sruid", kind=str)
    def sruid(self, ctx: Context) -> Value:
        """A new id, unlike any other of this server: `srid-6b03b697-1907-1`."""
        return f"{self._ids}{next(self._numbers):x}"

    @function("setsflag", routes=ANY)
    def setsflag(self, ctx: Context, flag: FlagName) -> int:
        """Set a script flag: it lives as long as this run of the script."""
        ctx.script_flags |= 1 << (flag & 31)
        return 1

    @function("resetsflag", routes=ANY)
    def resetsflag(self, ctx: Context, flag: FlagName) -> int:
        """Clear a script flag."""
        ctx.script_flags &= ~(1 << (flag & 31))
        return 1

    @function("issflagset", routes=ANY)
    def issflagset(self, ctx: Context, flag: FlagName) -> bool:
        """True when the script flag is set."""
        return bool(ctx.script_flags >> (flag & 31) & 1)

    @function("setbflag", routes=ANY)
    def setbflag(self, ctx: Context, flag: FlagName, branch: int = 0) -> bool:
        """Set a flag of a branch: 0 is the R-URI's, 1 the first additional one."""
        return self._change(ctx, 1 << (flag & 31), 0, branch)

    @function("resetbflag", routes=ANY)
    def resetbflag(self, ctx: Context, flag: FlagName, branch: int = 0) -> bool:
        """Clear a flag of a branch."""
        return self._change(ctx, 0, 1 << (flag & 31), branch)

    @function("isbflagset", routes=ANY)
    def isbflagset(self, ctx: Context, flag: FlagName, branch: int = 0) -> bool:
        """True when the flag of the branch is set."""
        if branch == 0:
            return bool(ctx.branch_flags >> (flag & 31) & 1)
        return 0 < branch <= len(ctx.branches) and bool(ctx.branches[branch - 1].flags >> (flag & 31) & 1)

    def _change(self, ctx: Context, on: int, off: int, branch: int) -> bool:
        if branch == 0:
            ctx.branch_flags = (ctx.branch_flags | on) & ~off
            return True
        if not 0 < branch <= len(ctx.branches):
            return False
        found = ctx.branches[branch - 1]
        found.flags = (found.flags | on) & ~off
        return True

    @function("setdsturi", routes=ANY)
    def setdsturi(self, ctx: Context, uri: Plain) -> bool:
        """Set the destination URI, as `$du = …` does."""
        if uri_text.parts(uri) is None:
            return False
        ctx.dst_uri = uri
        return True

    @function("resetdsturi", routes=ANY)
    def resetdsturi(self, ctx: Context) -> int:
        """Clear the destination URI."""
        ctx.dst_uri = None
        return 1

    @function("isdsturiset", routes=ANY)
    def isdsturiset(self, ctx: Context) -> bool:
        """True when the destination URI is set."""
        return ctx.dst_uri is not None

    @function("km_append_branch", routes=REQUEST_ROUTE | FAILURE_ROUTE)
    def km_append_branch(self, ctx: Context, uri: str | None = None) -> bool:
        """Add a branch: the R-URI as it is now, or `uri`."""
        return append(ctx, uri)

    @function("is_myself", routes=ANY)
    def is_myself(self, ctx: Context, uri: str) -> bool:
        """True when host, port and transport of the URI are those of this server, or an alias of it.

        Without a port any port that this server listens on will do.
        """
        server: Any = self.server
        parts = uri_text.parts(uri)
        if parts is None or not parts.host:
            return False
        transport = parts.transport.lower()
        if parts.port or server.is_myself(parts.host, None, transport):
            return bool(server.is_myself(parts.host, int(parts.port) if parts.port else None, transport))
        ports = {socket.address.port for socket in sockets(ctx)}
        return any(server.is_myself(parts.host, port, transport) for port in ports)

    @function("pv_printf", "avp_printf", routes=ANY)
    def pv_printf(self, ctx: Context, variable: Variable, text: str) -> int:
        """Assign the text of a format to a pseudo-variable."""
        variable.set(ctx, text)
        return 1

    @function("setdebug", routes=ANY)
    def setdebug(self, ctx: Context, level: int) -> int:
        """Log from this level on, until `resetdebug()`."""
        root = logging.getLogger("kamtool")
        if self._before_setdebug is None:
            self._before_setdebug = root.level
        root.setLevel(python_level(level))
        return 1

    @function("resetdebug", routes=ANY)
    def resetdebug(self, ctx: Context) -> int:
        """Log again from the level of the cfg on."""
        if self._before_setdebug is not None:
            logging.getLogger("kamtool").setLevel(self._before_setdebug)
            self._before_setdebug = None
        return 1
