"""More of transactions: see `Tmx`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kamtool.module import (
    ANY,
    ONREPLY_ROUTE,
    REQUEST_ROUTE,
    Host,
    Module,
    Plain,
    Routes,
    Value,
    Variable,
    function,
    pv,
)
from kamtool.modules.tm.base import Part
from kamtool.modules.tm.entering import Entering
from kamtool.modules.tm.suspending import ids_of, suspending_of
from kamtool.server.answering import fresh
from kamtool.server.relay import Relay
from kamtool.server.transaction import ClientTransaction

if TYPE_CHECKING:
    from kamtool.script.context import Context
    from kamtool.sip.message import Message

COUNTED = (
    "UAS_transactions", "UAC_transactions", "2xx_transactions", "3xx_transactions", "4xx_transactions",
    "5xx_transactions", "6xx_transactions", "received_replies", "relayed_replies", "local_replies",
)  # fmt: skip


class Tmx(Part, Module):
    """Extensions of tm: cancelling and answering by Call-ID, suspended transactions, `$T_…` variables."""

    depends = ("tm",)

    def __init__(self, server: Host) -> None:
        super().__init__(server)
        relay = getattr(server, "relay", None)
        if isinstance(relay, Relay):
            # A cfg calls what is compiled without a method in between.
            self.__dict__["t_precheck_trans"] = Entering(relay, relay.transactions).is_known

    async def start(self) -> None:
        for name in COUNTED:
            self.server.stats.setdefault(f"tmx:{name}", 0)

    # Cancelling and answering ------------------------------------------------------------------------------

    @function("t_cancel_branches", routes=ONREPLY_ROUTE)
    def t_cancel_branches(self, ctx: Context, which: Plain) -> bool:
        """Cancel `all` branches, `others` than the one that replied, or `this` one."""
        tx = ctx.transaction
        if tx is None or which not in ("all", "others", "this"):
            return False
        relay = self._host.relay
        if which == "this":
            relay.cancel_branch(tx, ctx.branch_index)
        else:
            relay.cancel_others(tx, ctx.branch_index if which == "others" else -1)
        return True

    @function("t_cancel_callid", routes=ANY)
    def t_cancel_callid(self, ctx: Context, callid: str, cseq: str, flag: int, code: int = 0) -> bool:
        """Cancel the INVITE with this Call-ID and CSeq number; its failure_route finds `flag` set."""
        tx = self.by_call_id(callid, cseq)
        if tx is None or tx.method != "INVITE" or tx.is_answered:
            return False
        if tx.ctx is not None and 0 <= flag < 32:
            tx.ctx.flags |= 1 << flag
        headers = (("Reason", f"SIP;cause={code}"),) if code else ()
        self._host.relay.cancel_invite(tx, headers)
        return True

    @function("t_reply_callid", routes=ANY)
    def t_reply_callid(self, ctx: Context, callid: str, cseq: str, code: int, reason: str) -> bool:
        """Answer the request with this Call-ID and CSeq number."""
        tx = self.by_call_id(callid, cseq)
        if tx is None or not self._host.replies.stateful(tx, code, reason):
            return False
        self._host.relay.answered(tx, code)
        return True

    # Asking ------------------------------------------------------------------------------------------------

    @function("t_flush_flags", "t_flush_xflags", routes=ANY)
    def t_flush_flags(self, ctx: Context) -> bool:
        """Write the message flags of now to the transaction."""
        tx = self._transaction(ctx)
        if tx is None or tx.ctx is None:
            return False
        tx.ctx.flags = ctx.flags
        return True

    @function("t_is_failure_route", routes=ANY)
    def t_is_failure_route(self, ctx: Context) -> bool:
        """Whether a failure_route is running."""
        return ctx.route_kind is Routes.FAILURE

    @function("t_is_branch_route", routes=ANY)
    def t_is_branch_route(self, ctx: Context) -> bool:
        """Whether a branch_route is running."""
        return ctx.route_kind is Routes.BRANCH

    @function("t_precheck_trans", routes=REQUEST_ROUTE)
    def t_precheck_trans(self, ctx: Context) -> bool:
        """Whether this request is a retransmission of one that has its transaction."""
        return self._host.transactions.find(ctx.msg) is not None

    @function("t_is_request_route", routes=ANY)
    def t_is_request_route(self, ctx: Context) -> bool:
        """Whether the request_route is running."""
        return ctx.route_kind is Routes.REQUEST

    @function("t_is_reply_route", routes=ANY)
    def t_is_reply_route(self, ctx: Context) -> bool:
        """Whether an onreply_route or the reply_route is running."""
        return ctx.route_kind in (Routes.REPLY, Routes.ONREPLY)

    # Ending and beginning again ----------------------------------------------------------------------------

    @function("t_drop", routes=ANY)
    def t_drop(self, ctx: Context, rcode: int = 500) -> bool:
        """End the transaction without a word: nothing goes upstream, and its branches are given up.

        It counts as answered with `rcode`. Retransmissions go on being absorbed.
        """
        tx = self._transaction(ctx)
        if tx is None:
            return False
        self._host.relay.drop(tx, rcode)
        return True

    @function("t_reuse_branch", routes=REQUEST_ROUTE)
    def t_reuse_branch(self, ctx: Context) -> bool:
        """In event_route[tm:branch-failure:…]: make the R-URI, path, ruid, instance and branch flags those of
        the branch that failed, so that t_relay sends it once more.
        """
        branch = self._winner(ctx)
        if branch is None or ctx.route_kind is not Routes.EVENT:
            return False
        ctx.new_uri, ctx.dst_uri, ctx.path = fresh(branch.uri), None, branch.path
        ctx.ruid, ctx.instance, ctx.branch_flags = branch.ruid, branch.instance, branch.branch_flags
        return True

    # Suspending --------------------------------------------------------------------------------------------

    @function("t_suspend", routes=ANY)
    def t_suspend(self, ctx: Context) -> int:
        """Keep the transaction open after the route ends; `$T(id_index)` and `$T(id_label)` name it.

        Unless t_continue takes it up within fr_timer it is answered 408.
        """
        return suspending_of(self._host).suspend(ctx)

    @function("t_continue", routes=ANY)
    def t_continue(self, ctx: Context, tindex: int, tlabel: int, rtname: str) -> bool:
        """Go on with a suspended transaction in `route[rtname]`. False when it is not suspended."""
        return suspending_of(self._host).resume((tindex, tlabel), rtname)

    # Variables ---------------------------------------------------------------------------------------------

    @pv("T_branch_idx", kind=int)
    def branch_idx(self, ctx: Context) -> Value:
        """The index of the branch in a branch_route and onreply_route; in a failure_route that of the next
        branch to be added; else 0.
        """
        if ctx.transaction is None:
            return 0
        return len(ctx.transaction.branches) if ctx.route_kind is Routes.FAILURE else ctx.branch_index

    @pv("T_reply_code", kind=int)
    def reply_code(self, ctx: Context) -> Value:
        """The status of the reply: the winning one in a failure_route, else the last that was sent."""
        return self._reply_status(ctx)

    @pv("T_reply_reason", kind=str)
    def reply_reason(self, ctx: Context) -> Value:
        """The reason phrase of the reply that `$T_reply_code` is about; empty without one."""
        if not ctx.msg.is_request:
            return ctx.msg.reason
        branch = self._winner(ctx)
        if branch is None:
            return ""
        return branch.reply.reason if branch.reply is not None else branch.reason

    @pv("T_reply_last")
    def reply_last(self, ctx: Context) -> Value:
        """In an onreply_route: the status of the reply, before it has any effect; elsewhere empty."""
        return ctx.msg.status if ctx.route_kind is Routes.ONREPLY and not ctx.msg.is_request else ""

    @pv("T_reply_ruid", kind=str)
    def reply_ruid(self, ctx: Context) -> Value:
        """The ruid of the contact whose branch the reply came by; empty when it came by none."""
        branch = self._winner(ctx)
        return branch.ruid if branch is not None else ""

    def _winner(self, ctx: Context) -> ClientTransaction | None:
        """The branch that a failure_route or reply route is about."""
        tx = self._transaction(ctx)
        if ctx.msg.is_request and not (tx is not None and tx.in_failure_route):
            return None
        return (
            tx.branches[ctx.branch_index] if tx is not None and ctx.branch_index < len(tx.branches) else None
        )

    @pv(
        "T",
        inner_required=True,
        form="id_index|id_label|id_index_n|id_label_n|reply_code|reply_reason|reply_type|branch_index|flags|uri|ruid",
    )
    def about(self, ctx: Context, inner: str) -> Value:
        """`id_index`, `id_label`, `reply_code`, `reply_reason`, `reply_type` (1 made here), `branch_index`,
        `ruid` of this transaction.
        """
        if inner == "reply_code":
            return self._reply_status(ctx)
        if inner == "reply_reason":
            return self.reply_reason(ctx)
        tx = self._transaction(ctx)
        if tx is None:
            return None
        if inner in ("id_index", "id_label", "id_label_n", "id_index_n"):
            index, label = ids_of(tx)
            return index if inner.startswith("id_index") else label
        if inner == "branch_index":
            return ctx.branch_index
        branch = tx.branches[ctx.branch_index] if ctx.branch_index < len(tx.branches) else None
        if inner == "reply_type":
            return int(branch.is_local) if branch is not None else 1
        if inner == "ruid":
            return branch.ruid or None if branch is not None else None
        return None

    # Another message's variables ---------------------------------------------------------------------------

    @pv("T_req", inner_required=True)
    def of_request(self, ctx: Context, inner: Variable) -> Value:
        """In a reply route: a variable of the transaction's request, e.g. `$T_req($ua)`."""
        tx = None if ctx.msg.is_request else self._transaction(ctx)
        return None if tx is None or tx.ctx is None else inner.get(tx.ctx)

    @pv("T_rpl", inner_required=True)
    def of_reply(self, ctx: Context, inner: Variable) -> Value:
        """In a failure_route: a variable of the winning reply, e.g. `$T_rpl($hdr(Retry-After))`."""
        tx = ctx.transaction
        if tx is None or not tx.in_failure_route or ctx.branch_index >= len(tx.branches):
            return None
        reply = tx.branches[ctx.branch_index].reply
        return None if reply is None else inner.get(_beside(ctx, reply))

    @pv("T_inv", inner_required=True)
    def of_invite(self, ctx: Context, inner: Variable) -> Value:
        """A variable of the INVITE that this CANCEL is for: `$T_inv($hdr(Contact))`."""
        if ctx.msg.method != "CANCEL":
            return None
        invite = self._host.transactions.find_invite(ctx.msg)
        return None if invite is None or invite.ctx is None else inner.get(invite.ctx)


def _beside(ctx: Context, msg: Message) -> Context:
    """The same place in the script with another message at hand."""
    twin = ctx.fork()
    twin.msg, twin.new_uri, twin.dst_uri, twin.edits = msg, None, None, ()
    return twin
