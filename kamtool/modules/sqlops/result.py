"""Results of queries, and what `$dbr(result=>key)` reads of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from kamtool.errors import ConfigError
from kamtool.module import Value, Variable
from kamtool.script.values import from_octets

_INTS = range(-(2**31), 2**31)
_NUMBER = re.compile(r"[+-]?[0-9]{1,9}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Result:
    """The columns and rows that a query gave."""

    columns: Sequence[str] = ()
    rows: Sequence[tuple[Any, ...]] = ()


EMPTY = Result()


def value_of(cell: Any) -> Value:
    """A cell as a script holds it: what is no 32-bit number is a text."""
    if cell is None or type(cell) is str:
        return cell
    if type(cell) is int and cell in _INTS:
        return cell
    return from_octets(cell) if isinstance(cell, bytes) else str(cell)


Place = int | Variable


@dataclass(frozen=True, slots=True)
class Key:
    """A parsed `result=>rows`, `=>cols`, `=>[row,column]` or `=>colname[column]`."""

    result: str
    kind: str
    row: Place = 0
    column: Place = 0

    def read(self, ctx: Any, result: Result) -> Value:
        """What the key names in `result`; None outside of it."""
        if self.kind == "rows":
            return len(result.rows)
        if self.kind == "cols":
            return len(result.columns)
        column = _pick(ctx, self.column, result.columns)
        if column is None:
            return None
        if self.kind == "colname":
            return result.columns[column]
        row = _pick(ctx, self.row, result.rows)
        return None if row is None else value_of(result.rows[row][column])


def _pick(ctx: Any, place: Place, items: Sequence[Any]) -> int | None:
    number = place if isinstance(place, int) else place.get(ctx)
    return number if type(number) is int and 0 <= number < len(items) else None


def key(text: str, variable: Callable[[str], Variable]) -> Key:
    """Parse the inside of `$dbr(…)`. Raises ConfigError."""
    result, arrow, rest = text.strip().partition("=>")
    if not arrow or not result or result.strip() != result:
        raise _bad(text, "it is $dbr(result=>key)")

    def place(written: str) -> Place:
        written = written.strip()
        if written.startswith("$"):
            return variable(written)
        if _NUMBER.fullmatch(written) is None:
            raise _bad(text, f"{written!r} is no number")
        return int(written)

    if rest in ("rows", "cols"):
        return Key(result, rest)
    if rest.startswith("colname[") and rest.endswith("]"):
        return Key(result, "colname", column=place(rest[len("colname[") : -1]))
    if rest.startswith("[") and rest.endswith("]"):
        row, comma, column = rest[1:-1].partition(",")
        if comma:
            return Key(result, "cell", place(row), place(column))
    raise _bad(text, "a key is rows, cols, [row,column] or colname[column]")


def _bad(text: str, why: str) -> ConfigError:
    return ConfigError(f"sqlops: $dbr({text}): {why}", code="KT1130")
