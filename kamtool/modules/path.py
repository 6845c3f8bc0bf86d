"""path: see `Path`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kamtool.errors import ConfigError
from kamtool.module import REQUEST_ROUTE, Host, Module, Param, function
from kamtool.modules.nathelper.contact import PROTOCOLS, TRANSPORTS, source_uri
from kamtool.modules.outbound import Outbound
from kamtool.modules.rr import Rr
from kamtool.modules.rr.record import socket_uri
from kamtool.script import uri_text
from kamtool.sip.uri import escape, unescape

if TYPE_CHECKING:
    from kamtool.script.context import Context
    from kamtool.sip.flow import Socket

_SAFE = "-_.!~*'()[]/:&+$"


@dataclass(frozen=True, slots=True)
class PathLines:
    """What add_path() asked for, above what was asked for before: its lines are made for each branch."""

    user: str
    params: str
    double: bool
    below: Any

    def lines(self, inbound: Socket, outbound: Socket) -> bytes:
        """One Path, or with `enable_r2` two: the registrar's side reads that of the outgoing socket first."""
        sockets = [outbound, inbound] if self.double else [outbound]
        tail = f"{self.params}{';r2=on' if self.double else ''}>\r\n"
        text = "".join(f"Path: <{socket_uri(socket, self.user)};lr{tail}" for socket in sockets)
        below: bytes = self.below.lines(inbound, outbound) if self.below is not None else b""
        return text.encode("utf-8", "surrogateescape") + below


class Path(Module):
    """Put this edge proxy into the Path of a registration (RFC 3327): calls come back through it.

    `add_path_received()` adds where the phone was seen; with `use_received` that is where a request goes
    which comes along that Path. With the module outbound, add_path() writes a flow token where RFC 5626
    wants one.
    """

    name = "path"

    use_received = Param(0, "1: loose_route() sends a request to the `received` of our own Path URI")
    received_format = Param(0, "how `received` is written: 0 a URI, 1 `address~port~transport`")
    received_name = Param("received", "the parameter that says where the phone was seen")
    enable_r2 = Param(0, "1: write two Paths, for the incoming and the outgoing socket")
    sockname_mode = Param(0, "1: add `sn=name`, the name of the socket that the request came in by")

    def __init__(self, server: Host) -> None:
        super().__init__(server)
        self._outbound: Outbound | None = None

    async def start(self) -> None:
        """Bind to rr and outbound. Raises ConfigError."""
        if self.received_format not in (0, 1):
            raise ConfigError(f"path: received_format is 0 or 1, not {self.received_format}")
        found = self.server.modules.get("outbound")
        self._outbound = found if isinstance(found, Outbound) else None
        if self.use_received:
            rr = self.server.modules.get("rr")
            if not isinstance(rr, Rr):
                raise ConfigError("path: use_received needs rr.so", hint='loadmodule "rr.so" before path.so')
            rr.routed.append(self._routed)

    @function("add_path", routes=REQUEST_ROUTE)
    def add_path(self, ctx: Context, user: str = "", params: str = "") -> bool:
        """Add a Path with our address, `user` as its user part and `params` (`a=b;c`) behind it."""
        ob = ""
        if not user and self._outbound is not None and self._outbound.wanted(ctx):
            user, ob = self._outbound.token(ctx.flow), ";ob"
        return self._add(ctx, user, params, "", ob)

    @function("add_path_received", routes=REQUEST_ROUTE)
    def add_path_received(self, ctx: Context, user: str = "", params: str = "") -> bool:
        """The same, and where the request came from as `received`."""
        if self.received_format:
            remote, number = ctx.flow.remote, PROTOCOLS[ctx.flow.transport]
            host = f"[{remote.host}]" if ":" in remote.host else remote.host
            value = f"{host}~{remote.port}~{number}"
        else:
            value = escape(source_uri(ctx), _SAFE)
        return self._add(ctx, user, params, f";{self.received_name}={value}", "")

    def _add(self, ctx: Context, user: str, params: str, received: str, ob: str) -> bool:
        sn = ""
        if self.sockname_mode:
            socket = self.server.socket(ctx.flow.transport, ctx.flow.local)
            sn = f";sn={socket.name}" if socket is not None and socket.name else ""
        extra = f";{params}" if params else ""
        ctx.record_route = PathLines(
            user, f"{received}{ob}{extra}{sn}", bool(self.enable_r2), ctx.record_route
        )
        return True

    def _routed(self, ctx: Context, code: int) -> int:
        """Send the request to the `received` of the Route URI by which it found us."""
        value = uri_text.param((ctx.route_params or "").lstrip(";"), self.received_name)
        if not value:
            return code
        target = unescape(value)
        if self.received_format:
            host, _, rest = target.partition("~")
            port, _, number = rest.partition("~")
            transport = TRANSPORTS.get(int(number)) if number.isascii() and number.isdigit() else None
            if transport is None or not port.isdigit():
                return code
            target = f"sip:{host}:{port}" + ("" if transport == "udp" else f";transport={transport}")
        if uri_text.parts(target) is not None:
            ctx.dst_uri = target
        return code
