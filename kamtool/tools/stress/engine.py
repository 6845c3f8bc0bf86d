"""One thread that begins calls when they are due, steps them as messages come, and counts.

An open loop: whether the server keeps up changes nothing about when calls begin. All times of a call are
taken from when it was meant to begin, so a stalled server cannot hide the calls that it kept from being made.
"""

from __future__ import annotations

import gc
import select
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from kamtool.tools.stress.endpoint import Endpoint
from kamtool.tools.stress.flight import clock
from kamtool.tools.stress.kernel import NATIVE
from kamtool.tools.stress.listening import FD_SETSIZE, Listening
from kamtool.tools.stress.program import RECV, Program
from kamtool.tools.stress.quick import quick
from kamtool.tools.stress.schedule import Load, gathered
from kamtool.tools.stress.stats import Second
from kamtool.tools.stress.twin import Twins
from kamtool.tools.stress.waiting import NEVER

Due = tuple[float, int]

BURST = 128
"""Calls begun at once before the sockets are looked at again."""
LONGEST = 600.0
"""Seconds of a pause that the end of a run waits for."""
TICKED_FROM = 1000.0
"""Calls a second from which they begin on a grid."""
AT_ONCE = 32
"""Calls that begin at once then: few enough for the receive queue of any target."""
SHORTEST_TICK, LONGEST_TICK = 0.001, 0.004
STOPPED = 2.0
"""Seconds that calls have to end once the user has stopped the run."""


def grid_of(load: Load, tick: float | None) -> float:
    """The seconds between two looks at the sockets; 0.0: every call begins at its own time, every message
    wakes us.

    A wake-up costs as much CPU as five messages, so at high rates the calls begin some at a time. `tick` is
    what the user wants, None leaves it to us.
    """
    if tick is not None:
        return tick
    rate = load.highest
    return 0.0 if rate < TICKED_FROM else min(max(AT_ONCE / rate, SHORTEST_TICK), LONGEST_TICK)


