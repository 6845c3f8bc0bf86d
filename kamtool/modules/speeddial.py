"""speeddial: short numbers of one user, in a database."""

from __future__ import annotations

import logging

from kamtool.errors import ParseError, StoreError
from kamtool.module import REQUEST_ROUTE, Host, Module, Param, function
from kamtool.modules.db_sqlite import open_database
from kamtool.script.context import Context
from kamtool.sip.uri import SipUri, TelUri, parse_uri, unescape
from kamtool.store.database import Database
from kamtool.store.databases import require_version
from kamtool.store.select import find, select, text_of

logger = logging.getLogger("kamtool.modules.speeddial")

VERSION = 2


class Speeddial(Module):
    """Short numbers that mean something else for each user: `12` is `sip:bob@example.com` for alice.

    The table is asked for each request, so a new number counts at once.
    """

    tables = ("speed_dial",)

    db_url = Param("", "the database, e.g. sqlite:////var/lib/kamtool/kamtool.db")
    user_column = Param("username", "the column of the owner's user name")
    domain_column = Param("domain", "the column of the owner's domain")
    sd_user_column = Param("sd_username", "the column of the short number")
    sd_domain_column = Param("sd_domain", "the column of the short number's domain")
    new_uri_column = Param("new_uri", "the column of the URI that it means")
    use_domain = Param(0, "1: owner and number are found with their domains, else by their names alone")
    domain_prefix = Param("", "taken off the beginning of the domains first")

    def __init__(self, server: Host) -> None:
        super().__init__(server)
        self.database: Database | None = None

    async def start(self) -> None:
        """Open the database. Raises ConfigError or StoreError."""
        self.database = await open_database(self.server, self.db_url, "speeddial")
        await require_version(self.database, "speed_dial", VERSION)

    @function("sd_lookup", routes=REQUEST_ROUTE)
    def sd_lookup(self, ctx: Context, table: str, owner: str = "") -> bool:
        """Put what the R-URI's number means for `owner`, or for From, into the R-URI; false when nothing."""
        try:
            uri = self._find(table, owner or ctx.msg.from_address or ctx.msg.from_.uri, ctx.ruri)
        except (ParseError, StoreError) as error:
            logger.error("sd_lookup: %s", error)
            return False
        if not uri:
            return False
        ctx.new_uri = uri if uri.lower().startswith(("sip:", "sips:")) else f"sip:{uri}"
        return True

    def _find(self, table: str, owner: str, number: str) -> str:
        assert self.database is not None
        user, domain = self._parts(owner)
        short, short_domain = self._parts(number)
        if not user or not short:
            return ""
        where: tuple[str, ...] = (self.user_column, self.sd_user_column)
        values = [user, short]
        if self.use_domain:
            where = (*where, f"{self.domain_column}~", f"{self.sd_domain_column}~")
            values += [domain, short_domain]
        rows = find(self.database, select(table, (self.new_uri_column,), where), *values)
        return text_of(rows[0][0]) if rows else ""

    def _parts(self, text: str) -> tuple[str, str]:
        uri = parse_uri(text)
        if isinstance(uri, TelUri):
            return uri.number, ""
        if not isinstance(uri, SipUri):
            raise ParseError(f"{text!r} is no SIP URI")
        host = uri.host.removeprefix(self.domain_prefix) if self.domain_prefix else uri.host
        return unescape(uri.user or ""), host
