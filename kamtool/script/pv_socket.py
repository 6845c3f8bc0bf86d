"""Pseudo-variables of the way a message came and goes: addresses, sockets, transport."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kamtool.errors import ScriptError
from kamtool.module import Value, pv
from kamtool.script.values import to_str
from kamtool.sip.flow import Address, Socket

if TYPE_CHECKING:
    from kamtool.script.context import Context

PROTOCOLS = {"udp": 1, "tcp": 2, "tls": 3, "sctp": 4, "ws": 5, "wss": 6}


def bracketed(host: str) -> str:
    """An address as a URI writes it."""
    return f"[{host}]" if ":" in host else host


def sip_uri(address: Address) -> str:
    """`sip:ip:port`."""
    return f"sip:{address}"


def local_socket(ctx: Context) -> Socket | None:
    """The listening socket that the message came in on, with what the cfg says of it."""
    find = getattr(ctx.host, "socket", None)
    found = find(ctx.flow.transport, ctx.flow.local) if find is not None else None
    return found if isinstance(found, Socket) else None


def shown_address(ctx: Context) -> Address:
    """The address that the local socket advertises."""
    found = local_socket(ctx)
    return ctx.flow.local if found is None else found.shown


def family(host: str) -> int:
    """The address family as Kamailio numbers it: 2 IPv4, 10 IPv6."""
    return 10 if ":" in host else 2


class SourceVariables:
    """`$si $sp $su …`: where the message came from."""

    @pv("si", "src_ip", kind=str, inline="ctx.flow.remote.host")
    def get_si(self, ctx: Context) -> Value:
        """The source IP address."""
        return ctx.flow.remote.host

    @pv("sp", kind=int, inline="ctx.flow.remote.port")
    def get_sp(self, ctx: Context) -> Value:
        """The source port."""
        return ctx.flow.remote.port

    @pv("siz", kind=str)
    def get_siz(self, ctx: Context) -> Value:
        """The source IP address, IPv6 in brackets."""
        return bracketed(ctx.flow.remote.host)

    @pv("su", kind=str)
    def get_su(self, ctx: Context) -> Value:
        """The source as a URI, `sip:ip:port`; the transport is added unless it is UDP."""
        uri = sip_uri(ctx.flow.remote)
        return uri if ctx.flow.transport == "udp" else f"{uri};transport={ctx.flow.transport}"

    @pv("sut", kind=str)
    def get_sut(self, ctx: Context) -> Value:
        """The source as a URI, always with its transport."""
        return f"{sip_uri(ctx.flow.remote)};transport={ctx.flow.transport}"

    @pv("sas", kind=str)
    def get_sas(self, ctx: Context) -> Value:
        """The source as a socket, `proto:ip:port`."""
        return f"{ctx.flow.transport}:{ctx.flow.remote}"

    @pv("pr", "proto", kind=str, inline="ctx.flow.transport")
    def get_pr(self, ctx: Context) -> Value:
        """The transport the message came by, in lower case."""
        return ctx.flow.transport

    @pv("prid", kind=int)
    def get_prid(self, ctx: Context) -> Value:
        """The transport as a number: UDP 1, TCP 2, TLS 3, SCTP 4, WS 5, WSS 6."""
        return PROTOCOLS[ctx.flow.transport]

    @pv("conid", kind=int, inline="(ctx.flow.connection or None)")
    def get_conid(self, ctx: Context) -> Value:
        """The number of the connection, undefined on UDP."""
        return ctx.flow.connection or None


class LocalSocketVariables:
    """`$Ri $Rp $Rn …` the socket that received the message, and `$RAi …` what it advertises."""

    @pv("Ri", kind=str, inline="ctx.flow.local.host")
    def get_Ri(self, ctx: Context) -> Value:  # noqa: N802
        """The IP address that the message was sent to."""
        return ctx.flow.local.host

    @pv("Rp", kind=int, inline="ctx.flow.local.port")
    def get_Rp(self, ctx: Context) -> Value:  # noqa: N802
        """The port that the message was sent to."""
        return ctx.flow.local.port

    @pv("Rn", kind=str)
    def get_Rn(self, ctx: Context) -> Value:  # noqa: N802
        """The name of the receiving socket, when `listen` gives one."""
        found = local_socket(ctx)
        return (found.name or None) if found is not None else None

    @pv("Ru", kind=str)
    def get_Ru(self, ctx: Context) -> Value:  # noqa: N802
        """The receiving socket as a URI; the transport is added unless it is UDP."""
        uri = sip_uri(ctx.flow.local)
        return uri if ctx.flow.transport == "udp" else f"{uri};transport={ctx.flow.transport}"

    @pv("Rut", kind=str)
    def get_Rut(self, ctx: Context) -> Value:  # noqa: N802
        """The receiving socket as a URI, always with its transport."""
        return f"{sip_uri(ctx.flow.local)};transport={ctx.flow.transport}"

    @pv("Ras", kind=str)
    def get_Ras(self, ctx: Context) -> Value:  # noqa: N802
        """The receiving socket, `proto:ip:port`."""
        return f"{ctx.flow.transport}:{ctx.flow.local}"

    @pv("RAi", kind=str)
    def get_RAi(self, ctx: Context) -> Value:  # noqa: N802
        """The advertised address of the receiving socket."""
        return shown_address(ctx).host

    @pv("RAp", kind=int)
    def get_RAp(self, ctx: Context) -> Value:  # noqa: N802
        """The advertised port of the receiving socket."""
        return shown_address(ctx).port

    @pv("RAu", kind=str)
    def get_RAu(self, ctx: Context) -> Value:  # noqa: N802
        """The advertised address as a URI; the transport is added unless it is UDP."""
        uri = sip_uri(shown_address(ctx))
        return uri if ctx.flow.transport == "udp" else f"{uri};transport={ctx.flow.transport}"

    @pv("RAut", kind=str)
    def get_RAut(self, ctx: Context) -> Value:  # noqa: N802
        """The advertised address as a URI, always with its transport."""
        return f"{sip_uri(shown_address(ctx))};transport={ctx.flow.transport}"


class SendSocketVariables:
    """`$fs $fsn`, and `$rcv $snd $sndto $sndfrom`."""

    @pv("fs", setter="set_fs", kind=str)
    def get_fs(self, ctx: Context) -> Value:
        """The socket to send from, `proto:ip:port`; `$null` lets the server choose."""
        socket = ctx.send_socket
        return None if socket is None else f"{socket.transport}:{socket.address}"

    def set_fs(self, ctx: Context, value: Value) -> None:
        ctx.send_socket = None if value is None else find_socket(ctx, to_str(value))

    @pv("fsn", setter="set_fsn", kind=str)
    def get_fsn(self, ctx: Context) -> Value:
        """The name of the socket to send from."""
        return (ctx.send_socket.name or None) if ctx.send_socket is not None else None

    def set_fsn(self, ctx: Context, value: Value) -> None:
        if value is None:
            ctx.send_socket = None
            return
        for socket in sockets(ctx):
            if socket.name == value:
                ctx.send_socket = socket
                return
        raise ScriptError(f"no socket is named {to_str(value)!r}")

    @pv("rcv", inner_required=True, form="buf|len|proto|af|srcip|srcport|rcvip|rcvport")
    def get_rcv(self, ctx: Context, inner: str) -> Value:
        """What was received: `buf len proto af srcip srcport rcvip rcvport`."""
        flow = ctx.flow
        facts: dict[str, Value] = {
            "buf": ctx.msg.data.decode("utf-8", "surrogateescape"),
            "len": len(ctx.msg.data),
            "proto": flow.transport,
            "af": family(flow.local.host),
            "srcip": flow.remote.host,
            "srcport": flow.remote.port,
            "rcvip": flow.local.host,
            "rcvport": flow.local.port,
        }
        return facts.get(inner)

    @pv("snd", "sndto", inner_required=True, form="ip|port|af|proto|buf|len")
    def get_sndto(self, ctx: Context, inner: str) -> Value:
        """Where this message is being sent, in an onsend_route: `ip port af proto buf len`."""
        return _sent(ctx, inner, remote=True)

    @pv("sndfrom", inner_required=True, form="ip|port|af|proto|buf|len")
    def get_sndfrom(self, ctx: Context, inner: str) -> Value:
        """What this message is being sent from, in an onsend_route: `ip port af proto buf len`."""
        return _sent(ctx, inner, remote=False)


def _sent(ctx: Context, inner: str, *, remote: bool) -> Value:
    """The server leaves `send.flow` and `send.data` in the scratch of an onsend_route's context."""
    flow = ctx.scratch.get("send.flow")
    if flow is None:
        return None
    address, data = (flow.remote if remote else flow.local), ctx.scratch.get("send.data", b"")
    facts: dict[str, Value] = {
        "ip": address.host,
        "port": address.port,
        "af": family(address.host),
        "proto": PROTOCOLS[flow.transport],
        "buf": data.decode("utf-8", "surrogateescape"),
        "len": len(data),
    }
    return facts.get(inner)


def sockets(ctx: Context) -> list[Socket]:
    """The listening sockets of the server."""
    return list(getattr(ctx.host, "sockets", ()))


def find_socket(ctx: Context, text: str) -> Socket:
    """The listening socket `proto:ip:port`, protocol and port optional. Raises ScriptError."""
    protocol, _, rest = text.partition(":")
    if protocol.lower() not in PROTOCOLS:
        protocol, rest = "", text
    host, port = rest, ""
    if rest.startswith("["):
        host, _, port = rest[1:].partition("]")
        port = port.removeprefix(":")
    elif rest.count(":") == 1:
        host, _, port = rest.partition(":")
    for socket in sockets(ctx):
        address = socket.address
        if protocol and socket.transport != protocol.lower():
            continue
        if address.host == host and (not port or str(address.port) == port):
            return socket
    raise ScriptError(f"no listening socket {text!r}")
