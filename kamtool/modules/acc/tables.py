"""The tables of records: their columns, and what may stand in a row."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kamtool.store.database import Database

logger = logging.getLogger("kamtool.modules.acc")


async def look_at(database: Database, table: str, columns: Sequence[str]) -> None:
    """Log what a table lacks of the columns that records fill."""
    there = {row[1] for row in await database.query(f"PRAGMA table_info({quoted(table)})")}
    missing = [name for name in columns if name not in there]
    if not there:
        logger.error("%s: has no table %s; every row for it will be lost", database.path, table)
    elif missing:
        remedy = "; ".join(
            f"ALTER TABLE {table} ADD COLUMN {name} VARCHAR(255) NOT NULL DEFAULT ''" for name in missing
        )
        logger.error("%s: %s lacks columns, every row for it will be lost until: %s;",
                     database.path, table, remedy)  # fmt: skip


def quoted(name: str) -> str:
    """A name in SQL. What came from a message by a pseudo-variable stays a name."""
    return '"' + name.replace('"', '""').replace("\0", "") + '"'


def stored(value: object) -> object:
    """Text as SQLite takes it: octets that are no UTF-8 go in as they came."""
    if isinstance(value, str) and not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            return value.encode("utf-8", "surrogateescape")
    return value
