"""Max-Forwards, one down. Every request comes through here, so this is compiled."""

from __future__ import annotations

from typing import Any, Final

from kamtool.script import edits
from kamtool.script.context import Context
from kamtool.speed import fewer_hops

# What is Final, compiled code need not look up.
_fewer: Final = fewer_hops


class Counting:
    """The function of the script, bound to the module whose parameters it reads each time."""

    def __init__(self, module: Any) -> None:
        self.module = module

    def process(self, ctx: Context, max_value: int) -> int:
        """See Maxfwd.mf_process_maxfwd_header."""
        return count_down(ctx, max_value, self.module.max_limit)


def count_down(ctx: Context, max_value: int, limit: int) -> int:
    """1: counted down. 2: added. -1: it was 0. -2: it is no number."""
    msg = ctx.msg
    if not ctx.edits:
        made = _fewer(msg, limit)
        if made is not None:
            ctx.edits = made
            return 1
    value = msg.max_forwards
    if value is None:
        if msg.find("Max-Forwards"):
            return -2
        ctx.edit(msg.head_end, msg.head_end, b"Max-Forwards: %d\r\n" % min(max(max_value, 1), limit))
        return 2
    if ctx.edits:
        start, end = msg.max_forwards_start, msg.max_forwards_end
        queued = edits.pending(ctx, start, end)
        value = int(queued) if queued.isdigit() else value
        if value:
            edits.put(ctx, start, end, b"%d" % (min(value, limit) - 1))
    return 1 if value else -1
