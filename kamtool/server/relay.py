"""Requests on their way on: destination set, branches, CANCEL, stateless (RFC 3261 §16.6, §16.10, §16.11)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from kamtool import speed
from kamtool.errors import ParseError, TransportError
from kamtool.module import Routes, Variable
from kamtool.script.context import Branch, Context, Exit
from kamtool.script.program import plain
from kamtool.server import outgoing
from kamtool.server.blocklist import CONNECT, BlockedError, ignored_by
from kamtool.server.cancelling import Cancelling
from kamtool.server.routing import Hop, hop_of, make_hop, reply_flow, via_start
from kamtool.server.transaction import ClientTransaction, ServerTransaction
from kamtool.sip.flow import Flow
from kamtool.sip.message import Request
from kamtool.transport.resolver import Target

if TYPE_CHECKING:
    from kamtool.server.server import Server

log = logging.getLogger("kamtool.relay")

BRANCH_FAILURE = "tm.branch_failure"
FILTERED = 473
SEND_ERROR = 477
NO_DESTINATION = 478
DROPPED = 500
"""What a branch_route did to the last branch that was left."""


class Relay(Cancelling):
    """What t_newtran, t_relay and forward do."""

    def __init__(self, server: Server) -> None:
        super().__init__(server)
        self.auto_100 = True
        self.reason_100 = "trying -- your call is important to us"
        self.max_branches = 12
        self.local_reason = True
        self.failure_exec = False
        self.timer_variables: tuple[Variable | None, Variable | None] | None = None

    # Transactions

    def create(self, ctx: Context) -> ServerTransaction | None:
        """t_newtran: this request's transaction; None when it was a retransmission, which is dealt with."""
        msg, flow, transactions = ctx.msg, ctx.flow, self.transactions
        key = transactions.key_of(msg) if msg.method != "ACK" else transactions.key(msg, "ACK")
        known = transactions.by_key.get(key)
        if known is not None:
            transactions.repeated(known)
            return None
        if msg.via_rport < 0 and flow.transport == "udp" and not ctx.force_rport:
            flow = reply_flow(msg, flow, self.server.transports, False)
        tx = transactions.create(ctx, key, flow)
        ctx.transaction = tx
        if ctx.program is not None:
            tx.program = ctx.program
        self.arm(tx, ctx)
        tx.script_running = True
        self.server.stats["tmx:UAS_transactions"] += 1
        for created in transactions.on_created:
            created(tx, ctx)
        return tx

    def arm(self, tx: ServerTransaction, ctx: Context) -> None:
        """Take over what t_on_failure and its kin were told before there was a transaction."""
        if ctx.on_failure:
            tx.on_failure = ctx.on_failure
        if ctx.on_reply:
            tx.on_reply = ctx.on_reply
        if ctx.on_branch:
            tx.on_branch = ctx.on_branch
        if ctx._scratch is not None:
            tx.timers = ctx._scratch.pop("tm.timers", tx.timers)
            for name, value in ctx._scratch.pop("tm.flags", {}).items():
                setattr(tx, name, value)
        if self.timer_variables is not None and tx.timers is None:
            self._timers_from_variables(tx, ctx)

    def _timers_from_variables(self, tx: ServerTransaction, ctx: Context) -> None:
        changes: dict[str, float] = {}
        for name, variable in zip(("fr", "fr_inv"), self.timer_variables or (), strict=False):
            text = str((variable.get(ctx) if variable is not None else "") or "")
            if text.isdigit() and int(text) > 0:
                changes[name] = float(text)
        if changes:
            tx.timers = self.transactions.settings.but(**changes)

    def at_once(self, ctx: Context) -> int | None:
        """t_relay for most requests: nothing to wait for, one branch, no route that could stop it.

        None when `relay` must do it; what was done until then, it finds done.
        """
        server, method = self.server, ctx.msg.method
        if ctx.branches or method == "CANCEL" or (ctx.program or server.program).onsend_route is not None:
            return None
        try:
            target = outgoing.next_hop(ctx).target
        except ParseError:
            return None
        if target is None:
            return None
        if method == "ACK":
            return self._ack_at_once(ctx, target)
        tx: ServerTransaction | None = ctx.transaction
        if tx is None:
            tx = self.create(ctx)
            if tx is None:
                return 0
        else:
            self.arm(tx, ctx)
        if tx.branches or tx.status >= 200:
            return None
        if method == "INVITE":
            self.trying(ctx, tx)
        own = ctx
        if tx.on_branch:
            route = (tx.program or server.program).branch_routes.get(tx.on_branch)
            at_once = None if route is None else plain(route)
            if route is not None and at_once is None:
                return None
            own = tx.prepared = self._branch_context(ctx, 0)
            if at_once is not None and not self._branch_at_once(at_once, own, tx):
                tx.prepared, tx.error = None, DROPPED
                return -1
        try:
            if own.dst_uri is not ctx.dst_uri or own.new_uri is not ctx.new_uri:
                target = outgoing.next_hop(own).target
                if target is None:
                    return None
            client = self._client(own, tx, 0, target)
        except (ParseError, TransportError):
            return None
        tx.prepared = None
        server.stats["core:fwd_requests"] += 1
        if not self.transactions.start(tx, client):
            client.status, client.is_local = SEND_ERROR, True
            tx.error = SEND_ERROR
            return -SEND_ERROR
        if own._scratch is not None:
            outgoing.sent(server, own, client.flow)
        tx.script_running = False
        return 1

    @staticmethod
    def _branch_at_once(route: Callable[[Context], int], ctx: Context, tx: ServerTransaction) -> bool:
        """Run a branch_route that never waits; false when it dropped the branch."""
        kind, name = ctx.route_kind, ctx.route_name
        ctx.route_kind, ctx.route_name = Routes.BRANCH, tx.on_branch
        try:
            route(ctx)
        except Exit as way_out:
            return not way_out.dropped
        finally:
            ctx.route_kind, ctx.route_name = kind, name
        return True

    @staticmethod
    def _branch_context(ctx: Context, number: int) -> Context:
        """The request's context as a branch has it."""
        own = ctx.fork()
        own.on_branch = own.on_reply = own.on_failure = ""
        own.branches = ()
        own.branch_index = number
        return own

    def _ack_at_once(self, ctx: Context, target: Target) -> int | None:
        known = self.transactions.find(ctx.msg)
        if known is not None and known.status >= 300:
            return 0
        try:
            flow, data = outgoing.prepare(self.server, ctx, target, outgoing.stateless_branch(ctx))
        except TransportError:
            return None
        for acknowledged in self.transactions.on_acknowledged:
            acknowledged(ctx)
        self.server.stats["core:fwd_requests"] += 1
        return 1 if self.server.send(flow, data) else -1

    def trying(self, ctx: Context, tx: ServerTransaction) -> None:
        """100 at once (§16.2), so that the previous hop stops repeating the INVITE."""
        if not tx.status and self.auto_100 and tx.auto_100 and tx.method == "INVITE":
            data = self.server.replies.make(ctx, 100, self.reason_100, "", (), b"", "")
            self.transactions.respond(tx, 100, data)

    async def relay(self, ctx: Context, uri: str = "", transport: str = "") -> int:
        """t_relay: 1 when at least one branch was sent, 0 for a retransmission, else negative.

        `uri` replaces the next hop of every branch, `transport` its transport.
        """
        method = ctx.msg.method
        if method == "ACK":
            return await self.relay_ack(ctx, uri, transport)
        if method == "CANCEL" and ctx.transaction is None:
            code = self.cancel(ctx)
            if code is not None:
                return code
        tx: ServerTransaction | None = ctx.transaction
        if tx is None:
            tx = self.create(ctx)
            if tx is None:
                return 0
        else:
            self.arm(tx, ctx)
        if method == "INVITE":
            self.trying(ctx, tx)
        return await self.forward(ctx, tx, uri, transport)

    async def relay_ack(self, ctx: Context, uri: str, transport: str) -> int:
        known = self.transactions.find(ctx.msg)
        if known is not None and known.status >= 300:
            return 0  # it ended our transaction when it came (§17.2.1)
        for acknowledged in self.transactions.on_acknowledged:
            acknowledged(ctx)
        return 1 if await self.stateless(ctx, uri, transport) else -1

    async def stateless(self, ctx: Context, uri: str = "", transport: str = "") -> bool:
        """forward(): send the request on and forget it (§16.11)."""
        server = self.server
        try:
            hop = self._hop(ctx, uri, transport)
            target = hop.target or (await outgoing.targets_of(hop, server.transports))[0]
            flow, data = outgoing.prepare(server, ctx, target, outgoing.stateless_branch(ctx))
        except (ParseError, TransportError) as error:
            log.info("%s: not forwarded: %s", ctx.msg.call_id, error)
            return False
        program = ctx.program or server.program
        if program.onsend_route is not None and not await self.onsend(ctx, flow, data):
            return False
        server.count("core:fwd_requests")
        is_sent = server.send(flow, data)
        outgoing.sent(server, ctx, flow)
        return is_sent

    async def replicate(self, ctx: Context, uri: str, transport: str) -> bool:
        """t_replicate: send a copy with a transaction whose responses go nowhere."""
        server, transactions = self.server, self.transactions
        tx = transactions.create_local(ctx.msg.method)
        tx.local = lambda status, response: None
        try:
            hop = self._hop(ctx, uri, transport)
            target = hop.target or (await outgoing.targets_of(hop, server.transports))[0]
            flow, data = outgoing.prepare(server, ctx, target, f"{tx.label}.0")
        except (ParseError, TransportError) as error:
            log.info("%s: not replicated: %s", ctx.msg.call_id, error)
            transactions.forget(tx)
            return False
        return transactions.start(tx, transactions.client(tx, flow, data, ctx.ruri))

    def _hop(self, ctx: Context, uri: str, transport: str) -> Hop:
        hop = hop_of(uri) if uri else outgoing.next_hop(ctx)
        if transport and hop.transport != transport:
            hop = make_hop(hop.host, hop.port, transport)
        if hop.target is None:
            target = outgoing.by_connection(self.server.transports, ctx, hop)
            if target is not None:
                return replace(hop, target=target)
        return hop

    # Branches

    async def forward(self, ctx: Context, tx: ServerTransaction, uri: str = "", transport: str = "") -> int:
        """Send one branch for the R-URI (when it is new) and one for each of `ctx.branches` (§16.6)."""
        first = len(tx.branches)
        tx.leg = first
        main = True
        if tx.in_failure_route:
            before = tx.relayed_uri
            main = ctx.new_uri is not before[0] or ctx.dst_uri is not before[1]
            tx.relayed_uri = (ctx.new_uri, ctx.dst_uri)
        tx.error = 0
        sent = 0
        wanted: list[Branch | None] = [None] if main else []
        wanted += ctx.branches
        for branch in wanted:
            if len(tx.branches) >= self.max_branches:
                log.error("%s: more than %d branches", ctx.msg.call_id, self.max_branches)
                break
            if await self._branch(ctx, tx, branch, uri, transport):
                sent += 1
        ctx.branches = ()
        if sent:
            tx.script_running = False
            return 1
        if self.failure_exec and tx.on_failure and not tx.in_failure_route and tx.error:
            self._failed_at_once(ctx, tx)
            return 1
        if tx.error:
            return -tx.error
        tx.error = NO_DESTINATION
        return -1

    def _failed_at_once(self, ctx: Context, tx: ServerTransaction) -> None:
        """`failure_exec_mode`: what could not be sent is a branch that failed, for the failure_route."""
        unsent = self.transactions.client(tx, tx.reply_flow, b"", ctx.ruri)
        unsent.status, unsent.is_local = tx.error, True
        unsent.reason = "Unresolvable destination" if tx.error == NO_DESTINATION else "Send failed"
        tx.branches.append(unsent)
        tx.failing = True

    async def _branch(
        self, ctx: Context, tx: ServerTransaction, branch: Branch | None, uri: str, transport: str
    ) -> bool:
        own = ctx
        number = len(tx.branches)
        if tx.prepared is not None:
            own, tx.prepared = tx.prepared, None  # at_once has run the branch_route
        elif branch is not None or tx.on_branch:
            own = self._branch_context(ctx, number)
            if branch is not None:
                _take(own, branch)
            if tx.on_branch and not await self._branch_route(own, tx):
                tx.error = DROPPED
                return False
        server = self.server
        try:
            hop = self._hop(own, uri, transport)
            target = hop.target
            others: list[Target] = []
            if target is None:
                target, *others = await outgoing.targets_of(hop, server.transports)
            client = self._first(own, tx, number, target, others)
        except (ParseError, TransportError) as error:
            log.info("%s: branch not sent: %s", ctx.msg.call_id, error)
            tx.error = FILTERED if isinstance(error, BlockedError) else NO_DESTINATION
            return False
        program = own.program or server.program
        if program.onsend_route is not None and not await self.onsend(own, client.flow, client.data):
            tx.error = SEND_ERROR
            return False
        if tx.ended or tx.is_answered:
            return False  # answered or cancelled while a name was looked up
        server.stats["core:fwd_requests"] += 1
        if not self.transactions.start(tx, client):
            client.status, client.is_local = SEND_ERROR, True
            if client.targets and server.responses.next_target(tx, client):
                return True
            tx.error = SEND_ERROR
            return False
        outgoing.sent(server, own, client.flow)
        return True

    def _first(
        self, ctx: Context, tx: ServerTransaction, number: int, target: Target, others: list[Target]
    ) -> ClientTransaction:
        """The branch to the first place that can be tried at all; the rest is for when it fails."""
        while True:
            try:
                client = self._client(ctx, tx, number, target)
            except TransportError as error:
                if self.server.blocklist is not None and isinstance(error.__cause__, OSError):
                    self.server.blocklist.add(
                        target.transport, target.address, CONNECT, ignored=ignored_by(ctx)
                    )
                if not others:
                    raise
                target, *others = others
                continue
            if others:
                client.targets = (*client.targets, *others)
                self.server.transports.watch_errors()
            return client

    def _client(self, ctx: Context, tx: ServerTransaction, number: int, target: Target) -> ClientTransaction:
        server = self.server
        flow, data = outgoing.prepare(server, ctx, target, f"{tx.label}.{number}")
        client = self.transactions.client(tx, flow, data, ctx.msg.uri if ctx.new_uri is None else ctx.new_uri)
        if target.transport == "udp" and flow.transport != "udp":
            # §18.1.1: a request too large for UDP goes by it all the same when a connection is refused.
            client.targets = (target,)
        if ctx.branch_flags:
            client.branch_flags = ctx.branch_flags
        if ctx.on_reply and ctx.on_reply != tx.on_reply:
            client.on_reply = ctx.on_reply
        if ctx.ruid or ctx.instance:
            client.ruid, client.path, client.instance = ctx.ruid, ctx.path, ctx.instance
        if ctx._scratch is not None and BRANCH_FAILURE in ctx._scratch:
            client.on_branch_failure = ctx._scratch.pop(BRANCH_FAILURE)
        return client

    def again(
        self, tx: ServerTransaction, client: ClientTransaction, target: Target, others: tuple[Target, ...]
    ) -> bool:
        """Send a branch's request once more, as a branch of its own, to another address of the same name."""
        transports, blocklist = self.server.transports, self.server.blocklist
        try:
            if blocklist is not None:
                blocklist.check(target.transport, target.address, client.method, ignored_by(tx.ctx))
            flow = transports.flow_to(
                target.transport, target.address, transports.socket_of(client.flow), name=target.name
            )
        except TransportError as error:
            log.info("not sent to %s: %s", target.address, error)
            return False
        outbound = transports.socket_of(flow)
        if outbound is None:
            return False
        sent = Request(client.data)
        via = via_start(outbound.transport, *outbound.shown) + f"{tx.label}.{len(tx.branches)}\r\n".encode()
        data = speed.splice(sent.data, [(sent.via_start, sent.via_end, via)])
        following = self.transactions.client(tx, flow, data, client.uri)
        following.targets, following.on_reply = others, client.on_reply
        following.branch_flags, following.ruid = client.branch_flags, client.ruid
        if self.transactions.start(tx, following):
            return True
        following.status, following.is_local, following.dropped = SEND_ERROR, True, True
        return False

    async def _branch_route(self, ctx: Context, tx: ServerTransaction) -> bool:
        """Run the branch_route; false when it dropped the branch."""
        route = (tx.program or self.server.program).branch_routes.get(tx.on_branch)
        if route is None:
            return True
        kind, name = ctx.route_kind, ctx.route_name
        ctx.route_kind, ctx.route_name = Routes.BRANCH, tx.on_branch
        try:
            await route(ctx)
        except Exit as way_out:
            return not way_out.dropped
        finally:
            ctx.route_kind, ctx.route_name = kind, name
        return True

    async def onsend(self, ctx: Context, flow: Flow, data: bytes) -> bool:
        """Run the onsend_route; false when it dropped the message."""
        route = (ctx.program or self.server.program).onsend_route
        if route is None:
            return True
        kind, name = ctx.route_kind, ctx.route_name
        ctx.route_kind, ctx.route_name = Routes.ONSEND, ""
        ctx.scratch["send.flow"], ctx.scratch["send.data"] = flow, data
        try:
            await route(ctx)
        except Exit as way_out:
            return not way_out.dropped
        finally:
            ctx.route_kind, ctx.route_name = kind, name
            ctx.scratch.pop("send.flow", None)
            ctx.scratch.pop("send.data", None)
        return True

    # CANCEL

    def cancel(self, ctx: Context) -> int | None:
        """A CANCEL at t_relay: 200 to it, CANCEL to every branch that is pending (§16.10).

        None when it must be relayed like any other request, because no INVITE of ours matches it.
        """
        invite = self.transactions.find_invite(ctx.msg)
        if invite is None:
            return -1 if self.unmatched_cancel == 2 else None
        tx = self.create(ctx)
        if tx is None:
            return 0
        pending = any(client.status < 200 for client in invite.branches) or invite.suspended
        self.server.replies.stateful(tx, 200, "canceling" if pending else "ok -- no more pending branches")
        tx.script_running = False
        self.cancel_invite(invite, self._received_reason(ctx, invite))
        return 1

    def _received_reason(self, ctx: Context, invite: ServerTransaction) -> tuple[tuple[str, str], ...]:
        if not self.e2e_reason or invite.no_e2e_reason:
            return ()
        return tuple(("Reason", value) for value in ctx.msg.headers("Reason"))


def _take(ctx: Context, branch: Branch) -> None:
    """Make the context that of an additional branch."""
    ctx.new_uri, ctx.dst_uri, ctx.path, ctx.q = branch.uri, branch.dst_uri, branch.path, branch.q
    ctx.branch_flags, ctx.connection = branch.flags, branch.connection
    ctx.ruid, ctx.user_agent, ctx.instance = branch.ruid, branch.user_agent, branch.instance
    if branch.send_socket is not None:
        ctx.send_socket = branch.send_socket
