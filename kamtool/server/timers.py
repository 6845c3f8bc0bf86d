"""Deadlines: one FIFO queue per duration, swept a few times a second, nothing ever cancelled.

SIP has few durations, and all deadlines of one duration fall due in the order in which they were set. A queue
holds names, not objects, so a finished transaction is freed at once and its last entries fall through.
"""

from __future__ import annotations

from typing import Any, Final

Entry = tuple[Any, ...]
"""When, the transaction's label, and which of its machines: see `Deadlines.machine`. Compiled code hands on a
tuple of any length; of one whose length it knows it makes another each time."""

FEW: Final = 6
"""The durations that transactions over UDP have as long as nobody changes them, and one more."""

_MANY: Final = 256
"""Entries that have been taken stay in their list until they are so many, and half of it."""


class Queue:
    """First in, first out: a list whose front has been taken, faster for compiled code than a deque."""

    def __init__(self, wait: float) -> None:
        self.wait = wait
        self._entries: list[Entry] = []
        self._taken = 0

    def append(self, entry: Entry) -> None:
        """The last one from now on."""
        self._entries.append(entry)

    def take(self, until: float) -> Entry | None:
        """The first one, if its deadline is not after `until`; it is here no more then."""
        at, entries = self._taken, self._entries
        if at >= len(entries):
            return None
        entry = entries[at]
        deadline: float = entry[0]
        if deadline > until:
            return None
        self._taken = at = at + 1
        if at == len(entries) or (at >= _MANY and 2 * at >= len(entries)):
            del entries[:at]
            self._taken = 0
        return entry

    def __len__(self) -> int:
        return len(self._entries) - self._taken


class TimerQueues:
    """The queues by how long is waited in them. Durations may be many: an empty queue goes."""

    def __init__(self) -> None:
        self._queues: dict[float, Queue] = {}
        self._first: list[Queue] = []
        """FEW of them, which are found sooner than by the hash of a float."""

    def arm(self, wait: float, deadline: float, label: str, which: int) -> None:
        """A deadline, set `wait` seconds before it falls due."""
        for queue in self._first:
            if queue.wait == wait:
                queue._entries.append((deadline, label, which))
                return
        found = self._queues.get(wait)
        if found is None:
            found = self._queues[wait] = Queue(wait)
            if len(self._first) < FEW:
                self._first.append(found)
        found._entries.append((deadline, label, which))

    def queues(self) -> list[Queue]:
        """All that there are now."""
        return list(self._queues.values())

    def drop(self, queue: Queue) -> None:
        """An empty queue goes."""
        if self._queues.get(queue.wait) is queue:
            del self._queues[queue.wait]
            if queue in self._first:
                self._first.remove(queue)

    def count(self) -> int:
        """How many deadlines wait, stale ones included."""
        return sum(map(len, self._queues.values()))
