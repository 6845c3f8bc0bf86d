"""Limits that a run must keep: `p99(invite)>50ms`, `errors>0.1%`, and those of an earlier run."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kamtool.errors import UsageError
from kamtool.tools.stress.schedule import parse_time

_TIME = re.compile(r"(p\d+(?:\.\d+)?|mean|max)\(\s*([\w .-]+?)\s*(?:,\s*(service|response))?\s*\)$")
_WHOLE = re.compile(r"([^<>=]+?)\s*(>=|<=|>|<)\s*(\S+)$")
COUNTS = ("errors", "failed", "succeeded", "started", "retransmissions", "rate", "lag", "cpu")
HINT = "p99(invite)>50ms, mean(call,service)>2ms, errors>0.1%, rate<500/s, retransmissions>10"


@dataclass(frozen=True, slots=True)
class Threshold:
    """One limit; it is crossed when the comparison is true."""

    text: str
    figure: str
    measure: str
    side: str
    comparison: str
    limit: float
    percent: bool = False

    def value(self, report: Mapping[str, Any]) -> float | None:
        """The figure in the limit's unit (ms, calls, %), None when the run has none."""
        if self.measure:
            found = report["measures"].get(self.measure)
            return None if found is None else found[self.side].get(self.figure)
        calls = report["calls"]
        started = max(1, calls["started"])
        counts = {
            "errors": calls["failed"],
            "failed": calls["failed"],
            "succeeded": calls["succeeded"],
            "started": calls["started"],
            "retransmissions": report["messages"]["repeated"],
            "rate": report["rate"],
            "lag": report["lag"]["p99"],
            "cpu": report["generator"]["busy"] * 100,
        }
        value = float(counts[self.figure])
        return value / started * 100 if self.percent and self.figure not in ("cpu", "rate", "lag") else value

    def crossed(self, report: Mapping[str, Any]) -> bool:
        """Whether the run went beyond the limit; a figure that the run does not have counts as that."""
        value = self.value(report)
        if value is None:
            return True
        return {
            ">": value > self.limit,
            "<": value < self.limit,
            ">=": value >= self.limit,
            "<=": value <= self.limit,
        }[self.comparison]

    def verdict(self, report: Mapping[str, Any]) -> dict[str, Any]:
        """The limit and what became of it."""
        value = self.value(report)
        return {
            "limit": self.text,
            "value": None if value is None else round(value, 4),
            "crossed": self.crossed(report),
        }


def parse_threshold(text: str) -> Threshold:
    """`p99(invite)>50ms` and the like. Raises UsageError."""
    whole = _WHOLE.match(text.strip())
    if not whole:
        raise UsageError(f"no limit: {text!r}", hint=HINT)
    left, comparison, right = whole[1].strip(), whole[2], whole[3]
    timed = _TIME.match(left)
    if timed:
        figure = timed[1]
        if figure.startswith("p") and float(figure[1:]) not in (50, 75, 90, 95, 99, 99.9):
            raise UsageError(
                f"{figure} is not among the percentiles of the report", hint="p50 p75 p90 p95 p99 p99.9"
            )
        if figure.startswith("p"):
            figure = f"p{float(figure[1:]):g}"
        return Threshold(
            text, figure, timed[2].lower(), timed[3] or "response", comparison, parse_time(right) * 1e3
        )
    if left not in COUNTS:
        raise UsageError(f"no figure {left!r}", hint=HINT)
    percent = right.endswith("%")
    number = right.removesuffix("%")
    if left == "lag":
        return Threshold(text, left, "", "", comparison, parse_time(number) * 1e3)
    try:
        return Threshold(text, left, "", "", comparison, float(number.removesuffix("/s")), percent)
    except ValueError:
        raise UsageError(f"no number: {right!r}", hint=HINT) from None


def compare(report: Mapping[str, Any], earlier: Mapping[str, Any], tolerance: float) -> list[dict[str, Any]]:
    """What is worse than in an earlier report by more than `tolerance` (0.1: a tenth): p50 and p99 of each
    measure, errors.

    Differences of less than half a millisecond are noise and count for nothing.
    """
    found = []
    for name, old in earlier.get("measures", {}).items():
        new = report["measures"].get(name)
        for figure in ("p50", "p99"):
            was = old["response"].get(figure, 0.0)
            now = new["response"].get(figure, 0.0) if new else None
            worse = now is None or (now > was * (1 + tolerance) and now - was > 0.5)
            found.append(
                {"limit": f"{figure}({name}) as before: {was:.3f} ms", "value": now, "crossed": worse}
            )
    was_failed = earlier["calls"]["failed"] / max(1, earlier["calls"]["started"])
    now_failed = report["calls"]["failed"] / max(1, report["calls"]["started"])
    found.append({
        "limit": f"errors as before: {was_failed:.3%}", "value": round(now_failed * 100, 4),
        "crossed": now_failed > was_failed * (1 + tolerance) + 0.0005,
    })  # fmt: skip
    return found
