"""The flight recorder: the last messages of a server, kept in memory for the moment they are wanted."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kamtool.server.server import Server
    from kamtool.transport.tap import Seen

OVERHEAD = 120
"""Octets of memory that a record costs beside its message."""


class Recorder:
    """Keeps the last `limit` octets of messages. `forgotten` counts those that had to go."""

    def __init__(self, limit: int) -> None:
        self.limit, self.size, self.forgotten = limit, 0, 0
        self.records: deque[Seen] = deque()

    def saw(self, seen: Seen) -> None:
        """The tap's watcher."""
        self.records.append(seen)
        self.size += len(seen[3]) + OVERHEAD
        while self.size > self.limit:
            self.size -= len(self.records.popleft()[3]) + OVERHEAD
            self.forgotten += 1

    def since(self, seconds: float) -> list[Seen]:
        """What was seen in the last so many seconds, the oldest first."""
        start = time.time() - seconds
        return [each for each in self.records if each[0] >= start]


def start(server: Server, limit: int) -> Recorder:
    """Let a server keep its last messages."""
    recorder = server.tap.recorder = Recorder(limit)
    server.tap.add(recorder.saw)
    return recorder
