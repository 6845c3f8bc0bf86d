"""When the deadlines of a server's transactions are looked at: a few times a second, a part at a time."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kamtool.server.server import Server

log = logging.getLogger("kamtool.server")


class Sweeps:
    """Sweeps every `options.sweep` seconds, and tells the gate how late it came to it."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._loop: asyncio.AbstractEventLoop | None = None
        self._due_at = 0.0
        self._is_under_way = False

    def start(self) -> None:
        """Begin, on the running loop."""
        self._loop = asyncio.get_running_loop()
        self.turn()

    def stop(self) -> None:
        """No deadline has an effect any more."""
        self._loop = None

    def turn(self) -> None:
        """It is time for a sweep, and the next is set; one that has not ended yet goes on."""
        if self._loop is None:
            return
        now, options = self._loop.time(), self.server.options
        late, self._due_at = now - (self._due_at or now), now + options.sweep
        self._loop.call_later(options.sweep, self.turn)
        self.server.gate.look(
            late, options.overload_late, options.overload_queue, options.overload_transactions
        )
        if not self._is_under_way:
            self.part()

    def part(self) -> None:
        """A part of the deadlines that have passed; the loop reads what has come before the next part."""
        self._is_under_way = False
        if self._loop is None:
            return
        server = self.server
        try:
            self._is_under_way = server.transactions.sweep(server.now(), server.options.sweep_most)
        except Exception:
            log.exception("a timer failed")
        if self._is_under_way:
            self._loop.call_soon(self.part)
