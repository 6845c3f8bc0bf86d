"""What was counted, as a file that runs can be merged in."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any

from kamtool.errors import UsageError

FORMAT = "kamtool coverage 1"


def digest(text: str) -> str:
    """By which the text of a cfg is known again."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]


@dataclass(slots=True)
class File:
    """One file of a cfg: how often its lines ran, and how often its conditions held and did not."""

    digest: str
    lines: dict[int, int] = field(default_factory=dict)
    branches: dict[int, list[tuple[int, int]]] = field(default_factory=dict)
    routes: dict[str, tuple[int, int]] = field(default_factory=dict)

    def add(self, other: File) -> None:
        """What another run of the same text counted."""
        for line, count in other.lines.items():
            self.lines[line] = self.lines.get(line, 0) + count
        for line, pairs in other.branches.items():
            both = zip_longest(self.branches.get(line, ()), pairs, fillvalue=(0, 0))
            self.branches[line] = [(one[0] + two[0], one[1] + two[1]) for one, two in both]
        for name, (line, count) in other.routes.items():
            self.routes[name] = (line, self.routes.get(name, (line, 0))[1] + count)

    @property
    def covered(self) -> int:
        """Lines that ran."""
        return sum(count > 0 for count in self.lines.values())

    @property
    def ways(self) -> tuple[int, int]:
        """Ways out of conditions: those that were taken, and all."""
        pairs = [pair for pairs in self.branches.values() for pair in pairs]
        return sum((held > 0) + (not_held > 0) for held, not_held in pairs), 2 * len(pairs)


@dataclass(slots=True)
class Coverage:
    """Every file of a cfg by its name."""

    files: dict[str, File]

    def merged(self, other: Coverage, *, newest: bool = False) -> Coverage:
        """Both together. Raises UsageError for two texts of one file, unless the `newest` is to win."""
        for name, file in other.files.items():
            mine = self.files.get(name)
            if mine is not None and mine.digest != file.digest and not newest:
                raise UsageError(f"{name} has changed between the runs", hint="merge runs of one cfg only")
            if mine is None or mine.digest != file.digest:
                self.files[name] = file
            else:
                mine.add(file)
        return self

    def facts(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {
            "format": FORMAT,
            "files": {
                name: {
                    "digest": file.digest, "lines": sorted(file.lines.items()),
                    "branches": sorted(file.branches.items()),
                    "routes": {route: list(place) for route, place in file.routes.items()},
                }
                for name, file in self.files.items()
            },
        }  # fmt: skip

    def write(self, path: Path) -> None:
        """Into a file; as a whole or not at all."""
        beside = path.with_name(path.name + ".new")
        beside.write_text(json.dumps(self.facts()))
        beside.replace(path)

    @staticmethod
    def of(facts: dict[str, Any]) -> Coverage:
        """From JSON. Raises UsageError."""
        try:
            if facts["format"] != FORMAT:
                raise ValueError
            return Coverage({
                name: File(
                    file["digest"], {int(line): int(count) for line, count in file["lines"]},
                    {int(line): [(int(a), int(b)) for a, b in pairs] for line, pairs in file["branches"]},
                    {route: (int(line), int(count)) for route, (line, count) in file["routes"].items()},
                )
                for name, file in facts["files"].items()
            })  # fmt: skip
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UsageError("this is no coverage of kamtool's") from error

    @staticmethod
    def read(path: Path) -> Coverage:
        """From a file. Raises UsageError."""
        try:
            return Coverage.of(json.loads(path.read_text()))
        except OSError as error:
            raise UsageError(f"{path}: {error.strerror}", exit_code=3) from error
        except ValueError as error:
            raise UsageError(f"{path} is no coverage of kamtool's") from error
        except UsageError as error:
            raise UsageError(f"{path}: {error}") from error
