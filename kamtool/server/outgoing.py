"""A request as it leaves: our Via, the edits of the script, one splice (RFC 3261 §16.6 steps 1 to 8)."""

from __future__ import annotations

import logging
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from kamtool.errors import TransportError
from kamtool.script.context import Context
from kamtool.server.blocklist import ignored_by
from kamtool.server.routing import Hop, hop_of, make_hop, source, via_start
from kamtool.server.routing import targets_of as targets_of
from kamtool.server.transaction import ClientTransaction
from kamtool.sip.flow import Address, Flow, Socket
from kamtool.sip.message import Request
from kamtool.sip.via import MAGIC_COOKIE
from kamtool.speed import forward, splice
from kamtool.transport.target import Target

if TYPE_CHECKING:
    from kamtool.server.core import Core
    from kamtool.transport.transports import Transports

log = logging.getLogger("kamtool.relay")

MAX_WAYS: Final = 65_536
MAX_HOPS: Final = 8192
WEBSOCKETS = ("ws", "wss")

# What is Final, compiled code need not look up.
_forward: Final = forward


def next_hop(ctx: Context) -> Hop:
    """Where the request goes as the script left it: `$du`, else the R-URI. Raises ParseError."""
    changed = ctx.dst_uri or ctx.new_uri
    if changed is None:
        msg = ctx.msg
        uri = msg.uri
        hop = _unchanged.get(uri)
        if hop is None:
            plain = uri.startswith("sip:") and ";" not in uri and "?" not in uri
            hop = _plain_hop(msg.uri_host, msg.uri_port) if plain else hop_of(uri)
            _keep(_unchanged, uri, hop)
        return hop
    hop = _changed.get(changed)
    if hop is None:
        hop = hop_of(changed)
        _keep(_changed, changed, hop)
    return hop


# Those of late. `hop_of` and `_plain_hop` know more, but to ask them costs more than twice as much.
_unchanged: Final[dict[str, Hop]] = {}
_changed: Final[dict[str, Hop]] = {}


def _keep(hops: dict[str, Hop], uri: str, hop: Hop) -> None:
    if len(hops) >= MAX_HOPS:
        hops.clear()
    hops[uri] = hop


@lru_cache(8192)
def _plain_hop(host: str, port: int) -> Hop:
    return make_hop(host, port or None, "")


def by_connection(transports: Transports, ctx: Context, hop: Hop) -> Target | None:
    """Where a host name leads without DNS: the connection that the contact came by, or a browser's name."""
    found = transports.flow_of(ctx.connection, hop.host)
    if found is None:
        return None
    kept = found.transport
    # A browser says `transport=ws` over TLS too (RFC 7118 §5.4).
    if hop.transport not in ("", kept) and not (hop.transport in WEBSOCKETS and kept in WEBSOCKETS):
        return None
    return Target(kept, found.remote)


class Way:
    """How a request leaves: the flow, its socket, and our Via up to the branch as the socket shows itself."""

    def __init__(self, flow: Flow, socket: Socket) -> None:
        self.flow, self.socket = flow, socket
        self.via = via_start(socket.transport, *socket.shown)


class Ways:
    """How a datagram leaves that came to an address, or is to leave by a socket, for each peer."""

    def __init__(self) -> None:
        self._by_local: dict[Address, dict[Address, Way]] = {}
        self._by_socket: dict[tuple[Address, str], dict[Address, Way]] = {}

    def by_peer(self, local: Address, chosen: Socket | None) -> dict[Address, Way]:
        """The ways from here by the peer's address, to be added to."""
        if chosen is None:
            found = self._by_local.get(local)
            if found is None:
                found = self._by_local[local] = {}
            return found
        place = (chosen.address, chosen.transport)
        found = self._by_socket.get(place)
        if found is None:
            found = self._by_socket[place] = {}
        return found


def way_by(transports: Transports, flow: Flow) -> Way:
    """The way that a flow is. Raises TransportError."""
    socket = transports.socket_of(flow)
    if socket is None:
        raise TransportError(f"{flow.transport}:{flow.local}: the socket is closed")
    return Way(flow, socket)


def way_to(server: Core, ctx: Context, target: Target) -> Way:
    """The way to a target, from the socket the script chose or the one the request came by.

    Raises TransportError.
    """
    transports, blocklist = server.transports, server.blocklist
    if blocklist is not None:
        blocklist.check(target.transport, target.address, ctx.msg.method, ignored_by(ctx))
    chosen = ctx.send_socket
    if target.transport == "udp":
        # What follows depends on these alone; the same few peers come again and again.
        by_peer = server.relay.ways.by_peer(ctx.flow.local, chosen)
        way = by_peer.get(target.address)
        if way is None:
            if len(by_peer) >= MAX_WAYS:
                by_peer.clear()
            preferred = chosen or server.route_socket(target) or transports.socket_of(ctx.flow)
            way = by_peer[target.address] = way_by(
                transports, transports.flow_to("udp", target.address, preferred)
            )
        return way
    connect = not (ctx._scratch and ctx._scratch.get("core.forward_no_connect"))
    preferred = chosen
    if preferred is None:
        preferred = server.route_socket(target) or transports.socket_of(ctx.flow)
    name, server_id = "", ""
    if target.transport == "tls":
        name, server_id = server.choose_tls(ctx, target.name) if server.choose_tls else (target.name, "")
    flow = transports.flow_to(
        target.transport, target.address, preferred, ctx.connection, connect=connect, name=name,
        server_id=server_id,
    )  # fmt: skip
    return way_by(transports, flow)


