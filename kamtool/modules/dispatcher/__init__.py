"""dispatcher: spread requests over gateways and watch which of them live."""

from __future__ import annotations

import asyncio
import logging
import re
import socket
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kamtool.errors import ConfigError, KamtoolError
from kamtool.module import Host, Module, Param, Variable
from kamtool.modules.db_sqlite import open_database
from kamtool.modules.dispatcher.base import USER_ONLY
from kamtool.modules.dispatcher.choosing import LATENCY, Chooser
from kamtool.modules.dispatcher.destination import Destination, Set
from kamtool.modules.dispatcher.functions import DispatcherFunctions
from kamtool.modules.dispatcher.load import Loads
from kamtool.modules.dispatcher.loading import Row, keep_states, read_sets, rows_of
from kamtool.modules.dispatcher.pinger import Pinger, accepted
from kamtool.modules.dispatcher.rpc import DispatcherRpc
from kamtool.script.nodes import Number, String
from kamtool.server.listen import event_context
from kamtool.store.databases import require_version
from kamtool.store.select import select

if TYPE_CHECKING:
    from kamtool.script.program import Script
    from kamtool.sip.flow import Socket
    from kamtool.store.database import Database

logger = logging.getLogger("kamtool.modules.dispatcher")

VERSION = 4
DNS_REFRESH = 4


