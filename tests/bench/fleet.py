"""Many phones, each with a port of its own: the kernel shares them out among the sockets of the workers."""

import gc
import select
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from kamtool import speed
from tests.bench.cases import Call, Case, Register
from tests.bench.generator import PATIENCE, Generator, Run


class PhonesCall(Call):
    """A call between two phones of one lane; `first` is its first user."""

    callees = 50

    def __init__(self, *args: Any, first: int = 0) -> None:
        super().__init__(*args)
        self.first = first


class Fleet:
    """So many lanes, each a caller and a callee with sockets of their own; one thread drives them all.

    With several servers each has its part of the lanes.
    """

    def __init__(self, ports: Sequence[int], lanes: int) -> None:
        self.lanes = [Generator(ports[lane % len(ports)]) for lane in range(lanes)]

    def close(self) -> None:
        for lane in self.lanes:
            lane.close()

    def register(self) -> Run:
        """Every callee, once."""
        users = PhonesCall.callees
        return self.drive(
            lambda place, lane: lane.case(Register, users, start=place * users, users=1 << 20), window=2
        )

    def call(self, total: int, window: int) -> Run:
        """`total` calls, `window` of them at once, shared out among the lanes."""
        each = -(-total // len(self.lanes))
        return self.drive(
            lambda place, lane: lane.case(PhonesCall, each, first=place * PhonesCall.callees),
            window=-(-window // len(self.lanes)),
        )

    def drive(self, make: Callable[[int, Generator], Case], window: int) -> Run:
        """Run a case in every lane, `window` operations at once in each, until all are done or lost."""
        cases = [make(place, lane) for place, lane in enumerate(self.lanes)]
        by_fd = {}
        for lane, case in zip(self.lanes, cases, strict=True):
            by_fd[lane.caller.fileno()] = (lane, case, case.client)
            by_fd[lane.callee.fileno()] = (lane, case, case.server)
        poll = select.epoll()
        for fd in by_fd:
            poll.register(fd, select.EPOLLIN)
        with _no_collection():
            run = self._drive(cases, window, by_fd, poll)
        poll.close()
        return run

    def _drive(self, cases: list[Case], window: int, by_fd: dict[int, Any], poll: select.epoll) -> Run:
        total, completed = sum(case.total for case in cases), 0
        issued = dict.fromkeys(range(len(cases)), 0)
        place_of = {id(case): place for place, case in enumerate(cases)}
        cpu, start = time.process_time(), time.perf_counter()
        heard_at = start
        for place, lane in enumerate(self.lanes):
            issued[place] = min(window, cases[place].total)
            lane._send(lane.caller.fileno(), [cases[place].begin(i) for i in range(issued[place])])
        while completed < total:
            ready = poll.poll(0.5)
            for fd, _ in ready:
                lane, case, react = by_fd[fd]
                for data, _ in speed.recv_batch(fd):
                    react(data)
                if case.finished:
                    completed += len(case.finished)
                    place = place_of[id(case)]
                    first = issued[place]
                    issued[place] = min(case.total, first + len(case.finished))
                    case.to_client += [case.begin(i) for i in range(first, issued[place])]
                    case.finished.clear()
                if case.to_callee:
                    lane._send(lane.callee.fileno(), case.to_callee)
                    case.to_callee = []
                if case.to_client:
                    lane._send(lane.caller.fileno(), case.to_client)
                    case.to_client = []
            now = time.perf_counter()
            if ready:
                heard_at = now
            elif now - heard_at > PATIENCE * 2:
                break
        seconds = time.perf_counter() - start
        errors: dict[str, int] = {}
        for case in cases:
            for what, count in case.errors.items():
                errors[what] = errors.get(what, 0) + count
        return Run(
            operations=total, completed=completed, seconds=seconds, rate=completed / seconds,
            duplicates=sum(case.duplicates for case in cases), errors=errors,
            generator_cpu=(time.process_time() - cpu) / seconds,
        )  # fmt: skip


@contextmanager
def _no_collection() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
