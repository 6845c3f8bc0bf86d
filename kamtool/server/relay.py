"""Requests on their way on: t_newtran, t_relay, forward (RFC 3261 §16.6, §16.10, §16.11)."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from kamtool.errors import ParseError, TransportError
from kamtool.module import Variable
from kamtool.script.context import Context
from kamtool.server import outgoing
from kamtool.server.branching import DROPPED, SEND_ERROR, Branching
from kamtool.server.routing import reply_flow
from kamtool.server.transaction import ServerTransaction
from kamtool.transport.target import Target

if TYPE_CHECKING:
    from kamtool.server.core import Core

log = logging.getLogger("kamtool.relay")


class Relay(Branching):
    """What t_newtran, t_relay and forward do."""

    def __init__(self, server: Core) -> None:
        super().__init__(server)
        self.auto_100 = True
        self.reason_100 = "trying -- your call is important to us"
        self.local_reason = True
        self.ways = outgoing.Ways()
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
        self.made.number += 1
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
        scratch = ctx._scratch
        if scratch:
            if "tm.timers" in scratch:
                tx.timers = scratch.pop("tm.timers")
            if "tm.flags" in scratch:
                for name, value in scratch.pop("tm.flags").items():
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
            routes: dict[str, Any] = (tx.program or server.program).branch_routes
            route = routes.get(tx.on_branch)
            at_once = None if route is None else getattr(route, "plain", None)  # as in responses
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
        self.forwarded.number += 1
        if not self.transactions.start(tx, client):
            client.status, client.is_local = SEND_ERROR, True
            tx.error = SEND_ERROR
            return -SEND_ERROR
        if own._scratch is not None:
            outgoing.sent(server, own, client.flow)
        tx.script_running = False
        return 1

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
        self.forwarded.number += 1
        return 1 if self.server.transports.send(flow, data) else -1

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
