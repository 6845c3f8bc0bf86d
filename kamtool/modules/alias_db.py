"""alias_db: other names of users, in a database."""

from __future__ import annotations

import logging

from kamtool.errors import ConfigError, ParseError, StoreError
from kamtool.module import (
    ANY,
    FAILURE_ROUTE,
    ONSEND_ROUTE,
    REQUEST_ROUTE,
    Host,
    Module,
    Param,
    Plain,
    Variable,
    function,
)
from kamtool.modules.db_sqlite import open_database
from kamtool.script.context import Branch, Context
from kamtool.sip.uri import SipUri, parse_uri, unescape
from kamtool.store.database import Database
from kamtool.store.select import find, select, text_of

logger = logging.getLogger("kamtool.modules.alias_db")

FLAGS = frozenset("dru")


class AliasDb(Module):
    """Resolve aliases: `sip:sales@example.com` is `sip:bob@example.com`, says the table `dbaliases`.

    The table is asked for each request, so a new alias counts at once.
    """

    name = "alias_db"
    tables = ("dbaliases",)

    db_url = Param("", "the database, e.g. sqlite:////var/lib/kamtool/kamtool.db")
    user_column = Param("username", "the column of the user that an alias means")
    domain_column = Param("domain", "the column of that user's domain")
    alias_user_column = Param("alias_username", "the column of the alias")
    alias_domain_column = Param("alias_domain", "the column of the alias's domain")
    use_domain = Param(0, "1: an alias is found by name and domain, else by its name alone")
    domain_prefix = Param("", "taken off the beginning of the domain first")
    append_branches = Param(0, "1: what else an alias means becomes further branches")

    def __init__(self, server: Host) -> None:
        super().__init__(server)
        self.database: Database | None = None

    async def start(self) -> None:
        """Open the database. Raises ConfigError or StoreError."""
        self.database = await open_database(self.server, self.db_url, "alias_db")

    @function("alias_db_lookup", routes=REQUEST_ROUTE | FAILURE_ROUTE)
    def alias_db_lookup(self, ctx: Context, table: str, flags: Plain = "") -> bool:
        """Put the user whom the R-URI is an alias of into the R-URI; false when it is none.

        `flags`: `d` by the name alone, `u` by name and domain, `r` from the user to the alias.
        """
        found = self._find(table, ctx.ruri, flags)
        if not found:
            return False
        ctx.new_uri = found[0]
        if self.append_branches:
            for uri in found[1:]:
                ctx.add_branch(Branch(uri))
        return True

    @function("alias_db_find", routes=ANY & ~ONSEND_ROUTE)
    def alias_db_find(self, ctx: Context, table: str, uri: str, result: Variable, flags: Plain = "") -> bool:
        """Assign to `result` the user whom `uri` is an alias of, for each that it means; `flags` as above."""
        found = self._find(table, uri, flags)
        for each in found:
            result.set(ctx, each)
        return bool(found)

    def _find(self, table: str, uri: str, flags: str) -> list[str]:
        """The URIs that `uri` stands for."""
        try:
            unknown = set(flags) - FLAGS
            if unknown:
                raise ConfigError(f"unknown flag {min(unknown)!r}: there are d, r and u")
            parsed = parse_uri(uri)
            if not isinstance(parsed, SipUri) or not parsed.user:
                return []
            host = parsed.host.removeprefix(self.domain_prefix) if self.domain_prefix else parsed.host
            return self._rows(table, unescape(parsed.user), host, flags)
        except (ConfigError, ParseError, StoreError) as error:
            logger.error("alias %r: %s", uri, error)
            return []

    def _rows(self, table: str, user: str, host: str, flags: str) -> list[str]:
        with_domain = "u" in flags or (bool(self.use_domain) and "d" not in flags)
        alias = (self.alias_user_column, self.alias_domain_column)
        real = (self.user_column, self.domain_column)
        known, wanted = (real, alias) if "r" in flags else (alias, real)
        where = (known[0], f"{known[1]}~") if with_domain else known[:1]
        assert self.database is not None
        rows = find(self.database, select(table, wanted, where), *((user, host)[: len(where)]))
        result = []
        for name, domain in rows:
            if text_of(name) and text_of(domain):
                result.append(f"sip:{text_of(name)}@{text_of(domain)}")
            else:
                logger.error("alias %r: a row of table %r names no user and domain", user, table)
        return result
