"""Which call is on which destination, for algorithm 10."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kamtool.modules.dispatcher.destination import Destination

if TYPE_CHECKING:
    from kamtool.script.context import Context


@dataclass(slots=True)
class Call:
    """One call and until when it counts."""

    destination: Destination
    expires_at: float
    confirmed: bool = False


class Loads:
    """Calls by Call-ID; each counts as one on its destination until it ends or expires."""

    def __init__(self, now: Callable[[], float], enabled: bool, initial: float, confirmed: float) -> None:
        self.now, self.enabled = now, enabled
        self.initial, self.confirmed = initial, confirmed
        self.calls: dict[str, Call] = {}

    def take(self, ctx: Context, group: int, each: Destination) -> bool:
        """Count an INVITE on a destination; false when calls are not counted (`ds_hash_size` is 0)."""
        if not self.enabled:
            return False
        if ctx.msg.method == "INVITE" and "duid" in each.attributes:
            self.drop(ctx.msg.call_id)
            self.calls[ctx.msg.call_id] = Call(each, self.now() + self.initial)
            each.load += 1
        return True

    def drop(self, call_id: str) -> bool:
        """Forget a call; whether it was counted."""
        call = self.calls.pop(call_id, None)
        if call is None:
            return False
        call.destination.load = max(0, call.destination.load - 1)
        return True

    def update(self, ctx: Context) -> bool:
        """What a request or reply means for its call; false when there is no such call."""
        msg = ctx.msg
        call = self.calls.get(msg.call_id)
        if call is None:
            return False
        if msg.is_request:
            if msg.method in ("BYE", "CANCEL"):
                self.drop(msg.call_id)
        elif msg.method == "INVITE" and 200 <= getattr(msg, "status", 0) < 300 and not call.confirmed:
            call.confirmed, call.expires_at = True, self.now() + self.confirmed
        return True

    def expire(self) -> None:
        """Forget the calls whose time has come."""
        now = self.now()
        for call_id in [key for key, call in self.calls.items() if call.expires_at <= now]:
            self.drop(call_id)

    def follow(self, moved: dict[Destination, Destination]) -> None:
        """Let calls count on the destinations that a reload has put in the place of the old."""
        for call in self.calls.values():
            call.destination = moved.get(call.destination, call.destination)
