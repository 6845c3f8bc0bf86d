"""A database with kamtool's tables and some rows of them, for tests of modules that read one."""

import shutil
import sqlite3
from contextlib import closing

import pytest

from kamtool.store.migrate import migrate


class Rows:
    """A database file: `add("domain", domain="a.org")` inserts a row, `url` is what a cfg writes."""

    def __init__(self, path, template):
        self.path, self.url = path, f"sqlite:///{path}"
        shutil.copy(template, path)

    def run(self, sql, *values):
        with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            return connection.execute(sql, values).fetchall()

    def add(self, table, *rows, **columns):
        for row in rows or (columns,):
            marks = ", ".join("?" * len(row))
            self.run(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", *row.values())

    def lines(self, *modules):
        """The cfg lines that load modules on this database."""
        loads = [f'loadmodule "{name}.so"' for name in ("db_sqlite", *modules)]
        return [*loads, *(f'modparam("{name}", "db_url", "{self.url}")' for name in modules)]


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory):
    """A file with all tables, made once."""
    path = tmp_path_factory.mktemp("rows") / "empty.db"
    migrate(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path


@pytest.fixture
def rows(tmp_path, empty_database):
    return Rows(tmp_path / "rows.db", empty_database)
