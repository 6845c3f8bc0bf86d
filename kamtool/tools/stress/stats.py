"""What a run counts, and how several processes' counts become one."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from kamtool.tools.stress.histogram import Histogram


@dataclass(slots=True)
class Measure:
    """One thing that is timed: from when it was meant to begin (response) and from when it did (service)."""

    response: Histogram = field(default_factory=Histogram)
    service: Histogram = field(default_factory=Histogram)

    def merge(self, other: Measure) -> None:
        self.response.merge(other.response)
        self.service.merge(other.service)


@dataclass(slots=True)
class Second:
    """What happened in one interval of about a second; `at` is its end, in seconds after the start."""

    at: float = 0.0
    seconds: float = 1.0
    due: int = 0
    started: int = 0
    succeeded: int = 0
    failed: int = 0
    in_flight: int = 0
    sent: int = 0
    received: int = 0
    repeated: int = 0
    cpu: float = 0.0
    measures: dict[str, Measure] = field(default_factory=dict)
    lag: Histogram = field(default_factory=Histogram)
    reasons: Counter[str] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)

    def merge(self, other: Second) -> None:
        """Add what another process, or another second, counted."""
        for name in COUNTS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name, measure in other.measures.items():
            self.measures.setdefault(name, Measure()).merge(measure)
        self.lag.merge(other.lag)
        self.reasons.update(other.reasons)
        self.codes.update(other.codes)


COUNTS = ("due", "started", "succeeded", "failed", "in_flight", "sent", "received", "repeated", "cpu")


@dataclass(slots=True)
class Row:
    """One step of the scenario and what became of it."""

    index: int
    what: str
    direction: str
    count: int = 0
    repeated: int = 0
    timed_out: int = 0
    unexpected: int = 0

    def merge(self, other: Row) -> None:
        self.count += other.count
        self.repeated += other.repeated
        self.timed_out += other.timed_out
        self.unexpected += other.unexpected


class Recorder:
    """Where a running engine leaves its figures; `take` gives what has come since the last time."""

    def __init__(self) -> None:
        self.responses: defaultdict[str, list[float]] = defaultdict(list)
        self.counted: dict[str, Measure] = {}
        """What the kernel has already put into buckets."""
        self.services: defaultdict[str, list[float]] = defaultdict(list)
        self.lags: list[float] = []
        self.late: Counter[float] = Counter()
        """Lags that several calls share, and how many do."""
        self.reasons: Counter[str] = Counter()
        self.codes: Counter[str] = Counter()
        self.due = self.started = self.succeeded = self.failed = 0
        self.sent = self.received = self.repeated = 0

    def take(self, at: float, seconds: float, in_flight: int, cpu: float) -> Second:
        """The figures of the interval that ends now; all is then begun anew."""
        made = Second(
            at,
            seconds,
            self.due,
            self.started,
            self.succeeded,
            self.failed,
            in_flight,
            self.sent,
            self.received,
            self.repeated,
            cpu,
        )
        for name in [name for name, times in self.responses.items() if times]:
            measure = made.measures.setdefault(name, Measure())
            measure.response.add(self.responses[name])
            measure.service.add(self.services[name])
            self.responses[name].clear()
            self.services[name].clear()
        for name, counted in self.counted.items():
            made.measures.setdefault(name, Measure()).merge(counted)
        self.counted = {}
        made.lag.add(self.lags)
        made.lag.add_counted(self.late)
        self.late = Counter()
        made.reasons, made.codes = self.reasons, self.codes
        self.lags, self.reasons, self.codes = [], Counter(), Counter()
        self.due = self.started = self.succeeded = self.failed = 0
        self.sent = self.received = self.repeated = 0
        return made
