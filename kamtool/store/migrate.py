"""Migrations: db/<module>/NNNN_what.sql, plain SQL, each applied once, in order; all or none at a time.

What was applied stands in the table `kamtool_migrations`. A file that Kamailio's kamdbctl made has no such
table: it is used as it is, and `migrate` only adds what it lacks.
"""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from kamtool.errors import StoreError
from kamtool.store.connection import connect, explain
from kamtool.store.paths import sql_folder

LEDGER = """
CREATE TABLE IF NOT EXISTS kamtool_migrations (
    module        VARCHAR(64) NOT NULL,
    name          VARCHAR(128) NOT NULL,
    applied_epoch INTEGER NOT NULL,
    UNIQUE (module, name)
)"""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file of SQL."""

    module: str
    path: Path

    @property
    def name(self) -> str:
        return self.path.name

    def __str__(self) -> str:
        return f"{self.module}/{self.name}"

    def statements(self) -> Iterator[str]:
        """Its statements, without their comments' lines around them."""
        pending = ""
        for line in _text_of(self.path).splitlines(keepends=True):
            pending += line
            if sqlite3.complete_statement(pending):
                yield pending
                pending = ""

    def tables(self) -> list[str]:
        """The tables it creates."""
        return re.findall(r"^CREATE TABLE (\w+)", _text_of(self.path), re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Status:
    """What a database file has and what it lacks."""

    path: Path
    made_by_kamtool: bool
    applied: tuple[str, ...]
    pending: tuple[str, ...]
    versions: dict[str, int]
    tables: frozenset[str]


def migrations(folder: Path | None = None) -> list[Migration]:
    """All migrations in the order they are applied: `standard` first, then by module and number."""
    return list(_own() if folder is None else _found(folder))


@cache
def _own() -> tuple[Migration, ...]:
    """Those of kamtool, read once: who gives up root, or its root folder, may not be able to again."""
    own = _found(sql_folder())
    for migration in own:
        _text_of(migration.path)
    return own


def _found(folder: Path) -> tuple[Migration, ...]:
    files = sorted(folder.glob("*/[0-9][0-9][0-9][0-9]_*.sql"))
    found = [Migration(file.parent.name, file) for file in files]
    return tuple(sorted(found, key=lambda m: (m.module != "standard", m.module, m.name)))


@cache
def _text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def status(path: Path, folder: Path | None = None) -> Status:
    """Read what stands in the file. Raises StoreError when it is unreadable or a newer kamtool made it."""
    connection = connect(path, read_only=True)
    try:
        return _status(connection, path, migrations(folder))
    except sqlite3.Error as error:
        raise StoreError(f"{path}: {explain(error)}") from error
    finally:
        connection.close()


def migrate(path: Path, folder: Path | None = None) -> list[str]:
    """Create the file if it is not there and apply what it lacks; the names of what was applied.

    Raises StoreError; a migration that fails leaves the file as it was.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{path}: its folder cannot be made: {error.strerror}") from error
    new = not path.exists()
    connection = connect(path, create=True)
    try:
        if new:
            path.chmod(0o600)  # it holds secrets: HA1 is as good as the password
        return _migrate(connection, path, migrations(folder))
    except sqlite3.Error as error:
        raise StoreError(f"{path}: {explain(error)}") from error
    finally:
        connection.close()


def table_names(connection: sqlite3.Connection) -> set[str]:
    return {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def table_versions(connection: sqlite3.Connection) -> dict[str, int]:
    """The rows of Kamailio's `version` table."""
    if "version" not in table_names(connection):
        return {}
    return dict(connection.execute("SELECT table_name, table_version FROM version"))


def _applied(connection: sqlite3.Connection) -> set[str]:
    if "kamtool_migrations" not in table_names(connection):
        return set()
    return {
        f"{module}/{name}"
        for module, name in connection.execute("SELECT module, name FROM kamtool_migrations")
    }


def _status(connection: sqlite3.Connection, path: Path, known: list[Migration]) -> Status:
    applied = _applied(connection)
    newer = sorted(applied - {str(migration) for migration in known})
    if newer:
        raise StoreError(
            f"{path}: a newer kamtool made it ({newer[0]} is unknown here); upgrade, or use another file"
        )
    tables = table_names(connection)
    pending = [m for m in known if str(m) not in applied and not _present(m, tables)]
    return Status(
        path,
        "kamtool_migrations" in tables,
        tuple(str(m) for m in known if m not in pending),
        tuple(str(m) for m in pending),
        table_versions(connection),
        frozenset(tables),
    )


def _present(migration: Migration, tables: set[str]) -> bool:
    """Whether another tool has made all tables of this migration already."""
    made = migration.tables()
    return bool(made) and tables.issuperset(made)


def _migrate(connection: sqlite3.Connection, path: Path, known: list[Migration]) -> list[str]:
    """All that is missing in one transaction: who looks at the file meanwhile finds none of it, or all."""
    if not _status(connection, path, known).pending and "kamtool_migrations" in table_names(connection):
        return []
    done = []
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Looked at again now that the lock is held: several may start on one new file.
        pending = _status(connection, path, known).pending
        connection.execute(LEDGER)
        applied = _applied(connection)
        for migration in known:
            if str(migration) not in applied:
                done += _apply(connection, path, migration, str(migration) in pending)
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    return done


def _apply(connection: sqlite3.Connection, path: Path, migration: Migration, pending: bool) -> list[str]:
    """Its statements, unless another tool made its tables, and its line in the ledger."""
    done = []
    try:
        if pending and not _present(migration, table_names(connection)):
            for statement in migration.statements():
                connection.execute(statement)
            done.append(str(migration))
        connection.execute(
            "INSERT INTO kamtool_migrations VALUES (?, ?, ?)",
            (migration.module, migration.name, int(time.time())),
        )
    except sqlite3.Error as error:
        raise StoreError(f"{path}: {migration}: {explain(error)}") from error
    return done
