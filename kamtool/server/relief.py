"""Memory that a flood took goes back to the system once the flood is over.

What transactions held is free then, but the C library keeps it: messages are larger than what Python's own
arenas take, and pages in the middle of its heap are returned only when it is told to.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

log = logging.getLogger("kamtool.server")

EVERY = 5.0
"""Seconds between two looks."""
FLOOD = 20_000
"""So many transactions at once are worth it: some 140 MB."""
FALLEN = 16
"""Over is a flood when a part of so many is left of it."""


def trimmer() -> Callable[[], None] | None:
    """The function that returns memory; None where the C library has none."""
    import ctypes

    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):
        return None
    return lambda: trim(ctypes.c_size_t(0))


class Relief:
    """`count` says how many transactions there are; `look` is called every few seconds."""

    def __init__(
        self,
        count: Callable[[], int],
        find: Callable[[], Callable[[], None] | None] = trimmer,
    ) -> None:
        self._count, self._find = count, find
        self._most = 0

    def look(self) -> None:
        """Return memory when there were many and few are left: it takes some tens of milliseconds, once."""
        now = self._count()
        self._most = max(self._most, now)
        if self._most < FLOOD or now * FALLEN > self._most:
            return
        self._most = now
        trim = self._find()
        if trim is not None:
            trim()
            log.info("memory goes back to the system: of many transactions %d are left", now)
