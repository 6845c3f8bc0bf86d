"""One run of `kamtool trace` without a terminal: from a source through a filter into sinks."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from kamtool.tools.captured import Captured
from kamtool.tools.pcap.streams import Record
from kamtool.tools.trace.filter import Filter
from kamtool.tools.trace.redact import Redactor
from kamtool.tools.trace.sinks import Sink

PATIENCE = 2.0
"""Seconds that a source has to give the rest once it is left."""


class Source(Protocol):
    """Gives messages, in batches."""

    def batches(self) -> Iterator[list[Captured]]: ...


@dataclass(slots=True)
class Run:
    """What is wanted of a run, and how far it got."""

    wanted: Filter
    sinks: list[Sink]
    redactor: Redactor | None = None
    limit: int = 0
    """Messages after which it ends, 0 for none."""
    seconds: float | None = None
    """How long it lasts."""
    seen: int = 0
    kept: int = 0
    stopped: bool = False

    def run(
        self, batches: Iterable[list[Captured]], *, live: Callable[[], bool] = lambda: True,
        leave: Callable[[], None] | None = None,
    ) -> list[str]:  # fmt: skip
        """Until the source ends, enough is seen, time is over, or somebody stops it; what the sinks say.

        `live` tells when the past is over: time begins then. `leave` asks the source to end with what is on
        its way, which is awaited for a while.
        """
        end: float | None = None
        with _stops(self):
            for batch in batches:
                for seen in batch:
                    self._take(seen)
                    if self.limit and self.kept >= self.limit:
                        leave, self.stopped = None, True
                        break
                for sink in self.sinks:
                    sink.flush()
                if self.seconds is not None and end is None and live():
                    end = time.monotonic() + self.seconds
                if self.stopped or (end is not None and time.monotonic() >= end):
                    if leave is None:
                        break
                    leave()
                    leave, self.stopped, end = None, False, time.monotonic() + PATIENCE
        return [said for sink in self.sinks if (said := sink.end())]

    def record(self, record: Record) -> None:
        """Something of a TLS connection that is recorded."""
        for sink in self.sinks:
            sink.take_record(record)

    def _take(self, seen: Captured) -> None:
        self.seen += 1
        if not self.wanted(seen):
            return
        self.kept += 1
        if self.redactor is not None:
            seen = self.redactor(seen)
        for sink in self.sinks:
            sink.take(seen)


@contextmanager
def _stops(run: Run) -> Iterator[None]:
    """Ctrl-C, SIGTERM and SIGHUP end a run in good order: files are closed, ladders drawn."""

    def stop(number: int, frame: object) -> None:
        if run.stopped:
            raise KeyboardInterrupt  # asked twice: at once
        run.stopped = True

    before = {
        number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
