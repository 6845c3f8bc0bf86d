"""domain: the domains that this server is responsible for, from a database."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from kamtool.errors import ParseError, RpcError, StoreError
from kamtool.module import BRANCH_ROUTE, FAILURE_ROUTE, REQUEST_ROUTE, Host, Module, Param, function, rpc
from kamtool.modules.db_sqlite import open_database
from kamtool.modules.domain.table import Domains, read_domains
from kamtool.script.context import Context
from kamtool.sip.uri import SipUri, parse_uri
from kamtool.store.databases import require_version
from kamtool.store.select import select

if TYPE_CHECKING:
    from kamtool.store.database import Database

logger = logging.getLogger("kamtool.modules.domain")

DOMAIN_VERSION, ATTRS_VERSION = 2, 1


class Domain(Module):
    """Which domains are ours, from the tables `domain` and `domain_attrs`, kept in memory.

    With `register_myself` they count as `myself` too: in `uri == myself`, in `is_myself()` and for Route
    headers. `domain.reload` reads the tables again; the old answer until the new are there.
    """

    tables = ("domain", "domain_attrs")

    db_url = Param("", "the database, e.g. sqlite:////var/lib/kamtool/kamtool.db")
    domain_table = Param("domain", "the table of domains")
    domain_attrs_table = Param("domain_attrs", "the table of their attributes")
    did_col = Param("did", "the column of a domain's id, in both tables; NULL stands for the domain itself")
    domain_col = Param("domain", "the column of the domain")
    name_col = Param("name", "the column of an attribute's name")
    type_col = Param("type", "the column of an attribute's type: 0 a number, 2 a text")
    value_col = Param("value", "the column of an attribute's value")
    register_myself = Param(0, "1: the domains are `myself`")

    def __init__(self, server: Host) -> None:
        super().__init__(server)
        self.domains = Domains()
        self.database: Database | None = None

    async def start(self) -> None:
        """Load the tables. Raises ConfigError or StoreError."""
        self.database = await open_database(self.server, self.db_url, "domain")
        await require_version(self.database, self.domain_table, DOMAIN_VERSION)
        await require_version(self.database, self.domain_attrs_table, ATTRS_VERSION)
        await self.load()
        myself: Any = getattr(self.server, "myself", None)
        if self.register_myself and myself is not None:
            myself.ask(self.is_local)

    async def load(self) -> None:
        """Read the tables and let them take the place of what was there. Raises StoreError."""
        database = self.database
        assert database is not None
        names = await database.query(select(self.domain_table, (self.domain_col, self.did_col)))
        attributes = await database.query(
            select(self.domain_attrs_table, (self.did_col, self.name_col, self.type_col, self.value_col))
        )
        self.domains = read_domains(names, attributes, str(database.path))
        myself: Any = getattr(self.server, "myself", None)
        if self.register_myself and myself is not None:
            myself.forget()

    def is_local(self, host: str) -> bool:
        """Whether this domain is ours."""
        return host.lower() in self.domains.ids

    @function("is_from_local", routes=REQUEST_ROUTE | FAILURE_ROUTE | BRANCH_ROUTE)
    def is_from_local(self, ctx: Context) -> int:
        """Whether the domain of From is ours; -2 when From cannot be read."""
        try:
            uri = ctx.msg.from_uri
        except ParseError:
            return -2
        return 1 if isinstance(uri, SipUri) and self.is_local(uri.host) else -1

    @function("is_uri_host_local", routes=REQUEST_ROUTE | FAILURE_ROUTE | BRANCH_ROUTE)
    def is_uri_host_local(self, ctx: Context) -> bool:
        """Whether the domain of the R-URI is ours; in a branch_route that of the branch."""
        try:
            uri = parse_uri(ctx.ruri)
        except ParseError:
            return False
        return isinstance(uri, SipUri) and self.is_local(uri.host)

    @function("is_domain_local", routes=REQUEST_ROUTE | FAILURE_ROUTE | BRANCH_ROUTE)
    def is_domain_local(self, ctx: Context, domain: str) -> bool:
        """Whether this domain is ours."""
        return self.is_local(domain)

    @function("lookup_domain", routes=REQUEST_ROUTE | FAILURE_ROUTE | BRANCH_ROUTE)
    def lookup_domain(self, ctx: Context, domain: str, prefix: str = "") -> bool:
        """Whether this domain is ours; then `$avp(did)` is its id, and its attributes are AVPs.

        `prefix` goes before the names: `lookup_domain("$fd", "from_")` gives `$avp(from_did)`.
        """
        did = self.domains.ids.get(domain.lower())
        if did is None:
            return False
        avps = ctx.avps
        avps.push(f"{prefix}did", did)
        # Backwards, so that of several values of a name the first row's is on top.
        for name, value in reversed(self.domains.attributes.get(did, ())):
            avps.push(f"{prefix}{name}", value)
        return True

    @rpc("domain.reload", workers="all")
    async def rpc_reload(self) -> None:
        """Read the tables again; what is wrong with the new rows leaves the old in place."""
        try:
            await self.load()
        except StoreError as error:
            raise RpcError(500, f"Domain table reload failed: {error}") from error

    @rpc("domain.dump")
    def rpc_dump(self) -> dict[str, Any]:
        """The domains with their ids, and the names of their attributes."""
        domains = self.domains
        return {
            "domains": [{"domain": name, "did": domains.ids[name.lower()]} for name in domains.names],
            "attributes": [
                {"did": did, "attrs": [name for name, _ in attributes]}
                for did, attributes in domains.attributes.items()
            ],
        }
