"""Calls that wait: what is sent again, which pauses are over, and who has waited too long."""

from __future__ import annotations

import heapq

from kamtool.tools.stress.call import Call
from kamtool.tools.stress.calls import Calls
from kamtool.tools.stress.defaults import give_up
from kamtool.tools.stress.program import RECV_CMD, Step

T2 = 4.0
NEVER = float("inf")


class Waiting(Calls):
    """Calls whose time passes: `_sweep` does what is due."""

    def _sweep(self, now: float) -> None:
        ticks, heap = self._ticks, self.heap
        while ticks and ticks[0][0] <= now:
            call = ticks.popleft()[1]
            if not call.done:
                self._check(call, now)
        while heap and heap[0][0] <= now:
            due, _, waiting, wakes = heapq.heappop(heap)
            if waiting is None:
                if self.load.calls and self.number >= self.load.calls:
                    self.stopping = self.stopping or not self.under_way
                elif not self.stopping:
                    self.record.due += 1
                    self.record.lags.append(now - due)
                    self.begin(due, now)
            elif not waiting.done:
                if wakes:
                    waiting.paused = False
                    self._advance(waiting, waiting.at, now, due)
                else:
                    self._check(waiting, now)

    def _check(self, call: Call, now: float) -> None:
        """Whether a call that waits has waited long enough to send again, or to give up."""
        if call.paused:  # in a pause: its end arms it again
            call.armed = False
            return
        step = call.program.awaited(call.at)
        limit = step.timeout or (self.timeout if step.status > 0 or step.kind == RECV_CMD else NEVER)
        ends = call.since + limit
        if now >= ends:
            self._timed_out(call, step, now)
            return
        if call.again_at and now >= call.again_at:
            call.endpoint.out.append((call.resend, call.address))  # type: ignore[arg-type]
            self.record.repeated += 1
            call.interval = (
                call.interval * 2 if call.resend.startswith(b"INVITE ") else min(call.interval * 2, T2)
            )
            call.again_at = now + call.interval
        due = min(ends, call.again_at or NEVER)
        heapq.heappush(self.heap, (min(due, now + T2), self.next_order(), call, False))

    def _timed_out(self, call: Call, step: Step, now: float) -> None:
        step.timed_out += 1
        if step.ontimeout >= 0:
            self._advance(call, step.ontimeout, now, now)
            if not call.done:
                heapq.heappush(self.heap, (now + self._tick, self.next_order(), call, False))
            return
        give_up(self, call)
        wanted = f"{step.what} for {step.measure.upper()}" if step.measure else step.what
        self._fail(call, f"no {wanted} within {step.timeout or self.timeout:g} s")