class Engine(Listening):
    """Runs `program`'s calls over `endpoints`; strangers that call are answered by their endpoint's
    program. `more` is what `Calls` takes.
    """

    def __init__(
        self, program: Program, endpoints: Sequence[Endpoint], load: Load, *, part: int = 0, parts: int = 1,
        patience: float = 10.0, tick: float | None = None,
        twins: Twins | None = None, report: Callable[[Second], bool] | None = None,
        **more: Any,
    ) -> None:  # fmt: skip
        super().__init__(program, endpoints, load, part=part, **more)
        self.patience, self.part, self.parts, self.report, self.tick = patience, part, parts, report, tick
        self.twins = twins
        self._give_up_at = NEVER
        self._coming: Due = (NEVER, 0)
        self._streams = any(endpoint.reliable for endpoint in (*self.endpoints, *self.callees))

    @property
    def stepped_by(self) -> str:
        """What stepped the calls."""
        if self.quick is None:
            return "Python"
        return "the compiled kernel" if NATIVE else "the pure kernel"

    def run(self) -> None:
        """Run until the load is done, or it is told to stop, or there is nobody who answers."""
        gc.collect()
        gc.freeze()
        gc.disable()
        try:
            self._run()
        finally:
            gc.enable()

    def _run(self) -> None:
        load = self.load
        every = [*self.endpoints, *self.callees]
        self.quick = quick(self)
        if self.quick is not None and not self.program.is_server and self.answering is None:
            self.grid = grid_of(load, self.tick)
        files = {endpoint.fd: endpoint for endpoint in every}
        poller = select.epoll()
        for fd in files:
            poller.register(fd, select.EPOLLIN)
        twins = self.twins
        for fd in twins.files if twins is not None else ():
            poller.register(fd, select.EPOLLIN)
        few = twins is None and not self._streams and len(every) <= 4 and max(files) < FD_SETSIZE
        self._lone = list(files) if few else None
        self.start = start = clock()
        due = self._due()
        ends = start + load.duration
        last, cpu = start, time.process_time()
        self._coming = next(due)
        next_due = self._coming[0]
        first_wait = start + self.patience
        while True:
            now = clock()
            if now >= ends and not self.stopping:
                self.stopping = True
                self._missed(due, ends)
            if not self.stopping:
                if next_due <= now:
                    next_due = self._begin_due(now, due, ends)
                if next_due == NEVER and not self.program.is_server:
                    self.stopping = True
            if self.quick is not None:
                self.quick.sweep(now)
                if load.calls and self.program.is_server and self.quick.callers.number >= load.calls:
                    self.stopping = self.stopping or not self.under_way
            if self._ticks or self.heap:
                self._sweep(now)
            for endpoint in files.values() if self._streams else every:
                if endpoint.out:
                    endpoint.flush()
            if now - last >= 1.0:
                now_cpu = time.process_time()
                if not self._take(now, last, now_cpu - cpu):
                    self.stopping = True
                    self.stop_reason = self.stop_reason or "stopped"
                    self._give_up_at = min(self._give_up_at, now + STOPPED)
                    ends = min(ends, now)
                last, cpu = now, now_cpu
            if (
                not self._heard
                and self.number
                and not self.program.is_server
                and now >= first_wait - self.patience * 0.8
            ):
                self._nobody(now >= first_wait, every)
            if self.stopping and (not self.under_way or self.abandon or now >= self._last_moment(now)):
                break
            if self._streams and self._all_closed(every):
                break
            self._wait(poller, files, now, min(next_due if not self.stopping else NEVER, last + 1.0))
        now = clock()
        for call in list(self.calls.values()):
            if call.own:
                self._fail(call, self.unfinished(call.program, call.at))
        if self.quick is not None:
            self.quick.finish()
        self._take(now, last, time.process_time() - cpu)
        poller.close()

    def unfinished(self, program: Program, at: int) -> str:
        """Why a call that waits at this step did not end."""
        if self.abandon and self.stop_reason:
            return self.stop_reason
        step = program.steps[at]
        waiting = f"waiting for {step.what}" if step.kind == RECV else "in a pause"
        return f"still {waiting} when the run ended"

    def _last_moment(self, now: float) -> float:
        """When calls that are still under way are given up, once no more are begun."""
        if self._give_up_at == NEVER:
            longest = max(one.longest_pause for one in (self.program, *self.mix))
            self._give_up_at = now + self.timeout + min(max(longest, self.hold), LONGEST)
        return self._give_up_at

    def _nobody(self, patient: bool, every: list[Endpoint]) -> None:
        """Nothing has come so far: give up when the target refuses, or once patience is at its end."""
        refused = next((endpoint.refusal for endpoint in every if endpoint.refusals), "")
        if refused:
            self.stop_reason = f"the target refuses: {refused}"
        elif patient:
            self.stop_reason = f"not one answer within {self.patience:g} s"
        if refused or patient:
            self.stopping = self.abandon = True

    def _due(self) -> Iterator[Due]:
        """When calls are meant to begin, on the clock, and how many then; at NEVER at the end."""
        load = self.load
        if self.program.is_server:
            yield NEVER, 0
        elif load.users:
            for _ in range(min(load.users, load.calls or load.users)):
                yield self.start, 1
        else:
            left, shift = load.calls or sys.maxsize, self.part / self.parts
            for at, count in gathered(load, self.choice, shift, self.grid):
                yield self.start + at, min(count, left)
                left -= count
                if left <= 0:
                    break
        while True:
            yield NEVER, 0

    def _begin_due(self, now: float, due: Iterator[Due], ends: float) -> float:
        """Begin what is due, as much as a burst; when the next one is."""
        dues: list[float] = []
        record, last = self.record, min(now, ends)
        at, count = self._coming
        while at <= last and at < ends and len(dues) < BURST:
            dues += [at] * count if count > 1 else [at]
            at, count = next(due)
        self._coming = at, count
        record.due += len(dues)
        if dues and dues[0] == dues[-1]:  # one tick's
            record.late[now - dues[0]] += len(dues)
        else:
            record.lags += [now - one for one in dues]
        if self.quick is None or not self.quick.begin_many(dues, now):
            for one in dues:
                self.begin(one, now)
        if at == NEVER and self.load.users and self.own:
            return now + 3600.0  # a closed loop goes on by itself, see _ended
        return at

    def _missed(self, due: Iterator[Due], ends: float) -> None:
        """Count what should have begun before the end and did not: the generator is at its limit."""
        if self.load.users:
            return
        missed = 0
        while self._coming[0] < ends - 0.001 and missed < 10_000_000:
            missed += self._coming[1]
            self._coming = next(due)
        self.record.due += missed

    def _take(self, now: float, last: float, cpu: float) -> bool:
        if self.quick is not None:
            self.quick.take(now)
        made = self.record.take(now - self.start, max(now - last, 1e-9), self.under_way, cpu)
        while self._kept_until and self._kept_until[0][0] <= now:
            self.kept.pop(self._kept_until.popleft()[1], None)
        return self.report(made) if self.report else True
