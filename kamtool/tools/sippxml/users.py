"""The users of a run: SIPp's CSV files (`-inf`), a row for each call."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from pathlib import Path

from kamtool.errors import ConfigError, Span

ORDERS = ("SEQUENTIAL", "RANDOM", "USER", "PRINTF")


@dataclass(slots=True)
class Users:
    """Rows of fields, handed out in the order that the file's first line names."""

    name: str
    rows: list[list[str]]
    order: str = "SEQUENTIAL"
    _next: int = 0
    _indexes: dict[int, dict[str, int]] = field(default_factory=dict)

    def take(self, choice: random.Random) -> int:
        """The number of the next row."""
        if self.order == "RANDOM":
            return choice.randrange(len(self.rows))
        at = self._next
        self._next = (at + 1) % len(self.rows)
        return at

    def find(self, key: str, column: int = 0) -> int:
        """The row whose field is `key`, -1 when there is none."""
        if column not in self._indexes:
            self._indexes[column] = {row[column]: i for i, row in enumerate(self.rows) if column < len(row)}
        return self._indexes[column].get(key, -1)

    def shared(self, part: int, parts: int) -> Users:
        """What one of `parts` processes takes: every row, but beginning elsewhere, so that none is used
        twice at once.
        """
        return Users(self.name, self.rows[part::parts] or self.rows, self.order)


def read_users(path: Path) -> Users:
    """A CSV file with `;` between the fields. Raises ConfigError with the line."""
    try:
        lines = path.read_text(errors="surrogateescape").splitlines()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    return parse_users(lines, str(path))


def parse_users(lines: list[str], name: str) -> Users:
    """The same from lines."""
    head = [word.strip() for word in (lines[0] if lines else "").replace(";", ",").split(",")]
    order = next((word for word in head if word in ORDERS), "")
    if not order:
        wanted = ", ".join(ORDERS)
        raise ConfigError(f"the first line is {head[0]!r}, not an order", Span(name, 1, 1, 1, 2), hint=wanted)
    rows = [line.split(";") for line in lines[1:] if line.strip() and not line.startswith("#")]
    if not rows:
        raise ConfigError("no users in it", Span(name, 1, 1, 1, 2))
    count = next((int(w.partition("=")[2]) for w in head if w.startswith("PRINTF=") and w[7:].isdigit()), 0)
    if count or order == "PRINTF":
        rows = [_printf(rows[i % len(rows)], i) for i in range(count or len(rows))]
    return Users(name, rows, "SEQUENTIAL" if order == "PRINTF" else order)


def _printf(row: list[str], number: int) -> list[str]:
    made = []
    for text in row:
        try:
            made.append(text % number if "%" in text else text)
        except (TypeError, ValueError):
            made.append(text)
    return made
