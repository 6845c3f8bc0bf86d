"""Deadlines: one FIFO queue per duration, swept a few times a second, nothing ever cancelled.

SIP has few durations, and all deadlines of one duration fall due in the order in which they were set. A queue
holds names, not objects, so a finished transaction is freed at once and its last entries fall through.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

Entry = tuple[float, str, int]
"""When, the transaction's label, and which of its machines: see `Transactions.machine`."""


class TimerQueues(dict[float, "deque[Entry]"]):
    """`queues[wait].append((deadline, label, machine))` arms, `wait` seconds before the deadline."""

    def __missing__(self, wait: float) -> deque[Entry]:
        queue = self[wait] = deque()
        return queue

    def sweep(self, now: float, fire: Callable[[float, str, int], None]) -> None:
        """Call `fire` for every deadline that has passed. An empty queue goes: durations may be many."""
        for wait, queue in list(self.items()):
            while queue and queue[0][0] <= now:
                fire(*queue.popleft())
            if not queue and self.get(wait) is queue:
                del self[wait]

    def count(self) -> int:
        """How many deadlines wait, stale ones included."""
        return sum(map(len, self.values()))
