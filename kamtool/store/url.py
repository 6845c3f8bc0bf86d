"""Database URLs as a cfg writes them: `sqlite:////var/lib/kamtool/kamtool.db`."""

from __future__ import annotations

from pathlib import Path

from kamtool.errors import StoreError


def database_path(url: str) -> Path:
    """The file that an sqlite URL names: what follows `sqlite://`, so `sqlite:///etc/k.db` is `/etc/k.db`.

    That is how db_sqlite reads it; a relative path is `sqlite://k.db`, from the working directory.
    Raises StoreError for any other scheme.
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        raise StoreError(f"{url!r} is no database URL; one looks like sqlite:////var/lib/kamtool/kamtool.db")
    if scheme != "sqlite":
        raise StoreError(
            f"no driver for {scheme!r} databases yet: kamtool keeps its tables in sqlite://<file>"
        )
    if not rest.strip("/"):
        raise StoreError(f"{url!r} names no file")
    return Path("/" + rest.lstrip("/")) if rest.startswith("/") else Path(rest)


def database_url(path: Path) -> str:
    """The URL of a file, always absolute."""
    return f"sqlite:///{path.absolute()}"
