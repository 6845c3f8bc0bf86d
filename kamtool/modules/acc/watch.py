"""One transaction that may have to be accounted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kamtool.sip.message import Response

if TYPE_CHECKING:
    from kamtool.modules.acc import Acc
    from kamtool.script.context import Context
    from kamtool.server.transaction import ServerTransaction


class Watch:
    """What is told of it: its final responses, and that it fails."""

    __slots__ = ("acc", "ctx", "flags", "seen")

    def __init__(self, acc: Acc, ctx: Context) -> None:
        self.acc, self.ctx, self.flags = acc, ctx, ctx.flags
        self.seen: set[str] = set()
        """The To-tags whose 2xx is accounted: a forked call has several, each comes more than once."""

    def responded(self, tx: ServerTransaction, status: int, data: bytes) -> None:
        if status < 200 and not (self.acc.early_media and status > 100):
            return
        response = Response(data)
        if status < 200:
            if not response.body:
                return
        elif response.to_tag in self.seen:
            return
        else:
            self.seen.add(response.to_tag)
        # As in Kamailio: what the script marks after t_newtran counts once it relays.
        flags = self.ctx.flags if tx.branches else self.flags
        self.acc.answered(self.ctx, flags, tx, response)

    def failing(self, tx: ServerTransaction, branch: int) -> None:
        self.acc.missed(self.ctx, tx, branch)
