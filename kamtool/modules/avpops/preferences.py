"""The table `usr_preferences`: AVPs by user."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from kamtool.errors import ParseError, StoreError
from kamtool.modules.avpops.parts import key_of
from kamtool.script.values import to_int, to_str
from kamtool.sip.uri import SipUri, parse_uri, unescape
from kamtool.store.select import bound, identifier, select, text_of
from kamtool.store.times import to_julian

if TYPE_CHECKING:
    from kamtool.module import Variable
    from kamtool.script.context import Context
    from kamtool.store.database import Database

NUMBER, NUMBERED = 1, 2
"""Bits of the type: the value is a number, the name is one."""

URIS = ("$fu", "$tu", "$ru", "$ou", "$du")


class Preferences:
    """Reads, writes and deletes rows. Raises ParseError for a user that is none, StoreError."""

    database: Database | None
    avp_table: str
    use_domain: int
    uuid_column: str
    username_column: str
    domain_column: str
    attribute_column: str
    value_column: str
    type_column: str

    def variable(self, text: str) -> Variable:
        raise NotImplementedError

    def opened(self) -> Database:
        if self.database is None:
            raise StoreError("db_url is not set")
        return self.database

    def _user(self, ctx: Context, user: str) -> dict[str, str]:
        """The columns that find a user, with their values."""
        name, _, part = user.partition("/")
        text = to_str(self.variable(name).get(ctx))
        if not text:
            raise ParseError(f"{name} is empty")
        if part == "uuid" or (not part and name not in URIS):
            return {self.uuid_column: text}
        uri = parse_uri(text)
        if not isinstance(uri, SipUri):
            raise ParseError(f"{text!r} is no SIP URI")
        both = {self.username_column: unescape(uri.user or ""), self.domain_column: uri.host}
        if part == "domain":
            del both[self.username_column]
        elif part == "username" or not self.use_domain:
            del both[self.domain_column]
        return both

    def _found(self, ctx: Context, user: str, name: str) -> tuple[dict[str, str], str]:
        wanted, _, table = name.partition("/")
        columns = self._user(ctx, user)
        if wanted != "*":
            columns[self.attribute_column] = str(key_of(wanted))
        return columns, table.removeprefix("$") or self.avp_table

    def read(self, ctx: Context, user: str, name: str) -> int:
        """Push what the table holds; how many values."""
        where, table = self._found(ctx, user, name)
        columns = (self.attribute_column, self.value_column, self.type_column)
        rows = self.opened().read(
            select(table, columns, tuple(where), "id"), tuple(bound(value) for value in where.values())
        )
        for attribute, value, kind in rows:
            key = to_int(text_of(attribute)) if to_int(kind) & NUMBERED else text_of(attribute)
            ctx.avps.push(key, to_int(text_of(value)) if to_int(kind) & NUMBER else text_of(value))
        return len(rows)

    async def store(self, ctx: Context, user: str, name: str) -> int:
        """Insert a row for each value of an AVP; how many."""
        wanted, _, table = name.partition("/")
        key = key_of(wanted)
        row = self._user(ctx, user)
        if self.username_column in row and self.domain_column not in row:
            uri = parse_uri(to_str(self.variable(user.partition("/")[0]).get(ctx)))
            row[self.domain_column] = uri.host if isinstance(uri, SipUri) else ""
        names = (*row, self.attribute_column, self.value_column, self.type_column, "last_modified")
        sql = (
            f"INSERT INTO {identifier(table or self.avp_table)} ({', '.join(map(identifier, names))}) "
            f"VALUES ({', '.join('?' * len(names))})"
        )
        values = ctx.avps.named.get(key, [])
        kind = NUMBERED if type(key) is int else 0
        now = to_julian(time.time())
        head = [bound(value) for value in row.values()]
        statements = [
            (sql, (*head, str(key), bound(str(value)), kind | (type(value) is int), now)) for value in values
        ]
        if statements:
            await self.opened().write_all(statements)
        return len(statements)

    async def erase(self, ctx: Context, user: str, name: str) -> int:
        """Delete rows; how many."""
        where, table = self._found(ctx, user, name)
        conditions = " AND ".join(f"{identifier(column)} = ?" for column in where)
        values = tuple(bound(value) for value in where.values())
        return await self.opened().write(f"DELETE FROM {identifier(table)} WHERE {conditions}", values)
