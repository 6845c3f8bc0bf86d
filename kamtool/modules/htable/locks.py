"""sht_lock: a key that only one route at a time may hold, while others wait."""

from __future__ import annotations

import asyncio
import logging
import weakref
from collections.abc import Callable
from typing import Any

logger = logging.getLogger("kamtool.modules.htable")

PATIENCE = 5.0
"""Seconds after which a lock that was never given back is taken away from its holder."""


class Holder:
    """Whoever holds locks: it lives among what a message has to remember, and so as long as its routes."""


def holder_of(scratch: dict[str, Any]) -> Holder:
    """The holder that a message's scratch stands for."""
    holder: Holder = scratch.setdefault("htable.holder", Holder())
    return holder


class Lock:
    """One held key: by whom, how many times over, and who waits."""

    __slots__ = ("depth", "holder", "waiters")

    def __init__(self, holder: object, ended: Callable[[Lock], None]) -> None:
        self.holder = weakref.ref(holder, lambda _: ended(self))
        self.depth = 1
        self.waiters: list[asyncio.Future[None]] = []


class Locks:
    """The held keys. Who holds one may lock it again; a route that ended without unlocking holds nothing."""

    def __init__(self) -> None:
        self._held: dict[tuple[str, str], Lock] = {}

    def __len__(self) -> int:
        return len(self._held)

    async def acquire(self, key: tuple[str, str], holder: Any) -> None:
        """Hold `key` as soon as nobody else does."""
        end = None
        while (lock := self._held.get(key)) is not None:
            if lock.holder() is holder:  # no name for the holder here: it would live as long as the wait
                lock.depth += 1
                return
            now = asyncio.get_running_loop().time()
            end = end or now + PATIENCE
            if now >= end:
                logger.error("the lock on %s=>%s was held for %g s and is taken away", *key, PATIENCE)
                self._free(key)
                continue
            await self._wait(lock, end - now)

        def ended(lock: Lock) -> None:
            if self._held.get(key) is lock:
                self._free(key)

        self._held[key] = Lock(holder, ended)

    async def _wait(self, lock: Lock, seconds: float) -> None:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        lock.waiters.append(waiter)
        await asyncio.wait([waiter], timeout=seconds)
        if waiter in lock.waiters:
            lock.waiters.remove(waiter)

    def release(self, key: tuple[str, str], holder: Any) -> bool:
        """Give `key` back once; false when the holder is another or nobody."""
        lock = self._held.get(key)
        if lock is None or lock.holder() is not holder:
            return False
        lock.depth -= 1
        if lock.depth == 0:
            self._free(key)
        return True

    def _free(self, key: tuple[str, str]) -> None:
        for waiter in self._held.pop(key).waiters:
            if not waiter.done():
                waiter.set_result(None)
