"""Where the database and its SQL live."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from kamtool.errors import StoreError

PACKAGE = Path(__file__).parents[1]


def default_database(environment: Mapping[str, str] | None = None) -> Path:
    """The database file when no one names one: `$KAMTOOL_DB`, root's, or the user's own (XDG)."""
    env = os.environ if environment is None else environment
    if env.get("KAMTOOL_DB"):
        return Path(env["KAMTOOL_DB"]).expanduser()
    if os.geteuid() == 0:
        return Path("/var/lib/kamtool/kamtool.db")
    home = env.get("XDG_DATA_HOME")
    return (Path(home) if home else Path.home() / ".local/share") / "kamtool/kamtool.db"


def sql_folder() -> Path:
    """The folder of migrations: `db/` of a checkout, or the copy `kamtool/data/db` that a wheel carries."""
    for folder in (PACKAGE.parent / "db", PACKAGE / "data/db"):
        if (folder / "standard").is_dir():
            return folder
    raise StoreError(
        "the SQL files of kamtool are missing: neither a checkout's db/ nor kamtool/data/db is there"
    )
