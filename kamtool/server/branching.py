"""The branches of a transaction: where each goes, its branch_route and onsend_route (RFC 3261 §16.6)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from kamtool.errors import ParseError, TransportError
from kamtool.module import Routes
from kamtool.script.context import Branch, Context, Exit
from kamtool.server import outgoing
from kamtool.server.blocklist import CONNECT, BlockedError, ignored_by
from kamtool.server.cancelling import Cancelling
from kamtool.server.routing import Hop, hop_of, make_hop
from kamtool.server.transaction import ClientTransaction, ServerTransaction
from kamtool.sip.flow import Flow
from kamtool.transport.target import Target

if TYPE_CHECKING:
    from kamtool.server.core import Core

log = logging.getLogger("kamtool.relay")

# Looked up once: an enum's members are slow to reach in Python 3.11.
_BRANCH: Final = Routes.BRANCH

BRANCH_FAILURE: Final = "tm.branch_failure"
FILTERED: Final = 473
SEND_ERROR: Final = 477
NO_DESTINATION: Final = 478
DROPPED: Final = 500
"""What a branch_route did to the last branch that was left."""


class Branching(Cancelling):
    """The part of the relay that makes branches."""

    def __init__(self, server: Core) -> None:
        super().__init__(server)
        self.max_branches = 12
        self.failure_exec = False

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
        self.forwarded.number += 1
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
                outgoing.remember_record(self.server, ctx, client)
                self.server.transports.watch_errors()
            return client

    def _client(self, ctx: Context, tx: ServerTransaction, number: int, target: Target) -> ClientTransaction:
        server = self.server
        branch = f"{tx.label}.{number}" if number else tx.label + ".0"
        flow, data = outgoing.prepare(server, ctx, target, branch)
        client = self.transactions.client(tx, flow, data, ctx.msg.uri if ctx.new_uri is None else ctx.new_uri)
        if target.transport == "udp" and flow.transport != "udp":
            # §18.1.1: a request too large for UDP goes by it all the same when a connection is refused.
            client.targets = (target,)
            outgoing.remember_record(server, ctx, client)
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
            before = transports.socket_of(client.flow)
            flow = transports.flow_to(target.transport, target.address, before, name=target.name)
        except TransportError as error:
            log.info("not sent to %s: %s", target.address, error)
            return False
        outbound = transports.socket_of(flow)
        if outbound is None:
            return False
        branch = f"{tx.label}.{len(tx.branches)}"
        data = outgoing.resent(client, before or outbound, outbound, branch)
        following = self.transactions.client(tx, flow, data, client.uri)
        following.targets, following.on_reply = others, client.on_reply
        following.branch_flags, following.ruid = client.branch_flags, client.ruid
        following.recorded = client.recorded
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

    @staticmethod
    def _branch_at_once(route: Callable[[Context], int], ctx: Context, tx: ServerTransaction) -> bool:
        """Run a branch_route that never waits; false when it dropped the branch."""
        kind, name = ctx.route_kind, ctx.route_name
        ctx.route_kind, ctx.route_name = _BRANCH, tx.on_branch
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

    def _hop(self, ctx: Context, uri: str, transport: str) -> Hop:
        hop = hop_of(uri) if uri else outgoing.next_hop(ctx)
        if transport and hop.transport != transport:
            hop = make_hop(hop.host, hop.port, transport)
        if hop.target is None:
            target = outgoing.by_connection(self.server.transports, ctx, hop)
            if target is not None:
                return replace(hop, target=target)
        return hop


def _take(ctx: Context, branch: Branch) -> None:
    """Make the context that of an additional branch."""
    ctx.new_uri, ctx.dst_uri, ctx.path, ctx.q = branch.uri, branch.dst_uri, branch.path, branch.q
    ctx.branch_flags, ctx.connection = branch.flags, branch.connection
    ctx.ruid, ctx.user_agent, ctx.instance = branch.ruid, branch.user_agent, branch.instance
    if branch.send_socket is not None:
        ctx.send_socket = branch.send_socket
