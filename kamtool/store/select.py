"""SELECTs of rows by their columns, for the modules that look something up in a table per message."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from kamtool.errors import StoreError
from kamtool.store.database import Database

_NAME = re.compile(r"\w+", re.ASCII)


def identifier(name: str) -> str:
    """`name`, if it can name a table or column. Raises StoreError."""
    if _NAME.fullmatch(name) is None:
        raise StoreError(f"{name!r} is no name of a table or column")
    return name


def bound(text: str) -> str | bytes:
    """Text as an argument of SQL; octets that are no UTF-8 find the row that has them."""
    return text if text.isascii() else _bound(text)


def _bound(text: str) -> str | bytes:
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogateescape")
    return text


@lru_cache(512)
def select(table: str, columns: tuple[str, ...], where: tuple[str, ...] = (), order: str = "rowid") -> str:
    """The SELECT of `columns` where each column of `where` has a value. Raises StoreError.

    A column in `where` that ends in `~` is compared without regard to case, as a domain is.
    """
    listed = ", ".join(map(identifier, columns))
    conditions = [
        f"{identifier(column.rstrip('~'))} = ?{' COLLATE NOCASE' if column.endswith('~') else ''}"
        for column in where
    ]
    clause = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    return f"SELECT {listed} FROM {identifier(table)}{clause} ORDER BY {identifier(order)}"


def find(database: Database, sql: str, *values: str) -> list[tuple[Any, ...]]:
    """The rows that an indexed SELECT gives for these texts, on the calling thread. Raises StoreError."""
    return database.read(sql, tuple(map(bound, values)))


def text_of(value: object) -> str:
    """A cell as text; NULL is empty."""
    return value if isinstance(value, str) else "" if value is None else str(value)
