"""Statistics of what happens for every message, counted apart until somebody reads them."""

from __future__ import annotations


class Tally:
    """How often something has happened that some statistics count; whoever sees it adds to `number`."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names
        self.number = 0


def settle(tallies: list[Tally], stats: dict[str, int]) -> None:
    """Move what they have counted to the statistics."""
    for tally in tallies:
        number, tally.number = tally.number, 0
        if number:
            for name in tally.names:
                stats[name] = stats.get(name, 0) + number
