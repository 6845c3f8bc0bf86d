"""The calls of a run that are in flight, what they share, and how they end."""

from __future__ import annotations

import heapq
import random
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from kamtool.tools.stress.call import Call
from kamtool.tools.stress.endpoint import Endpoint
from kamtool.tools.stress.program import Program
from kamtool.tools.stress.schedule import Load
from kamtool.tools.stress.stats import Recorder

if TYPE_CHECKING:
    from kamtool.tools.stress.quick import Quick
    from kamtool.tools.stress.twin import Twins

FINISHED = 32.0
"""Seconds for which the last message of an answered call is kept for its retransmissions (64*T1)."""

clock = time.perf_counter


class Flight:
    """All calls in flight, and what they share. Steps, messages, time and the loop come on top of it."""

    def __init__(
        self, program: Program, endpoints: Sequence[Endpoint], load: Load, *,
        answering: Program | None = None, callees: Sequence[Endpoint] = (), seed: int = 0,
        part: int = 0, timeout: float = 32.0,
        hold: float = 0.0, most_calls: int = 200_000, mix: Sequence[tuple[Program, int]] = (),
        say: Callable[[str], None] = lambda text: None, run_command: Callable[[str], None] | None = None,
    ) -> None:  # fmt: skip
        self.program, self.load, self.answering = program, load, answering
        self.mix = [one for one, weight in mix for _ in range(weight)]
        self.endpoints, self.callees = list(endpoints), list(callees)
        self.timeout, self.hold, self.most_calls = timeout, hold, most_calls
        self.say, self.run_command = say, run_command
        self.choice = random.Random(f"{seed}/{part}")
        self.record = Recorder()
        self.calls: dict[bytes, Call] = {}
        self.answered: dict[bytes, Call] = {}
        """The calls at the callees: through a proxy they have the Call-IDs of those that we began."""
        for endpoint in self.endpoints:
            endpoint.calls = self.calls
        for endpoint in self.callees:
            endpoint.calls = self.answered
        self.kept: dict[bytes, bytes] = {}
        self._kept_until: deque[tuple[float, bytes]] = deque()
        self._ticks: deque[tuple[float, Call]] = deque()
        self._tick = min(one.tick for one in (program, answering or program, *(one for one, _ in mix)))
        self.heap: list[tuple[float, int, Call | None, bool]] = []
        """When, an order, whom, and whether a pause ends then; without a call a closed loop's next one
        begins.
        """
        self._order = 0
        self.number = 0
        self.stopping = self.abandon = False
        self.stop_reason = ""
        self.own = 0
        self.twins: Twins | None = None
        self.commands: dict[bytes, list[bytes]] = {}
        """Commands that came before their call waited for one."""
        self.quick: Quick | None = None
        """The kernel's share, once the engine runs."""

    def next_order(self) -> int:
        """A number greater than all before: calls themselves cannot be compared."""
        self._order += 1
        return self._order

    @property
    def under_way(self) -> int:
        """How many of the run's own calls are in flight."""
        return self.own + (self.quick.under_way if self.quick is not None else 0)

    def _succeed(self, call: Call, now: float) -> None:
        if call.own:
            self.record.succeeded += 1
            self.record.responses["call"].append(now - call.began)
            self.record.services["call"].append(now - call.begun)
        self._ended(call, now)

    def _fail(self, call: Call, reason: str) -> None:
        if call.done:
            return
        if call.own:
            self.record.failed += 1
            self.record.reasons[reason] += 1
        elif reason:
            self.record.reasons[f"callee: {reason}"] += 1
        self._ended(call, clock())

    def _ended(self, call: Call, now: float) -> None:
        call.done = True
        call.endpoint.calls.pop(call.call_id, None)
        if call.program.holds and not call.endpoint.reliable:
            self.kept[call.call_id] = call.sent
            self._kept_until.append((now + FINISHED, call.call_id))
        if not call.own:
            return
        self.own -= 1
        load = self.load
        if load.users and not self.stopping and not self.program.is_server:
            if load.calls and self.number >= load.calls:
                if not self.under_way:
                    self.stopping = True
                return
            heapq.heappush(self.heap, (now + load.think, self.next_order(), None, False))
        elif load.calls and self.program.is_server and self.number >= load.calls and not self.under_way:
            self.stopping = True

    def fail(self, call: Call, reason: str) -> None:
        """End a call that went wrong."""
        self._fail(call, reason)
