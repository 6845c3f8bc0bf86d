"""Deadlines: one FIFO queue per duration, swept a few times a second, nothing ever cancelled.

SIP has few durations, and all deadlines of one duration fall due in the order in which they were set. A queue
holds names, not objects, so a finished transaction is freed at once and its last entries fall through.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

Entry = tuple[float, str, int]
"""When, the transaction's label, and which of its machines: see `Transactions.machine`."""


class TimerQueues:
    """`arm` a deadline; `sweep` hands out those that have passed."""

    __slots__ = ("_queues",)

    def __init__(self) -> None:
        self._queues: dict[float, deque[Entry]] = {}

    def arm(self, wait: float, deadline: float, label: str, machine: int) -> None:
        """`deadline` is `wait` seconds from now."""
        queue = self._queues.get(wait)
        if queue is None:
            queue = self._queues[wait] = deque()
        queue.append((deadline, label, machine))

    def sweep(self, now: float, fire: Callable[[float, str, int], None]) -> None:
        """Call `fire` for every deadline that has passed. An empty queue goes: durations may be many."""
        for wait, queue in list(self._queues.items()):
            while queue and queue[0][0] <= now:
                fire(*queue.popleft())
            if not queue and self._queues.get(wait) is queue:
                del self._queues[wait]

    def __len__(self) -> int:
        return sum(map(len, self._queues.values()))
