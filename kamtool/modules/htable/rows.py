"""Items as rows of a database table, in the columns and forms that Kamailio 5.6 reads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from kamtool.modules.htable.definition import Definition
from kamtool.script.values import text_to_int

ARRAY = 1
INTEGER = 1

Loaded = tuple[str, "int | str", float]
"""A key, its value, and when it expires in seconds since 1970, 0 when the row does not say."""


def _bound(text: str) -> str | bytes:
    """Text for the database: octets that are no UTF-8 go in as they came."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogateescape")
    return text


def _text(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    return value if isinstance(value, str) else "" if value is None else str(value)


@dataclass(frozen=True, slots=True)
class Columns:
    """The names of the columns, and what follows an array's name in the key that holds its size."""

    name: str
    key_type: str
    value_type: str
    value: str
    expires: str
    size_suffix: str = "::size"


class Rows:
    """The SQL of one table, and the way between its rows and items."""

    def __init__(self, definition: Definition, columns: Columns) -> None:
        self.definition, self.columns = definition, columns
        table, c = definition.dbtable, columns
        listed = definition.columns or (c.name, c.key_type, c.value_type, c.value, c.expires)
        names = ", ".join(listed)
        self.select = f"SELECT {names} FROM {table} ORDER BY {listed[0]}, rowid"
        self.delete = f"DELETE FROM {table}"
        self.insert = f"INSERT INTO {table} ({names}) VALUES (?, 0, ?, ?, ?)"

    def items(self, rows: Sequence[Sequence[Any]]) -> Iterator[Loaded]:
        """The items of all rows of the table, as `select` orders them. Rows without a key are left out."""
        return self._packed(rows) if self.definition.columns else self._typed(rows)

    def _typed(self, rows: Sequence[Sequence[Any]]) -> Iterator[Loaded]:
        array, count, expires = "", 0, 0.0
        for name, key_type, value_type, value, when in rows:
            key = _text(name)
            if count and key != array:
                yield array + self.columns.size_suffix, count, expires
                count = 0
            if name is None or value is None:
                continue
            expires = float(when or 0)
            item = text_to_int(_text(value)) if value_type == INTEGER else _text(value)
            if key_type == ARRAY:
                array = key
                yield f"{key}[{count}]", item, expires
                count += 1
            else:
                yield key, item, expires
        if count:
            yield array + self.columns.size_suffix, count, expires

    def _packed(self, rows: Sequence[Sequence[Any]]) -> Iterator[Loaded]:
        for name, *values in rows:
            if name is None:
                continue
            if len(values) == 1 and isinstance(values[0], int):
                yield _text(name), text_to_int(str(values[0])), 0.0
                continue
            texts = [self.definition.null if value is None else _text(value) for value in values]
            yield _text(name), self.definition.delimiter.join(texts), 0.0

    def row(self, key: str, value: int | str, expires: float) -> tuple[Any, ...]:
        """The row of an item; `expires` is in seconds since 1970, 0 for never."""
        kind = INTEGER if type(value) is int else 0
        return _bound(key), kind, _bound(str(value)), int(expires)
