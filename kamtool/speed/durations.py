"""Histograms of durations, as HdrHistogram has them: the pure twin of `_durations.pxi`."""

from __future__ import annotations

from collections import Counter

HIGHEST = 3_600_000_000
"""Microseconds: what takes longer counts as this."""


def bucket_of(seconds: float) -> int:
    """The bucket of a duration, as HdrHistogram has it: to 2,047 µs one each, then 1,024 an octave."""
    value = min(int(seconds * 1e6 + 0.5), HIGHEST) if seconds > 0 else 0
    if value < 2048:
        return value
    octave = value.bit_length() - 11
    return (octave << 10) + (value >> octave)


Figures = tuple[dict[int, int], float, dict[int, int], float]
"""Of one measure: response times by bucket, the highest, and the same of service times."""


class Durations:
    """What calls took, by measure, since the last `take`."""

    def __init__(self, measures: int) -> None:
        self._responses = [Counter[int]() for _ in range(measures)]
        self._services = [Counter[int]() for _ in range(measures)]
        self._highest = [[0.0, 0.0] for _ in range(measures)]

    def note(self, measure: int, response: float, service: float) -> None:
        self._responses[measure][bucket_of(response)] += 1
        self._services[measure][bucket_of(service)] += 1
        highest = self._highest[measure]
        highest[:] = max(highest[0], response), max(highest[1], service)

    def take(self) -> list[Figures | None]:
        """What was noted, None for a measure of which nothing was."""
        made: list[Figures | None] = []
        for response, service, highest in zip(self._responses, self._services, self._highest, strict=True):
            made.append((dict(response), highest[0], dict(service), highest[1]) if response else None)
            response.clear()
            service.clear()
            highest[:] = 0.0, 0.0
        return made
