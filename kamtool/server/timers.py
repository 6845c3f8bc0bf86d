"""Deadlines: one FIFO queue per duration, swept a few times a second, nothing ever cancelled.

SIP has few durations, and all deadlines of one duration fall due in the order in which they were set. A queue
holds names, not objects, so a finished transaction is freed at once and its last entries fall through.
"""

from __future__ import annotations

from collections import deque

Entry = tuple[float, str, int]
"""When, the transaction's label, and which of its machines: see `Deadlines.machine`."""


class TimerQueues(dict[float, "deque[Entry]"]):
    """`queues[wait].append((deadline, label, machine))` arms, `wait` seconds before the deadline."""

    def __missing__(self, wait: float) -> deque[Entry]:
        queue = self[wait] = deque()
        return queue

    def drop(self, wait: float, queue: deque[Entry]) -> None:
        """An empty queue goes: durations may be many."""
        if self.get(wait) is queue:
            del self[wait]

    def count(self) -> int:
        """How many deadlines wait, stale ones included."""
        return sum(map(len, self.values()))
