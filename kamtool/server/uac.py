"""Requests made here: what modules and the control plane send of their own accord."""

from __future__ import annotations

import asyncio
import logging
from hashlib import sha256
from os import urandom
from typing import TYPE_CHECKING

from kamtool import speed
from kamtool.errors import ParseError, TransportError
from kamtool.module import Routes
from kamtool.script.context import Context, Exit
from kamtool.server.routing import hop_of, targets_of, via_start
from kamtool.server.transaction import ClientTransaction, Local
from kamtool.sip import build
from kamtool.sip.flow import Flow, Socket
from kamtool.sip.message import Request, Response
from kamtool.sip.uri import SipUri, parse_uri
from kamtool.sip.via import MAGIC_COOKIE
from kamtool.speed import split_name_addr
from kamtool.transport.target import Target

if TYPE_CHECKING:
    from kamtool.server.server import Server

log = logging.getLogger("kamtool.uac")

EVENT = "tm:local-request"
Headers = list[tuple[str, str]]


class Uac:
    """The client of one server: each request is a transaction without a server side."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.ack_mode = 0

    async def request(
        self, method: str, uri: str, headers: Headers, body: bytes = b"", next_hop: str = "",
        socket: Socket | None = None,
    ) -> tuple[int, Response | None]:  # fmt: skip
        """Send a request and await its final response: its status, and None where it was made here (408).

        From, To, Call-ID, CSeq and Max-Forwards are added where `headers` lack them. Raises ParseError and
        TransportError when it cannot be sent.
        """
        done: asyncio.Future[tuple[int, Response | None]] = asyncio.get_running_loop().create_future()

        def answered(status: int, response: Response | None) -> None:
            if not done.done():
                done.set_result((status, response))

        await self._send(method, uri, headers, body, next_hop, socket, answered)
        return await done

    async def _send(
        self, method: str, uri: str, headers: Headers, body: bytes, next_hop: str, socket: Socket | None,
        answered: Local,
    ) -> None:  # fmt: skip
        server, transactions = self.server, self.server.transactions
        hop = hop_of(next_hop or uri)
        target, *others = await targets_of(hop, server.transports)
        if others:
            server.transports.watch_errors()
        flow = server.transports.flow_to(target.transport, target.address, socket, name=target.name)
        outbound = server.transports.socket_of(flow)
        if outbound is None:
            raise TransportError(f"{target.transport}:{target.address}: no socket to send from")
        tx = transactions.create_local(method)
        tx.local = answered
        via = via_start(outbound.transport, *outbound.shown) + f"{tx.label}.0\r\n".encode()
        if not any(name.lower() == "user-agent" for name, _ in headers):
            via += self._user_agent()
        data = _with_via(build.request(method, uri, complete(method, uri, headers, outbound), body), via)
        try:
            ctx = Context(server, Request(data), Flow(flow.transport, flow.local, flow.local))
            data = await self._event(ctx)
            client = transactions.client(tx, flow, data, uri)
            client.targets = tuple(others)
        except ParseError:
            transactions.forget(tx)
            raise
        server.count("tmx:UAC_transactions")
        if not data or not transactions.start(tx, client):
            transactions.forget(tx)
            raise TransportError(f"{target.transport}:{target.address}: not sent")

    def acknowledge(self, client: ClientTransaction, response: Response, flow: Flow) -> None:
        """Send the ACK for a 2xx to an INVITE of ours (RFC 3261 §13.2.2.4)."""
        invite = Request(client.data)
        try:
            uri, routes, hop = dialog_target(invite, response)
        except ParseError as error:
            log.info("%s: a 2xx that cannot be acknowledged: %s", response.call_id, error)
            return
        where = client.flow if self.ack_mode == 1 else flow if self.ack_mode == 2 else None
        if where is not None:
            self._send_ack(invite, response, uri, routes, where)
            return
        target = hop_of(hop).target
        if target is not None:
            self._ack_to(invite, response, uri, routes, target, client.flow)
        else:
            self.server.spawn(self._ack_resolved(invite, response, uri, routes, hop, client.flow), "ACK")

    async def _ack_resolved(
        self, invite: Request, response: Response, uri: str, routes: list[str], hop: str, flow: Flow
    ) -> None:
        try:
            target = (await targets_of(hop_of(hop), self.server.transports))[0]
        except (ParseError, TransportError) as error:
            log.info("%s: the ACK is not sent: %s", response.call_id, error)
            return
        self._ack_to(invite, response, uri, routes, target, flow)

    def _ack_to(
        self, invite: Request, response: Response, uri: str, routes: list[str], target: Target, flow: Flow
    ) -> None:
        transports = self.server.transports
        try:
            way = transports.flow_to(
                target.transport, target.address, transports.socket_of(flow), name=target.name
            )
        except TransportError as error:
            log.info("%s: the ACK is not sent: %s", response.call_id, error)
            return
        self._send_ack(invite, response, uri, routes, way)

    def _send_ack(self, invite: Request, response: Response, uri: str, routes: list[str], flow: Flow) -> None:
        outbound = self.server.transports.socket_of(flow)
        if outbound is None:
            return
        # A transaction of its own that nobody answers: the branch is new, and the same when it is repeated.
        seed = f"{invite.branch} {response.to_tag}".encode("utf-8", "surrogateescape")
        via = via_start(outbound.transport, *outbound.shown) + b"%s-%s\r\n" % (
            MAGIC_COOKIE.encode(), sha256(seed).hexdigest()[:20].encode()
        )  # fmt: skip
        headers = [("Route", route) for route in routes]
        headers += [(name, invite.header(name) or "") for name in ("From", "Call-ID")]
        headers += [
            ("To", response.header("To") or ""),
            ("CSeq", f"{invite.cseq} ACK"),
            ("Max-Forwards", "70"),
        ]
        for name in ("Authorization", "Proxy-Authorization"):  # §22.1: as the INVITE's
            headers += [(name, value) for value in invite.headers(name)]
        self.server.send(flow, _with_via(build.request("ACK", uri, headers), via))

    def _user_agent(self) -> bytes:
        """The line that `user_agent_header` asks for, if it does."""
        line = str(self.server.setting("user_agent_header", ""))
        shown = line and self.server.setting("server_signature", True)
        return line.encode("utf-8", "surrogateescape") + b"\r\n" if shown else b""

    async def _event(self, ctx: Context) -> bytes:
        """Run event_route[tm:local-request] on it; empty when that dropped it."""
        route = self.server.program.event_routes.get(EVENT)
        if route is not None:
            ctx.route_kind, ctx.route_name = Routes.EVENT, EVENT
            try:
                await route(ctx)
            except Exit as way_out:
                if way_out.dropped:
                    return b""
        return speed.splice(ctx.msg.data, ctx.edits) if ctx.edits else ctx.msg.data


def dialog_target(invite: Request, response: Response) -> tuple[str, list[str], str]:
    """R-URI, Route headers and next hop of a request in the dialog that this 2xx opens (§12.2.1.1)."""
    contacts = response.items("Contact")
    target = split_name_addr(contacts[0])[1] if contacts else invite.uri
    routes = list(reversed(response.items("Record-Route")))
    if not routes:
        return target, [], target
    first = split_name_addr(routes[0])[1]
    parsed = parse_uri(first)
    if isinstance(parsed, SipUri) and "lr" in parsed.params:
        return target, routes, first
    return first, [*routes[1:], f"<{target}>"], first  # a strict router


def _with_via(data: bytes, via: bytes) -> bytes:
    first, _, rest = data.partition(b"\r\n")
    return first + b"\r\n" + via + rest


def complete(method: str, uri: str, headers: Headers, outbound: Socket) -> Headers:
    """The headers of a request with those that RFC 3261 §8.1.1 asks for, each as given or made here."""
    have = {name.lower() for name, _ in headers}
    ours = f"sip:kamtool@{outbound.shown}"
    wanted = [
        ("From", f"<{ours}>;tag={urandom(6).hex()}"),
        ("To", f"<{uri}>"),
        ("Call-ID", f"{urandom(10).hex()}@{outbound.shown.host}"),
        ("CSeq", f"10 {method}"),
        ("Max-Forwards", "70"),
    ]
    compact = {"From": "f", "To": "t", "Call-ID": "i"}
    missing = [
        pair for pair in wanted if pair[0].lower() not in have and compact.get(pair[0], "-") not in have
    ]
    tagged = [
        (name, value if name.lower() != "from" or ";tag=" in value else f"{value};tag={urandom(6).hex()}")
        for name, value in headers
        if name.lower() not in ("content-length", "l")
    ]
    return missing + tagged


def header_lines(text: str) -> Headers:
    """Header lines as an RPC gives them, one below the other."""
    pairs = []
    for line in text.replace("\\r\\n", "\n").splitlines():
        name, colon, value = line.partition(":")
        if colon and name.strip():
            pairs.append((name.strip(), value.strip()))
    return pairs
