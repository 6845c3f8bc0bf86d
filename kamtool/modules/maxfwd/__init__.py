"""Max-Forwards: the guard against loops (RFC 3261 §16.3, §16.6)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kamtool.module import BRANCH_ROUTE, FAILURE_ROUTE, REQUEST_ROUTE, Host, Module, Param, function
from kamtool.modules.maxfwd.counting import Counting, count_down
from kamtool.script import edits

if TYPE_CHECKING:
    from kamtool.script.context import Context


class Maxfwd(Module):
    """Counts Max-Forwards down and tells when it has run out."""

    live = ("max_limit",)

    max_limit = Param(70, "the greatest value that is believed; a larger one is taken for it")

    def __init__(self, server: Host) -> None:
        super().__init__(server)
        # What scripts call, without this method around it.
        vars(self)["mf_process_maxfwd_header"] = Counting(self).process

    @function("mf_process_maxfwd_header", "process_maxfwd", "maxfwd_process", routes=REQUEST_ROUTE)
    def mf_process_maxfwd_header(self, ctx: Context, max_value: int) -> int:
        """Count Max-Forwards down by one, or add it with `max_value` when it is missing.

        1: counted down. 2: added. -1: it was 0, answer 483. -2: it is no number.
        """
        return count_down(ctx, max_value, self.max_limit)

    @function(
        "is_maxfwd_lt", "mf_lowlimit", "maxfwd_at_least", routes=REQUEST_ROUTE | FAILURE_ROUTE | BRANCH_ROUTE
    )
    def is_maxfwd_lt(self, ctx: Context, limit: int) -> int:
        """1 when Max-Forwards is less than `limit`, -1 when not, -2 when there is none, -3 when it is bad.

        Once it was counted down, it is the new value that is asked about.
        """
        msg = ctx.msg
        value = msg.max_forwards
        if value is None:
            return -3 if msg.find("Max-Forwards") else -2
        if ctx.edits:
            queued = edits.pending(ctx, msg.max_forwards_start, msg.max_forwards_end)
            value = int(queued) if queued.isdigit() else value
        return 1 if value < limit else -1
