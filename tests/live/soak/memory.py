"""Whether a server's memory grows: what it holds per call that is over."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

SLACK = 4e6
"""Bytes by which the resident set moves without a leak: the allocators' arenas of 256 KiB and 1 MiB, and what
a busy machine holds up for a second."""
PER_CALL = 16
"""Bytes a finished call may leave. The smallest thing that leaks with it, a string of a few letters in a
dictionary, is 150 bytes, its transaction with both messages some 6,000."""
LATER = 3
"""The growth is taken between the medians of the first and the last third of what follows the warm-up."""


@dataclass(frozen=True, slots=True)
class Sample:
    """`at` seconds after the load began: resident bytes."""

    at: float
    bytes: int


def growth(samples: Sequence[Sample], warm: float) -> tuple[float, float]:
    """How many bytes it grew after `warm` seconds, and in how many seconds."""
    later = [sample for sample in samples if sample.at >= warm]
    third = max(1, len(later) // LATER)
    first, last = later[:third], later[-third:]
    grown = median(s.bytes for s in last) - median(s.bytes for s in first)
    return grown, median(s.at for s in last) - median(s.at for s in first)


def allowed(seconds: float, rate: float) -> float:
    """How much it may grow in so many seconds of `rate` calls each."""
    return SLACK + PER_CALL * rate * seconds
