"""The load generator: one thread, two sockets, batches; paced, or as fast as a window allows.

It is pinned to another core than the server and reports its own share of CPU and its lag: a run in which the
generator was the bottleneck is seen as such (`saturated` is false), one that lost or repeated a message is
invalid.
"""

import gc
import select
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from kamtool import speed
from tests.bench.cases import Case

RECEIVE_BUFFER = 8 << 20
PATIENCE = 4.0
"""Seconds without an answer after which what is missing is lost."""


@dataclass
class Run:
    """What one run did, and what it cost the generator."""

    operations: int
    completed: int
    seconds: float
    rate: float
    duplicates: int
    errors: dict[str, int] = field(default_factory=dict)
    generator_cpu: float = 0.0
    worst_lag_ms: float = 0.0
    p50_ms: float = 0.0
    p99_ms: float = 0.0

    @property
    def whole(self) -> bool:
        """Whether all was done without an error. Where something was repeated, figures count for nothing."""
        return self.completed == self.operations and not self.errors

    @property
    def valid(self) -> bool:
        return self.whole and not self.duplicates


def open_socket() -> socket.socket:
    """A UDP socket of 127.0.0.1 with a receive queue that holds any window."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setblocking(False)
    for option in (33, socket.SO_RCVBUF):  # 33 is SO_RCVBUFFORCE: root only
        try:
            sock.setsockopt(socket.SOL_SOCKET, option, RECEIVE_BUFFER)
            break
        except PermissionError:
            continue
    sock.bind(("127.0.0.1", 0))
    return sock


class Generator:
    """Drives cases against a server at 127.0.0.1:`port`. Its sockets outlive a case."""

    def __init__(self, port: int) -> None:
        self.target = ("127.0.0.1", port)
        self.caller, self.callee = open_socket(), open_socket()
        self.runs = 0

    def close(self) -> None:
        self.caller.close()
        self.callee.close()

    def case(self, kind: Callable[..., Case], total: int, **more: Any) -> Case:
        """A case of `total` operations; its name tells its messages from those of earlier runs."""
        self.runs += 1
        ports = (self.target[1], self.caller.getsockname()[1], self.callee.getsockname()[1])
        return kind(*ports, total, f"{self.runs:03d}", **more)

    def drive(self, case: Case, rate: float = 0) -> Run:
        """Run all of `case`: `rate` a second, or with 0 as fast as `case.window` in flight allows."""
        gc.collect()
        gc.disable()
        try:
            return self._drive(case, rate)
        finally:
            gc.enable()

    def _drive(self, case: Case, rate: float) -> Run:
        caller, callee = self.caller.fileno(), self.callee.fileno()
        receive, send, clock = speed.recv_batch, self._send, time.perf_counter
        total, window, begin = case.total, case.window, case.begin
        began_at, took = [0.0] * total, [0.0] * total
        issued = completed = 0
        lag = 0.0
        cpu, start = time.process_time(), clock()
        heard_at = start
        while completed < total:
            now = clock()
            due = min(total, int((now - start) * rate) + 1 if rate else completed + window)
            if issued < due:
                if rate:
                    lag = max(lag, now - start - issued / rate)
                fresh = []
                for i in range(issued, due):
                    began_at[i] = now
                    fresh.append(begin(i))
                issued = due
                send(caller, fresh)
            wait = max(0.0, start + issued / rate - clock()) if rate and issued < total else 1.0
            for fd in select.select([caller, callee], [], [], wait)[0]:
                react = case.client if fd == caller else case.server
                while batch := receive(fd):
                    for data, _ in batch:
                        react(data)
                    if len(batch) < 64:
                        break
                heard_at = clock()
            if case.to_callee:
                send(callee, case.to_callee)
                case.to_callee = []
            if case.to_client:
                send(caller, case.to_client)
                case.to_client = []
            if case.finished:
                now = clock()
                for i in case.finished:
                    took[i] = now - began_at[i]
                completed += len(case.finished)
                case.finished.clear()
            elif clock() - heard_at > PATIENCE * (1 if issued == total else 2):
                break
        seconds = clock() - start
        took = sorted(took[: max(1, issued)])
        return Run(
            operations=total, completed=completed, seconds=seconds, rate=completed / seconds,
            duplicates=case.duplicates, errors=dict(case.errors),
            generator_cpu=(time.process_time() - cpu) / seconds, worst_lag_ms=lag * 1e3,
            p50_ms=took[len(took) // 2] * 1e3, p99_ms=took[int(len(took) * 0.99)] * 1e3,
        )  # fmt: skip

    def _send(self, fd: int, messages: list[bytes]) -> None:
        batch = [(data, self.target) for data in messages]
        while batch:
            sent = speed.send_batch(fd, batch)
            batch = batch[sent:]
            if batch:
                select.select([], [fd], [], 1.0)
