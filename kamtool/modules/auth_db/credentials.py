"""The rows of `subscriber` that authentication asks for, kept in memory while they cannot have changed.

A row is read again when anybody has committed to the file since it was read, so that a new password counts on
the next request. Who is not there is remembered as long and by the same rule, apart from the rows: who asks
for many names must not tell from the time it takes which of them exist, nor push the rows out.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from sys import intern
from typing import Any, NamedTuple

from kamtool.errors import StoreError
from kamtool.store.database import Database

LOOK_EVERY = 0.005  # seconds between looks at the file's generation
MOST = 200_000  # users kept, about half a KiB each
MOST_ABSENT, LONGEST_ABSENT = 10_000, 64  # names kept that are nobody's, and their octets
FILL = 25_000  # rows read ahead
SHA256_LENGTH = 64  # of an HA1, in hexadecimal digits

Key = tuple[str, str]
"""A user, and with `use_domain` the domain, else ""."""


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of one table that are read."""

    user: str
    domain: str
    password: str
    password_2: str
    extra: tuple[str, ...] = ()


class Subscriber(NamedTuple):
    """One row. `ha1` and `ha1b` are "" where the table has no such columns beside the password's."""

    domain: str
    password: str
    password_2: str
    ha1: str
    ha1b: str
    extra: tuple[Any, ...]


NOBODY = ("", "", "", "", "")


