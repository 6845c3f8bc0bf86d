"""The flight recorder: the last messages of a server, kept in memory for the moment they are wanted."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from kamtool.sip.flow import Flow
from kamtool.speed.taping import Ring

if TYPE_CHECKING:
    from kamtool.server.server import Server
    from kamtool.transport.tap import Seen

MOST_NUMBERED = 65_536
"""Flows that have numbers before it is looked which of them are still of use."""


class Recorder:
    """Keeps the last `limit` octets of messages in `ring`."""

    def __init__(self, limit: int) -> None:
        self.ring = Ring(limit, self._number_of)
        self._flows: dict[int, Flow] = {}
        """By number: while they are here no other flow gets their id."""
        self._last = 0
        self._room = MOST_NUMBERED

    @property
    def forgotten(self) -> int:
        """How many had to go."""
        return self.ring.forgotten

    def _number_of(self, flow: Flow) -> int:
        if len(self._flows) >= self._room:
            self._purge()
        self._last = self._last % 0xFFFFFFFF + 1
        self._flows[self._last] = flow
        self.ring.numbers[id(flow)] = self._last
        return self._last

    def _purge(self) -> None:
        """Let go of the flows of which no message is left."""
        used = {number for _, _, number, _ in self.ring}
        self._flows = {number: flow for number, flow in self._flows.items() if number in used}
        self.ring.number_anew()
        self.ring.numbers.update((id(flow), number) for number, flow in self._flows.items())
        self._room = max(MOST_NUMBERED, 2 * len(self._flows))

    def since(self, seconds: float) -> list[Seen]:
        """What was seen in the last so many seconds, the oldest first."""
        start = time.time() - seconds
        return [
            (at, inbound, self._flows[number], data) for at, inbound, number, data in self.ring if at >= start
        ]


def start(server: Server, limit: int) -> Recorder:
    """Let a server keep its last messages."""
    recorder = server.tap.recorder = Recorder(limit)
    server.tap.add(recorder.ring)
    return recorder
