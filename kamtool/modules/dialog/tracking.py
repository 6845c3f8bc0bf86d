"""How a dialog begins and goes on: created with an INVITE, changed by responses and requests."""

from __future__ import annotations

import logging
import time
import weakref
from typing import TYPE_CHECKING, cast

from kamtool.errors import ParseError
from kamtool.modules.dialog.base import MARK, SIDE, WISHES, Follower, Wishes
from kamtool.modules.dialog.cseq import shift
from kamtool.modules.dialog.ending import Ending
from kamtool.modules.dialog.legs import callee_of, caller_of, refresh
from kamtool.modules.dialog.requests import ahead
from kamtool.modules.dialog.state import (
    ANSWERED,
    BYE_SEEN,
    CONFIRMED,
    EARLY,
    ENDED,
    IN_TRANSACTION,
    NO_RESET,
    TIMEOUT_BYE,
    UNCONFIRMED,
    Dialog,
    Side,
)
from kamtool.modules.dialog.table import Found, cookie_of, hash_of, read_cookie
from kamtool.script.context import Context
from kamtool.sip.message import Response

if TYPE_CHECKING:
    from kamtool.modules.rr import Rr
    from kamtool.server.transaction import ServerTransaction
    from kamtool.sip.flow import Flow

log = logging.getLogger("kamtool.modules.dialog")

COOKIE_ONLY, COOKIE_FIRST, NO_COOKIE = 0, 1, 2
CLAIM = "dialog.claim"


class Claim:
    """Lives among what a message has to remember, and so as long as its routes."""