class Subscribers:
    """The rows of one table by user, or by user and domain. Raises StoreError where it does not fit."""

    def __init__(self, database: Database, table: str, columns: Columns, *, use_domain: bool) -> None:
        self._database = database
        self._use_domain = use_domain
        # Ordered: a plain dict looks for its first key among all the places of those that went before.
        self._kept: OrderedDict[Key, tuple[int, list[Subscriber]]] = OrderedDict()
        self._absent: OrderedDict[Key, int] = OrderedDict()
        self._whole = -1
        """The generation of which every row has been read."""
        self.password_size = 0
        """The length of the passwords in the table, as the last row had it."""
        self._generation = -1
        self._looked_at = -1.0
        present = {row[1] for row in database.read(f"PRAGMA table_info({table})")}
        if not present:
            raise StoreError(f"{database.path}: has no table {table!r}; `kamtool db migrate` adds it")
        wanted = [columns.user, columns.domain, columns.password, columns.password_2, *columns.extra]
        # The second hash column may be missing, as in Kamailio, as long as nobody uses it.
        password_2 = columns.password_2 if columns.password_2 in present else "''"
        for column in wanted:
            if column not in present and column != columns.password_2:
                raise StoreError(f"{database.path}: table {table!r} has no column {column!r}")
        ha1, ha1b = ("ha1", "ha1b") if {"ha1", "ha1b"} <= present else ("''", "''")
        listed = ", ".join([columns.domain, columns.password, password_2, ha1, ha1b, *columns.extra])
        where = f"{columns.user} = ?" + (f" AND {columns.domain} = ?" if use_domain else "")
        self._select = f"SELECT {listed} FROM {table} WHERE {where} ORDER BY rowid"
        order = f"{columns.user}, {columns.domain}, rowid" if use_domain else f"{columns.user}, rowid"
        self._select_all = f"SELECT {columns.user}, {listed} FROM {table} ORDER BY {order} LIMIT ?"
        self._more_hashes = "subscriber_ha1" in {
            row[0] for row in database.read("SELECT name FROM sqlite_master WHERE type = 'table'")
        }
        other = (
            "AND NOT EXISTS (SELECT 1 FROM subscriber_ha1 h WHERE h.algorithm = ? "
            f"AND h.username = s.{columns.user} AND h.domain = s.{columns.domain})"
        ) * self._more_hashes
        by_md5 = (
            f"length(s.{columns.password}) NOT IN (0, {SHA256_LENGTH})",
            (f"s.{columns.password} = '' AND " + (f"s.{ha1} <> ''" if ha1 in present else "0")),
        )
        self._lacking = [f"SELECT EXISTS (SELECT 1 FROM {table} s WHERE {each} {other})" for each in by_md5]

    def find(self, user: str, domain: str, now: float) -> Subscriber | None:
        """The row of `user`; among several (without `use_domain`) the one of `domain`, else the first."""
        rows = self._rows((user, domain if self._use_domain else ""), now)
        if not rows:
            return None
        if len(rows) > 1:
            for row in rows:
                if row.domain == domain:
                    return row
        return rows[0]

    def other_hash(self, user: str, domain: str, algorithm: str) -> tuple[str, str] | None:
        """HA1 and HA1B by another algorithm than MD5, where `kamtool user add` has stored them."""
        if not self._more_hashes:
            return None
        rows = self._database.read(
            "SELECT ha1, ha1b FROM subscriber_ha1 WHERE username = ? AND domain = ? AND algorithm = ?",
            (_bound(user), _bound(domain), algorithm),
        )
        return rows[0] if rows else None

    async def lacks(self, algorithm: str, in_clear: bool) -> bool:
        """Whether an account with an HA1 by MD5 has none by this algorithm; `in_clear`: nor its password."""
        rows = await self._database.query(self._lacking[in_clear], (algorithm,) if self._more_hashes else ())
        return bool(rows[0][0])

    def forget(self) -> None:
        """Read every row again when it is next wanted."""
        self._kept.clear()
        self._absent.clear()
        self._looked_at, self._whole = -1.0, -1

    async def fill(self) -> None:
        """Read the first `FILL` rows ahead, from a reader thread, so that no request waits for them."""
        generation = self._database.generation()
        found = await self._database.query(self._select_all, (FILL + 1,))
        if self._database.generation() != generation:
            return  # somebody is at work on the file: rows are read when they are wanted
        rows: dict[Key, list[Subscriber]] = {}
        for number, (user, *row) in enumerate(found[:FILL], 1):
            if not number % 500:
                await asyncio.sleep(0)
            name = _text(user)
            rows.setdefault((name, _text(row[0]) if self._use_domain else ""), []).append(_subscriber(row))
        if len(found) > FILL and rows:
            del rows[next(reversed(rows))]  # there may be more of them
        for key, entries in rows.items():  # what has been read meanwhile is no older
            self._kept.setdefault(key, (generation, entries))
            self.password_size = len(entries[0].password)
        if len(found) <= FILL:
            self._whole = generation

    def _rows(self, key: Key, now: float) -> list[Subscriber]:
        if now - self._looked_at >= LOOK_EVERY:
            self._generation, self._looked_at = self._database.generation(), now
        kept = self._kept.get(key)
        if kept is not None and kept[0] == self._generation:
            return kept[1]
        if self._whole == self._generation or self._absent.get(key, -1) == self._generation:
            return []
        return self._read(key)

    def _read(self, key: Key) -> list[Subscriber]:
        user, domain = key
        arguments = (_bound(user), _bound(domain)) if self._use_domain else (_bound(user),)
        rows = [_subscriber(row) for row in self._database.read(self._select, arguments)]
        self._kept.pop(key, None)
        self._absent.pop(key, None)
        if rows:
            if len(self._kept) >= MOST:
                self._kept.popitem(last=False)
            self._kept[key] = (self._generation, rows)
            self.password_size = len(rows[0].password)
        else:
            _subscriber(NOBODY)  # as much work as for a row
            if len(user) + len(domain) <= LONGEST_ABSENT:
                if len(self._absent) >= MOST_ABSENT:
                    self._absent.popitem(last=False)
                self._absent[key] = self._generation
        return rows


def _subscriber(row: Sequence[Any]) -> Subscriber:
    domain, password, password_2, ha1, ha1b, *extra = row
    password, password_2, ha1, ha1b = _text(password), _text(password_2), _text(ha1), _text(ha1b)
    # Mostly the password is HA1: one text for both.
    return Subscriber(
        intern(_text(domain)),
        password,
        password_2,
        password if ha1 == password else ha1,
        password_2 if ha1b == password_2 else ha1b,
        tuple(extra),
    )


def _bound(text: str) -> str | bytes:
    """Text as an argument of SQL; bytes that are no UTF-8 find the row that has them."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogateescape")
    return text


def _text(value: object) -> str:
    return value if isinstance(value, str) else "" if value is None else str(value)
