"""Keep-alives: OPTIONS within a dialog, to learn whether its sides still know it."""

from __future__ import annotations

from typing import cast

from kamtool.modules.dialog.ending import GRACE, Ending
from kamtool.modules.dialog.state import KEEP_CALLEE, KEEP_CALLER, Dialog, Side

GONE = (408, 481)


class KeepAlive(Ending):
    """Ask the sides that `ka-src` and `ka-dst` name, every `ka_interval` seconds."""

    ka_interval: int
    ka_failed_limit: int

    def keep_alive(self) -> None:
        """Ask in each dialog whose turn has come."""
        now = self.server.now()
        for dialog in self.table:
            if not dialog.iflags & (KEEP_CALLER | KEEP_CALLEE) or not dialog.is_alive:
                continue
            if now - dialog.kept_at < self.ka_interval:
                continue
            dialog.kept_at = now
            for bit, side in ((KEEP_CALLER, "caller"), (KEEP_CALLEE, "callee")):
                if dialog.iflags & bit:
                    self.server.spawn(self._ask(dialog, cast("Side", side)), f"keep-alive to the {side}")

    async def _ask(self, dialog: Dialog, side: Side) -> None:
        # With the CSeq of the last request: one that the far end refuses is an answer too, and ours
        # must not get in the way of the other side's next one.
        status, _ = await self.requests.send(dialog, side, "OPTIONS", count=False)
        self.kept(dialog, side, status)

    def kept(self, dialog: Dialog, side: Side, status: int) -> None:
        """Take in an answer: nobody there too often, and the dialog has only some seconds left."""
        party = dialog.side(side)
        if status not in GONE:
            party.failed = 0
            return
        party.failed += 1
        if party.failed >= max(1, self.ka_failed_limit) and dialog.is_alive:
            dialog.data["dialog.no_ack"] = True
            self.prolong(dialog, GRACE)
