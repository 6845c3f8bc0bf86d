"""The table `uacreg` in memory: found by several names, kept fresh, shown and changed over RPC."""

from __future__ import annotations

import logging
import random
from typing import TYPE_CHECKING, Any, cast

from kamtool.errors import ConfigError, ParseError, RpcError, ScriptError, StoreError
from kamtool.module import ANY, BRANCH_ROUTE, FAILURE_ROUTE, REQUEST_ROUTE, Host, Variable, function, rpc
from kamtool.modules.db_sqlite import open_database
from kamtool.modules.uac.registration import (
    COLUMNS,
    DISABLED,
    INITIALIZED,
    MARGIN,
    ONGOING,
    ONLINE,
    Registrar,
    Registration,
    read,
)
from kamtool.sip.flow import Socket
from kamtool.sip.uri import SipUri, parse_uri
from kamtool.store.database import Database
from kamtool.store.databases import require_version
from kamtool.store.select import bound, identifier

if TYPE_CHECKING:
    from kamtool.script.context import Context
    from kamtool.server.server import Server

log = logging.getLogger("kamtool.modules.uac")

VERSION = 5
KEYS = ("l_uuid", "l_username", "r_username", "auth_username")
BY_NAME, BY_HA1 = 1, 2
AT_ONCE = 20
"""REGISTERs that begin in one second at most: a thousand accounts are not asked for in one burst."""