def prepare(server: Core, ctx: Context, target: Target, branch: str) -> tuple[Flow, bytes]:
    """A request ready to leave: by which flow, and its bytes. Raises TransportError.

    RFC 3261 §18.1.1: what is too large for a datagram (`udp_mtu`) leaves by `udp_mtu_try_proto`.
    """
    way = way_to(server, ctx, target)
    data = build(server, ctx, way, branch)
    if target.transport == "udp" and 0 < server.udp_mtu < len(data):
        asked = ctx._scratch.get("core.mtu_proto") if ctx._scratch is not None else None
        transport = asked or server.udp_mtu_proto
        if transport != "udp":
            try:
                over = way_to(server, ctx, Target(transport, target.address, target.name))
                return over.flow, build(server, ctx, over, branch)
            except TransportError as error:
                log.info("%s: %d octets leave by UDP all the same: %s", ctx.msg.call_id, len(data), error)
    return way.flow, data


def build(server: Core, ctx: Context, way: Way, branch: str) -> bytes:
    """The bytes for one branch. `branch` is our Via's branch, cookie and all."""
    msg, outbound, via = ctx.msg, way.socket, way.via
    fields = ctx._scratch.get("core.via_fields") if ctx._scratch is not None else None
    if ctx.advertised_host or ctx.advertised_port or fields is not None:
        host, port = outbound.shown
        host, port = ctx.advertised_host or host, ctx.advertised_port or port
        if fields is not None:
            host, port = fields(ctx, host, port)
        via = via_start(outbound.transport, host, port)
    rport_wanted = ctx.add_local_rport or server.local_rport
    prefix = b"%b%b%b" % (via, branch.encode(), b";rport\r\n" if rport_wanted else b"\r\n")
    if ctx._scratch is not None and (more := ctx._scratch.get("core.via")) is not None:
        prefix = b"%b%b\r\n" % (prefix[:-2], more(ctx))
    if ctx.path:
        prefix += b"Route: " + ctx.path.encode("utf-8", "surrogateescape") + b"\r\n"
    uri = None if ctx.new_uri is None else ctx.new_uri.encode("utf-8", "surrogateescape")
    received, rport = source(msg, ctx.flow, ctx.force_rport)
    edits = ctx.edits
    if ctx.record_route is not None:
        inbound = outbound
        flow, address = ctx.flow, outbound.address
        if (flow.local is not address and flow.local != address) or flow.transport != outbound.transport:
            inbound = server.transports.socket_of(ctx.flow) or outbound
        at = msg.first_line_end
        edits = [(at, at, ctx.record_route.lines(inbound, outbound)), *edits]
    return _forward(msg, prefix, uri, -1, received, rport, edits)


def remember_record(server: Core, ctx: Context, client: ClientTransaction) -> None:
    """Keep what `resent` needs, should the branch be sent to another address than the first."""
    inbound = server.transports.socket_of(ctx.flow)
    if ctx.record_route is not None and inbound is not None:
        client.recorded = ctx.record_route, inbound


def resent(client: ClientTransaction, before: Socket, outbound: Socket, branch: str) -> bytes:
    """The request of a branch for another address: a branch of its own, and where it leaves by another
    socket than `before`, that one's Via and Record-Route.
    """
    sent = Request(client.data)
    line, known = sent.data[sent.via_start : sent.via_end], sent.branch.encode()
    start, _, rest = line.partition(known)
    edits = []
    if outbound is not before:
        ours = start == via_start(before.transport, *before.shown)
        host, port = outbound.shown if ours else (sent.via_host, sent.via_port)
        start = via_start(outbound.transport, host, port)
        if client.recorded is not None:
            record, inbound = client.recorded
            lines = record.lines(inbound, before)
            at = sent.data.find(lines)
            if at >= 0:
                edits.append((at, at + len(lines), record.lines(inbound, outbound)))
    edits.append((sent.via_start, sent.via_end, b"%b%b%b" % (start, branch.encode(), rest)))
    return splice(sent.data, edits)


def sent(server: Core, ctx: Context, flow: Flow) -> None:
    """The request is on its way: set_forward_close() ends the connection behind it."""
    if ctx._scratch is not None and "core.forward_close" in ctx._scratch and flow.connection:
        server.transports.finish(flow)


SMALL: Final = (1 << 62) - 1
"""A mask: an int of 2^62 or more that compiled code makes a text of is never freed (mypyc)."""


def stateless_branch(ctx: Context) -> str:
    """§16.11: the same for a retransmission, and for the CANCEL and ACK of an INVITE that had the same."""
    msg = ctx.msg
    if msg.branch.startswith(MAGIC_COOKIE):
        seed = hash((msg.branch, msg.via_host, msg.via_port))
    else:
        seed = hash((msg.call_id, msg.cseq, msg.from_tag, msg.via_host, msg.via_port))
    return f"{MAGIC_COOKIE}-{seed & SMALL}"
