"""What the parts of tm share: the server, and the transaction of a message."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kamtool.module import BRANCH_ROUTE, FAILURE_ROUTE, REQUEST_ROUTE, Host, Routes
from kamtool.server.transaction import ServerTransaction, Settings
from kamtool.sip.message import Message, Request

if TYPE_CHECKING:
    from kamtool.script.context import Context
    from kamtool.server.server import Server

REQUEST_OR_FAILURE = REQUEST_ROUTE | FAILURE_ROUTE
TM_ROUTES = REQUEST_ROUTE | FAILURE_ROUTE | BRANCH_ROUTE | Routes.ONREPLY
TIMERS = "tm.timers"


class Part:
    """One part of the module."""

    server: Host

    @property
    def _host(self) -> Server:
        return self.server  # type: ignore[return-value]  # a cast would cost a call

    def _transaction(self, ctx: Context) -> ServerTransaction | None:
        """The transaction this message belongs to: the one it made, or the one it is found to be in."""
        if ctx.transaction is not None:
            known: ServerTransaction = ctx.transaction
            return known
        if not ctx.msg.is_request:
            found = self._host.transactions.match(ctx.msg)
            return found[0] if found else None
        return self._host.transactions.find(ctx.msg)

    def by_call_id(self, call_id: str, cseq: str) -> ServerTransaction | None:
        """The transaction whose request has this Call-ID and CSeq number; one of our own counts too."""
        number = cseq.strip()
        for tx in self._host.transactions.by_label.values():
            msg: Message | None = tx.ctx.msg if tx.ctx is not None else None
            if msg is None and tx.local is not None and tx.branches and tx.branches[0].data:
                msg = Request(tx.branches[0].data)
            if msg is not None and msg.call_id == call_id and str(msg.cseq) == number:
                return tx
        return None

    def _reply_status(self, ctx: Context) -> int:
        """The status of the reply at hand: in a failure_route the winning one, else the last one sent."""
        if not ctx.msg.is_request:
            return ctx.msg.status
        tx = self._transaction(ctx)
        if tx is None:
            return 0
        if tx.in_failure_route and ctx.branch_index < len(tx.branches):
            return tx.branches[ctx.branch_index].status
        return tx.status

    def _change_timers(self, ctx: Context, **changes: float) -> None:
        """Change timers of this transaction, or of the one that this message will make."""
        tx: Any = ctx.transaction
        current: Settings = self._host.transactions.settings
        if tx is not None:
            tx.timers = (tx.timers or current).but(**changes)
        else:
            ctx.scratch[TIMERS] = ctx.scratch.get(TIMERS, current).but(**changes)
