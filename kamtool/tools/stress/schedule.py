"""When each call is meant to begin: an open loop does not ask whether the server keeps up."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil, floor, log, sqrt

from kamtool.errors import UsageError

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "": 1.0}


@dataclass(frozen=True, slots=True)
class Load:
    """How many calls, how fast, how long. `rate` rises or falls to `to_rate` within `ramp` seconds, then
    stays.

    With `users` the loop is closed: so many calls at a time, `think` seconds between two of one user.
    """

    rate: float = 10.0
    duration: float = 10.0
    calls: int = 0
    to_rate: float = 0.0
    ramp: float = 0.0
    poisson: bool = False
    users: int = 0
    think: float = 0.0

    @property
    def highest(self) -> float:
        """The highest rate of the run."""
        return max(self.rate, self.to_rate)

    def share(self, part: int, parts: int) -> Load:
        """What one of `parts` processes does of it."""
        if parts == 1:
            return self
        return Load(
            self.rate / parts, self.duration, _part(self.calls, part, parts), self.to_rate / parts, self.ramp,
            self.poisson, _part(self.users, part, parts), self.think,
        )  # fmt: skip


def _part(count: int, part: int, parts: int) -> int:
    return count // parts + (part < count % parts)


def intended(load: Load, choice: random.Random, shift: float = 0.0) -> Iterator[float]:
    """The seconds after the start at which calls are meant to begin, for ever; `shift` is in intervals."""
    number = shift
    while not load.poisson and not (load.ramp and load.to_rate):
        yield number / load.rate
        number += 1
    while True:
        if load.poisson:
            number -= log(1.0 - choice.random())
        yield time_of(load, number)
        if not load.poisson:
            number += 1


def gathered(load: Load, choice: random.Random, shift: float, grid: float) -> Iterator[tuple[float, int]]:
    """The same with calls that begin only every `grid` seconds, each not before its time: when, and how many.

    0.0 is no grid. At a constant rate a whole tick's calls come at once, and cost nothing each.
    """
    if not grid or load.poisson or (load.ramp and load.to_rate):
        for at in intended(load, choice, shift):
            yield (ceil(at / grid) * grid if grid else at), 1
    tick = begun = 0
    while True:
        until = floor(tick * grid * load.rate - shift + 1e-9) + 1
        if until > begun:
            yield tick * grid, until - begun
            begun = until
        tick += 1


def time_of(load: Load, number: float) -> float:
    """When call `number` is due: the time by which the rate has added up to it."""
    rate, ramp = load.rate, load.ramp
    if not ramp or not load.to_rate:
        return number / rate
    slope = (load.to_rate - rate) / ramp
    within = (rate + load.to_rate) / 2 * ramp
    if number >= within:
        return ramp + (number - within) / load.to_rate
    if not slope:
        return number / rate
    return (sqrt(rate * rate + 2 * slope * number) - rate) / slope


def parse_rate(text: str) -> float:
    """Calls a second of `500/s`, `500`, `30/m`, `2k/s`. Raises UsageError."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([kK]?)(?:/(s|sec|m|min|h))?", text.strip())
    if not found or not float(found[1]):
        raise UsageError(f"no rate: {text!r}", hint="for example 500/s, 2k/s, 30/m")
    per = {"sec": 1.0}.get(found[3] or "s") or _UNITS[found[3] or "s"]
    return float(found[1]) * (1000 if found[2] else 1) / per


def parse_time(text: str) -> float:
    """Seconds of `60s`, `50ms`, `2m`, `1h`. Raises UsageError."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|min|h|d|)", text.strip())
    if not found:
        raise UsageError(f"no time: {text!r}", hint="for example 60s, 50ms, 2m")
    return float(found[1]) * _UNITS[found[2]]


def parse_ramp(text: str) -> tuple[float, float, float]:
    """From, to and seconds of `100:2000:30s`. Raises UsageError."""
    parts = text.split(":")
    if len(parts) != 3:
        raise UsageError(f"no ramp: {text!r}", hint="from:to:time, for example 100:2000:30s")
    return parse_rate(parts[0]), parse_rate(parts[1]), parse_time(parts[2])
