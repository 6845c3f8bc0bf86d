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
import logging
import queue
import sqlite3
import threading
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kamtool.errors import StoreError

logger = logging.getLogger("kamtool.store")

Row = Sequence[Any]

BATCH = 4096  # statements in one transaction at most
LINGER = 0.02  # seconds that posted rows wait for company
RETRY = 1.0  # seconds between attempts when the disk does not take a batch
BUSY = 10.0  # seconds to wait for another process's lock
CAPACITY = 1_000_000  # posted statements kept at most while the disk is full


def connect(path: Path, *, create: bool = False, read_only: bool = False) -> sqlite3.Connection:
    """A connection with this house's settings. Raises StoreError: one line with the file and the remedy.

    It commits by itself unless a transaction is begun, and may be used from one thread at a time.
    """
    if not create and not path.exists():
        raise StoreError(f"{path}: no such database; `kamtool db init` makes it")
    mode = "ro" if read_only else "rwc" if create else "rw"
    try:
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode={mode}",
            uri=True,
            timeout=BUSY,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=256,
        )
    except sqlite3.Error as error:
        raise StoreError(f"{path}: {explain(error)}") from error
    connection.text_factory = _text
    try:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if not read_only:
            _use_wal(connection)
            connection.execute("PRAGMA synchronous=NORMAL")
            connection.execute("PRAGMA wal_autocheckpoint=1000")
    except sqlite3.Error as error:
        connection.close()
        raise StoreError(f"{path}: {explain(error)}") from error
    return connection


def _use_wal(connection: sqlite3.Connection) -> None:
    """Have the file in WAL mode. While another makes it so SQLite does not wait by itself: we try again."""
    end = time.monotonic() + BUSY
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                raise
            time.sleep(0.01)


def _text(value: bytes) -> str:
    # Other programs may have stored what is no UTF-8; every byte survives, as in header text.
    return value.decode("utf-8", "surrogateescape")


def explain(error: sqlite3.Error) -> str:
    """What an SQLite error means to the owner of the file, and what to do."""
    match getattr(error, "sqlite_errorcode", 0) & 0xFF:
        case sqlite3.SQLITE_NOTADB:
            return "is not an SQLite database (or it is encrypted); move it away or name another file"
        case sqlite3.SQLITE_CORRUPT:
            return "is damaged; restore a backup, or try `sqlite3 FILE .recover`"
        case sqlite3.SQLITE_CANTOPEN:
            return "cannot be opened; do its folder and its permissions allow it?"
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM:
            return "is not writable by this user"
        case sqlite3.SQLITE_FULL:
            return "the disk is full"
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return "is locked by another program"
        case sqlite3.SQLITE_IOERR:
            return f"the disk failed: {error}"
    return str(error)


def is_statement_error(error: sqlite3.Error) -> bool:
    """Whether the statement is at fault (a duplicate key, a missing column), not the disk or a lock."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    return code in (
        sqlite3.SQLITE_ERROR,
        sqlite3.SQLITE_CONSTRAINT,
        sqlite3.SQLITE_MISMATCH,
        sqlite3.SQLITE_RANGE,
        sqlite3.SQLITE_TOOBIG,
        sqlite3.SQLITE_MISUSE,
    )


@dataclass(slots=True)
class _Job:
    """One entry of the writer's queue: statements with their rows, and who waits for the commit."""

    statements: Sequence[tuple[str, Row]]
    waiter: asyncio.Future[int] | None = None
    durable: bool = False
    changed: int = 0
    error: StoreError | None = None


