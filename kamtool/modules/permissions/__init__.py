"""permissions: who may do what, by files of rules and tables of addresses."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from kamtool.errors import ConfigError, StoreError
from kamtool.module import Host, Module, Param, Variable
from kamtool.modules.db_sqlite import open_database
from kamtool.modules.permissions import addresses, trusted
from kamtool.modules.permissions.by_address import ByAddress
from kamtool.modules.permissions.by_rule import ByRule
from kamtool.modules.permissions.rpc import PermissionsRpc
from kamtool.store.database import Database
from kamtool.store.databases import require_version
from kamtool.store.select import select

logger = logging.getLogger("kamtool.modules.permissions")

ADDRESS_VERSION = TRUSTED_VERSION = 6

BACKEND_ADDRESS, BACKEND_TRUSTED, BACKEND_ALLOW, BACKEND_DENY = 1, 2, 4, 8


class Permissions(ByAddress, ByRule, PermissionsRpc, Module):
    """Access by source: tables of addresses and of trusted peers, and files of rules for URIs.

    The table `address` holds IP addresses, subnets and names in groups and is kept in memory; so is
    `trusted` with `db_mode` 1. `permissions.addressReload` and `trustedReload` read them again: the old rows
    answer until the new ones are there, and go on answering when those are wrong.

    A file has one rule a line, `"^sip:alice@" : ALL EXCEPT "^sip:900"`: expressions for the one who asks
    (From, or To of a REGISTER), and for what is asked for (the R-URI, or the Contact). What an allow file
    names is allowed, else what a deny file names is denied, else it is allowed.
    """

    name = "permissions"
    tables = ("address", "trusted")

    default_allow_file = Param("permissions.allow", "the allow file of allow_routing(), beside the cfg")
    default_deny_file = Param("permissions.deny", "the deny file of allow_routing()")
    check_all_branches = Param(1, "0: allow_routing() looks at the R-URI alone, not at the other branches")
    allow_suffix = Param(".allow", "what is added to a basename for the allow file")
    deny_suffix = Param(".deny", "what is added to a basename for the deny file")
    address_file = Param("", "a file with the addresses, in place of the table")
    db_url = Param("", "the database with the tables `address` and `trusted`")
    db_mode = Param(0, "1: the table `trusted` is kept in memory; 0: it is asked each time")
    address_table = Param("address", "the table of addresses")
    grp_col = Param("grp", "its column with the group")
    ip_addr_col = Param("ip_addr", "its column with the IP address or name")
    mask_col = Param("mask", "its column with the length of the network's prefix")
    port_col = Param("port", "its column with the port, 0 for any")
    trusted_table = Param("trusted", "the table of trusted peers")
    source_col = Param("src_ip", "its column with the source address")
    proto_col = Param("proto", "its column with the transport")
    from_col = Param("from_pattern", "its column with the expression for From")
    ruri_col = Param("ruri_pattern", "its column with the expression for the R-URI")
    tag_col = Param("tag", "the column with the tag, in both tables")
    priority_col = Param("priority", "its column with the priority, the highest first")
    peer_tag_avp = Param("", "an AVP that gets the tag of the row that matched")
    peer_tag_mode = Param(0, "1: allow_trusted() adds the tags of all rows that match and returns how many")
    max_subnets = Param(512, "how many subnets the table of addresses may have")
    load_backends = Param(0xFFFF, "what is loaded, a sum: 1 addresses, 2 trusted, 4 allow file, 8 deny file")
    reload_delta = Param(5, "seconds that must pass between two reloads of a table")
    trusted_cleanup_interval = Param(60, "accepted: what a reload replaced is gone at once")

    def __init__(self, server: Host) -> None:
        super().__init__(server)
        self.addresses = addresses.Addresses()
        self.trusted: trusted.Trusted | None = None
        self.peer_tag: Variable | None = None
        self.database: Database | None = None
        self.rules: dict[Path, object] = {}

    async def start(self) -> None:
        """Load the tables and files. Raises ConfigError or StoreError."""
        if self.peer_tag_avp:
            self.peer_tag = self.server.variable(self.peer_tag_avp)
        self.start_rules()
        if self.address_file and self.load_backends & BACKEND_ADDRESS:
            await self.load_addresses()
        if self.db_url:
            self.database = await open_database(self.server, self.db_url, "permissions")
            if self.load_backends & BACKEND_ADDRESS and not self.address_file:
                await require_version(self.database, self.address_table, ADDRESS_VERSION)
                await self.load_addresses()
            if self.load_backends & BACKEND_TRUSTED:
                await require_version(self.database, self.trusted_table, TRUSTED_VERSION)
                self.trusted_select = select(self.trusted_table, self._trusted_columns, (self.source_col,))
                if self.db_mode:
                    await self.load_trusted()

    @property
    def _trusted_columns(self) -> tuple[str, ...]:
        return (
            "id", self.source_col, self.proto_col, self.from_col, self.ruri_col, self.tag_col,
            self.priority_col,
        )  # fmt: skip

    async def load_addresses(self) -> None:
        """Read the addresses and let them take the place of the old. Raises ConfigError or StoreError."""
        if self.address_file:
            path = self.beside_cfg(self.address_file)
            text = await asyncio.to_thread(_read, path)
            self.addresses = addresses.read_file(text, str(path), self.max_subnets)
            return
        database = self._opened()
        columns = ("id", self.grp_col, self.ip_addr_col, self.mask_col, self.port_col, self.tag_col)
        rows = await database.query(select(self.address_table, columns))
        where = f"{database.path}: table {self.address_table!r}"
        self.addresses = addresses.read_rows(rows, where, self.max_subnets)

    async def load_trusted(self) -> None:
        """Read the trusted peers, as load_addresses."""
        database = self._opened()
        rows = await database.query(select(self.trusted_table, self._trusted_columns))
        self.trusted = trusted.read_rows(rows, f"{database.path}: table {self.trusted_table!r}")

    def _opened(self) -> Database:
        if self.database is None:
            raise StoreError("permissions: db_url is not set")
        return self.database

    def beside_cfg(self, name: str) -> Path:
        """A file named in the cfg: beside it, if no folder is named."""
        script = getattr(self.server, "script", None)
        if "/" in name or script is None:
            return Path(name)
        return Path(script.name).parent / name


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8", "surrogateescape")
    except OSError as error:
        raise ConfigError(f"permissions: {path}: {error.strerror}", code="KT1201") from error
