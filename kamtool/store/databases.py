"""The databases of one server, by URL: two modules that name the same file share one writer."""

from __future__ import annotations

from pathlib import Path

from kamtool.errors import StoreError
from kamtool.store.database import Database
from kamtool.store.migrate import migrate, status
from kamtool.store.url import database_path


class Databases:
    """Opens databases for a server and closes them with it."""

    def __init__(self) -> None:
        self._open: dict[Path, Database] = {}
        self.read_only: set[Path] = set()
        """Files that are never written: no migration, no WAL."""

    async def open(self, url: str) -> Database:
        """The database behind `url`: made if it is not there, brought up to date if kamtool made it.

        Raises StoreError in one line: an unknown scheme, a damaged or unreadable file, a newer schema.
        """
        path = database_path(url).absolute()
        if path not in self._open:
            if path in self.read_only:
                self._open[path] = Database(path, read_only=True)
                return self._open[path]
            if _is_ours(path):
                migrate(path)
            self._open[path] = Database(path)
        return self._open[path]

    async def close(self) -> None:
        """Commit what waits and close every file."""
        for database in self._open.values():
            await database.close()
        self._open.clear()


def _is_ours(path: Path) -> bool:
    """Whether kamtool made the file, is making it just now in another process, or is about to."""
    if not path.exists() or path.stat().st_size == 0:
        return True
    found = status(path)
    return found.made_by_kamtool or not found.tables


def databases_of(host: object) -> Databases:
    """The databases of a server: its attribute `databases`, made when it is first wanted."""
    found = getattr(host, "databases", None)
    if not isinstance(found, Databases):
        found = Databases()
        setattr(host, "databases", found)  # noqa: B010
    return found


async def require_version(database: Database, table: str, version: int) -> None:
    """Raise StoreError unless Kamailio's `version` table names exactly this version of `table`."""
    rows = await database.query("SELECT table_version FROM version WHERE table_name = ?", (table,))
    if not rows:
        raise StoreError(f"{database.path}: has no table {table!r}; `kamtool db migrate` adds it")
    if rows[0][0] != version:
        age = "newer" if rows[0][0] > version else "older"
        raise StoreError(
            f"{database.path}: table {table!r} has version {rows[0][0]}, "
            f"{age} than the {version} that kamtool knows"
        )
