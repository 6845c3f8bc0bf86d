"""Which nonces were used, and how often: `nonce_count` and `one_time_nonce`."""

from __future__ import annotations

import mmap
from collections import OrderedDict
from contextlib import suppress
from typing import Any


class SharedUses:
    """The same for several workers: a table in memory that they share, one line for each number.

    A nonce's line is taken by its number; one that is as new as another in the same line is refused.
    """

    LINE = 3

    def __init__(self, memory: mmap.mmap, lock: Any, size: int) -> None:
        self._lines = memoryview(memory).cast("I")
        self._size = max(1, min(size, len(self._lines) // self.LINE))
        self._lock = lock

    def use(self, created: int, number: int, count: int) -> bool:
        """Note a use with this `nc`; false when it is no later than one seen before."""
        at = number % self._size * self.LINE
        lines = self._lines
        # A worker that was killed inside holds nobody up: its lock is given back for it.
        self._lock.acquire(timeout=0.05)
        try:
            known = (lines[at], lines[at + 1])
            if known == (created, number):
                if count <= lines[at + 2]:
                    return False
            elif known > (created, number):
                return False
            lines[at], lines[at + 1], lines[at + 2] = created, number, count
            return True
        finally:
            with suppress(ValueError):
                self._lock.release()


class Uses:
    """Remembers the last `nc` of each nonce in use, at most `size` of them; the oldest make room.

    A nonce that had to make room cannot be told from a used one and is refused: its phone gets a new one.
    """

    def __init__(self, size: int) -> None:
        self._size = max(1, size)
        self._last: OrderedDict[tuple[int, int], int] = OrderedDict()
        self._forgotten = (0, 0)

    def use(self, created: int, number: int, count: int) -> bool:
        """Note a use with this `nc`; false when it is no later than one seen before."""
        key = (created, number)
        last = self._last.get(key)
        if last is None:
            if key <= self._forgotten:
                return False
            if len(self._last) >= self._size:
                oldest, _ = self._last.popitem(last=False)
                self._forgotten = max(self._forgotten, oldest)
        elif count <= last:
            return False
        self._last[key] = count
        return True
