"""The statistics of one server, by `group:name`, e.g. `core:rcv_requests`."""

from __future__ import annotations

from kamtool.server.tally import Tally, settle


class Stats(dict[str, int]):
    """Counters by `group:name`; one that has not been counted yet is 0."""

    def __missing__(self, key: str) -> int:
        return 0


class Statistics:
    """What is counted here: at once, or by a Tally that is added up when somebody reads."""

    def __init__(self) -> None:
        self._counters: dict[str, int] = Stats()
        self._tallies: list[Tally] = []

    def counters(self) -> dict[str, int]:
        """All of them as they stand now."""
        settle(self._tallies, self._counters)
        return self._counters

    def tally(self, *names: str) -> Tally:
        """For what happens for every message: it is cheaper to count, and no less exact."""
        made = Tally(names)
        self._tallies.append(made)
        return made

    def count(self, name: str, by: int = 1) -> None:
        """One more of this, or so many; `counters` is for reading, and settles all tallies at every look."""
        self._counters[name] += by
