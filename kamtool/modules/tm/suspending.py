"""tm: transactions that wait for somebody to go on with them: what t_suspend and async_route stand on."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from kamtool.module import Routes
from kamtool.server.transaction import ServerTransaction

if TYPE_CHECKING:
    from kamtool.script.context import Context
    from kamtool.server.server import Server

log = logging.getLogger(__name__)

Ids = tuple[int, int]


def ids_of(tx: ServerTransaction) -> Ids:
    """The transaction's label as the two numbers that a script knows it by."""
    number = int(tx.label[-14:], 16)
    return number & 0xFFFF, number >> 16 & 0x7FFFFFFF


class Suspending:
    """The suspended transactions of one server, by their two numbers."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.held: dict[Ids, tuple[ServerTransaction, Context, Routes]] = {}

    def suspend(self, ctx: Context) -> int:
        """Keep the transaction of this request open after its route: 1, 0 for a retransmission, else -1.

        Unless it is taken up within fr_timer, it ends as if its branch had been silent: 408.
        """
        if not ctx.msg.is_request:
            log.error("%s: t_suspend: a response cannot be held up here", ctx.msg.call_id)
            return -1
        tx: ServerTransaction | None = ctx.transaction
        if tx is None:
            if ctx.msg.method == "ACK":
                return -1
            tx = self.server.relay.create(ctx)
            if tx is None:
                return 0
        else:
            self.server.relay.arm(tx, ctx)
        if tx.suspended or tx.is_answered:
            return -1
        self.server.relay.trying(ctx, tx)
        tx.suspended = True
        kind = Routes.FAILURE if tx.in_failure_route else Routes.REQUEST
        self.held[ids_of(tx)] = (tx, ctx, kind)
        patience = (tx.timers or self.server.transactions.settings).fr
        asyncio.get_running_loop().call_later(patience, self._give_up, ids_of(tx), tx.label)
        return 1

    def _give_up(self, ids: Ids, label: str) -> None:
        tx = self.server.transactions.by_label.get(label)
        if tx is None or not tx.suspended or self.held.pop(ids, None) is None:
            return
        tx.suspended = False
        if not tx.is_answered:
            self.server.responses.timed_out_suspended(tx)

    def resume(self, ids: Ids, name: str) -> bool:
        """Go on in `route[name]`; false when there is nothing to go on with."""
        held = self.held.get(ids)
        if held is None:
            return False
        tx, ctx, kind = held
        server = self.server
        route = (tx.program or server.program).routes.get(name)
        if route is None:
            log.error("%s: there is no route[%s] to go on with", ctx.msg.call_id, name)
            return False
        del self.held[ids]
        tx.suspended = False
        if tx.is_answered:
            return False
        ctx.program = tx.program
        ctx.transaction = tx
        if kind is Routes.FAILURE:
            server.drive(server.responses.failing_further(tx, ctx, route, name), ctx.msg)
            return True
        ctx.route_kind, ctx.route_name = Routes.REQUEST, name
        tx.script_running = tx.continued = True
        server.run(route, ctx)
        return True


def suspending_of(server: Any) -> Suspending:
    """That of the module tm, which whoever asks depends on."""
    found: Suspending = server.modules["tm"].suspending
    return found
