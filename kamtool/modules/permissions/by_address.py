"""The functions that ask where a request comes from."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from kamtool.errors import ParseError, StoreError
from kamtool.module import ANY, FAILURE_ROUTE, REQUEST_ROUTE, Variable, function
from kamtool.modules.permissions.trusted import NUMBERS, Trusted, read_rows
from kamtool.store.select import find

if TYPE_CHECKING:
    from kamtool.modules.permissions.addresses import Addresses, Entry
    from kamtool.script.context import Context
    from kamtool.store.database import Database

logger = logging.getLogger("kamtool.modules.permissions")

ROUTES = REQUEST_ROUTE | FAILURE_ROUTE


class ByAddress:
    """allow_address and its kin, allow_trusted."""

    addresses: Addresses
    trusted: Trusted | None
    trusted_select: str
    trusted_table: str
    database: Database | None
    peer_tag: Variable | None
    peer_tag_mode: int
    db_mode: int

    def _accept(self, ctx: Context, entry: Entry | None) -> Entry | None:
        if entry is not None and entry.tag is not None and self.peer_tag is not None:
            self.peer_tag.set(ctx, entry.tag)
        return entry

    def _find(self, ctx: Context, address: str, port: int, group: int | None) -> Entry | None:
        return self._accept(ctx, self.addresses.find(address, port, group))

    @function("allow_address", routes=ANY)
    def allow_address(self, ctx: Context, group: int, address: str, port: int) -> bool:
        """Whether an IP address or name is in a group of the table; 0 in its column `port` fits any port."""
        return self._find(ctx, address, port, group) is not None

    @function("allow_source_address", routes=ANY)
    def allow_source_address(self, ctx: Context, group: int = 1) -> bool:
        """Whether the request's source is in a group of the table, group 1 if none is named."""
        remote = ctx.flow.remote
        return self._find(ctx, remote.host, remote.port, group) is not None

    @function("allow_source_address_group", routes=ANY)
    def allow_source_address_group(self, ctx: Context) -> int:
        """The group in which the request's source is, -1 when it is in none."""
        remote = ctx.flow.remote
        entry = self._find(ctx, remote.host, remote.port, None)
        return -1 if entry is None else entry.group

    @function("allow_address_group", routes=ANY)
    def allow_address_group(self, ctx: Context, address: str, port: int) -> int:
        """The group in which an IP address or name is, -1 when it is in none."""
        entry = self._find(ctx, address, port, None)
        return -1 if entry is None else entry.group

    @function("allow_trusted", routes=ANY, arities=(0, 2, 3))
    def allow_trusted(
        self, ctx: Context, address: str | None = None, protocol: str | None = None, uri: str | None = None
    ) -> int:
        """Whether a row of the table `trusted` fits: source, transport, From and R-URI.

        `allow_trusted(address, transport)` asks for others than the request's, a third argument stands for
        the URI of From. The transport is any, udp, tcp, tls, ws, wss or sctp.
        """
        msg = ctx.msg
        try:
            from_uri = uri if uri is not None else msg.from_address or msg.from_.uri
            kind = ctx.flow.transport if protocol is None else protocol.lower()
            if kind not in NUMBERS:
                logger.error("allow_trusted: unknown protocol %r", protocol)
                return -1
            source = ctx.flow.remote.host if address is None else address
            peers = self._peers(source).matches(source, kind, from_uri, ctx.ruri if msg.is_request else "")
        except (ParseError, StoreError) as error:
            logger.error("allow_trusted: %s", error)
            return -1
        for peer in peers if self.peer_tag_mode else peers[:1]:
            if peer.tag is not None and self.peer_tag is not None:
                self.peer_tag.set(ctx, peer.tag)
        return -1 if not peers else len(peers) if self.peer_tag_mode else 1

    def _peers(self, source: str) -> Trusted:
        """The peers of this source at least. Raises StoreError."""
        if self.trusted is not None:
            return self.trusted
        if self.database is None or self.db_mode:
            raise StoreError("the trusted peers are not loaded: db_url or load_backends is not set so")
        rows = find(self.database, self.trusted_select, source)
        return read_rows(rows, f"{self.database.path}: table {self.trusted_table!r}")
