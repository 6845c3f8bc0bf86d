"""Responses on their way back (RFC 3261 §16.7): which goes on, which waits, which is the best."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from kamtool import speed
from kamtool.errors import ParseError, TransportError
from kamtool.module import Routes
from kamtool.script.context import Context, Exit
from kamtool.script.program import Program, RouteFunction
from kamtool.server.blocklist import ignored_by
from kamtool.server.routing import via_flow
from kamtool.server.transaction import ClientTransaction, ServerTransaction
from kamtool.server.unanswered import Unanswered
from kamtool.sip import build
from kamtool.sip.flow import Flow
from kamtool.sip.message import Request, Response
from kamtool.sip.transaction import ACK, PASS
from kamtool.sip.via import parse_via

if TYPE_CHECKING:
    from kamtool.server.core import Core

log = logging.getLogger("kamtool.relay")

# What is Final, compiled code need not look up; and an enum's members are slow to reach in Python 3.11.
_REPLY: Final = Routes.REPLY
_ONREPLY: Final = Routes.ONREPLY
_Response: Final = Response
_relay: Final = speed.relay

Edits = Sequence[tuple[int, int, bytes]]


class Responses(Unanswered):
    """Response processing of one server, and the transaction user of its transaction layer."""

    def __init__(self, server: Core) -> None:
        super().__init__(server)
        self.host: Any = server
        """The same as modules know it."""
        self.received = server.tally("core:rcv_replies")
        self.matched = server.tally("tmx:received_replies")
        self.on_sl_reply = ""
        self.rewrite: Callable[[Response], Response] | None = None
        """Another response in the place of one that comes, before anybody sees it."""

    # In

    def receive(self, msg: Response, flow: Flow) -> None:
        """One response from the network."""
        server = self.server
        self.received.number += 1
        if self.rewrite is not None:
            msg = self.rewrite(msg)
        program = server.program if not server.reloads else self._program_of(msg)
        route = program.reply_route
        if route is None:
            self._match(msg, flow, ())
            return
        ctx = Context(self.host, msg, flow)
        ctx.route_kind, ctx.program = _REPLY, program
        at_once = getattr(route, "plain", None)  # entries.plain(route), without a call
        if at_once is None:
            server.drive(self._reply_route(route, ctx), msg)
            return
        try:
            at_once(ctx)
        except Exit as way_out:
            if way_out.dropped or way_out.code == 0:
                server.count("core:drop_replies")
                return
        except Exception as error:
            server.log_failure(msg, error)
            return
        assert isinstance(ctx.msg, Response)
        self._match(ctx.msg, flow, ctx.edits)

    def _program_of(self, msg: Response) -> Program:
        """That of the transaction which the response belongs to: it may have begun before a reload."""
        found = self.server.transactions.match(msg) if self.server.stateful else None
        program: Program = (found[0].program if found else None) or self.server.program
        return program

    async def _reply_route(self, route: RouteFunction, ctx: Context) -> None:
        try:
            await route(ctx)
        except Exit as way_out:
            if way_out.dropped or way_out.code == 0:
                self.server.count("core:drop_replies")
                return
        assert isinstance(ctx.msg, Response)
        self._match(ctx.msg, ctx.flow, ctx.edits)

    def _match(self, msg: Response, flow: Flow, edits: Edits) -> None:
        transactions = self.server.transactions
        found = transactions.match(msg) if self.server.stateful else None
        if found is None:
            self._unmatched(msg, flow, edits)
            return
        tx, which = found
        status = msg.status
        self.matched.number += 1
        if which < 0:
            transactions.responded(tx, which, status)
            return
        client = tx.branches[which]
        request = client.data
        effects = transactions.responded(tx, which, status)
        if effects & ACK and request:
            invite = Request(request)
            extras = self.server.relay.extras(invite) if self.server.relay.extra_headers else ()
            self.server.send(client.flow, build.ack(invite, msg, extras))
        if not effects & PASS:
            return
        client.replied = True
        if client.cancelled and status < 200:
            self.server.relay.provisional(tx, which)
        name = client.on_reply or tx.on_reply
        route: Any = None
        if name:
            routes: dict[str, Any] = (tx.program or self.server.program).onreply_routes
            route = routes.get(name)
        if route is None:
            self._passed(tx, which, msg, edits, flow)
            return
        ctx = self._onreply_context(name, tx, which, msg, flow, edits)
        at_once = getattr(route, "plain", None)  # entries.plain(route), without a call
        if at_once is None:
            self.server.drive(self._onreply_route(route, ctx, tx), msg)
            return
        try:
            at_once(ctx)
        except Exit as way_out:
            self._after_route(ctx, tx, way_out.dropped)
        except Exception as error:
            self.server.log_failure(msg, error)
        else:
            self._after_route(ctx, tx, False)

    def _onreply_context(
        self, name: str, tx: ServerTransaction, which: int, msg: Response, flow: Flow, edits: Edits
    ) -> Context:
        ctx = Context(self.host, msg, flow)
        ctx.route_kind, ctx.route_name = _ONREPLY, name
        if edits:
            ctx.edits = list(edits)
        ctx.transaction, ctx.branch_index = tx, which
        if tx.program is not None:
            ctx.program = tx.program
        request = tx.ctx
        if request is not None:
            ctx._avps, ctx._origin = request._avps, request
            if request.flags:
                ctx.flags = request.flags
        flags = tx.branches[which].branch_flags
        if flags:
            ctx.branch_flags = flags
        return ctx

    async def _onreply_route(self, route: RouteFunction, ctx: Context, tx: ServerTransaction) -> None:
        dropped = False
        ctx.program = ctx.program or self.server.program
        if ctx._origin is not None:
            ctx._avps = ctx._origin.avps  # while it waits, another response may set the first one
        try:
            await route(ctx)
        except Exit as way_out:
            dropped = way_out.dropped
        self._after_route(ctx, tx, dropped)

    def _after_route(self, ctx: Context, tx: ServerTransaction, dropped: bool) -> None:
        msg = ctx.msg
        assert isinstance(msg, Response)
        # A final response cannot be dropped: somebody waits for it.
        if dropped and msg.status < 200:
            self.server.count("core:drop_replies")
            return
        if tx.ctx is not None and tx.ctx.flags != ctx.flags:
            tx.ctx.flags = ctx.flags
        self._passed(tx, ctx.branch_index, msg, ctx.edits, ctx.flow)

    def _unmatched(self, msg: Response, flow: Flow, edits: Edits) -> None:
        route = self.server.program.onreply_routes.get(self.on_sl_reply) if self.on_sl_reply else None
        if route is None:
            self._stateless(msg, flow, edits)
        else:
            self.server.drive(self._sl_reply_route(route, msg, flow, edits), msg)

    async def _sl_reply_route(self, route: Any, msg: Response, flow: Flow, edits: Edits) -> None:
        ctx = Context(self.host, msg, flow)
        ctx.route_kind, ctx.route_name, ctx.edits = Routes.REPLY, self.on_sl_reply, list(edits)
        try:
            await route(ctx)
        except Exit as way_out:
            if way_out.dropped or way_out.code == 0:
                self.server.count("core:drop_replies")
                return
        self._stateless(msg, flow, ctx.edits)

    def _stateless(self, msg: Response, flow: Flow, edits: Edits) -> None:
        """§16.11: by the Via below ours. A response whose top Via is not ours is not for us (§16.7)."""
        server = self.server
        try:
            if not server.is_myself(msg.via_host, msg.via_port or None, msg.via_transport.lower()):
                raise ParseError("the top Via is not ours")
            vias = msg.items("Via")
            if len(vias) < 2:
                if any(taken(msg, flow) for taken in server.stray_replies):
                    return
                raise ParseError("for this server, which asked nothing")
            back = via_flow(parse_via(vias[1]), server.transports, server.transports.socket_of(flow))
        except (ParseError, TransportError) as error:
            server.count("core:drop_replies")
            log.debug("%s: response dropped: %s", msg.call_id, error)
            return
        server.count("core:fwd_replies")
        server.send(back, _relay(msg, edits))

    # On

    def _passed(self, tx: ServerTransaction, which: int, msg: Response, edits: Edits, flow: Flow) -> None:
        """§16.7 steps 3 to 10, for a response that the client transaction let through."""
        if tx.restore:
            edits = [*edits, *[edit for restore in tx.restore for edit in restore(msg)]]
        status = msg.status
        client = tx.branches[which]
        if status < 200:
            if client.status < 200:
                client.status = status
            if tx.method != "INVITE" and status > 100 and not self.server.quirks:
                return  # RFC 4320 §4.1: no provisional response but 100 to any other request
            if (status > 100 or self.relay_100) and tx.status < 200:
                self._send(tx, status, _relay(msg, edits))
            return
        if tx.local is not None:
            if status == 503 and client.status < 200 and self._unavailable(tx, client, msg):
                client.status = status
                return
            self._local(tx, client, msg, flow)
            return
        if status < 300:
            client.status, client.is_local = status, False
            self._success(tx, which, msg, edits)
            return
        if client.status >= 200:
            return  # it was given up before this came
        client.status, client.reply, client.edits = status, msg, edits
        if status == 503 and self._unavailable(tx, client, msg):
            return
        if status >= 600 and not (self.disable_6xx or tx.disable_6xx):
            self.server.relay.cancel_others(tx, which, self.reason(status, msg))
        self.failed(tx, which)

    def _unavailable(self, tx: ServerTransaction, client: ClientTransaction, msg: Response) -> bool:
        """A 503: the place is left alone for a while, and the next one tried (RFC 3263 §4.3)."""
        blocklist = self.server.blocklist
        if blocklist is not None:
            place = client.flow.transport, client.flow.remote
            blocklist.answered_503(*place, msg.header("Retry-After") or "", ignored_by(tx.ctx))
        client.replied = False  # the one that counts is that of the next place
        return bool(client.targets) and self.next_target(tx, client)

    def _local(self, tx: ServerTransaction, client: ClientTransaction, msg: Response, flow: Flow) -> None:
        """The final response to a request made here. An INVITE's machine lives on for what is repeated."""
        status, first = msg.status, client.status < 200
        client.status = status
        if tx.method != "INVITE":
            self.server.transactions.forget(tx)
        elif status < 300:
            self.server.uac.acknowledge(client, msg, flow)  # §13.2.2.4: each 2xx, and each time it comes
        if first and tx.local is not None:
            tx.local(status, msg)

    def _success(self, tx: ServerTransaction, which: int, msg: Response, edits: Edits) -> None:
        data = _relay(msg, edits)
        if tx.method == "INVITE":
            self.server.transactions.accepted(tx, msg)
        if not self._send_watched(tx, msg, data, edits):
            if tx.method != "INVITE":
                return
            # §16.7 step 5: every 2xx to an INVITE goes on, also after another final response.
            self.server.send(tx.reply_flow, data)
        if len(tx.branches) > 1:
            self.server.relay.cancel_others(tx, which, self.reason(200))
        self._release(tx)

    def _send_watched(self, tx: ServerTransaction, msg: Response, data: bytes, edits: Edits) -> bool:
        if edits or not tx.watchers:
            return self._send(tx, msg.status, data)
        tx.relayed = msg
        try:
            return self._send(tx, msg.status, data)
        finally:
            tx.relayed = None

    # What the transaction layer tells

    def send_elsewhere(self, tx: ServerTransaction, data: bytes) -> bool:
        """The connection of a request is gone: its response goes by a new one (§18.2.2)."""
        if tx.reply_flow.transport == "udp":
            return False
        if tx.ctx is not None and tx.ctx._scratch is not None and "core.reply_no_connect" in tx.ctx._scratch:
            return False
        transports = self.server.transports
        try:
            tx.reply_flow = via_flow(Response(data).top_via, transports, transports.socket_of(tx.reply_flow))
        except (ParseError, TransportError) as error:
            log.info("a response cannot be sent: %s", error)
            return False
        return self.server.send(tx.reply_flow, data)

    def never_acknowledged(self, tx: ServerTransaction) -> None:
        """Timer H: nothing is left to be done for it."""

    def ended(self, tx: ServerTransaction) -> None:
        """The last machine of a transaction has ended."""
        if tx.ctx is not None:
            tx.ctx.transaction = None
            tx.ctx = None
