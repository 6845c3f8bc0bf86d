"""One SQLite file: a single writer thread that commits in batches, and readers beside it.

Writes are handed over, never executed on the loop:

    database.post(sql, row)                     retained and tried again until the disk takes it
    await database.write(sql, row)              committed when this returns, or StoreError and not retained
    await database.flush()                      everything posted so far is committed when this returns
    await database.query(sql, arguments)        rows, from a reader thread

The file is in WAL mode with synchronous NORMAL: a commit survives the death of the process. A batch that
someone waits for (`write`, `flush`) is committed with synchronous FULL and survives the death of the machine.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from kamtool.errors import StoreError
from kamtool.store.connection import any_text, connect, explain
from kamtool.store.writer import Job, Row, Writer


class Database:
    """An open database file; use and close it on one loop."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self.path = path
        self._writer = Writer(path, read_only=read_only)
        self._readers = threading.local()
        self._reader_connections: list[sqlite3.Connection] = []
        self._pool = ThreadPoolExecutor(2, thread_name_prefix="kamtool-read")
        self._watch = connect(path, read_only=True)
        self._watch.text_factory = str  # faster than ours; what it cannot read, ours reads
        self._writer.start()

    # ----- the loop's side

    def post(self, sql: str, row: Row = ()) -> None:
        """Write soon, and keep trying while the disk refuses. Raises StoreError when far too much waits."""
        self._writer.put(Job([(sql, row)]))

    async def write(self, sql: str, row: Row = ()) -> int:
        """Write now; the number of rows changed. Raises StoreError, and then nothing was written."""
        return await self.write_all([(sql, row)])

    async def write_all(self, statements: Iterable[tuple[str, Row]], *, durable: bool = True) -> int:
        """Write all of the statements or none, as `write`.

        What is not `durable` survives the death of the process, but perhaps not of the machine.
        """
        waiter: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._writer.put(Job(list(statements), waiter, durable))
        return await waiter

    async def flush(self) -> None:
        """Return when everything posted before is committed. Raises StoreError while the disk refuses it."""
        waiter: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._writer.put(Job((), waiter, durable=True))
        await waiter

    async def query(self, sql: str, arguments: Row = ()) -> list[tuple[Any, ...]]:
        """All rows of a SELECT. It sees what was committed, not what is still posted."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._select, sql, arguments)

    async def table(self, sql: str, arguments: Row = ()) -> tuple[list[str], list[tuple[Any, ...]]]:
        """The names of the columns and all rows, as `query`."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, self._select_table, sql, arguments)

    def read(self, sql: str, arguments: Row = ()) -> list[tuple[Any, ...]]:
        """All rows of a SELECT, on the calling thread: for one indexed row only (about 5 µs)."""
        try:
            return self._watch.execute(sql, arguments).fetchall()
        except sqlite3.OperationalError as error:
            if "decode" in str(error):
                return self._read_any(sql, arguments)
            raise StoreError(f"{self.path}: {explain(error)}") from error
        except sqlite3.Error as error:
            raise StoreError(f"{self.path}: {explain(error)}") from error

    def _read_any(self, sql: str, arguments: Row) -> list[tuple[Any, ...]]:
        """The same where a text is no UTF-8."""
        self._watch.text_factory = any_text
        try:
            return self._watch.execute(sql, arguments).fetchall()
        finally:
            self._watch.text_factory = str

    def generation(self) -> int:
        """A number that changes when anyone, this process or another, has committed. It costs about 3 µs."""
        value: int = self._watch.execute("PRAGMA data_version").fetchone()[0]
        return value

    @property
    def trouble(self) -> str:
        """Why the last commit failed, "" when it did not."""
        return self._writer.trouble

    @property
    def backlog(self) -> int:
        """How many writes wait to be committed, about."""
        return self._writer.backlog

    async def close(self) -> None:
        """Commit what waits, then close. What a full disk still refuses is named in the log."""
        if not await self._writer.close():
            return
        self._pool.shutdown()
        for connection in (*self._reader_connections, self._watch):
            connection.close()

    # ----- reader threads

    def _select(self, sql: str, arguments: Row) -> list[tuple[Any, ...]]:
        return self._select_table(sql, arguments)[1]

    def _select_table(self, sql: str, arguments: Row) -> tuple[list[str], list[tuple[Any, ...]]]:
        connection: sqlite3.Connection | None = getattr(self._readers, "connection", None)
        if connection is None:
            connection = self._readers.connection = connect(self.path, read_only=True)
            connection.text_factory = str
            self._reader_connections.append(connection)
        try:
            try:
                return self._fetch(connection, sql, arguments)
            except sqlite3.OperationalError as error:
                if "decode" not in str(error):
                    raise
            connection.text_factory = any_text
            try:
                return self._fetch(connection, sql, arguments)
            finally:
                connection.text_factory = str
        except sqlite3.Error as error:
            raise StoreError(f"{self.path}: {explain(error)}") from error
        except sqlite3.Warning as error:  # more than one statement
            raise StoreError(f"{self.path}: {error}") from error

    @staticmethod
    def _fetch(
        connection: sqlite3.Connection, sql: str, arguments: Row
    ) -> tuple[list[str], list[tuple[Any, ...]]]:
        cursor = connection.execute(sql, arguments)
        return [column[0] for column in cursor.description or ()], cursor.fetchall()