class Dispatcher(DispatcherFunctions, Pinger, DispatcherRpc, Module):
    """Spread requests over sets of gateways, by 14 algorithms, with failover and pings.

    The list is a file, `setid destination [flags [priority [attrs]]]` a line, or with `db_url` the table
    `dispatcher`. Flags: 1 inactive, 2 trying, 4 disabled, 8 probing. Attributes: `weight`, `rweight`,
    `duid`, `maxload`, `socket`, `sockname`, `ping_from`, `obproxy`, `cc`. A new list keeps the state of a
    destination whose row is the same. The event_routes run on a request whose R-URI is the destination.
    """

    per_worker = "pings and judges the destinations, and counts their calls, by itself"

    name = "dispatcher"
    tables = ("dispatcher",)
    events = ("dispatcher:dst-down", "dispatcher:dst-up")

    list_file = Param("", "the file with the list, beside the cfg: dispatcher.list")
    db_url = Param("", "the database, in place of the file")
    table_name = Param("dispatcher", "its table")
    setid_col = Param("setid", "the column of the set")
    destination_col = Param("destination", "the column of the URI")
    flags_col = Param("flags", "the column of the flags")
    priority_col = Param("priority", "the column of the priority, the highest first")
    attrs_col = Param("attrs", "the column of the attributes")
    ds_db_extra_attrs = Param("", "more columns as attributes: `name=column;name=column`")
    force_dst = Param(1, "0: ds_select_dst() is refused where `$du` is set already")
    flags = Param(0, "a sum: 1 hashes take only the user of a URI, 2 keep the others for ds_next_dst()")
    use_default = Param(0, "1: the last destination of a set is for when no other is open")
    xavp_dst = Param("_dsdst_", "the XAVP of what was chosen")
    xavp_dst_mode = Param(0, "its fields, a sum: 1 no attrs, 2 no socket, 4 no sockname")
    xavp_ctx = Param("_dsctx_", "the XAVP with `cnt`, how many were chosen")
    xavp_ctx_mode = Param(0, "1: without `cnt`")
    hash_pvar = Param("", "the text that algorithm 7 hashes")
    setid_pvname = Param("", "a variable for the set that ds_is_from_list() found")
    attrs_pvname = Param("", "a variable for the attributes that ds_is_from_list() found")
    ds_ping_method = Param("OPTIONS", "the method of pings")
    ds_ping_from = Param("sip:dispatcher@localhost", "who sends them")
    ds_ping_interval = Param(0, "seconds between pings; 0 is none")
    ds_ping_reply_codes = Param("", "answers that count as life beside 200: `class=2;code=403`")
    ds_probing_mode = Param(
        0, "who is pinged: 0 who is probing, once; 1 all; 2 inactive and probing; 3 probing"
    )
    ds_probing_threshold = Param(1, "failures in a row until a destination is inactive")
    ds_inactive_threshold = Param(1, "answers in a row until it is active again")
    ds_ping_latency_stats = Param(0, "1: measure how long answers to pings take")
    ds_latency_estimator_alpha = Param(900, "thousandths that the last estimate weighs in the next")
    ds_hash_size = Param(0, "above 0: calls are counted for algorithm 10")
    ds_hash_expire = Param(7200, "seconds that a confirmed call counts")
    ds_hash_initexpire = Param(7200, "seconds that a call counts until it is confirmed")
    ds_hash_check_interval = Param(30, "seconds between looks for calls that have expired")
    outbound_proxy = Param("", "where pings are sent through")
    ds_default_socket = Param("", "the socket to send from: `udp:192.0.2.1:5060`")
    ds_default_sockname = Param("", "the same by its name")
    ds_attrs_none = Param(0, "1: a destination without attributes has `none=yes`")
    ds_load_mode = Param(0, "1: a bad row refuses the whole list")
    reload_delta = Param(5, "seconds that must pass between two reloads by RPC")
    ds_dns_mode = Param(1, "1: names are looked up when the list is read; 4: and again at intervals")
    ds_dns_interval = Param(600, "seconds between these")
    ds_dns_ttl = Param(0, "accepted: names live until they are looked up again")
    ds_timer_mode = Param(0, "accepted: pings never hold up messages")
    event_callback = Param("", "only empty: there is no KEMI, events run event_route blocks")

    def __init__(self, server: Host) -> None:
        super().__init__(server)
        self.sets: dict[int, Set] = {}
        self.database: Database | None = None
        self.ping_active = True
        self.pinging: set[Destination] = set()
        self._reloaded_at: float | None = None
        self.setid_variable: Variable | None = None
        self.attrs_variable: Variable | None = None

    def verify(self, script: Script) -> Iterable[ConfigError]:
        """One that is not there takes the first destination, as in Kamailio: hardly what is meant."""
        for call in script.calls("ds_select_dst", "ds_select_domain", "ds_select"):
            given = call.arguments[1]
            value = str(given.value) if isinstance(given, Number | String) else ""
            if value.isdigit() and int(value) > LATENCY:
                yield ConfigError(
                    f"there is no algorithm {value} here: the first destination is taken",
                    given.span, code="KT1151", hint="0 to 13 are known", severity="warning",
                )  # fmt: skip

    async def start(self) -> None:
        """Read the list, start the timers. Raises ConfigError or StoreError."""
        if self.event_callback:
            raise ConfigError("dispatcher: `event_callback` names a KEMI function", code="KT1201")
        if self.ds_dns_mode & ~(1 | DNS_REFRESH):
            logger.warning("ds_dns_mode: only 1 and 4 are known, names are looked up when the list is read")
        make = self.server.format(self.hash_pvar) if self.hash_pvar else None
        self.chooser = Chooser(bool(self.flags & USER_ONLY), bool(self.use_default), make)
        self.accepted = accepted(self.ds_ping_reply_codes)
        self.setid_variable = self.server.variable(self.setid_pvname) if self.setid_pvname else None
        self.attrs_variable = self.server.variable(self.attrs_pvname) if self.attrs_pvname else None
        counted = self.ds_hash_size > 0
        self.loads = Loads(self.server.now, counted, self.ds_hash_initexpire, self.ds_hash_expire)
        if self.db_url:
            self.database = await open_database(self.server, self.db_url, "dispatcher")
            await require_version(self.database, self.table_name, VERSION)
        self.sets = await self._read()
        if self.ds_ping_interval > 0:
            self.every(self.ds_ping_interval, self.ping_all)
        if counted:
            self.every(max(1, self.ds_hash_check_interval), self.loads.expire)
        if self.ds_dns_mode & DNS_REFRESH:
            self.every(max(1, self.ds_dns_interval), self._refresh)

    # The list

    async def _read(self) -> dict[int, Set]:
        rows = await self._rows() if self.database is not None else await asyncio.to_thread(self._lines)
        sets = read_sets(rows, strict=bool(self.ds_load_mode), none=bool(self.ds_attrs_none))
        await self._look_up(sets)
        return sets

    def _lines(self) -> list[Row]:
        script: Any = getattr(self.server, "script", None)
        path = Path(self.list_file or "dispatcher.list")
        if script is not None and not path.is_absolute():
            path = Path(script.name).parent / path
        try:
            text = path.read_bytes().decode("utf-8", "surrogateescape")
        except OSError as error:
            raise ConfigError(
                f"dispatcher: {path}: {error.strerror}", hint="set list_file or db_url", code="KT1201"
            ) from error
        return list(rows_of(text, str(path)))

    async def _rows(self) -> list[Row]:
        assert self.database is not None
        more = [part.strip().partition("=") for part in self.ds_db_extra_attrs.split(";") if part.strip()]
        columns = (
            "id",
            self.setid_col,
            self.destination_col,
            self.flags_col,
            self.priority_col,
            self.attrs_col,
        )
        found = await self.database.query(
            select(self.table_name, (*columns, *(column for _, _, column in more)))
        )
        rows: list[Row] = []
        for row_id, group, uri, flags, priority, body, *extra in found:
            named = [f"{name}={value}" for (name, _, _), value in zip(more, extra, strict=True) if value]
            attributes = ";".join([*filter(None, [body]), *named])
            rows.append((f"{self.table_name} row {row_id}", group, uri, flags, priority, attributes))
        return rows

    async def _look_up(self, sets: dict[int, Set]) -> None:
        """Find the addresses of names, for ds_is_from_list()."""
        names = [each for group in sets.values() for each in group.destinations if not _is_ip(each)]
        loop = asyncio.get_running_loop()

        async def look_up(each: Destination) -> None:
            try:
                found = await loop.getaddrinfo(each.parsed.host, None, type=socket.SOCK_DGRAM)
            except (OSError, UnicodeError) as error:
                logger.warning("%s: %s", each.uri, error)
                return
            each.addresses = frozenset(str(info[4][0]) for info in found)

        await asyncio.gather(*map(look_up, names))

    async def _refresh(self) -> None:
        await self._look_up(self.sets)

    async def read_again(self) -> str:
        """Read the list again; what is wrong with it, "" when nothing. The old one serves until then."""
        try:
            fresh = await self._read()
        except KamtoolError as error:
            logger.error("dispatcher: %s; the list stays what it was", error)
            return str(error)
        keep_states(self.sets, fresh)
        at = {(number, each.uri): each for number, group in fresh.items() for each in group.destinations}
        pairs = [(each, at[number, each.uri]) for number, each in self.all() if (number, each.uri) in at]
        self.loads.follow(dict(pairs))
        self.sets = fresh
        return ""

    # What changes

    def turned(self, each: Destination, *, up: bool) -> None:
        """Run the event_route for a destination that has become open or closed."""
        name = f"dispatcher:dst-{'up' if up else 'down'}"
        server: Any = self.server
        program = getattr(server, "program", None)
        if program is None or name not in program.event_routes:
            return
        ctx = event_context(server)
        ctx.new_uri = each.uri
        server.run_event(name, {}, ctx)

    def socket_of(self, each: Destination) -> Socket | None:
        """The socket that its attributes name, else the default one."""
        named = each.attributes.get("sockname") or (
            self.ds_default_sockname if not each.attributes.get("socket") else ""
        )
        sockets: Any = getattr(self.server, "sockets", ())
        if named:
            return next((one for one in sockets if one.name == named), None)
        found = re.fullmatch(r"(\w+):(.+):(\d+)", each.attributes.get("socket") or self.ds_default_socket)
        return self.server.socket(found[1], (found[2].strip("[]"), int(found[3]))) if found else None


def _is_ip(each: Destination) -> bool:
    return bool(re.fullmatch(r"[\d.]+|\[.*\]", each.parsed.host))
