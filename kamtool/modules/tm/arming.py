"""tm: what a transaction is told beforehand: its routes, timers and manners."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from kamtool.module import FAILURE_ROUTE, REQUEST_ROUTE, Plain, RouteName, Routes, function
from kamtool.modules.tm.base import REQUEST_OR_FAILURE, TIMERS, TM_ROUTES, Part

if TYPE_CHECKING:
    from kamtool.script.context import Context


log = logging.getLogger(__name__)


def _arming(attribute: str, or_else: str = "") -> Callable[[Sequence[str | None]], str]:
    """The code of a function that arms a route whose name is known; `or_else` is done in a transaction."""

    def code(arguments: Sequence[str | None]) -> str:
        name = arguments[0]
        if name is None:
            return ""
        known = "" if name == "0" else name
        then = or_else.format(name=name) or f"ctx.transaction.{attribute} = {known!r}"
        return f"ctx.{attribute} = {known!r}\nif ctx.transaction is not None:\n    {then}\nTrue"

    return code


class Arming(Part):
    """t_on_…, t_set_… and t_reset_…"""

    fr_timer: int
    fr_inv_timer: int
    retr_timer1: int
    retr_timer2: int
    max_inv_lifetime: int
    max_noninv_lifetime: int

    @function("t_on_failure", routes=TM_ROUTES, inline=_arming("on_failure"))
    def t_on_failure(self, ctx: Context, name: RouteName) -> bool:
        """Run failure_route[name] when every branch has failed. "0" takes it back."""
        ctx.on_failure = "" if name == "0" else name
        if ctx.transaction is not None:
            ctx.transaction.on_failure = ctx.on_failure
        return True

    @function("t_on_branch_failure", routes=TM_ROUTES)
    def t_on_branch_failure(self, ctx: Context, name: Plain) -> bool:
        """Run event_route[tm:branch-failure:name] when a branch fails, before it is seen whether all have:
        it may send new branches. "0" takes it back. In a branch_route, for that branch.
        """
        name = "" if name == "0" else name
        if name and f"tm:branch-failure:{name}" not in (ctx.program or self._host.program).event_routes:
            log.error("t_on_branch_failure: there is no event_route[tm:branch-failure:%s]", name)
            return False
        if ctx.route_kind is Routes.BRANCH:
            ctx.scratch["tm.branch_failure"] = name
            return True
        return self._set(ctx, "on_branch_failure", name)

    @function("t_set_disable_internal_reply", routes=TM_ROUTES)
    def t_set_disable_internal_reply(self, ctx: Context, on: int) -> bool:
        """1: a t_relay that failed is not answered by itself when the route ends."""
        return self._set(ctx, "no_internal_reply", bool(on))

    @function("t_on_reply", routes=TM_ROUTES, inline=_arming("on_reply", "self.t_on_reply(ctx, {name!r})"))
    def t_on_reply(self, ctx: Context, name: RouteName) -> bool:
        """Run onreply_route[name] on every reply; in a branch_route, on those of that branch."""
        ctx.on_reply = "" if name == "0" else name
        if ctx.transaction is not None and ctx.route_kind is not Routes.BRANCH:
            ctx.transaction.on_reply = ctx.on_reply
        return True

    @function("t_on_branch", routes=REQUEST_OR_FAILURE, inline=_arming("on_branch"))
    def t_on_branch(self, ctx: Context, name: RouteName) -> bool:
        """Run branch_route[name] on every branch that is about to be sent."""
        ctx.on_branch = "" if name == "0" else name
        if ctx.transaction is not None:
            ctx.transaction.on_branch = ctx.on_branch
        return True

    @function("t_set_fr", routes=TM_ROUTES)
    def t_set_fr(self, ctx: Context, fr_inv: int, fr: int = 0) -> bool:
        """Set fr_inv_timer, and fr_timer, in ms for this transaction. 0 leaves a timer as it is."""
        changes = {"fr_inv": fr_inv / 1000} if fr_inv > 0 else {}
        if fr > 0:
            changes["fr"] = fr / 1000
        self._change_timers(ctx, **changes)
        return True

    @function("t_reset_fr", routes=TM_ROUTES)
    def t_reset_fr(self, ctx: Context) -> bool:
        """Take back t_set_fr."""
        self._change_timers(ctx, fr_inv=self.fr_inv_timer / 1000, fr=self.fr_timer / 1000)
        return True

    @function("t_set_retr", routes=TM_ROUTES)
    def t_set_retr(self, ctx: Context, t1: int, t2: int) -> bool:
        """Set T1 and T2 in ms for this transaction. 0 leaves one as it is."""
        changes = {"t1": t1 / 1000} if t1 > 0 else {}
        if t2 > 0:
            changes["t2"] = t2 / 1000
        self._change_timers(ctx, **changes)
        return True

    @function("t_reset_retr", routes=TM_ROUTES)
    def t_reset_retr(self, ctx: Context) -> bool:
        """Take back t_set_retr."""
        settings = self._host.transactions.settings
        self._change_timers(ctx, t1=settings.t1, t2=settings.t2)
        return True

    @function("t_set_max_lifetime", routes=TM_ROUTES)
    def t_set_max_lifetime(self, ctx: Context, inv: int, noninv: int) -> bool:
        """Set max_inv_lifetime and max_noninv_lifetime in ms for this transaction."""
        changes = {"max_inv": inv / 1000} if inv > 0 else {}
        if noninv > 0:
            changes["max_noninv"] = noninv / 1000
        self._change_timers(ctx, **changes)
        return True

    @function("t_reset_max_lifetime", routes=TM_ROUTES)
    def t_reset_max_lifetime(self, ctx: Context) -> bool:
        """Take back t_set_max_lifetime."""
        self._change_timers(
            ctx, max_inv=self.max_inv_lifetime / 1000, max_noninv=self.max_noninv_lifetime / 1000
        )
        return True

    @function("t_set_auto_inv_100", routes=REQUEST_ROUTE)
    def t_set_auto_inv_100(self, ctx: Context, on: int) -> bool:
        """1: answer this INVITE with 100 when it is relayed; 0: do not."""
        return self._set(ctx, "auto_100", bool(on))

    @function("t_set_disable_6xx", routes=TM_ROUTES)
    def t_set_disable_6xx(self, ctx: Context, on: int) -> bool:
        """1: a 6xx does not end the other branches of this transaction."""
        return self._set(ctx, "disable_6xx", bool(on))

    @function("t_set_disable_failover", routes=TM_ROUTES)
    def t_set_disable_failover(self, ctx: Context, on: int) -> bool:
        """1: a branch that fails is not tried at the next address of its name."""
        return self._set(ctx, "no_failover", bool(on))

    @function("t_set_no_e2e_cancel_reason", "t_disable_e2e_cancel_reason", routes=TM_ROUTES)
    def t_set_no_e2e_cancel_reason(self, ctx: Context, on: int) -> bool:
        """1: do not copy the Reason of a received CANCEL."""
        return self._set(ctx, "no_e2e_reason", bool(on))

    @function("t_drop_replies", routes=FAILURE_ROUTE)
    def t_drop_replies(self, ctx: Context, mode: Plain = "a") -> bool:
        """When new branches are sent now: `a` all replies so far no longer count, `l` those of the last
        leg, `n` all still do.
        """
        if ctx.transaction is None:
            return False
        ctx.transaction.drop_replies = mode
        return True

    def _set(self, ctx: Context, name: str, value: bool | str) -> bool:
        if ctx.transaction is not None:
            setattr(ctx.transaction, name, value)
        else:
            ctx.scratch.setdefault("tm.flags", {})[name] = value
        return True


__all__ = ["TIMERS", "Arming"]
