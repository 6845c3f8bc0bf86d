"""auth_db: digest authentication against the subscribers of a database."""

from __future__ import annotations

import logging
import re
from contextlib import suppress

from kamtool.errors import ConfigError, ParseError, StoreError
from kamtool.module import ANY, REQUEST_ROUTE, Host, Module, Param, Variable, function, rpc
from kamtool.modules.auth import PROXY, WWW, Auth
from kamtool.modules.auth.checking import Claim, algorithm_of
from kamtool.modules.auth.codes import Code
from kamtool.modules.auth.identity import matches
from kamtool.modules.auth_db.credentials import SHA256_LENGTH, Columns, Subscriber, Subscribers
from kamtool.modules.db_sqlite import open_database
from kamtool.script.context import Context
from kamtool.sip.digest import ha1
from kamtool.sip.uri import SipUri, parse_uri, unescape
from kamtool.store.database import Database

logger = logging.getLogger("kamtool.auth_db")

VERSION = 7
LOOK_EVERY = 60
"""Seconds between looks for accounts that other programs have made, without a hash by SHA-256."""


class AuthDb(Module):
    """Check digest credentials against a table of subscribers.

    Passwords are read when they are needed: `kamtool user add`, `passwd` and `rm` count on the next request.
    """

    name = "auth_db"
    depends = ("auth",)
    tables = ("subscriber",)

    db_url = Param("", "the database, e.g. sqlite:////var/lib/kamtool/kamtool.db")
    user_column = Param("username", "the column of the user name")
    domain_column = Param("domain", "the column of the domain")
    password_column = Param("ha1", "the column of HA1, or with `calculate_ha1` of the password")
    password_column_2 = Param("ha1b", "the column of HA1 over `user@domain`, for phones that say so")
    calculate_ha1 = Param(0, "1: `password_column` holds passwords in clear text")
    use_domain = Param(0, "1: a user is found by name and domain: that of the user name, else the realm")
    load_credentials = Param("", "columns for AVPs once a user is known: `$avp(x)=column;rpid`")
    version_table = Param(1, "0: do not check the version of the table")
    force_generate_avps = Param(0, "1: `load_credentials` also when the password was wrong")

    def __init__(self, server: Host) -> None:
        super().__init__(server)
        self._tables: dict[str, Subscribers] = {}

    async def start(self) -> None:
        """Bind to auth, open the database. Raises ConfigError or StoreError."""
        auth = self.server.modules.get("auth")
        if not isinstance(auth, Auth):
            raise ConfigError("auth_db needs auth.so", hint='loadmodule "auth.so" before auth_db.so')
        self.auth = auth
        self.database: Database = await open_database(self.server, self.db_url, "auth_db")
        self._loads = [self._load(entry) for entry in self.load_credentials.split(";") if entry.strip()]
        if self.version_table:
            self._check_version("subscriber", missing=True)
        self._seen = -1
        if len(auth.algorithms) > 1:
            auth.lacking = True  # until it is known otherwise
            with suppress(StoreError):
                self._table("subscriber")
            await self._look()
            self.every(LOOK_EVERY, self._look)

    async def _look(self) -> None:
        """Tell auth whether an account knows MD5 alone; looked up again once the file has changed."""
        try:
            generation = self.database.generation()
            if generation != self._seen:
                tables = list(self._tables.values())
                lacking = [await table.lacks("SHA-256", bool(self.calculate_ha1)) for table in tables]
                self.auth.lacking, self._seen = any(lacking), generation
        except StoreError as error:
            logger.warning("%s; MD5 alone is offered", error)
            self.auth.lacking = True

    def _load(self, entry: str) -> tuple[Variable, str]:
        variable, equals, column = entry.strip().rpartition("=")
        if not re.fullmatch(r"\w+", column):
            raise ConfigError(f"auth_db: load_credentials: {entry.strip()!r} names no column")
        return self.server.variable(variable.strip() if equals else f"$avp({column})"), column

    def _check_version(self, table: str, *, missing: bool = False) -> None:
        rows = self.database.read("SELECT table_version FROM version WHERE table_name = ?", (table,))
        if (rows or not missing) and rows != [(VERSION,)]:
            found = f"version {rows[0][0]}" if rows else "no version"
            raise StoreError(f"{self.database.path}: table {table!r} has {found}, auth_db knows {VERSION}")

    def _table(self, table: str) -> Subscribers:
        """Raises StoreError."""
        found = self._tables.get(table)
        if found is None:
            if not re.fullmatch(r"\w+", table):
                raise StoreError(f"{table!r} is no name of a table")
            if self.version_table:
                self._check_version(table)
            extra = tuple(column for _, column in self._loads)
            columns = Columns(
                self.user_column, self.domain_column, self.password_column, self.password_column_2, extra
            )
            found = Subscribers(self.database, table, columns, use_domain=bool(self.use_domain))
            self._tables[table] = found
            self._seen = -1
            self.server.spawn(self._fill(found), f"auth_db: read {table}")
        return found

    @staticmethod
    async def _fill(subscribers: Subscribers) -> None:
        try:
            await subscribers.fill()
        except StoreError as error:
            logger.warning("%s; subscribers are read one by one", error)

    def _authenticate(
        self, ctx: Context, realm: str, table: str, header: str, method: str = ""
    ) -> tuple[int, Claim | None]:
        if not realm:
            return Code.ERROR, None
        row: Subscriber | None = None

        def secret(credentials: Claim) -> str | None:
            nonlocal row
            domain = credentials.domain if self.use_domain else realm
            row = subscribers.find(credentials.user, domain, self.server.now())
            # The same work is done for one who is not there: see Auth.authenticate.
            if row is None:
                self._idle(subscribers, credentials, domain)
                return None
            return self._secret(subscribers, row, credentials)

        try:
            subscribers = self._table(table)
            code, credentials = self.auth.authenticate(ctx, realm, header, secret, method)
        except StoreError as error:
            logger.error("%s", error)
            return Code.ERROR, None
        if row is not None and (code == Code.OK or self.force_generate_avps):
            self._generate_avps(ctx, row)
        return code, credentials

    def _secret(self, subscribers: Subscribers, row: Subscriber, credentials: Claim) -> str | None:
        """The HA1 of a row for these credentials; None when the row has no password."""
        with_domain = "@" in credentials.username
        algorithm = algorithm_of(credentials)
        if self.calculate_ha1 and row.password:
            return ha1(credentials.username, credentials.realm, row.password, algorithm)
        if self.calculate_ha1:
            # Kamailio would let the empty password in. A row that `kamtool user add` made has hashes alone.
            stored = row.ha1b if with_domain else row.ha1
        else:
            stored = row.password_2 if with_domain else row.password
        if algorithm == "MD5" and len(stored) != SHA256_LENGTH:
            return stored.lower() or None
        if algorithm != "MD5" and len(stored) == SHA256_LENGTH:
            return stored.lower()
        other = subscribers.other_hash(credentials.user, row.domain, algorithm)
        return other[1 if with_domain else 0] or None if other else None

    def _idle(self, subscribers: Subscribers, credentials: Claim, domain: str) -> None:
        """What `_secret` does for a row."""
        algorithm = algorithm_of(credentials)
        if self.calculate_ha1:
            ha1(credentials.username, credentials.realm, "nobody", algorithm)
        elif (algorithm == "MD5") == (subscribers.password_size == SHA256_LENGTH):
            subscribers.other_hash(credentials.user, domain, algorithm)

    def _generate_avps(self, ctx: Context, row: Subscriber) -> None:
        for (variable, _), value in zip(self._loads, row.extra, strict=True):
            if value is not None:
                variable.set(ctx, value if isinstance(value, int | str) else str(value))

    @function("www_authenticate", routes=REQUEST_ROUTE)
    def www_authenticate(self, ctx: Context, realm: str, table: str, method: str = "") -> int:
        """Check Authorization against the subscribers in `table`.

        1 right; -1 malformed, forged, or no database; -2 wrong password; -3 no such user; -4 the nonce has
        expired; -5 no credentials for `realm`; -6 the nonce was used. `method` stands in for the request's.
        """
        return self._authenticate(ctx, realm, table, WWW, method)[0]

    @function("www_authorize", routes=REQUEST_ROUTE)
    def www_authorize(self, ctx: Context, realm: str, table: str) -> int:
        """The old name of `www_authenticate()`."""
        return self._authenticate(ctx, realm, table, WWW)[0]

    @function("proxy_authenticate", "proxy_authorize", routes=REQUEST_ROUTE)
    def proxy_authenticate(self, ctx: Context, realm: str, table: str) -> int:
        """Check Proxy-Authorization against the subscribers in `table`; codes as `www_authenticate()`."""
        return self._authenticate(ctx, realm or _from_domain(ctx), table, PROXY)[0]

    @function("auth_check", routes=REQUEST_ROUTE)
    def auth_check(self, ctx: Context, realm: str, table: str, flags: int) -> int:
        """`www_authenticate()` for REGISTER, `proxy_authenticate()` for everything else, and then who it was.

        `flags`: 1 From (of REGISTER also To, of PUBLISH also To and the R-URI) must name the user of the
        credentials, else -8; 2 not so for INVITE, BYE, PRACK, UPDATE and MESSAGE, which may be anonymous.
        """
        header = WWW if ctx.msg.method == "REGISTER" else PROXY
        code, credentials = self._authenticate(ctx, realm, table, header)
        if code != Code.OK or not flags or credentials is None:
            return code
        if not matches(ctx, credentials, realm, flags, bool(self.use_domain)):
            return Code.USER_MISMATCH
        return code

    @function("is_subscriber", routes=ANY)
    def is_subscriber(self, ctx: Context, uri: str, table: str, flags: int) -> bool:
        """Whether a subscriber has this URI. `flags`: 1 compare the domain too, 2 load no AVPs."""
        try:
            parsed = parse_uri(uri)
            if not isinstance(parsed, SipUri) or not parsed.user:
                return False
            user, host = unescape(parsed.user), parsed.host.lower()
            row = self._table(table).find(user, host, self.server.now())
        except (ParseError, StoreError) as error:
            logger.error("is_subscriber: %s", error)
            return False
        if row is None or (flags & 1 and row.domain.lower() != host):
            return False
        if not flags & 2:
            self._generate_avps(ctx, row)
        return True

    @rpc("auth_db.forget", workers="all")
    async def auth_db_forget(self) -> None:
        """Read every subscriber again from the database when one is next asked for."""
        for table in self._tables.values():
            table.forget()
        self._seen = -1
        if len(self.auth.algorithms) > 1:
            await self._look()


def _from_domain(ctx: Context) -> str:
    try:
        uri = ctx.msg.from_uri
    except ParseError:
        return ""
    return uri.host if isinstance(uri, SipUri) else ""
