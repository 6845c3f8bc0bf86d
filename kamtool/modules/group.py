"""group: which groups a user belongs to."""

from __future__ import annotations

import logging
import re

from kamtool.errors import ConfigError, ParseError, RpcError, StoreError
from kamtool.module import (
    BRANCH_ROUTE,
    FAILURE_ROUTE,
    REQUEST_ROUTE,
    Host,
    Module,
    Param,
    Plain,
    Variable,
    function,
    rpc,
)
from kamtool.modules.db_sqlite import open_database
from kamtool.script.context import Context
from kamtool.script.regex import compile_ere
from kamtool.script.values import to_str
from kamtool.sip.uri import SipUri, parse_uri, unescape
from kamtool.store.database import Database
from kamtool.store.databases import require_version
from kamtool.store.select import find, select, text_of

logger = logging.getLogger("kamtool.modules.group")

VERSION, RE_VERSION = 2, 1
IN, ERROR, NOT_IN = 1, -1, -6


class Group(Module):
    """Groups of users: a table of members, and a table of expressions over URIs.

    Members are asked for each time; the expressions are in memory, `group.reload` reads them again.
    """

    tables = ("grp", "re_grp")

    db_url = Param("", "the database, e.g. sqlite:////var/lib/kamtool/kamtool.db")
    table = Param("grp", "the table of members")
    user_column = Param("username", "the column of the user name")
    domain_column = Param("domain", "the column of the domain")
    group_column = Param("grp", "the column of the group")
    use_domain = Param(0, "1: a member is found by name and domain")
    re_table = Param("", "the table of expressions, e.g. re_grp; none without it")
    re_exp_column = Param("reg_exp", "the column of the expression")
    re_gid_column = Param("group_id", "the column of the group's number")
    multiple_gid = Param(1, "0: get_user_group() gives one group, that of the last row that fits")

    def __init__(self, server: Host) -> None:
        super().__init__(server)
        self.database: Database | None = None
        self.expressions: list[tuple[re.Pattern[str], int]] = []

    async def start(self) -> None:
        """Open the database, load the expressions. Raises ConfigError or StoreError."""
        self.database = await open_database(self.server, self.db_url, "group")
        await require_version(self.database, self.table, VERSION)
        if self.re_table:
            await require_version(self.database, self.re_table, RE_VERSION)
            await self.load()

    async def load(self) -> None:
        """Read the expressions and let them take the place of the old. Raises StoreError."""
        database = self.database
        assert database is not None
        rows = await database.query(select(self.re_table, ("id", self.re_exp_column, self.re_gid_column)))
        made = []
        for row_id, expression, number in rows:
            try:
                made.append((compile_ere(text_of(expression), re.IGNORECASE, line_mode=True), int(number)))
            except (ConfigError, ValueError) as error:
                raise StoreError(f"{database.path}: {self.re_table} row {row_id}: {error}") from error
        self.expressions = made[::-1]

    def _who(self, ctx: Context, uri: str) -> tuple[str, str]:
        """User and domain of what `uri` names. Raises ParseError."""
        word = uri.lower()
        if word == "credentials":
            if not ctx.authorized:
                raise ParseError("nobody has authenticated")
            credentials = ctx.authorized[0][1]
            return credentials.user, credentials.domain
        if word == "request-uri":
            text = ctx.ruri
        elif word == "from":
            text = ctx.msg.from_address or ctx.msg.from_.uri
        elif word == "to":
            text = ctx.msg.to_address or ctx.msg.to.uri
        else:
            text = to_str(self.server.variable(uri).get(ctx)) if uri.startswith("$") else uri
        parsed = parse_uri(text)
        if not isinstance(parsed, SipUri) or not parsed.user:
            raise ParseError(f"{text!r} names no user")
        return unescape(parsed.user), parsed.host

    @function("is_user_in", routes=REQUEST_ROUTE | FAILURE_ROUTE | BRANCH_ROUTE)
    def is_user_in(self, ctx: Context, uri: Plain, group: str) -> int:
        """Whether a user is a member: 1, -6 when not, -1 when there is no user to ask for.

        `uri` is Request-URI, To, From, Credentials, or an AVP with a URI.
        """
        assert self.database is not None
        try:
            user, domain = self._who(ctx, uri)
            where: tuple[str, ...] = (self.user_column, self.group_column)
            values = [user, group]
            if self.use_domain:
                where, values = (*where, f"{self.domain_column}~"), [*values, domain]
            return (
                IN
                if find(self.database, select(self.table, (self.group_column,), where), *values)
                else NOT_IN
            )
        except ParseError as error:
            logger.info("is_user_in: %s", error)
        except StoreError as error:
            logger.error("is_user_in: %s", error)
        return ERROR

    @function("get_user_group", routes=REQUEST_ROUTE | FAILURE_ROUTE | BRANCH_ROUTE)
    def get_user_group(self, ctx: Context, uri: Plain, groups: Variable) -> int:
        """Push the numbers of the groups whose expression fits `sip:user@domain`; how many, -1 none."""
        try:
            user, domain = self._who(ctx, uri)
        except ParseError as error:
            logger.info("get_user_group: %s", error)
            return ERROR
        text = f"sip:{user}@{domain}"
        found = [number for pattern, number in self.expressions if pattern.search(text)]
        if not self.multiple_gid:
            found = found[:1]
        for number in found:
            groups.set(ctx, number)
        return len(found) or ERROR

    @rpc("group.reload", workers="all")
    async def rpc_reload(self) -> str:
        """Read the expressions again (kamtool's own); a bad one leaves the old in place."""
        if not self.re_table:
            raise RpcError(500, "re_table is not set")
        try:
            await self.load()
        except StoreError as error:
            raise RpcError(500, str(error)) from error
        return "Ok"
