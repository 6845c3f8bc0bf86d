"""More of the core: branches, aliases, raw sends."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from kamtool.errors import ConfigError, ScriptError, TransportError
from kamtool.module import (
    ANY,
    FAILURE_ROUTE,
    REQUEST_ROUTE,
    Module,
    Param,
    Value,
    Variable,
    function,
    pv,
    transformation,
)
from kamtool.script import uri_text
from kamtool.script.branches import append
from kamtool.script.pv_socket import find_socket, sockets
from kamtool.script.values import to_octets, to_str
from kamtool.server.listen import FAKE_REQUEST
from kamtool.server.routing import DEFAULT_PORTS
from kamtool.sip.flow import Address, Flow, Socket

if TYPE_CHECKING:
    from kamtool.script.context import Context
    from kamtool.server.server import Server

logger = logging.getLogger("kamtool.modules.corex")

_DOMAIN = re.compile(r"(?:(udp|tcp|tls|ws|wss):)?([A-Za-z0-9][A-Za-z0-9.-]*)(?::([0-9]{1,5}))?")
_SENT_BY = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*|\[[0-9A-Fa-f:.]+\]")
"""A host name or address; an IPv6 one in brackets."""
_IFLAGS = {"USE_UAC_FROM": 0, "USE_UAC_TO": 1, "UAC_AUTH": 2}


def _named(ctx: Context, name: str) -> Socket | None:
    """The listening socket of that name."""
    wanted = name.lower()
    return next((each for each in sockets(ctx) if wanted and each.name.lower() == wanted), None)


class ViaParameters:
    """What goes behind the branch in our Via: kamtool.server.outgoing calls it for each branch."""

    __slots__ = ("record", "server_id", "wanted")

    def __init__(self, server_id: int, record: str) -> None:
        self.server_id, self.record = server_id, record
        self.wanted = {"srvid": False, "xavp": False}

    def __call__(self, ctx: Context) -> bytes:
        parts = [f";srvid={self.server_id}"] if self.wanted["srvid"] and self.server_id else []
        record = ctx.avps.xavps.record(self.record) if self.wanted["xavp"] and self.record else None
        if record is not None:
            parts += [f";{name}={values[-1]}" for name, values in reversed(record.fields.items())]
        return to_octets("".join(parts).replace("\r", "").replace("\n", ""))


class ViaFields:
    """The sent-by of our Via: kamtool.server.outgoing asks it for each branch."""

    __slots__ = ("record",)

    def __init__(self, record: str) -> None:
        self.record = record

    def __call__(self, ctx: Context, host: str, port: int) -> tuple[str, int]:
        record = ctx.avps.xavps.record(self.record)
        if record is None:
            return host, port
        address, given = (str(record.fields.get(name, [""])[-1]) for name in ("address", "port"))
        if not _SENT_BY.fullmatch(address):
            address = host
        return address, int(given) if given.isdigit() and 0 < int(given) < 65536 else port


class Corex(Module):
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

    @function("via_add_srvid", routes=ANY)
    def via_add_srvid(self, ctx: Context, on: int) -> int:
        """Put `srvid`, the number in `server_id`, into our Via of this request, unless it is 0."""
        return self._via(ctx, "srvid", on)

    @function("via_add_xavp_params", routes=ANY)
    def via_add_xavp_params(self, ctx: Context, on: int) -> int:
        """Put the fields of the record that `xavp_via_params` names into our Via of this request."""
        return self._via(ctx, "xavp", on)

    @function("via_use_xavp_fields", routes=ANY)
    def via_use_xavp_fields(self, ctx: Context, on: int) -> int:
        """Take the address and port in our Via of this request from the fields `address` and `port` of the
        record that `xavp_via_fields` names; what is no such field stays as it is.
        """
        name = cast("Server", self.server).settings.text("xavp_via_fields")
        ctx.scratch["core.via_fields"] = ViaFields(name) if on and name else None
        return 1

    def _via(self, ctx: Context, part: str, on: int) -> int:
        held = ctx.scratch.get("core.via")
        if held is None:
            settings = cast("Server", self.server).settings
            held = ViaParameters(settings.number("server_id"), settings.text("xavp_via_params"))
            ctx.scratch["core.via"] = held
        held.wanted[part] = bool(on)
        return 1

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

    @function("send_udp", routes=REQUEST_ROUTE | FAILURE_ROUTE)
    async def send_udp(self, ctx: Context, target: str = "") -> bool:
        """Send the message as received over UDP to `host:port`, else to where the request would go."""
        return await self._send_as(ctx, target, "udp")

    @function("send_tcp", routes=REQUEST_ROUTE | FAILURE_ROUTE)
    async def send_tcp(self, ctx: Context, target: str = "") -> bool:
        """Like `send_udp()`, over TCP."""
        return await self._send_as(ctx, target, "tcp")

    @function("send_data", routes=ANY)
    async def send_data(self, ctx: Context, uri: str, data: str) -> bool:
        """Send octets to a SIP URI, once and without waiting for anything."""
        return await self._send(ctx, uri, to_octets(data))

    @function("sendx", routes=ANY)
    async def sendx(self, ctx: Context, uri: str, socket: str, data: str) -> bool:
        """Like `send_data()`, from this listening socket (`udp:ip:port`) where there is one."""
        try:
            source = find_socket(ctx, socket)
        except ScriptError:
            source = None
        return await self._send(ctx, uri, to_octets(data), source=source)

    async def _send_as(self, ctx: Context, target: str, transport: str) -> bool:
        uri = f"sip:{target}" if target else ctx.dst_uri or ctx.new_uri or ctx.msg.uri
        return await self._send(ctx, uri, ctx.msg.data, transport=transport)

    async def _send(
        self, ctx: Context, uri: str, data: bytes, *, transport: str = "", source: Socket | None = None
    ) -> bool:
        server, parts = cast("Server", self.server), uri_text.parts(uri)
        if parts is None or not parts.host:
            return False
        kind = transport or (uri_text.param(parts.params, "transport") or "udp").lower()
        try:
            port = int(parts.port) if parts.port else None
            address = await self._address(parts.host.strip("[]"), port, kind)
            if source is None or source.transport != kind:
                source = next((each for each in sockets(ctx) if each.transport == kind), None)
            if kind == "udp":
                return source is not None and server.send(Flow("udp", source.address, address), data)
            return server.send(server.transports.flow_to(kind, address, source), data)
        except (TransportError, ValueError) as error:
            logger.error("nothing can be sent to %s: %s", uri, error)
            return False

    async def _address(self, host: str, port: int | None, transport: str) -> Address:
        """Raises TransportError for a name that leads nowhere."""
        try:
            ip_address(host)
        except ValueError:
            resolver = cast("Server", self.server).transports.resolver
            return (await resolver.resolve(host, port, transport))[0].address
        return Address(host, port or DEFAULT_PORTS.get(transport, 5060))

    @pv("lsock", kind=str, inner_required=True)
    def get_lsock(self, ctx: Context, inner: str) -> Value:
        """A listening socket by number or address: `$lsock(listen/0)`, `$lsock(name/udp:ip:port)`."""
        kind, _, rest = inner.partition("/")
        if kind not in ("listen", "advertise", "name"):
            raise ScriptError(f"$lsock({inner}): not one of listen advertise name")
        found = sockets(ctx)
        if rest.isdigit() and int(rest) < len(found):
            chosen = found[int(rest)]
        else:
            try:
                chosen = find_socket(ctx, rest)
            except ScriptError:
                return None
        if kind == "name":
            return chosen.name or None
        return f"{chosen.transport}:{chosen.address if kind == 'listen' else chosen.shown}"

    @transformation("sock.host")
    def sock_host(self, value: Value) -> Value:
        """The host of `proto:host:port`."""
        found = _split_socket(value)
        return None if value is None else "" if found is None else found[1]

    @transformation("sock.port")
    def sock_port(self, value: Value) -> Value:
        """The port of `proto:host:port`."""
        found = _split_socket(value)
        return None if value is None else "" if found is None else found[2]

    @transformation("sock.proto")
    def sock_proto(self, value: Value) -> Value:
        """The protocol of `proto:host:port`."""
        found = _split_socket(value)
        return None if value is None else "" if found is None else found[0]

    @transformation("sock.touri")
    def sock_touri(self, value: Value) -> Value:
        """`proto:host:port` as a URI."""
        found = _split_socket(value)
        if found is None:
            return None if value is None else ""
        return f"sip:{found[1]}:{found[2]};transport={found[0]}"


def _split_socket(value: Value) -> tuple[str, str, str] | None:
    protocol, first, rest = to_str(value).partition(":")
    host, last, port = rest.rpartition(":")
    return (protocol, host, port) if first and last and port.isdigit() else None


def _socket_address(text: str) -> Address | None:
    """`proto:ip:port` or `ip:port` as an address."""
    head, _, rest = text.partition(":")
    if head.lower() in ("udp", "tcp", "tls", "ws", "wss", "sctp"):
        text = rest
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdigit() or not 0 < int(port) < 65536 or not host:
        return None
    return Address(host.strip("[]"), int(port))
