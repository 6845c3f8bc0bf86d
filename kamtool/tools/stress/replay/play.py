"""Sends a capture again at its own pace or faster: requests as they came, answers as they were given."""

from __future__ import annotations

import heapq
import select
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from kamtool.tools.stress.endpoint import Endpoint
from kamtool.tools.stress.plan import Plan
from kamtool.tools.stress.replay.answering import Answering
from kamtool.tools.stress.replay.capture import read
from kamtool.tools.stress.replay.sending import clock
from kamtool.tools.stress.stats import Second


class Replay(Answering):
    """One replay against the plan's target, from sockets that stand for the captured peers."""

    def run(self) -> None:
        """Until everything is sent and answered, or given up."""
        start = last = clock()
        cpu = time.process_time()
        speed, first = self.plan.speed, self.capture.start
        for leg in self.legs.values():
            for one in leg.part.requests:
                due = start + (one.at - first) / speed
                self._plan(due, lambda now, leg=leg, one=one, due=due: self._due(leg, one, due, now))  # type: ignore[misc]
        poller = select.epoll()
        files = {endpoint.fd: endpoint for endpoint in self.endpoints}
        for fd in files:
            poller.register(fd, select.EPOLLIN)
        ends = start + self.capture.span / speed + self.plan.timeout
        while (self._planned or self._open()) and files:
            now = clock()
            while self._events and self._events[0][0] <= now:
                heapq.heappop(self._events)[2](now)
            for endpoint in files.values():
                endpoint.flush()
            refused = next((one.refusal for one in files.values() if one.refusals), "")
            if not self.heard and (now - start > self.plan.patience or (refused and now - start > 1.0)):
                self.stop_reason = f"the target refuses: {refused}" if refused else (
                    f"not one answer within {self.plan.patience:g} s")  # fmt: skip
            if self.stop_reason or now > ends or (now - start > self.plan.load.duration):
                break
            if now - last >= 1.0:
                going = self.report(
                    self.record.take(now - start, now - last, self._open(), time.process_time() - cpu)
                )
                last, cpu = now, time.process_time()
                if not going:
                    self.stop_reason = "stopped"
            until = self._events[0][0] if self._events else now + 0.1
            for fd, _ in poller.poll(max(0.0, min(until - clock(), 0.1))):
                endpoint = files[fd]
                for data, source, at in endpoint.receive_stamped():
                    self.record.received += 1
                    self._came(data, source, endpoint, at)
                if endpoint.closed:
                    poller.unregister(fd)
                    del files[fd]
        self._end(start, last, cpu)
        poller.close()

    def _open(self) -> int:
        return sum(len(leg.pending) for leg in self.legs.values())

    def _end(self, start: float, last: float, cpu: float) -> None:
        for leg in self.legs.values():
            for (_, method), sent in leg.pending.items():
                if not sent.done:
                    self._failed(f"no answer to {method}")
            for one in [one for _, one in leg.waiting if one.method != "ACK"]:
                self._failed(f"{one.method} not sent: the dialog was not established")
        closed = next((one.closed for one in self.endpoints if one.closed), "")
        if closed and not self.stop_reason:
            self.stop_reason = f"connection lost: {closed}"
        now = clock()
        self.report(self.record.take(now - start, max(now - last, 1e-9), 0, time.process_time() - cpu))


def replay(plan: Plan, report: Callable[[Second], bool]) -> tuple[Replay, list[Endpoint]]:
    """Read, open and play. Raises UsageError and TransportError."""
    capture = read(Path(plan.capture), plan.server)
    endpoints = replace(plan, sources=min(len(capture.peers), plan.most_sockets)).open(0)
    made = Replay(plan, endpoints, capture, report)
    try:
        made.run()
    finally:
        for endpoint in endpoints:
            endpoint.close()
    return made, endpoints
