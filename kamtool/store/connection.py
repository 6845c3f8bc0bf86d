"""A connection to an SQLite file as this house makes it, and what SQLite's errors mean."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

from kamtool.errors import StoreError

BUSY = 10.0  # seconds to wait for another process's lock


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
    connection.text_factory = any_text
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


def any_text(value: bytes) -> str:
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
