"""Where a captured message is stored: one of several tables of a database."""

from __future__ import annotations

import random
import re
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kamtool.errors import ConfigError
from kamtool.modules.sipcapture.row import COLUMNS

if TYPE_CHECKING:
    from kamtool.store.database import Database

WAYS = ("rand", "round_robin", "hash")
SOURCES = ("call_id", "from_user", "to_user")
NAME = re.compile(r"[A-Za-z_]\w{0,63}")


@dataclass(slots=True)
class Mode:
    """Where rows go: a database, its tables, and how one is chosen."""

    url: str
    tables: list[str]
    way: str = "rand"
    source: str = "call_id"
    database: Database | None = None
    turn: int = field(default=0)

    def table(self, values: tuple[object, ...]) -> str:
        """The table for a row."""
        if len(self.tables) == 1:
            return self.tables[0]
        if self.way == "hash":
            column = {"call_id": "callid"}.get(self.source, self.source)
            text = str(values[COLUMNS.index(column)])
            return self.tables[zlib.crc32(text.encode("utf-8", "replace")) % len(self.tables)]
        if self.way == "round_robin":
            self.turn = (self.turn + 1) % len(self.tables)
            return self.tables[self.turn]
        return random.choice(self.tables)


def mode_of(url: str, tables: str, way: str, source: str) -> Mode:
    """What the parameters of a mode describe. Raises ConfigError."""
    names = [name.strip() for name in tables.split("|") if name.strip()]
    if not names or not all(map(NAME.fullmatch, names)):
        raise ConfigError(f"sipcapture: table_name {tables!r} is no name", code="KT1201")
    if way not in WAYS:
        raise ConfigError(f"sipcapture: mt_mode {way!r} is none of {', '.join(WAYS)}", code="KT1201")
    if source not in SOURCES:
        raise ConfigError(
            f"sipcapture: hash_source {source!r} is none of {', '.join(SOURCES)}", code="KT1201"
        )
    return Mode(url, names, way, source)