class Tracking(Ending):
    """The life of dialogs."""

    _claims: set[object]

    rr_param: str
    dlg_flag: int
    early_timeout: int
    noack_timeout: int
    dlg_match_mode: int
    detect_spirals: int
    send_bye: int
    timeout_noreset: int
    initial_cbs_inscript: int
    keep_proxy_rr: int
    track_cseq_updates: int

    def count_again(self, ctx: Context) -> None:
        """The INVITE goes out again with other credentials: it gets the next CSeq, if we keep track."""
        dialog = self.marked(ctx)
        if dialog is None or not self.track_cseq_updates:
            return
        number = ahead(dialog) + 1
        self.set_variable(dialog, "cseq_diff", str(number))
        shift(ctx, number)

    # Creation

    def transaction_created(self, tx: ServerTransaction, ctx: Context) -> None:
        """A request became a transaction: it may open a dialog, or belongs to one."""
        dialog: Dialog | None = ctx._scratch.get(MARK) if ctx._scratch is not None else None
        if tx.method == "INVITE":
            if dialog is None and self._flag & ctx.flags and not ctx.msg.to_tag:
                dialog = self.manage_initial(ctx)
            if dialog is not None and not ctx.msg.to_tag:
                # A spiral has transactions of its own; what becomes of the call, the first one tells.
                first = not dialog.dflags & IN_TRANSACTION
                dialog.dflags |= IN_TRANSACTION
                tx.watchers = (*tx.watchers, Opening(self, dialog, ctx) if first else Follower(dialog))
                return
        if dialog is not None:
            refreshes = tx.method in ("INVITE", "UPDATE")
            tx.watchers = (*tx.watchers, Within(dialog, ctx) if refreshes else Follower(dialog))

    @property
    def _flag(self) -> int:
        return 1 << self.dlg_flag if 0 <= self.dlg_flag < 32 else 0

    def manage_initial(self, ctx: Context) -> Dialog | None:
        """The dialog that this INVITE opens: a new one, or the one that it came through here for before."""
        msg = ctx.msg
        known = self.table.search(msg.call_id, msg.from_tag, "")
        if known is not None and known[0].state != ENDED and self._is_spiral(ctx, known[0]):
            self.mark(ctx, known[0], "caller")
            self._record(ctx, known[0])
            return known[0]
        try:
            dialog = self._create(ctx)
        except ParseError as error:
            log.error("%s: no dialog: %s", msg.call_id, error)
            return None
        self.mark(ctx, dialog, "caller")
        self._record(ctx, dialog)
        self._wish(ctx, dialog)
        self.table.add(dialog)
        self.table.expect(dialog, self.server.now() + self.early_timeout)
        self._claim(ctx, dialog)
        for created in self.on_created:
            created(dialog, ctx)
        return dialog

    def _claim(self, ctx: Context, dialog: Dialog) -> None:
        """Have it forgotten when the message is, if no transaction has come of it: it was refused."""
        claim = ctx.scratch.setdefault(CLAIM, Claim())

        def gone(ref: object) -> None:
            self._claims.discard(ref)
            if not dialog.dflags & IN_TRANSACTION:
                self.drop(dialog)

        self._claims.add(weakref.ref(claim, gone))

    def _is_spiral(self, ctx: Context, known: Dialog) -> bool:
        # Without the detection a spiral is a call of its own; a retransmission never is.
        return bool(self.detect_spirals) or self._run.transactions.find(ctx.msg) is not None

    def _create(self, ctx: Context) -> Dialog:
        msg = ctx.msg
        number = self.table.number()
        dialog = Dialog(
            hash_of(msg.call_id, self.table.size), number, msg.call_id, msg.from_.uri, msg.to.uri, ctx.ruri,
            caller_of(ctx), init_epoch=time.time(), lifetime=self.default_timeout,
        )  # fmt: skip
        if self.send_bye:
            dialog.iflags |= TIMEOUT_BYE
        if self.timeout_noreset:
            dialog.iflags |= NO_RESET
        return dialog

    def _record(self, ctx: Context, dialog: Dialog) -> None:
        if self.dlg_match_mode != NO_COOKIE:
            param = f";{self.rr_param}={cookie_of(dialog)}"
            if param not in ctx.scratch.get("rr.params", ""):
                cast("Rr", self.server.modules["rr"]).add_rr_param(ctx, param)

    def _wish(self, ctx: Context, dialog: Dialog) -> None:
        wishes: Wishes | None = ctx.scratch.get(WISHES)
        if wishes is not None:
            dialog.sflags |= wishes.flags
            dialog.timeout_route = wishes.timeout_route
            if wishes.bye:
                dialog.iflags |= TIMEOUT_BYE
            if wishes.timeout:
                dialog.lifetime = wishes.timeout
            for name, value in wishes.variables.items():
                self.set_variable(dialog, name, value)
        self._ask_variable(ctx, dialog)

    def _ask_variable(self, ctx: Context, dialog: Dialog) -> None:
        """`timeout_avp`: another lifetime, if the AVP holds one."""
        if self.timeout_variable is not None:
            text = str(self.timeout_variable.get(ctx) or "")
            if text.isdigit() and int(text) > 0:
                dialog.lifetime = int(text)

    # Responses to the INVITE

    def answered(self, dialog: Dialog, ctx: Context, flow: Flow, status: int, data: bytes) -> None:
        """A response to the first INVITE went upstream; a 2xx came by `flow`."""
        if dialog.state == ENDED or status <= 100:
            return
        if status < 200:
            if dialog.state == UNCONFIRMED:
                self.count_as(dialog, EARLY)
        elif status < 300:
            self._confirm(dialog, ctx, flow, Response(data))
        elif dialog.state in (UNCONFIRMED, EARLY):
            self._fail(dialog, ctx, Response(data))

    def _confirm(self, dialog: Dialog, ctx: Context, flow: Flow, response: Response) -> None:
        if dialog.is_alive:
            return  # repeated, or of another branch: the first one counts
        self.count_as(dialog, ANSWERED)
        dialog.callee = callee_of(dialog, response, ctx, flow, self._run, self.keep_proxy_rr)
        dialog.start_epoch = time.time()
        self._count("processed")
        now = self.server.now()
        dialog.kept_at = now
        dialog.data["dialog.until"] = now + dialog.lifetime
        self.table.expect(dialog, min(now + dialog.lifetime, now + self.noack_timeout))
        for confirmed in self.on_confirmed:
            confirmed(dialog, response)
        dialog.change()
        self._store(dialog)
        self._tell("dialog:start", dialog, self._reply_context(ctx, response))

    def _reply_context(self, ctx: Context, response: Response) -> Context:
        fresh = Context(self.server, response, ctx.flow)
        fresh._avps, fresh._origin, fresh.program = ctx._avps, ctx, ctx.program
        return fresh

    def _fail(self, dialog: Dialog, ctx: Context, response: Response) -> None:
        self._count("processed")
        self._count("failed")
        self._end(dialog, self._reply_context(ctx, response), "failed")

    # Requests within the dialog

    def routed(self, ctx: Context, code: int) -> int:
        """loose_route followed a Route of ours: is the request in a dialog that we know?"""
        if code == 1 and ctx.msg.to_tag and (ctx._scratch is None or MARK not in ctx._scratch):
            self.manage_within(ctx)
        return code

    def manage_within(self, ctx: Context) -> Dialog | None:
        """Take note of a request in a dialog; None when it is in none that is known."""
        found = self._match(ctx)
        if found is None:
            return None
        dialog, side = found
        self.mark(ctx, dialog, side)
        if side == "caller" and self.track_cseq_updates and (number := ahead(dialog)):
            shift(ctx, number)
        if dialog.state == ENDED:
            return dialog
        method = ctx.msg.method
        if method == "ACK":
            self._acknowledge(dialog)
            for seen in self.on_request:
                seen(dialog, ctx)
        elif method == "BYE":
            self._bye(dialog, side, ctx)
        elif method != "CANCEL":
            self._within(dialog, side, ctx)
        return dialog

    def _match(self, ctx: Context) -> Found | None:
        msg = ctx.msg
        if self.dlg_match_mode != NO_COOKIE:
            cookie = _param(ctx.route_params or "", self.rr_param)
            place = read_cookie(cookie) if cookie else None
            dialog = self.table.get(*place) if place else None
            if dialog is not None and dialog.call_id == msg.call_id:
                side = dialog.direction(msg.from_tag, msg.to_tag)
                if side is not None:
                    return dialog, side
            if self.dlg_match_mode == COOKIE_ONLY:
                return None
        return self.search(msg)

    def _acknowledge(self, dialog: Dialog) -> None:
        if dialog.state != ANSWERED:
            return
        dialog.state = CONFIRMED
        self.table.expect(dialog, dialog.data.get("dialog.until", self.server.now() + dialog.lifetime))
        dialog.change()
        self._store(dialog)

    def _bye(self, dialog: Dialog, side: Side, ctx: Context) -> None:
        dialog.dflags |= BYE_SEEN
        if not dialog.is_alive:
            return
        dialog.side(side).cseq = max(dialog.side(side).cseq, ctx.msg.cseq)
        self._end(dialog, ctx, "bye")

    def _within(self, dialog: Dialog, side: Side, ctx: Context) -> None:
        party = dialog.side(side)
        party.cseq = max(party.cseq, ctx.msg.cseq)
        party.failed = 0
        refresh(party, ctx.msg)
        self._ask_variable(ctx, dialog)
        if not dialog.iflags & NO_RESET and dialog.is_alive:
            self.prolong(dialog)
        for seen in self.on_request:
            seen(dialog, ctx)
        dialog.change()
        self._store(dialog)


