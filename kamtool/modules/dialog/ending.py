"""How a dialog ends: BYE, time, or a word from the control plane; and what is counted and stored of it."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, cast

from kamtool.module import Routes
from kamtool.modules.dialog.base import MARK, SIDE, Parts
from kamtool.modules.dialog.state import (
    ANSWERED,
    BYE_SEEN,
    CONFIRMED,
    EARLY,
    ENDED,
    TIMEOUT_BYE,
    UNCONFIRMED,
    Dialog,
    Side,
)
from kamtool.server.listen import event_context

if TYPE_CHECKING:
    from kamtool.script.context import Context
    from kamtool.server.server import Server

log = logging.getLogger("kamtool.modules.dialog")

LINGER = 5.0
"""Seconds that an ended dialog is still known, for what is on its way: as long as tm keeps transactions."""
GRACE = 10
"""Seconds that a dialog has left when its ACK or its keep-alive answers do not come."""


class Ending(Parts):
    """The state of dialogs, their deadlines, and their end."""

    default_timeout: int
    end_timeout: int
    wait_ack: int

    @property
    def _run(self) -> Server:
        return cast("Server", self.server)

    def _count(self, name: str, by: int = 1) -> None:
        if by:
            self.server.count(f"dialog:{name}_dialogs", by)

    def set_variable(self, dialog: Dialog, name: str, value: str | None) -> None:
        """Set or, with None, delete a variable."""
        if value is None:
            dialog.variables.pop(name, None)
        else:
            dialog.variables[name] = value
        dialog.change(128)
        self._store(dialog)

    def prolong(self, dialog: Dialog, seconds: int | None = None) -> None:
        """Have it time out in so many seconds from now, or in its own lifetime."""
        until = self.server.now() + (dialog.lifetime if seconds is None else seconds)
        dialog.data["dialog.until"] = until
        self.table.expect(dialog, until)
        dialog.change()

    # The end

    def _end(self, dialog: Dialog, ctx: Context | None, how: str) -> None:
        """It is over. What scripts and other modules do about it still sees its variables and profiles."""
        if dialog.state == ENDED:
            return
        self.count_as(dialog, ENDED)
        dialog.end_epoch = time.time()
        if how == "expired":
            self._count("expired")
        self._tell("dialog:failed" if how == "failed" else "dialog:end", dialog, ctx)
        for ended in self.on_ended:
            ended(dialog, ctx, how)
        self.profiles.leave(dialog)
        if self.keeper is not None:
            self.keeper.forget(dialog)
        lingers = self.wait_ack or how != "failed"
        self.table.expect(dialog, self.server.now() + (min(LINGER, self.end_timeout) if lingers else 0))

    def _tell(self, event: str, dialog: Dialog, ctx: Context | None) -> None:
        if event not in self._run.program.event_routes:
            return
        own = event_context(self.server) if ctx is None else ctx.fork()
        own._scratch = {**(own._scratch or {}), MARK: dialog, SIDE: "caller"}
        self._run.run_event(event, {}, own)

    # Time

    def overdue(self, dialog: Dialog) -> None:
        """Its deadline has passed."""
        if dialog.state == ENDED:
            self.table.remove(dialog)
        elif dialog.state in (UNCONFIRMED, EARLY):
            log.warning("%s: a dialog was never answered and is forgotten", dialog.call_id)
            self.drop(dialog)
        elif dialog.state == ANSWERED and not dialog.data.get("dialog.no_ack"):
            # As Kamailio: what was never acknowledged has some seconds left.
            dialog.data["dialog.no_ack"] = True
            self.table.expect(dialog, self.server.now() + GRACE)
        else:
            self._run.drive(self._expire(dialog), None)

    async def _expire(self, dialog: Dialog) -> None:
        """The timeout route, BYE to both sides if that is wished, the end."""
        route = self._run.program.routes.get(dialog.timeout_route) if dialog.timeout_route else None
        if dialog.timeout_route and route is None:
            log.error("%s: there is no route %s for its timeout", dialog.call_id, dialog.timeout_route)
        if route is not None:
            ctx = event_context(self.server)
            ctx.route_kind, ctx.route_name = Routes.REQUEST, dialog.timeout_route
            ctx.program = self._run.program
            self.mark(ctx, dialog, "caller")
            before = dialog.deadline
            await self._run.running.alone(route, ctx)
            if dialog.deadline > max(before, self.server.now()):
                return  # the route gave it more time
        if dialog.state == ENDED:
            return
        if dialog.iflags & TIMEOUT_BYE:
            self.bye_all(dialog)
        self._end(dialog, None, "expired")

    def bye_all(self, dialog: Dialog, headers: list[tuple[str, str]] | None = None) -> None:
        """BYE to both sides."""
        for side in ("caller", "callee"):
            self.bye(dialog, side, headers)

    def bye(self, dialog: Dialog, side: Side, headers: list[tuple[str, str]] | None = None) -> None:
        """BYE to one side."""
        lines = [*self.requests.extra, *(headers or [])]
        dialog.dflags |= BYE_SEEN
        self.server.spawn(self._send_bye(dialog, side, lines), f"BYE to the {side}")

    async def _send_bye(self, dialog: Dialog, side: Side, lines: list[tuple[str, str]]) -> None:
        await self.requests.send(dialog, side, "BYE", lines)

    def terminate(self, dialog: Dialog, headers: list[tuple[str, str]] | None = None) -> bool:
        """End a call from here: BYE to both, and the end; false when it was not answered yet."""
        if not dialog.is_alive:
            return False
        self.bye_all(dialog, headers)
        self._end(dialog, None, "bye")
        return True

    def drop(self, dialog: Dialog) -> None:
        """Forget a dialog at once, without BYE, event route or anybody told."""
        self.count_as(dialog, ENDED)
        if self.keeper is not None:
            self.keeper.forget(dialog)
        self.profiles.leave(dialog)
        self.table.remove(dialog)

    def count_as(self, dialog: Dialog, state: int) -> None:
        """Give it another state, and the statistics what follows from it."""
        self._count("early", (state == EARLY) - (dialog.state == EARLY))
        active = (EARLY, ANSWERED, CONFIRMED)
        self._count("active", (state in active) - (dialog.state in active))
        dialog.state = state

    def adopt(self, dialog: Dialog, seconds: float) -> bool:
        """Take in a dialog that a database held, with so many seconds left; false when it is known."""
        if dialog.state == ENDED or self.table.get(dialog.hash_entry, dialog.hash_id) is not None:
            return False
        state, dialog.state = dialog.state, UNCONFIRMED
        self.count_as(dialog, state)
        dialog.lifetime = self.default_timeout
        dialog.hash_entry = dialog.hash_entry & (self.table.size - 1)
        self.table.add(dialog)
        now = self.server.now()
        dialog.kept_at = now
        self.prolong(dialog, max(1, int(seconds)))
        dialog.changed = False
        return True

    def _store(self, dialog: Dialog) -> None:
        if self.keeper is not None:
            self.keeper.changed(dialog)
