"""The observer with the clock: each moment between two statements belongs to the first of them."""

from __future__ import annotations

import sys
from collections.abc import Awaitable
from time import perf_counter_ns
from types import FrameType
from typing import TYPE_CHECKING

from kamtool.debug.profile.record import Profile
from kamtool.script.context import Context
from kamtool.script.guards import Action

if TYPE_CHECKING:
    from kamtool.server.server import Server

Open = tuple[tuple[str, ...], Action, int]
"""The routes that are open, the statement that runs, and since when."""


class Timing:
    """Times every statement for as long as it watches. The time that it takes itself is not counted."""

    visits = True

    def __init__(self, server: Server) -> None:
        self.server = server
        self.profile = Profile()
        self._open: dict[int, Open] = {}
        self._began: dict[int, int] = {}

    async def start(self) -> None:
        """Begin to measure."""
        await self.server.observers.add(self)

    def stop(self) -> None:
        """Measure no more."""
        self.server.observers.remove(self)

    def wants(self, action: Action) -> bool:
        """All of them."""
        return True

    def at(self, action: Action, ctx: Context) -> None:
        """One statement has ended and another begins."""
        now, me = perf_counter_ns(), id(ctx)
        self._ended(me, now)
        routes = _routes()
        end = perf_counter_ns()
        self._open[me] = (routes, action, end)  # what this look has cost is nobody's
        if me in self._began:
            self._began[me] += end - now

    def _ended(self, me: int, now: int) -> None:
        running = self._open.pop(me, None)
        if running is not None:
            routes, action, since = running
            self.profile.add(routes, action.span.file, action.span.line, action.name, now - since)

    def entered(self, ctx: Context) -> Awaitable[None] | None:
        """A route begins."""
        self._began[id(ctx)] = perf_counter_ns()
        return None

    def left(self, ctx: Context, error: Exception | None) -> Awaitable[None] | None:
        """A route has ended, and its last statement with it."""
        now = perf_counter_ns()
        self._ended(id(ctx), now)
        began = self._began.pop(id(ctx), None)
        if began is not None:
            self.profile.runs += 1
            self.profile.wall_ns += now - began
        return None

    def failed(self, ctx: Context, error: Exception) -> None:
        """Not timed."""

    def replied(self, ctx: Context, status: int) -> None:
        """Not timed."""

    def relinked(self) -> None:
        """Another cfg: what runs on the old one is not timed to its end."""
        self._open.clear()


def _routes() -> tuple[str, ...]:
    """The open routes, the outermost first."""
    found: list[str] = []
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        if "observe" in frame.f_globals:
            found.append(frame.f_code.co_name)
        frame = frame.f_back
    return tuple(reversed(found))
