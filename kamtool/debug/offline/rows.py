"""Databases that live in memory, one for each URL, with kamtool's tables and the rows of a test."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from kamtool.errors import StoreError
from kamtool.store.database import Database
from kamtool.store.databases import Databases
from kamtool.store.migrate import migrations
from kamtool.store.writer import Row


@lru_cache(1)
def _empty() -> bytes:
    """A database with every table and no account."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    for migration in migrations():
        for statement in migration.statements():
            connection.execute(statement)
    return connection.serialize()


class MemoryDatabase(Database):
    """The interface of a Database, on this thread and gone at the end."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._changes = 0
        self.connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        self.connection.deserialize(_empty())

    def insert(self, table: str, row: Mapping[str, Any]) -> None:
        """A row as a test writes it. Raises StoreError for a table or a column that is not there."""
        names = ", ".join(f'"{name}"' for name in row)
        marks = ", ".join("?" * len(row))
        self._do([(f'INSERT INTO "{table}" ({names}) VALUES ({marks})', tuple(row.values()))])

    def _do(self, statements: Iterable[tuple[str, Row]]) -> int:
        changed = 0
        try:
            for sql, row in statements:
                changed += max(0, self.connection.execute(sql, row).rowcount)
        except (sqlite3.Error, sqlite3.Warning) as error:
            raise StoreError(f"{self.path}: {error}") from error
        self._changes += 1
        return changed

    def post(self, sql: str, row: Row = ()) -> None:
        """Write, at once."""
        self._do([(sql, row)])

    async def write_all(self, statements: Iterable[tuple[str, Row]], *, durable: bool = True) -> int:
        """Write all of them."""
        return self._do(statements)

    async def flush(self) -> None:
        """Nothing waits."""

    async def query(self, sql: str, arguments: Row = ()) -> list[tuple[Any, ...]]:
        """All rows of a SELECT."""
        return self.read(sql, arguments)

    async def table(self, sql: str, arguments: Row = ()) -> tuple[list[str], list[tuple[Any, ...]]]:
        """The names of the columns and all rows."""
        try:
            cursor = self.connection.execute(sql, arguments)
            return [column[0] for column in cursor.description or ()], cursor.fetchall()
        except (sqlite3.Error, sqlite3.Warning) as error:
            raise StoreError(f"{self.path}: {error}") from error

    def read(self, sql: str, arguments: Row = ()) -> list[tuple[Any, ...]]:
        """All rows of a SELECT."""
        try:
            return self.connection.execute(sql, arguments).fetchall()
        except (sqlite3.Error, sqlite3.Warning) as error:
            raise StoreError(f"{self.path}: {error}") from error

    def generation(self) -> int:
        """How often something was written."""
        return self._changes

    @property
    def backlog(self) -> int:
        """Nothing waits."""
        return 0

    async def close(self) -> None:
        """Forget everything."""
        self.connection.close()


class MemoryDatabases(Databases):
    """Every URL means a database in memory; `rows` go into each, by table."""

    def __init__(self, rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
        super().__init__()
        self.rows = rows

    async def open(self, url: str) -> Database:
        """The database of that name. Raises StoreError for rows that do not fit."""
        path = Path(url.partition("://")[2] or url)
        if path not in self._open:
            made = self._open[path] = MemoryDatabase(path)
            for table, rows in self.rows.items():
                for row in rows:
                    made.insert(table, row)
        return self._open[path]

    def insert(self, rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
        """More rows, into each that is open."""
        for database in self._open.values():
            assert isinstance(database, MemoryDatabase)
            for table, more in rows.items():
                for row in more:
                    database.insert(table, row)
