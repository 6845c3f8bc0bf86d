"""Memory that a flood took goes back to the system once the flood is over, as far as it lies together.

What transactions held is free then, but two keep it: Python its lists of free tuples, each in an arena that
stays for it, and the C library, in which messages are, the pages in the middle of its heap. What lives on
among it (a contact, an entry of a table) still holds its page: that is used again by the next flood.
"""

from __future__ import annotations

import gc
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

    def give_back() -> None:
        # A full collection empties the lists of free objects; it looks at no frozen one, and takes no time.
        gc.freeze()
        gc.collect()
        trim(ctypes.c_size_t(0))

    return give_back


class Relief:
    """`count` says how many transactions there are; `look` is called every few seconds."""

    def __init__(
        self,
        count: Callable[[], int],
        find: Callable[[], Callable[[], None] | None] = trimmer,
    ) -> None:
        self._count, self._find = count, find
        self._most = 0
        self._again = False
        """What was left then lay scattered over what the flood took: once more when that has gone too."""

    def look(self) -> None:
        """Return memory when there were many and few are left: it takes some tens of milliseconds, once."""
        now = self._count()
        self._most = max(self._most, now)
        if now * FALLEN > self._most or not (self._most >= FLOOD or self._again):
            return
        self._again = self._most >= FLOOD and now > 0
        self._most = now
        trim = self._find()
        if trim is not None:
            trim()
            log.info("memory goes back to the system: of many transactions %d are left", now)
