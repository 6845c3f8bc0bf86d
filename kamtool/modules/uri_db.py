"""uri_db: whether a URI belongs to who authenticated, or to anybody."""

from __future__ import annotations

import logging

from kamtool.errors import ParseError, StoreError
from kamtool.module import REQUEST_ROUTE, Host, Module, Param, function
from kamtool.modules.db_sqlite import open_database
from kamtool.script.context import Context
from kamtool.sip.digest import Credentials
from kamtool.sip.uri import SipUri, parse_uri, unescape
from kamtool.store.database import Database
from kamtool.store.databases import require_version
from kamtool.store.select import find, select

logger = logging.getLogger("kamtool.modules.uri_db")

OK, ERROR, NO_CREDENTIALS, NO_USER, UNKNOWN, NOT_ALLOWED, OTHER_USER = 1, -1, -2, -4, -5, -9, -10

URI_VERSION, SUBSCRIBER_VERSION = 1, 7


class UriDb(Module):
    """Check that From or To names the user who authenticated, and that a user exists.

    With `use_uri_table` a user may have several names: those in the table `uri`.
    """

    name = "uri_db"
    tables = ("uri", "subscriber")

    db_url = Param("", "the database; without one only check_from() and its kin work")
    db_table = Param("subscriber", "the table: `subscriber`, or `uri` with `use_uri_table`")
    user_column = Param("username", "the column of the user name")
    domain_column = Param("domain", "the column of the domain")
    uriuser_column = Param("uri_user", "the column of a user's other names, with `use_uri_table`")
    use_uri_table = Param(0, "1: names are looked up in the table `uri`")
    use_domain = Param(0, "1: does_uri_exist() compares the domain too")

    def __init__(self, server: Host) -> None:
        super().__init__(server)
        self.database: Database | None = None

    async def start(self) -> None:
        """Open the database. Raises ConfigError or StoreError."""
        if not self.db_url and not self.use_uri_table:
            return
        self.database = await open_database(self.server, self.db_url, "uri_db")
        version = URI_VERSION if self.use_uri_table else SUBSCRIBER_VERSION
        await require_version(self.database, self.db_table, version)

    def _rows(self, where: tuple[str, ...], *values: str) -> bool:
        if self.database is None:
            raise StoreError("db_url is not set")
        return bool(find(self.database, select(self.db_table, (self.user_column,), where), *values))

    def _check(self, ctx: Context, uri: str) -> int:
        try:
            parsed = parse_uri(uri)
            if not isinstance(parsed, SipUri):
                return ERROR
            if not parsed.user:
                return NO_USER
            if not ctx.authorized:
                return NO_CREDENTIALS
            _, credentials = ctx.authorized[0]
            return self._belongs(credentials, unescape(parsed.user))
        except (ParseError, StoreError) as error:
            logger.error("%r: %s", uri, error)
            return ERROR

    def _belongs(self, credentials: Credentials, user: str) -> int:
        if not self.use_uri_table:
            return OK if credentials.user == user else OTHER_USER
        where = (self.user_column, f"{self.domain_column}~", self.uriuser_column)
        return OK if self._rows(where, credentials.user, credentials.realm, user) else NOT_ALLOWED

    @function("check_from", routes=REQUEST_ROUTE)
    def check_from(self, ctx: Context) -> int:
        """Whether From names who authenticated: 1, else -10 (-9 by the table), -2 nobody did, -4 no user."""
        try:
            return self._check(ctx, ctx.msg.from_address or ctx.msg.from_.uri)
        except ParseError:
            return ERROR

    @function("check_to", routes=REQUEST_ROUTE)
    def check_to(self, ctx: Context) -> int:
        """Whether To names who authenticated, with the codes of check_from()."""
        try:
            return self._check(ctx, ctx.msg.to_address or ctx.msg.to.uri)
        except ParseError:
            return ERROR

    @function("check_uri", routes=REQUEST_ROUTE)
    def check_uri(self, ctx: Context, uri: str) -> int:
        """Whether this URI names who authenticated; -1 when it is none, and also when it has no user."""
        code = self._check(ctx, uri)
        return ERROR if code == NO_USER else code

    @function("does_uri_exist", routes=REQUEST_ROUTE)
    def does_uri_exist(self, ctx: Context) -> int:
        """Whether the user of the R-URI is in the table; -5 when not."""
        try:
            parsed = parse_uri(ctx.ruri)
            if not isinstance(parsed, SipUri) or not parsed.user:
                return UNKNOWN
            column = self.uriuser_column if self.use_uri_table else self.user_column
            where = (column, f"{self.domain_column}~") if self.use_domain else (column,)
            values = (unescape(parsed.user), parsed.host)[: len(where)]
            return OK if self._rows(where, *values) else UNKNOWN
        except (ParseError, StoreError) as error:
            logger.error("does_uri_exist: %s", error)
            return ERROR
