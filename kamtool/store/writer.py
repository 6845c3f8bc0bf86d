"""The thread that writes to a database file: what is handed to it, it commits in batches."""

from __future__ import annotations

import asyncio
import logging
import queue
import sqlite3
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kamtool.errors import StoreError
from kamtool.store.connection import connect, explain, is_statement_error

logger = logging.getLogger("kamtool.store")

Row = Sequence[Any]

BATCH = 4096  # statements in one transaction at most
LINGER = 0.02  # seconds that posted rows wait for company
RETRY = 1.0  # seconds between attempts when the disk does not take a batch
CAPACITY = 1_000_000  # posted statements kept at most while the disk is full


@dataclass(slots=True)
class Job:
    """One entry of the queue: statements with their rows, and who waits for the commit."""

    statements: Sequence[tuple[str, Row]]
    waiter: asyncio.Future[int] | None = None
    durable: bool = False
    changed: int = 0
    error: StoreError | None = None


class Writer:
    """Writes to one file. Nobody else in this process does."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self.path = path
        self.connection = connect(path, read_only=read_only)
        self._queue: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._kept = 0
        self._closing = threading.Event()
        self.trouble = ""
        """Why the last commit failed, "" when it did not."""
        self._thread = threading.Thread(target=self._run, name="kamtool-write", daemon=True)

    def start(self) -> None:
        """Begin to write what is put."""
        self._thread.start()

    # ----- the loop's side

    @property
    def backlog(self) -> int:
        """How many writes wait to be committed, about."""
        return self._queue.qsize() + self._kept

    def put(self, job: Job) -> None:
        """Have it written. Raises StoreError when far too much waits, and after `close`."""
        if self._closing.is_set():
            raise StoreError(f"{self.path}: is closed")
        if self.backlog >= CAPACITY:
            raise StoreError(
                f"{self.path}: {self.backlog} writes wait already ({self.trouble or 'too slow'})"
            )
        self._queue.put(job)

    async def close(self) -> bool:
        """Commit what waits, then end; False when somebody did that before."""
        if self._closing.is_set():
            return False
        self._closing.set()
        self._queue.put(None)
        await asyncio.get_running_loop().run_in_executor(None, self._thread.join)
        return True

    # ----- the thread

    def _run(self) -> None:
        batch: list[Job] = []
        while True:
            last = self._gather(batch)
            batch = self._commit(batch)
            if batch and not last:
                self._closing.wait(RETRY)
            elif last:
                if batch:
                    logger.error("%s: %d writes are lost: %s", self.path, len(batch), self.trouble)
                self.connection.close()
                return

    def _gather(self, batch: list[Job]) -> bool:
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

    def _commit(self, batch: list[Job]) -> list[Job]:
        """Commit the batch in one transaction and wake the waiters. What the disk refused comes back."""
        durable = any(job.durable for job in batch)
        try:
            self.connection.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
            self.connection.execute("BEGIN IMMEDIATE")
            for job in batch:
                self._execute(job)
            self.connection.execute("COMMIT")
        except sqlite3.Error as error:
            return self._refuse(batch, error)
        if self.trouble:
            logger.warning("%s: writing again, nothing was lost", self.path)
            self.trouble = ""
        self._kept = 0
        self._finish(batch)
        return []

    def _execute(self, job: Job) -> None:
        """Run one job's statements inside a savepoint; raises only what concerns the whole batch."""
        job.changed, job.error = 0, None
        several = len(job.statements) > 1
        try:
            if several:
                self.connection.execute("SAVEPOINT job")
            for sql, row in job.statements:
                job.changed += max(0, self.connection.execute(sql, row).rowcount)
            if several:
                self.connection.execute("RELEASE job")
        except (sqlite3.Error, sqlite3.Warning, ValueError, TypeError, OverflowError) as error:
            if isinstance(error, sqlite3.Error) and not is_statement_error(error):
                raise
            if several:
                self.connection.execute("ROLLBACK TO job")
                self.connection.execute("RELEASE job")
            job.error = StoreError(f"{self.path}: {error}")
            if job.waiter is None:
                logger.error("%s: %s, in %s", self.path, error, job.statements[0][0])

    def _refuse(self, batch: list[Job], error: sqlite3.Error) -> list[Job]:
        if self.connection.in_transaction:
            self.connection.execute("ROLLBACK")
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

    def _finish(self, jobs: list[Job]) -> None:
        loops = {job.waiter.get_loop() for job in jobs if job.waiter}
        for loop in loops:
            mine = [job for job in jobs if job.waiter and job.waiter.get_loop() is loop]
            try:
                loop.call_soon_threadsafe(_wake, mine)
            except RuntimeError:
                logger.debug("%s: the loop has ended before its write did", self.path)


def _wake(jobs: list[Job]) -> None:
    for job in jobs:
        if job.waiter is None or job.waiter.done():
            continue
        if job.error is not None:
            job.waiter.set_exception(job.error)
        else:
            job.waiter.set_result(job.changed)