class Database:
    """An open database file; use and close it on one loop."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self.path = path
        self._writer = connect(path, read_only=read_only)
        self._readers = threading.local()
        self._reader_connections: list[sqlite3.Connection] = []
        self._pool = ThreadPoolExecutor(2, thread_name_prefix="kamtool-read")
        self._queue: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._kept = 0
        self._closing = threading.Event()
        self._watch = connect(path, read_only=True)
        self._watch.text_factory = str  # faster than ours; what it cannot read, ours reads
        self.trouble = ""
        """Why the last commit failed, "" when it did not."""
        self._thread = threading.Thread(target=self._run, name="kamtool-write", daemon=True)
        self._thread.start()

    # ----- the loop's side

    def post(self, sql: str, row: Row = ()) -> None:
        """Write soon, and keep trying while the disk refuses. Raises StoreError when far too much waits."""
        self._put(_Job([(sql, row)]))

    async def write(self, sql: str, row: Row = ()) -> int:
        """Write now; the number of rows changed. Raises StoreError, and then nothing was written."""
        return await self.write_all([(sql, row)])

    async def write_all(self, statements: Iterable[tuple[str, Row]], *, durable: bool = True) -> int:
        """Write all of the statements or none, as `write`.

        What is not `durable` survives the death of the process, but perhaps not of the machine.
        """
        waiter: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._put(_Job(list(statements), waiter, durable))
        return await waiter

    async def flush(self) -> None:
        """Return when everything posted before is committed. Raises StoreError while the disk refuses it."""
        waiter: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._put(_Job((), waiter, durable=True))
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
        self._watch.text_factory = _text
        try:
            return self._watch.execute(sql, arguments).fetchall()
        finally:
            self._watch.text_factory = str

    def generation(self) -> int:
        """A number that changes when anyone, this process or another, has committed. It costs about 3 µs."""
        value: int = self._watch.execute("PRAGMA data_version").fetchone()[0]
        return value

    @property
    def backlog(self) -> int:
        """How many writes wait to be committed, about."""
        return self._queue.qsize() + self._kept

    async def close(self) -> None:
        """Commit what waits, then close. What a full disk still refuses is named in the log."""
        if self._closing.is_set():
            return
        self._closing.set()
        self._queue.put(None)
        await asyncio.get_running_loop().run_in_executor(None, self._thread.join)
        self._pool.shutdown()
        for connection in (*self._reader_connections, self._watch):
            connection.close()

    def _put(self, job: _Job) -> None:
        if self._closing.is_set():
            raise StoreError(f"{self.path}: is closed")
        if self.backlog >= CAPACITY:
            raise StoreError(
                f"{self.path}: {self.backlog} writes wait already ({self.trouble or 'too slow'})"
            )
        self._queue.put(job)

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
            connection.text_factory = _text
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

    # ----- the writer thread

    def _run(self) -> None:
        batch: list[_Job] = []
        while True:
            last = self._gather(batch)
            batch = self._commit(batch)
            if batch and not last:
                self._closing.wait(RETRY)
            elif last:
                if batch:
                    logger.error("%s: %d writes are lost: %s", self.path, len(batch), self.trouble)
                self._writer.close()
                return

    def _gather(self, batch: list[_Job]) -> bool:
        """Fill `batch` from the queue; whether the queue was closed. Waits for a first job."""
        if not batch:
            job = self._queue.get()
            if job is None:
                return True
            batch.append(job)
            if job.waiter is None:
                self._closing.wait(LINGER)
        while len(batch) < BATCH:
            try:
                job = self._queue.get_nowait()
            except queue.Empty:
                break
            if job is None:
                return True
            batch.append(job)
        return False

    def _commit(self, batch: list[_Job]) -> list[_Job]:
        """Commit the batch in one transaction and wake the waiters. What the disk refused comes back."""
        durable = any(job.durable for job in batch)
        try:
            self._writer.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
            self._writer.execute("BEGIN IMMEDIATE")
            for job in batch:
                self._execute(job)
            self._writer.execute("COMMIT")
        except sqlite3.Error as error:
            return self._refuse(batch, error)
        if self.trouble:
            logger.warning("%s: writing again, nothing was lost", self.path)
            self.trouble = ""
        self._kept = 0
        self._finish(batch)
        return []

    def _execute(self, job: _Job) -> None:
        """Run one job's statements inside a savepoint; raises only what concerns the whole batch."""
        job.changed, job.error = 0, None
        several = len(job.statements) > 1
        try:
            if several:
                self._writer.execute("SAVEPOINT job")
            for sql, row in job.statements:
                job.changed += max(0, self._writer.execute(sql, row).rowcount)
            if several:
                self._writer.execute("RELEASE job")
        except (sqlite3.Error, sqlite3.Warning, ValueError, TypeError, OverflowError) as error:
            if isinstance(error, sqlite3.Error) and not is_statement_error(error):
                raise
            if several:
                self._writer.execute("ROLLBACK TO job")
                self._writer.execute("RELEASE job")
            job.error = StoreError(f"{self.path}: {error}")
            if job.waiter is None:
                logger.error("%s: %s, in %s", self.path, error, job.statements[0][0])

    def _refuse(self, batch: list[_Job], error: sqlite3.Error) -> list[_Job]:
        if self._writer.in_transaction:
            self._writer.execute("ROLLBACK")
        reason = explain(error)
        if reason != self.trouble:
            logger.error("%s: %s; %d writes are kept and tried again", self.path, reason, len(batch))
            self.trouble = reason
        told = [job for job in batch if job.waiter]
        kept = [job for job in batch if not job.waiter]
        self._kept = len(kept)  # before the waiters wake: they may look at the backlog
        for job in told:
            job.error = StoreError(f"{self.path}: {reason}")
        self._finish(told)
        return kept

    def _finish(self, jobs: list[_Job]) -> None:
        loops = {job.waiter.get_loop() for job in jobs if job.waiter}
        for loop in loops:
            mine = [job for job in jobs if job.waiter and job.waiter.get_loop() is loop]
            try:
                loop.call_soon_threadsafe(_wake, mine)
            except RuntimeError:
                logger.debug("%s: the loop has ended before its write did", self.path)


def _wake(jobs: list[_Job]) -> None:
    for job in jobs:
        if job.waiter is None or job.waiter.done():
            continue
        if job.error is not None:
            job.waiter.set_exception(job.error)
        else:
            job.waiter.set_result(job.changed)
