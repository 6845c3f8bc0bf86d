"""The tasks of one server: started by name, what they raise logged, all of them ended together."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

log = logging.getLogger("kamtool.server")


class Tasks:
    """What runs beside the messages."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[None]] = set()

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Run `work` as a task; what it raises is logged."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._running.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("%s failed", task.get_name(), exc_info=error)

    def every(self, seconds: float, callback: Callable[[], Awaitable[None] | None]) -> None:
        """Call `callback` every so many seconds; a failure is logged, and it goes on."""
        self.spawn(_repeat(seconds, callback), f"every {seconds} s")

    async def end(self) -> None:
        """Cancel them all and wait until they are gone."""
        running = list(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def _repeat(seconds: float, callback: Callable[[], Awaitable[None] | None]) -> None:
    while True:
        await asyncio.sleep(seconds)
        try:
            waiting = callback()
            if waiting is not None and inspect.isawaitable(waiting):
                await waiting
        except Exception:
            log.exception("what runs every %s seconds failed", seconds)
