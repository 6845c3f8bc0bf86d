"""The table `silo`: each row a message that waits.

A row is claimed before it is sent (`status` 1), so that two workers never send it both, and removed when it
was accepted.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Any, Protocol

from kamtool.modules.msilo.message import Stored
from kamtool.store.database import Database
from kamtool.store.select import bound, identifier, text_of

log = logging.getLogger("kamtool.modules.msilo")

WAITING, CLAIMED = 0, 1


class Columns(Protocol):
    """The names that parameters give to the table and its columns."""

    @property
    def db_table(self) -> str: ...


NAMES = (
    "sc_from", "sc_to", "sc_uri_user", "sc_uri_host", "sc_inc_time", "sc_exp_time", "sc_snd_time", "sc_ctype",
    "sc_body", "sc_stored_hdrs", "sc_mid",
)  # fmt: skip


class Silo:
    """The messages of all users. Every method raises StoreError where the database does."""

    def __init__(self, database: Database, names: Columns) -> None:
        """Raises StoreError for a name that can be none of a table or column."""
        self.database = database
        listed = [identifier(getattr(names, name)) for name in NAMES]
        table, columns = identifier(names.db_table), ", ".join(listed)
        user, domain, _, expires, send = listed[2:7]
        mid = listed[-1]
        whose = f"{user} = ? AND {domain} = ? COLLATE NOCASE"
        marks = ", ".join("?" * (len(listed) - 1))
        self._insert = (
            f"INSERT INTO {table} ({', '.join(listed[:-1])}) SELECT {marks} "
            f"WHERE ? OR (SELECT count(*) FROM {table} WHERE {whose}) < ?"
        )
        waits = f"status = {WAITING} AND {send}"
        self._any = f"SELECT 1 FROM {table} WHERE {whose} AND {waits} = 0 AND {expires} > ? LIMIT 1"
        self._numbers = (
            f"SELECT {mid} FROM {table} WHERE {whose} AND {waits} = 0 AND {expires} > ? ORDER BY {mid}"
        )
        self._due = f"SELECT {mid} FROM {table} WHERE {waits} > 0 AND {send} <= ? ORDER BY {send}, {mid}"
        self._row = f"SELECT {columns} FROM {table} WHERE {mid} = ?"
        self._claim = f"UPDATE {table} SET status = {CLAIMED} WHERE {mid} = ? AND status = {WAITING}"
        self._release = f"UPDATE {table} SET status = {WAITING} WHERE {mid} = ?"
        self._release_all = f"UPDATE {table} SET status = {WAITING} WHERE status = {CLAIMED}"
        self._as_message = f"UPDATE {table} SET status = {WAITING}, {send} = 0 WHERE {mid} = ?"
        self._delete = f"DELETE FROM {table} WHERE {mid} = ?"
        self._expire = f"DELETE FROM {table} WHERE {expires} < ? AND status = {WAITING}"

    async def add(self, message: Stored, most: int) -> bool:
        """Commit a message; false when its owner has `most` already (0: any number)."""
        texts = [bound(t) for t in (message.source, message.destination, message.user, message.domain)]
        row = (
            *texts, message.received_epoch, message.expires_epoch, message.send_epoch,
            bound(message.content_type), message.body, message.headers, int(most <= 0), *texts[2:], most,
        )  # fmt: skip
        return await self.database.write(self._insert, row) > 0

    def has_any(self, user: str, domain: str, now: int) -> bool:
        """Whether something waits for this user."""
        return bool(self.database.read(self._any, (bound(user), bound(domain), now)))

    async def waiting(self, user: str, domain: str, now: int) -> list[int]:
        """The numbers of what waits for this user, oldest first."""
        found = await self.database.query(self._numbers, (bound(user), bound(domain), now))
        return [row[0] for row in found]

    async def due(self, now: int) -> list[int]:
        """The numbers of the reminders whose time has come."""
        return [row[0] for row in await self.database.query(self._due, (now,))]

    async def claim(self, number: int) -> Stored | None:
        """The message of this number, for the caller to send; None when another sends it or it is gone."""
        if not await self.database.write_all([(self._claim, (number,))], durable=False):
            return None
        found = await self.database.query(self._row, (number,))
        return _message(found[0]) if found else None

    def done(self, number: int) -> None:
        """It was accepted."""
        self.database.post(self._delete, (number,))

    def release(self, number: int) -> None:
        """It was not: it waits again."""
        self.database.post(self._release, (number,))

    def release_as_message(self, number: int) -> None:
        """A reminder that was not accepted waits like a message."""
        self.database.post(self._as_message, (number,))

    async def release_all(self) -> None:
        """What a server that ended was about to send waits again."""
        await self.database.write_all([(self._release_all, ())], durable=False)

    async def expire(self) -> None:
        """Remove what nobody has fetched in time."""
        gone = await self.database.write_all([(self._expire, (int(time.time()),))], durable=False)
        if gone:
            log.info("%d messages have expired", gone)


def _message(row: Sequence[Any]) -> Stored:
    source, destination, user, domain, received, expires, send, content_type, body, headers, number = row
    return Stored(
        text_of(source), text_of(destination), text_of(user), text_of(domain), int(received or 0),
        int(expires or 0), int(send or 0), text_of(content_type), _octets(body), _octets(headers), number,
    )  # fmt: skip


def _octets(value: object) -> bytes:
    return value if isinstance(value, bytes) else text_of(value).encode("utf-8", "surrogateescape")
