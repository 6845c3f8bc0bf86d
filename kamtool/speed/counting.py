"""Statistics, counted up. The pure twin."""

from __future__ import annotations


def count(stats: dict[str, int], names: tuple[str, ...]) -> None:
    """One more of each of these; one that has not been counted yet was 0."""
    for name in names:
        stats[name] = stats.get(name, 0) + 1
