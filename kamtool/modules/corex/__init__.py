"""More of the core: branches, aliases, raw sends."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from kamtool.errors import ConfigError, ScriptError
from kamtool.module import ANY, FAILURE_ROUTE, REQUEST_ROUTE, Module, Param, Variable, function
from kamtool.modules.corex.sending import RawSends
from kamtool.modules.corex.socket_values import SocketValues
from kamtool.modules.corex.via import OurVia
from kamtool.script.branches import append
from kamtool.script.pv_socket import find_socket, sockets
from kamtool.script.values import to_octets
from kamtool.server.listen import FAKE_REQUEST
from kamtool.sip.flow import Address, Flow, Socket

if TYPE_CHECKING:
    from kamtool.script.context import Context
    from kamtool.server.server import Server

logger = logging.getLogger("kamtool.modules.corex")

_DOMAIN = re.compile(r"(?:(udp|tcp|tls|ws|wss):)?([A-Za-z0-9][A-Za-z0-9.-]*)(?::([0-9]{1,5}))?")
_IFLAGS = {"USE_UAC_FROM": 0, "USE_UAC_TO": 1, "UAC_AUTH": 2}


def _named(ctx: Context, name: str) -> Socket | None:
    """The listening socket of that name."""
    wanted = name.lower()
    return next((each for each in sockets(ctx) if wanted and each.name.lower() == wanted), None)


class Corex(OurVia, RawSends, SocketValues, Module):
    """Core functions that take pseudo-variables, and some that reach further than the script should need."""

    alias_subdomains = Param(
        "", "a domain that is ours with all below it: `[udp:|tcp:|tls:]domain[:port]`", repeat=True
    )

    def verify(self, script: Any) -> Iterable[ConfigError]:
        """The domains must be readable."""
        self._domains()
        return ()

    async def start(self) -> None:
        """Make the domains ours."""
        for transport, domain, port in self._domains():
            cast("Server", self.server).myself.add_domain(transport, domain, port)

    def _domains(self) -> list[tuple[str, str, int]]:
        found = []
        for text in self.__dict__["alias_subdomains"]:
            parts = _DOMAIN.fullmatch(text.strip())
            if parts is None:
                raise ConfigError(
                    f"alias_subdomains: {text!r} is no domain", hint="[proto:]domain[:port]", code="KT1201"
                )
            found.append((parts[1] or "", parts[2], int(parts[3] or 0)))
        return found

    @function("append_branch", routes=REQUEST_ROUTE | FAILURE_ROUTE)
    def append_branch(self, ctx: Context, uri: str | None = None, q: str = "") -> bool:
        """Add a branch: the R-URI as it is now, or `uri`; `q` is its priority, 0 to 1.

        There may be `max_branches` - 1 of them, 11; one more is refused.
        """
        return append(ctx, uri, q)

    @function("set_send_socket", routes=ANY)
    def set_send_socket(self, ctx: Context, socket: str) -> bool:
        """Send from this listening socket: `proto:ip:port`."""
        try:
            ctx.send_socket = find_socket(ctx, socket)
        except ScriptError:
            logger.error("set_send_socket: no listening socket %r", socket)
            return False
        return True

    @function("set_send_socket_name", routes=ANY)
    def set_send_socket_name(self, ctx: Context, name: str) -> bool:
        """Send from the listening socket of that name."""
        found = _named(ctx, name)
        if found is None:
            return False
        ctx.send_socket = found
        return True

    @function("set_recv_socket", routes=ANY)
    def set_recv_socket(self, ctx: Context, socket: str) -> bool:
        """Take the message for received on this listening socket."""
        try:
            found = find_socket(ctx, socket)
        except ScriptError:
            return False
        ctx.flow = Flow(ctx.flow.transport, found.address, ctx.flow.remote, ctx.flow.connection)
        return True

    @function("set_recv_socket_name", routes=ANY)
    def set_recv_socket_name(self, ctx: Context, name: str) -> bool:
        """Take the message for received on the listening socket of that name. Never false."""
        found = _named(ctx, name)
        if found is None:
            logger.error("set_recv_socket_name: no listening socket is named %r", name)
            return True
        ctx.flow = Flow(ctx.flow.transport, found.address, ctx.flow.remote, ctx.flow.connection)
        return True

    @function("set_source_address", routes=ANY)
    def set_source_address(self, ctx: Context, address: str) -> bool:
        """Take the message for sent from `proto:ip:port`, as behind a relay that says who the sender is."""
        source = _socket_address(address)
        if source is None:
            return False
        ctx.flow = Flow(ctx.flow.transport, ctx.flow.local, source, ctx.flow.connection)
        return True

    @function("msg_iflag_set", routes=ANY)
    def msg_iflag_set(self, ctx: Context, flag: str) -> bool:
        """Set an internal flag: USE_UAC_FROM, USE_UAC_TO, UAC_AUTH."""
        return self._iflag(ctx, flag, True)

    @function("msg_iflag_reset", routes=ANY)
    def msg_iflag_reset(self, ctx: Context, flag: str) -> bool:
        """Clear an internal flag."""
        return self._iflag(ctx, flag, False)

    @function("msg_iflag_is_set", routes=ANY)
    def msg_iflag_is_set(self, ctx: Context, flag: str) -> bool:
        """True when the internal flag is set."""
        return bool(ctx.scratch.get("corex.iflags", 0) >> _IFLAGS[flag] & 1) if flag in _IFLAGS else False

    @staticmethod
    def _iflag(ctx: Context, flag: str, on: bool) -> bool:
        if flag not in _IFLAGS:
            return False
        bit, held = 1 << _IFLAGS[flag], ctx.scratch.get("corex.iflags", 0)
        ctx.scratch["corex.iflags"] = held | bit if on else held & ~bit
        return True

    @function("is_socket_name", routes=ANY)
    def is_socket_name(self, ctx: Context, name: str) -> bool:
        """Whether a listening socket has this name; case is ignored."""
        return _named(ctx, name) is not None

    @function("is_faked_msg", routes=ANY)
    def is_faked_msg(self, ctx: Context) -> bool:
        """Whether an event route runs for no message: it sees one that the server made up."""
        return ctx.msg.data == FAKE_REQUEST

    @function("is_incoming", routes=ANY)
    def is_incoming(self, ctx: Context) -> bool:
        """False, as it is without `nio_intercept`, which kamtool does not have."""
        return False

    @function("file_read", routes=ANY)
    def file_read(self, ctx: Context, path: str, variable: Variable) -> bool:
        """Read a text file into a variable; false when it cannot be read or is empty."""
        try:
            data = Path(path).read_bytes()
        except (OSError, ValueError) as error:
            logger.error("file_read: %s: %s", path, error)
            return False
        if not data:
            return False
        variable.set(ctx, data.decode("utf-8", "surrogateescape"))
        return True

    @function("file_write", routes=ANY)
    def file_write(self, ctx: Context, path: str, text: str) -> bool:
        """Write a text file anew; false when it cannot be written, or the text is empty."""
        if not text:
            return False
        try:
            Path(path).write_bytes(to_octets(text))
        except (OSError, ValueError) as error:
            logger.error("file_write: %s: %s", path, error)
            return False
        return True

    @function("setxflag", routes=ANY)
    def setxflag(self, ctx: Context, flag: int) -> bool:
        """Set an extended flag, 0 to 63."""
        return self._xflag(ctx, flag, True)

    @function("resetxflag", routes=ANY)
    def resetxflag(self, ctx: Context, flag: int) -> bool:
        """Clear an extended flag."""
        return self._xflag(ctx, flag, False)

    @function("isxflagset", routes=ANY)
    def isxflagset(self, ctx: Context, flag: int) -> bool:
        """True when the extended flag is set."""
        return 0 <= flag < 64 and bool(ctx.scratch.get("corex.xflags", 0) >> flag & 1)

    @staticmethod
    def _xflag(ctx: Context, flag: int, on: bool) -> bool:
        if not 0 <= flag < 64:
            return False
        held = ctx.scratch.get("corex.xflags", 0)
        ctx.scratch["corex.xflags"] = held | 1 << flag if on else held & ~(1 << flag)
        return True


def _socket_address(text: str) -> Address | None:
    """`proto:ip:port` or `ip:port` as an address."""
    head, _, rest = text.partition(":")
    if head.lower() in ("udp", "tcp", "tls", "ws", "wss", "sctp"):
        text = rest
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdigit() or not 0 < int(port) < 65536 or not host:
        return None
    return Address(host.strip("[]"), int(port))
