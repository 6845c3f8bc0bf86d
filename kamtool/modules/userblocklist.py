"""userblocklist: numbers that may not be called, by user and for all."""

from __future__ import annotations

import logging
import re

from kamtool.errors import ParseError, RpcError, StoreError
from kamtool.module import FAILURE_ROUTE, REQUEST_ROUTE, Host, Module, Param, function, rpc
from kamtool.modules.db_sqlite import open_database
from kamtool.script.context import Context
from kamtool.sip.uri import SipUri, TelUri, parse_uri, unescape
from kamtool.store.database import Database
from kamtool.store.databases import require_version
from kamtool.store.select import find, select, text_of

logger = logging.getLogger("kamtool.modules.userblocklist")

VERSION = 1
GLOBAL = "globalblocklist"
DIGITS = 10

Prefixes = dict[str, bool]
"""Whether what begins so is allowed."""


class Userblocklist(Module):
    """Block or allow numbers by their longest prefix, from a table of each user's and tables for all.

    The users' table is asked each time; those for all are in memory once they were asked for, and
    `userblocklist.reload_blocklist` reads them again.
    """

    tables = ("userblocklist", GLOBAL)

    db_url = Param("", "the database, e.g. sqlite:////var/lib/kamtool/kamtool.db")
    userblocklist_table = Param("userblocklist", "the table of users' prefixes")
    userblocklist_id_col = Param("id", "its column with the number of the row")
    userblocklist_username_col = Param("username", "its column with the user name")
    userblocklist_domain_col = Param("domain", "its column with the domain")
    userblocklist_prefix_col = Param("prefix", "its column with the prefix")
    userblocklist_allowlist_col = Param("allowlist", "its column that is 1 for what is allowed")
    globalblocklist_table = Param(GLOBAL, "the table of prefixes for all")
    globalblocklist_id_col = Param("id", "its column with the number of the row")
    globalblocklist_prefix_col = Param("prefix", "its column with the prefix")
    globalblocklist_allowlist_col = Param("allowlist", "its column that is 1 for what is allowed")
    globalblocklist_description_col = Param(
        "description", "accepted: its column with what people say of it is not read"
    )
    use_domain = Param(0, "1: a user is found by name and domain")
    match_mode = Param(
        DIGITS, "10: prefixes are of digits, all else in a number is left out; 128: of any text"
    )

    def __init__(self, server: Host) -> None:
        super().__init__(server)
        self.database: Database | None = None
        self.lists: dict[str, Prefixes] = {}

    async def start(self) -> None:
        """Open the database, load the list for all. Raises ConfigError or StoreError."""
        self.database = await open_database(self.server, self.db_url, "userblocklist")
        await require_version(self.database, self.userblocklist_table, VERSION)
        self.lists[self.globalblocklist_table] = self._read(self.globalblocklist_table)

    def _prefixes(self, rows: list[tuple[object, object]]) -> Prefixes:
        return {text_of(prefix): bool(allowed) for prefix, allowed in rows}

    def _read(self, table: str) -> Prefixes:
        assert self.database is not None
        columns = (self.globalblocklist_prefix_col, self.globalblocklist_allowlist_col)
        sql = select(table, columns, (), self.globalblocklist_id_col)
        return self._prefixes(self.database.read(sql))

    def _longest(self, prefixes: Prefixes, number: str) -> bool | None:
        """What the longest prefix of a number says; None when none fits."""
        text = re.sub(r"[^0-9]", "", number) if self.match_mode == DIGITS else number
        if not text:
            return None
        for length in range(len(text), -1, -1):
            if text[:length] in prefixes:
                return prefixes[text[:length]]
        return None

    @staticmethod
    def _dialled(ctx: Context) -> str:
        """The user of the R-URI. Raises ParseError."""
        uri = parse_uri(ctx.ruri)
        if isinstance(uri, TelUri):
            return uri.number
        if not isinstance(uri, SipUri) or not uri.user:
            raise ParseError(f"{ctx.ruri!r} has no number")
        return unescape(uri.user)

    def _of_user(self, ctx: Context, user: str, domain: str, number: str | None, table: str) -> bool | None:
        """Raises ParseError or StoreError."""
        assert self.database is not None
        dialled = self._dialled(ctx) if number is None else number
        columns = (self.userblocklist_prefix_col, self.userblocklist_allowlist_col)
        where: tuple[str, ...] = (self.userblocklist_username_col,)
        values = [user]
        if self.use_domain:
            where, values = (*where, f"{self.userblocklist_domain_col}~"), [user, domain]
        sql = select(table or self.userblocklist_table, columns, where, self.userblocklist_id_col)
        rows = find(self.database, sql, *values)
        return self._longest(self._prefixes(rows), dialled)

    @function("check_user_blocklist", "check_user_blacklist", routes=REQUEST_ROUTE | FAILURE_ROUTE)
    def check_user_blocklist(
        self, ctx: Context, user: str, domain: str, number: str | None = None, table: str = ""
    ) -> bool:
        """False when the user's longest prefix of a number, else of the R-URI's, is a blocked one."""
        try:
            return self._of_user(ctx, user, domain, number, table) is not False
        except (ParseError, StoreError) as error:
            logger.error("check_user_blocklist: %s", error)
            return False

    @function("check_user_allowlist", "check_user_whitelist", routes=REQUEST_ROUTE | FAILURE_ROUTE)
    def check_user_allowlist(
        self, ctx: Context, user: str, domain: str, number: str | None = None, table: str = ""
    ) -> bool:
        """True when the user's longest prefix of a number, else of the R-URI's, is an allowed one."""
        try:
            return self._of_user(ctx, user, domain, number, table) is True
        except (ParseError, StoreError) as error:
            logger.error("check_user_allowlist: %s", error)
            return False

    def _of_all(self, ctx: Context, table: str) -> bool | None:
        """Raises ParseError or StoreError."""
        table = table or self.globalblocklist_table
        if table not in self.lists:
            self.lists[table] = self._read(table)
        return self._longest(self.lists[table], self._dialled(ctx))

    @function("check_blocklist", "check_blacklist", routes=REQUEST_ROUTE | FAILURE_ROUTE)
    def check_blocklist(self, ctx: Context, table: str = "") -> bool:
        """False when the longest prefix of the R-URI's number in a table for all is a blocked one."""
        try:
            return self._of_all(ctx, table) is not False
        except (ParseError, StoreError) as error:
            logger.error("check_blocklist: %s", error)
            return False

    @function("check_allowlist", "check_whitelist", routes=REQUEST_ROUTE | FAILURE_ROUTE)
    def check_allowlist(self, ctx: Context, table: str) -> bool:
        """True when the longest prefix of the R-URI's number in a table for all is an allowed one."""
        try:
            return self._of_all(ctx, table) is True
        except (ParseError, StoreError) as error:
            logger.error("check_allowlist: %s", error)
            return False

    @rpc("userblocklist.reload_blocklist", workers="all")
    def reload_blocklist(self) -> str:
        """Read the tables for all again."""
        try:
            self.lists = {table: self._read(table) for table in self.lists}
        except StoreError as error:
            raise RpcError(500, str(error)) from error
        return "200 ok"

    @rpc("userblocklist.dump_blocklist")
    def dump_blocklist(self) -> list[dict[str, object]]:
        """The prefixes for all that are in memory."""
        return [
            {"prefix": prefix, "allowlist": int(allowed)}
            for prefixes in self.lists.values()
            for prefix, allowed in sorted(prefixes.items())
        ]