class Registrations:
    """Remote registrations."""

    server: Host
    reg_db_url: str
    reg_db_table: str
    reg_contact_addr: str
    reg_timer_interval: int
    reg_retry_interval: int
    reg_random_delay: int
    reg_keep_callid: int
    reg_active: int
    reg_use_domain: int
    socket: Socket | None
    realm_variable: Variable | None
    username_variable: Variable | None
    password_variable: Variable | None
    records: dict[str, Registration]
    registrar: Registrar | None
    database: Database | None

    async def open_registrations(self) -> None:
        """Read the table and begin. Raises ConfigError or StoreError."""
        if not self.reg_contact_addr:
            raise ConfigError("uac: reg_db_url needs reg_contact_addr, `host[:port]`", code="KT1201")
        self.database = await open_database(self.server, self.reg_db_url, "uac")
        await require_version(self.database, self.reg_db_table, VERSION)
        self.registrar = Registrar(
            cast("Server", self.server), self.reg_contact_addr, self.socket_named, self.reg_retry_interval,
            bool(self.reg_keep_callid),
        )  # fmt: skip
        await self._read("")

    def socket_named(self, text: str) -> Socket | None:
        """The socket of a row, else the default."""
        transport, _, rest = text.partition(":")
        host, _, port = rest.rpartition(":")
        if host and port.isdigit():
            return self.server.socket(transport, (host.strip("[]"), int(port))) or self.socket
        return self.socket

    async def _read(self, uuid: str) -> int:
        """Take in the rows, or that of one uuid; those that did not change go on as they were."""
        assert self.database is not None
        sql = f"SELECT {', '.join(COLUMNS)} FROM {identifier(self.reg_db_table)}"
        rows = await self.database.query(
            sql + (" WHERE l_uuid = ?" if uuid else ""), (bound(uuid),) if uuid else ()
        )
        found = {one.l_uuid: one for one in map(read, rows)}
        gone = [uuid] if uuid and uuid not in found else [] if uuid else self.records.keys() - found.keys()
        for name in gone:
            self.records.pop(name, None)
        for name, one in found.items():
            self._take(name, one)
        self._count()
        return len(found)

    def _take(self, name: str, one: Registration) -> None:
        known = self.records.get(name)
        delay = one.reg_delay or (random.randrange(self.reg_random_delay) if self.reg_random_delay else 0)
        one.due_at = self.server.now() + delay
        one.flags |= INITIALIZED
        if known is not None:
            one.call_id, one.cseq, one.online_until = known.call_id, known.cseq, known.online_until
            one.flags |= known.flags & (ONLINE | ONGOING)
            if all(getattr(one, column) == getattr(known, column) for column in COLUMNS if column != "flags"):
                one.due_at = known.due_at
        self.records[name] = one

    def _count(self) -> None:
        stats, all_of = self.server.stats, self.records.values()
        stats["uac:regtotal"] = len(self.records)
        stats["uac:regactive"] = sum(bool(one.flags & ONLINE) for one in all_of)
        stats["uac:regdisabled"] = sum(bool(one.flags & DISABLED) for one in all_of)

    def refresh_due(self) -> None:
        """Begin to register those that would run out before the timer comes round again."""
        self._count()
        if not self.reg_active or self.registrar is None:
            return
        now, begun = self.server.now(), 0
        for one in self.records.values():
            if one.flags & (DISABLED | ONGOING) or begun >= AT_ONCE:
                continue
            # Early by the interval of the timer, as Kamailio; never earlier than half the time is over.
            early = min(self.reg_timer_interval + MARGIN, one.expires / 2) if one.flags & ONLINE else 0
            if one.due_at - early <= now:
                one.flags |= ONGOING
                begun += 1
                self.server.spawn(self.registrar.register(one), f"registration {one.l_uuid}")

    # Finding

    def find(self, attribute: str, value: str) -> Registration | None:
        """The first with this value. Raises ScriptError for an attribute that is no key."""
        if attribute not in KEYS:
            raise ScriptError(f"{attribute!r} is none of {', '.join(KEYS)}")
        if attribute == "l_uuid":
            return self.records.get(value)
        return next((one for one in self.records.values() if getattr(one, attribute) == value), None)

    def _by_user(self, user: str, domain: str = "") -> Registration | None:
        for one in self.records.values():
            same_domain = not self.reg_use_domain or one.l_domain.lower() == domain.lower()
            if one.l_username == user and same_domain:
                return one
        return None

    # From the script

    @function("uac_reg_lookup", routes=ANY)
    def uac_reg_lookup(self, ctx: Context, uuid: str, destination: Variable) -> bool:
        """Put the local URI of a registration into a variable: what an incoming R-URI's user stands for."""
        one = self.records.get(uuid)
        if one is None:
            return False
        destination.set(ctx, f"sip:{one.l_username}@{one.l_domain}")
        return True

    @function("uac_reg_lookup_uri", routes=ANY)
    def uac_reg_lookup_uri(self, ctx: Context, uri: str, destination: Variable) -> bool:
        """The same, found by the user (with `reg_use_domain` and domain) at the other server."""
        try:
            parsed = parse_uri(uri)
        except ParseError:
            return False
        if not isinstance(parsed, SipUri):
            return False
        for one in self.records.values():
            same_domain = not self.reg_use_domain or one.r_domain.lower() == parsed.host.lower()
            if one.r_username == parsed.user and same_domain:
                destination.set(ctx, f"sip:{one.l_username}@{one.l_domain}")
                return True
        return False

    @function("uac_reg_status", routes=ANY)
    def uac_reg_status(self, ctx: Context, uuid: str) -> int:
        """1 registered, -2 on its way, -3 disabled, -99 waiting, -1 unknown."""
        one = self.records.get(uuid)
        if one is None:
            return -1
        if one.flags & ONLINE and one.online_until > self.server.now():
            return 1
        return -2 if one.flags & ONGOING else -3 if one.flags & DISABLED else -99

    @function("uac_reg_request_to", routes=REQUEST_ROUTE | FAILURE_ROUTE | BRANCH_ROUTE)
    def uac_reg_request_to(self, ctx: Context, user: str, mode: int) -> bool:
        """Send this request as an account: R-URI, first hop, and the `auth_*_avp` for uac_auth.

        Mode 0 finds it by its uuid, 1 by the local user name; 2 more gives HA1 for the password.
        """
        uri = ctx.msg.from_.uri
        domain = uri.rpartition("@")[2].partition(";")[0].partition(":")[0]
        one = self._by_user(user, domain) if mode & BY_NAME else self.records.get(user)
        if one is None or one.flags & DISABLED:
            return False
        pairs = (
            (self.realm_variable, one.realm), (self.username_variable, one.auth_username),
            (self.password_variable, one.auth_ha1 if mode & BY_HA1 else one.auth_password),
        )  # fmt: skip
        if any(variable is None for variable, _ in pairs):
            raise ScriptError("uac_reg_request_to needs auth_realm_avp, auth_username_avp, auth_password_avp")
        ctx.new_uri = one.uri
        ctx.dst_uri = one.auth_proxy or None
        for variable, text in pairs:
            cast("Variable", variable).set(ctx, text)
        return True

    @function("uac_reg_enable", routes=ANY)
    def uac_reg_enable(self, ctx: Context, attribute: str, value: str) -> bool:
        """Register again what was disabled: `("l_uuid", "account")`; also l_username, r_username, …"""
        return self._switch(attribute, value, on=True)

    @function("uac_reg_disable", routes=ANY)
    def uac_reg_disable(self, ctx: Context, attribute: str, value: str) -> bool:
        """Take a registration away and keep it so."""
        return self._switch(attribute, value, on=False)

    def _switch(self, attribute: str, value: str, *, on: bool) -> bool:
        one = self.find(attribute, value)
        if one is None or self.registrar is None:
            return False
        if on:
            one.flags, one.due_at = one.flags & ~DISABLED, self.server.now()
        elif not one.flags & DISABLED:
            one.flags |= DISABLED
            self._unregister(one)
        return True

    def _unregister(self, one: Registration) -> None:
        if self.registrar is not None and one.flags & ONLINE:
            self.server.spawn(self.registrar.register(one, 0), f"registration {one.l_uuid}")

    @function("uac_reg_refresh", routes=ANY)
    async def uac_reg_refresh(self, ctx: Context, uuid: str) -> bool:
        """Read one registration from the database again."""
        try:
            return self.database is not None and await self._read(uuid) > 0
        except StoreError as error:
            log.error("%s", error)
            return False

    # RPC

    def _asked(self, attribute: str, value: str) -> Registration:
        try:
            one = self.find(attribute, value)
        except ScriptError as error:
            raise RpcError(400, str(error)) from error
        if one is None:
            raise RpcError(404, "Record not found")
        return one

    def _tree(self, one: Registration) -> dict[str, Any]:
        left = max(0, int(one.due_at - self.server.now()))
        hidden = {**{name: getattr(one, name) for name in COLUMNS}, "auth_password": "***", "auth_ha1": "***"}
        return {**hidden, "diff_expires": left, "timer_expires": left}

    @rpc("uac.reg_dump")
    def rpc_reg_dump(self) -> list[dict[str, Any]]:
        """All remote registrations, without their passwords."""
        return [self._tree(one) for one in self.records.values()]

    @rpc("uac.reg_info")
    def rpc_reg_info(self, attribute: str, value: str) -> dict[str, Any]:
        """One remote registration: `uac.reg_info l_uuid NAME`."""
        return self._tree(self._asked(attribute, value))

    @rpc("uac.reg_enable")
    def rpc_reg_enable(self, attribute: str, value: str) -> None:
        """Register again what was disabled."""
        self._asked(attribute, value)
        self._switch(attribute, value, on=True)

    @rpc("uac.reg_disable")
    def rpc_reg_disable(self, attribute: str, value: str) -> None:
        """Take a registration away and keep it so."""
        self._asked(attribute, value)
        self._switch(attribute, value, on=False)

    @rpc("uac.reg_unregister")
    def rpc_reg_unregister(self, attribute: str, value: str) -> None:
        """Take a registration away until it is due again."""
        self._unregister(self._asked(attribute, value))

    @rpc("uac.reg_reload", workers="all")
    async def rpc_reg_reload(self) -> None:
        """Read the table again."""
        await self._reread("")

    @rpc("uac.reg_refresh", workers="all")
    async def rpc_reg_refresh(self, uuid: str) -> None:
        """Read one row of the table again."""
        await self._reread(uuid)

    async def _reread(self, uuid: str) -> None:
        if self.database is None:
            raise RpcError(500, "reg_db_url is not set")
        try:
            await self._read(uuid)
        except StoreError as error:
            raise RpcError(500, str(error)) from error

    @rpc("uac.reg_active")
    def rpc_reg_active(self, active: int) -> None:
        """1: registrations are kept fresh, 0: none is sent."""
        self.reg_active = active

    @rpc("uac.reg_add", workers="all")
    def rpc_reg_add(
        self, l_uuid: str, l_username: str, l_domain: str, r_username: str, r_domain: str, realm: str,
        auth_username: str, auth_password: str, auth_ha1: str, auth_proxy: str, expires: int, flags: int,
        reg_delay: int, contact_addr: str, socket: str,
    ) -> None:  # fmt: skip
        """Add a registration in memory, with the columns of `uacreg` in their order; `.` is an empty one."""
        texts = (
            l_uuid, l_username, l_domain, r_username, r_domain, realm, auth_username, auth_password, auth_ha1,
            auth_proxy, expires, flags, reg_delay, contact_addr, socket,
        )  # fmt: skip
        if l_uuid in self.records:
            raise RpcError(500, "Record exists")
        if self.registrar is None:
            raise RpcError(500, "reg_db_url is not set")
        self._take(l_uuid, read(tuple("" if text == "." else text for text in texts)))

    @rpc("uac.reg_remove", workers="all")
    def rpc_reg_remove(self, uuid: str) -> None:
        """Take a registration away and forget it."""
        one = self._asked("l_uuid", uuid)
        self._unregister(one)
        del self.records[uuid]
