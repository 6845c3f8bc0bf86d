"""db_sqlite: databases in SQLite files, for every module with a `db_url`."""

from __future__ import annotations

import logging

from kamtool.errors import ConfigError
from kamtool.module import Host, Module, Param
from kamtool.store.database import Database
from kamtool.store.databases import databases_of
from kamtool.store.url import database_path

logger = logging.getLogger("kamtool.db_sqlite")


class DbSqlite(Module):
    """Keep tables in an SQLite file: `sqlite:////var/lib/kamtool/kamtool.db`.

    Files are in WAL mode, one thread writes, and other programs may read and write them at the same time.
    A file that is not there is created with all its tables.
    """

    name = "db_sqlite"

    db_set_readonly = Param("", "a file that is only read, never written", repeat=True)
    db_set_journal_mode = Param("", "accepted: `file=WAL`; WAL is what is always used", repeat=True)

    async def start(self) -> None:
        read_only = [path for path in self.__dict__.get("db_set_readonly", []) if path]
        databases_of(self.server).read_only.update(database_path(f"sqlite://{path}") for path in read_only)
        for setting in self.__dict__.get("db_set_journal_mode", []):
            path, _, mode = setting.rstrip(";").partition("=")
            if mode.upper() != "WAL":
                logger.warning("db_set_journal_mode: %s stays in WAL mode, not %s", path, mode)


async def open_database(server: Host, url: str, owner: str) -> Database:
    """The database that the module `owner` names in its `db_url`. Raises ConfigError or StoreError."""
    if not url:
        raise ConfigError(f"{owner}: db_url is not set", hint=f'modparam("{owner}", "db_url", DBURL)')
    if url.startswith("sqlite:") and "db_sqlite" not in server.modules:
        raise ConfigError(f"{owner}: {url!r} needs db_sqlite.so", hint='loadmodule "db_sqlite.so"')
    return await databases_of(server).open(url)