class Opening(Follower):
    """The transaction of the INVITE that opened a dialog."""

    __slots__ = ("ctx", "tracking")

    def __init__(self, tracking: Tracking, dialog: Dialog, ctx: Context) -> None:
        super().__init__(dialog)
        self.tracking, self.ctx = tracking, ctx

    def responded(self, tx: ServerTransaction, status: int, data: bytes) -> None:
        """A response went upstream."""
        flows = [client.flow for client in tx.branches if 200 <= client.status < 300]
        self.tracking.answered(self.dialog, self.ctx, flows[-1] if flows else self.ctx.flow, status, data)


class Within(Follower):
    """A request that may change where the side that answers it is reached (RFC 3261 §12.2.2)."""

    __slots__ = ("to_caller",)

    def __init__(self, dialog: Dialog, ctx: Context) -> None:
        super().__init__(dialog)
        self.to_caller = ctx.scratch.get(SIDE) == "callee"

    def responded(self, tx: ServerTransaction, status: int, data: bytes) -> None:
        """A response went upstream."""
        if 200 <= status < 300 and self.dialog.is_alive:
            refresh(self.dialog.caller if self.to_caller else self.dialog.side("callee"), Response(data))


def _param(params: str, name: str) -> str:
    """The value of one parameter of a URI's, "" when it is not there."""
    at = params.find(f";{name}=")
    return params[at + len(name) + 2 :].partition(";")[0] if at >= 0 else ""
