"""The highest rate at which a target still keeps its limit: doubled until it does not, then halved in
between.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

MAX_ERRORS = 0.001
PRECISION = 0.05


@dataclass(frozen=True, slots=True)
class Probe:
    """One short run at a rate: its p99 in seconds, the share of calls that failed, and whether it says
    anything.
    """

    rate: float
    p99: float
    errors: float
    valid: bool
    reason: str = ""

    def keeps(self, limit: float) -> bool:
        return self.valid and self.p99 <= limit and self.errors <= MAX_ERRORS


def find_max(
    run: Callable[[float], Probe], limit: float, start: float, most: float
) -> tuple[float, list[Probe]]:
    """The highest rate that kept the limit, to 5 %, and every probe; 0.0 when not even the first did.

    It ends where the generator itself gives up: a rate that it could not make is none of the target's.
    """
    probes: list[Probe] = []
    good, bad, rate = 0.0, 0.0, start
    while True:
        probe = run(rate)
        probes.append(probe)
        if not probe.valid:  # something else may have held the generator up: once more says
            probe = run(rate)
            probes.append(probe)
        if probe.keeps(limit):
            good = rate
        else:
            bad = rate
        if (
            (bad and (bad - good) <= PRECISION * bad)
            or (not bad and rate >= most)
            or (not good and rate < 1.0)
        ):
            return good, probes
        if not good:
            rate = bad / 4
        elif bad:
            rate = (good + bad) / 2
        else:
            rate = min(rate * 2, most)
