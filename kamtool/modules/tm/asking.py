"""tm: questions about the transaction of a message."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from kamtool.module import (
    BRANCH_ROUTE,
    FAILURE_ROUTE,
    ONREPLY_ROUTE,
    ONSEND_ROUTE,
    REQUEST_ROUTE,
    Plain,
    Regex,
    function,
)  # fmt: skip
from kamtool.modules.tm.base import REQUEST_OR_FAILURE, TM_ROUTES, Part

if TYPE_CHECKING:
    from kamtool.script.context import Context


_ARMED = {"branch_route": "on_branch", "failure_route": "on_failure", "onreply_route": "on_reply"}


def _inline_t_is_set(arguments: Sequence[str | None]) -> str:
    attribute = _ARMED.get(arguments[0] or "")
    return f"(ctx if ctx.transaction is None else ctx.transaction).{attribute} != ''" if attribute else ""


class Asking(Part):
    """t_check_trans, t_lookup_…, t_any_…, t_is_…"""

    @function("t_check_trans", routes=REQUEST_ROUTE | ONREPLY_ROUTE | BRANCH_ROUTE)
    def t_check_trans(self, ctx: Context) -> int:
        """Whether the message belongs to a transaction.

        A retransmission gets the last reply again and ends the script, and so does an ACK to a negative
        reply. True for an ACK to a 2xx, a CANCEL whose INVITE is known, and a reply to a request of ours.
        """
        return self._host.transactions.check(ctx)

    @function("t_lookup_request", routes=REQUEST_ROUTE)
    def t_lookup_request(self, ctx: Context) -> bool:
        """Whether a transaction for this request exists."""
        return self._host.transactions.find(ctx.msg) is not None

    @function("t_lookup_cancel", routes=REQUEST_ROUTE)
    def t_lookup_cancel(self, ctx: Context, copy_flags: int = 0) -> bool:
        """Whether the INVITE of this CANCEL is known; with 1 the CANCEL gets its message flags."""
        invite = self._host.transactions.find_invite(ctx.msg)
        if invite is not None and copy_flags and invite.ctx is not None:
            ctx.flags = invite.ctx.flags
        return invite is not None

    @function("t_check_status", routes=REQUEST_ROUTE | FAILURE_ROUTE | ONREPLY_ROUTE)
    def t_check_status(self, ctx: Context, pattern: Regex) -> bool:
        """Whether the status matches: of the winning reply in a failure_route, of the reply in an
        onreply_route, else of the last reply that was sent.
        """
        return pattern.search(str(self._reply_status(ctx))) is not None

    @function("t_grep_status", routes=TM_ROUTES)
    def t_grep_status(self, ctx: Context, code: int) -> bool:
        """Whether any branch has ended with this status."""
        tx = self._transaction(ctx)
        return tx is not None and any(client.status == code for client in tx.branches)

    @function("t_branch_timeout", routes=REQUEST_OR_FAILURE)
    def t_branch_timeout(self, ctx: Context) -> bool:
        """Whether the branch that won failed by a time-out."""
        tx = ctx.transaction
        if tx is None or ctx.branch_index >= len(tx.branches):
            return False
        client = tx.branches[ctx.branch_index]
        return bool(client.is_local and client.status == 408)

    @function("t_branch_replied", routes=REQUEST_OR_FAILURE)
    def t_branch_replied(self, ctx: Context) -> bool:
        """Whether the branch that won has received any reply."""
        tx = ctx.transaction
        return (
            tx is not None and ctx.branch_index < len(tx.branches) and tx.branches[ctx.branch_index].replied
        )

    @function("t_any_timeout", routes=TM_ROUTES)
    def t_any_timeout(self, ctx: Context) -> bool:
        """Whether any branch failed by a time-out."""
        tx = self._transaction(ctx)
        return tx is not None and any(c.is_local and c.status == 408 for c in tx.branches)

    @function("t_any_replied", routes=TM_ROUTES)
    def t_any_replied(self, ctx: Context) -> bool:
        """Whether any branch has received a reply."""
        tx = self._transaction(ctx)
        return tx is not None and any(client.replied for client in tx.branches)

    @function("t_is_canceled", routes=TM_ROUTES)
    def t_is_canceled(self, ctx: Context) -> bool:
        """Whether the caller has cancelled the INVITE."""
        tx = self._transaction(ctx)
        return tx is not None and tx.cancelled

    @function("t_is_expired", routes=TM_ROUTES)
    def t_is_expired(self, ctx: Context) -> bool:
        """Whether every branch has used up its time."""
        tx = self._transaction(ctx)
        return (
            tx is not None and bool(tx.branches) and all(c.is_local and c.status == 408 for c in tx.branches)
        )

    @function("t_is_set", routes=TM_ROUTES | ONSEND_ROUTE, inline=_inline_t_is_set)
    def t_is_set(self, ctx: Context, what: Plain) -> bool:
        """Whether a `branch_route`, `failure_route` or `onreply_route` is armed."""
        attribute = _ARMED.get(what, "")
        holder = ctx.transaction if ctx.transaction is not None else ctx
        return bool(attribute and getattr(holder, attribute))

    @function("t_is_retr_async_reply", routes=ONREPLY_ROUTE)
    def t_is_retr_async_reply(self, ctx: Context) -> bool:
        """Whether the transaction is suspended in a reply. Never: here a reply route simply waits."""
        return False

    @function("t_get_status_code", routes=TM_ROUTES)
    def t_get_status_code(self, ctx: Context) -> int:
        """The status of the transaction's last reply, -1 when there is none."""
        return self._reply_status(ctx) or -1
