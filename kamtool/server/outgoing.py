"""A request as it leaves: our Via, the edits of the script, one splice (RFC 3261 §16.6 steps 1 to 8)."""

from __future__ import annotations

import logging
from functools import lru_cache
from typing import TYPE_CHECKING

from kamtool import speed
from kamtool.errors import TransportError
from kamtool.script.context import Context
from kamtool.server.blocklist import ignored_by
from kamtool.server.routing import Hop, hop_of, make_hop, source, via_start
from kamtool.server.routing import targets_of as targets_of
from kamtool.sip.flow import Flow
from kamtool.sip.via import MAGIC_COOKIE
from kamtool.transport.resolver import Target
from kamtool.transport.transports import Transports

if TYPE_CHECKING:
    from kamtool.server.server import Server

log = logging.getLogger("kamtool.relay")

MAX_FLOWS = 65_536
WEBSOCKETS = ("ws", "wss")
_MASK = (1 << 64) - 1


def next_hop(ctx: Context) -> Hop:
    """Where the request goes as the script left it: `$du`, else the R-URI. Raises ParseError."""
    if ctx.dst_uri:
        return hop_of(ctx.dst_uri)
    if ctx.new_uri is not None:
        return hop_of(ctx.new_uri)
    msg = ctx.msg
    if msg.uri_scheme == "sip" and ";" not in msg.uri and "?" not in msg.uri:
        return _plain_hop(msg.uri_host, msg.uri_port)
    return hop_of(msg.uri)


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


def flow_for(server: Server, ctx: Context, target: Target) -> Flow:
    """The flow to a target, from the socket the script chose or the one the request came by.

    Raises TransportError.
    """
    transports, blocklist = server.transports, server.blocklist
    if blocklist is not None:
        blocklist.check(target.transport, target.address, ctx.msg.method, ignored_by(ctx))
    if target.transport == "udp" and ctx.send_socket is None:
        # What follows depends on these two alone; the same few peers come again and again.
        place = (ctx.flow.local, target.address)
        flow = server.udp_flows.get(place)
        if flow is None:
            if len(server.udp_flows) >= MAX_FLOWS:
                server.udp_flows.clear()
            preferred = server.route_socket(target) or transports.socket_of(ctx.flow)
            flow = server.udp_flows[place] = transports.flow_to("udp", target.address, preferred)
        return flow
    inbound = transports.socket_of(ctx.flow)
    connect = not (ctx._scratch and ctx._scratch.get("core.forward_no_connect"))
    preferred = ctx.send_socket
    if preferred is None:
        preferred = server.route_socket(target) or inbound
    if target.transport == "tls":
        name, server_id = server.choose_tls(ctx, target.name) if server.choose_tls else (target.name, "")
        return transports.flow_to(
            "tls", target.address, preferred, ctx.connection, connect=connect, name=name, server_id=server_id
        )
    return transports.flow_to(target.transport, target.address, preferred, ctx.connection, connect=connect)


def prepare(server: Server, ctx: Context, target: Target, branch: str) -> tuple[Flow, bytes]:
    """A request ready to leave: by which flow, and its bytes. Raises TransportError.

    RFC 3261 §18.1.1: what is too large for a datagram (`udp_mtu`) leaves by `udp_mtu_try_proto`.
    """
    flow = flow_for(server, ctx, target)
    data = build(server, ctx, flow, branch)
    if flow.transport == "udp" and 0 < server.udp_mtu < len(data):
        asked = ctx._scratch.get("core.mtu_proto") if ctx._scratch is not None else None
        transport = asked or server.udp_mtu_proto
        if transport != "udp":
            try:
                over = flow_for(server, ctx, Target(transport, target.address, target.name))
                return over, build(server, ctx, over, branch)
            except TransportError as error:
                log.info("%s: %d octets leave by UDP all the same: %s", ctx.msg.call_id, len(data), error)
    return flow, data


def build(server: Server, ctx: Context, flow: Flow, branch: str) -> bytes:
    """The bytes for one branch. `branch` is our Via's branch, cookie and all."""
    msg = ctx.msg
    transports = server.transports
    outbound = transports.socket_of(flow)
    if outbound is None:
        raise TransportError(f"{flow.transport}:{flow.local}: the socket is closed")
    host, port = outbound.advertised or outbound.address
    host, port = ctx.advertised_host or host, ctx.advertised_port or port
    if ctx._scratch is not None and (fields := ctx._scratch.get("core.via_fields")) is not None:
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
        inbound = transports.socket_of(ctx.flow) or outbound
        at = msg.first_line_end
        edits = [(at, at, ctx.record_route.lines(inbound, outbound)), *edits]
    return speed.forward(msg, prefix, uri, -1, received, rport, edits)


def sent(server: Server, ctx: Context, flow: Flow) -> None:
    """The request is on its way: set_forward_close() ends the connection behind it."""
    if ctx._scratch is not None and "core.forward_close" in ctx._scratch and flow.connection:
        server.transports.finish(flow)


def stateless_branch(ctx: Context) -> str:
    """§16.11: the same for a retransmission, and for the CANCEL and ACK of an INVITE that had the same."""
    msg = ctx.msg
    if msg.branch.startswith(MAGIC_COOKIE):
        seed = hash((msg.branch, msg.via_host, msg.via_port))
    else:
        seed = hash((msg.call_id, msg.cseq, msg.from_tag, msg.via_host, msg.via_port))
    return f"{MAGIC_COOKIE}-{seed & _MASK:016x}"
