"""Where a request goes next, what the previous hop's Via gets, and where a response goes back."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from kamtool.errors import ParseError, TransportError
from kamtool.sip.flow import Address, Flow, Socket
from kamtool.sip.message import Message
from kamtool.sip.uri import SipUri, parse_uri
from kamtool.sip.via import Via
from kamtool.transport.target import Target, is_numeric

if TYPE_CHECKING:
    from kamtool.transport.transports import Transports

DEFAULT_PORTS = {"tls": 5061, "wss": 443, "ws": 80}


@dataclass(frozen=True, slots=True)
class Hop:
    """The host a URI names. `port` is None when it names none, `transport` "" likewise."""

    host: str
    port: int | None
    transport: str
    secure: bool
    target: Target | None
    """Where it leads when no DNS has to be asked."""


@lru_cache(8192)
def hop_of(uri: str) -> Hop:
    """The next hop that a SIP URI names (RFC 3263 §4). Raises ParseError."""
    parsed = parse_uri(uri)
    if not isinstance(parsed, SipUri):
        raise ParseError(f"cannot be routed to: {uri!r}", status=416)
    host = parsed.params.get("maddr") or parsed.host
    return make_hop(host, parsed.port, parsed.transport, secure=parsed.scheme == "sips")


def make_hop(host: str, port: int | None, transport: str, *, secure: bool = False) -> Hop:
    """A hop, with its target when the host is an address."""
    if secure:
        transport = "wss" if transport in ("ws", "wss") else "tls"
    target = None
    if is_numeric(host):
        plain = transport or "udp"
        target = Target(plain, Address(host.strip("[]"), port or DEFAULT_PORTS.get(plain, 5060)))
    return Hop(host.strip("[]"), port, transport, secure, target)


async def targets_of(hop: Hop, transports: Transports) -> list[Target]:
    """Every place to try, in order. Raises TransportError when the name leads nowhere."""
    if hop.target is not None:
        return [hop.target]
    return await transports.resolver.resolve(hop.host, hop.port, hop.transport, secure=hop.secure)


def source(msg: Message, flow: Flow, force_rport: bool) -> tuple[bytes, int]:
    """What §18.2.1 and RFC 3581 §4 write on the top Via: `received` and the value of `rport` (0: none)."""
    host = flow.remote[0]
    if force_rport or msg.via_rport >= 0:
        return host.encode(), flow.remote[1]
    sent_by = msg.via_host
    if sent_by == host or (sent_by[:1] == "[" and sent_by.strip("[]") == host):
        # A `received` that the peer wrote itself is not believed: it is overwritten.
        return (host.encode() if msg.via_received else b""), 0
    return host.encode(), 0


def reply_flow(msg: Message, flow: Flow, transports: Transports, force_rport: bool) -> Flow:
    """§18.2.2: the connection; else maddr; else the source address, at its port (rport) or the sent-by's."""
    if flow.transport != "udp" or force_rport or msg.via_rport >= 0:
        return flow
    port = msg.via_port or 5060
    # `maddr` is rare: the parameter is looked for only where the text may hold it.
    if b"maddr" in msg.data[msg.via_start : msg.via_end]:
        maddr = msg.top_via.params.get("maddr") or ""
        if is_numeric(maddr):
            return transports.flow_to("udp", Address(maddr.strip("[]"), port), transports.socket_of(flow))
    if port == flow.remote[1]:
        return flow
    return transports.flow_to("udp", Address(flow.remote[0], port), transports.socket_of(flow))


def via_flow(via: Via, transports: Transports, preferred: Socket | None = None, connection: int = 0) -> Flow:
    """Where a response goes whose top Via this now is, when no transaction remembers (§18.2.2).

    Raises TransportError.
    """
    transport = via.transport.lower()
    host = via.params.get("maddr") or via.received or via.host.strip("[]")
    if not is_numeric(host):
        raise TransportError(f"{host}: a response is not worth a DNS query")
    port = via.rport or via.port or DEFAULT_PORTS.get(transport, 5060)
    return transports.flow_to(transport, Address(host.strip("[]"), port), preferred, connection)


def show_host(host: str) -> str:
    """An address as it stands in a URI or Via: IPv6 in brackets."""
    return f"[{host}]" if ":" in host and host[0] != "[" else host


@lru_cache(1024)
def via_start(transport: str, host: str, port: int) -> bytes:
    """Our Via up to the branch's first character."""
    default = port == DEFAULT_PORTS.get(transport, 5060)
    shown = show_host(host) if default and port == 0 else f"{show_host(host)}:{port}"
    return f"Via: SIP/2.0/{transport.upper()} {shown};branch=".encode()
