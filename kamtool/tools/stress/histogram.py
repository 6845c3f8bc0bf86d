"""Latencies with three significant digits in little memory: HdrHistogram's buckets, and its log format."""

from __future__ import annotations

import base64
import struct
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

HIGHEST = 3_600_000_000
"""Microseconds: what takes longer than an hour counts as an hour."""

_COOKIE, _COMPRESSED = 0x1C849303 | 0x10, 0x1C849304 | 0x10


class Histogram:
    """Counts of durations. `counts` is by bucket: up to 2,047 µs one each, above that 1,024 an octave."""

    __slots__ = ("counts", "highest", "total")

    def __init__(self, counts: Mapping[int, int] | None = None, highest: float = 0.0) -> None:
        self.counts: Counter[int] = Counter(counts or {})
        self.total = sum(self.counts.values())
        self.highest = highest

    def add(self, durations: Iterable[float]) -> None:
        """Count durations in seconds."""
        values = list(durations)
        if not values:
            return
        # bucket_of, without a call for each: this is done nine times for every call of a scenario.
        self.counts.update(
            [
                value
                if 0 <= value < 2048
                else ((octave := value.bit_length() - 11) << 10) + (value >> octave)
                if 0 < value <= HIGHEST
                else bucket_of(value / 1e6)
                for value in [int(seconds * 1e6 + 0.5) for seconds in values]
            ]
        )
        self.total += len(values)
        self.highest = max(self.highest, *values)

    def add_counted(self, durations: Mapping[float, int]) -> None:
        """Count durations in seconds, each as often as it says."""
        for seconds, count in durations.items():
            self.counts[bucket_of(seconds)] += count
            self.total += count
            self.highest = max(self.highest, seconds)

    def merge(self, other: Histogram) -> None:
        """Count what another has counted."""
        self.counts.update(other.counts)
        self.total += other.total
        self.highest = max(self.highest, other.highest)

    def percentile(self, percent: float) -> float:
        """The duration in seconds that so many percent do not exceed; 0.0 when nothing was counted."""
        wanted = max(1, -(-self.total * percent // 100))
        for bucket, seen in self.cumulative():
            if seen >= wanted:
                return min(highest_of(bucket) / 1e6, self.highest or HIGHEST)
        return 0.0

    def cumulative(self) -> Iterator[tuple[int, int]]:
        """Each bucket that counted something, lowest first, with the count up to it."""
        seen = 0
        for bucket in sorted(self.counts):
            seen += self.counts[bucket]
            yield bucket, seen

    @property
    def mean(self) -> float:
        """The mean in seconds, to the width of the buckets."""
        if not self.total:
            return 0.0
        middle = sum((lowest_of(b) + highest_of(b)) / 2 * count for b, count in self.counts.items())
        return middle / self.total / 1e6

    def encode(self) -> str:
        """HdrHistogram's compressed V2 form in Base64, as its log files hold it."""
        body = bytearray()
        zeros, at = 0, 0
        for bucket in sorted(self.counts):
            if zeros := bucket - at:
                body += _zigzag(-zeros)
            body += _zigzag(self.counts[bucket])
            at = bucket + 1
        head = struct.pack(">iiiiqqd", _COOKIE, len(body), 0, 3, 1, HIGHEST, 1.0)
        packed = zlib.compress(head + bytes(body))
        return base64.b64encode(struct.pack(">ii", _COMPRESSED, len(packed)) + packed).decode()


def bucket_of(seconds: float) -> int:
    """The bucket of a duration; what is negative counts as 0."""
    value = int(seconds * 1e6 + 0.5)
    if value < 2048:
        return value if value > 0 else 0
    if value > HIGHEST:
        value = HIGHEST
    octave = value.bit_length() - 11
    return (octave << 10) + (value >> octave)


def lowest_of(bucket: int) -> int:
    """The least number of microseconds in a bucket."""
    if bucket < 2048:
        return bucket
    octave = (bucket >> 10) - 1
    return (bucket - (octave << 10)) << octave


def highest_of(bucket: int) -> int:
    """The largest number of microseconds in a bucket."""
    return bucket if bucket < 2048 else lowest_of(bucket + 1) - 1


def _zigzag(number: int) -> bytes:
    """A signed number as LEB128 of its ZigZag form, nine octets at most."""
    value = (number << 1) ^ (number >> 63)
    made = bytearray()
    while value >= 0x80 and len(made) < 8:
        made.append(value & 0x7F | 0x80)
        value >>= 7
    made.append(value)
    return bytes(made)
