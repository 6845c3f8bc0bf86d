"""What was measured: nanoseconds by stack, and ways to sum them up."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

from kamtool.errors import UsageError

FORMAT = "kamtool profile 1"
BY = ("line", "route", "function")
Stack = tuple[tuple[str, ...], str, int, str]
"""The open routes, the outermost first; file, line and name of the statement."""


@dataclass(slots=True)
class Profile:
    """`wall_ns` is what all runs of routes took, without the measuring."""

    stacks: dict[Stack, list[int]] = field(default_factory=dict)
    runs: int = 0
    wall_ns: int = 0

    def add(self, routes: tuple[str, ...], file: str, line: int, name: str, spent: int) -> None:
        """One more run of a statement."""
        held = self.stacks.get((routes, file, line, name))
        if held is None:
            held = self.stacks[routes, file, line, name] = [0, 0]
        held[0] += spent
        held[1] += 1

    @property
    def total_ns(self) -> int:
        """The time of all statements."""
        return sum(spent for spent, _ in self.stacks.values())

    def by(self, what: str) -> list[dict[str, Any]]:
        """Sums, the dearest first: `total` microseconds, `runs`, microseconds `each`, `percent` of all."""
        sums: dict[str, list[int]] = {}
        for (routes, file, line, name), (spent, count) in self.stacks.items():
            if what == "line":
                key = f"{PurePath(file).name}:{line} {name}"
            else:
                key = (routes[-1] if routes else "?") if what == "route" else name
            held = sums.setdefault(key, [0, 0])
            held[0] += spent
            held[1] += count
        whole = self.total_ns or 1
        return [
            {
                what: key, "percent": round(100 * spent / whole, 1), "total": round(spent / 1000),
                "runs": count, "each": round(spent / 1000 / count, 2),
            }
            for key, (spent, count) in sorted(sums.items(), key=lambda item: -item[1][0])
        ]  # fmt: skip

    def facts(self) -> dict[str, Any]:
        """As JSON can hold it."""
        rows = [
            [list(routes), file, line, name, *held]
            for (routes, file, line, name), held in self.stacks.items()
        ]
        return {"format": FORMAT, "runs": self.runs, "wall_ns": self.wall_ns, "stacks": rows}

    @staticmethod
    def joined(profiles: Iterable[Profile]) -> Profile:
        """Those of several workers as one."""
        found = Profile()
        for each in profiles:
            found.runs += each.runs
            found.wall_ns += each.wall_ns
            for stack, (spent, count) in each.stacks.items():
                held = found.stacks.setdefault(stack, [0, 0])
                held[0] += spent
                held[1] += count
        return found

    @staticmethod
    def of(facts: Any) -> Profile:
        """From JSON. Raises UsageError."""
        try:
            if facts["format"] != FORMAT:
                raise ValueError
            found = Profile(runs=int(facts["runs"]), wall_ns=int(facts["wall_ns"]))
            for routes, file, line, name, spent, count in facts["stacks"]:
                found.stacks[tuple(map(str, routes)), str(file), int(line), str(name)] = [
                    int(spent),
                    int(count),
                ]
            return found
        except (KeyError, TypeError, ValueError) as error:
            raise UsageError("this is no profile of kamtool's") from error
