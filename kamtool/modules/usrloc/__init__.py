"""usrloc: where users are registered. Other modules reach it as `server.modules["usrloc"]`."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, cast

from kamtool.errors import ConfigError, ParseError, StoreError
from kamtool.module import Host, Module, Param
from kamtool.modules.db_sqlite import open_database
from kamtool.modules.usrloc.attributes import VERSION as ATTRIBUTES_VERSION
from kamtool.modules.usrloc.attributes import AttributeRows
from kamtool.modules.usrloc.columns import Columns
from kamtool.modules.usrloc.connections import Connections
from kamtool.modules.usrloc.contact import Contact
from kamtool.modules.usrloc.counting import Count
from kamtool.modules.usrloc.journal import Journal
from kamtool.modules.usrloc.keepalive import TICK, Keepalive
from kamtool.modules.usrloc.location import DbMode, Location
from kamtool.modules.usrloc.matching import Matching
from kamtool.modules.usrloc.rows import FIELDS, VERSION, Rows
from kamtool.modules.usrloc.rpc import LocationRpc
from kamtool.modules.usrloc.ruid import Ruids
from kamtool.modules.usrloc.sharing import CONNECTION, RUID, Sharing, change, flat
from kamtool.modules.usrloc.table import Event, Listener, Table
from kamtool.modules.usrloc.watching import Watch
from kamtool.sip.flow import Flow
from kamtool.sip.uri import parse_uri
from kamtool.store.database import Database
from kamtool.store.databases import require_version

if TYPE_CHECKING:
    from kamtool.server.server import Server
    from kamtool.server.workers_link import Link

logger = logging.getLogger("kamtool.usrloc")

LEVELS = {-5: 50, -4: 50, -3: 50, -2: 50, -1: 40, 0: 30, 1: 25, 2: 20, 3: 10}
"""Kamailio's log levels as Python's."""

RELIABLE_CONTACT = re.compile(r"^sips:|;transport=(?:tcp|tls|ws|wss)(?=;|$)", re.IGNORECASE)


class Usrloc(LocationRpc, Columns, Module):
    """The user location tables: which contacts each address-of-record has registered.

    They live in memory, and with `db_mode` in the database too. A script uses them through registrar.
    """

    name = "usrloc"
    tables = ("location", "location_attrs")

    db_url = Param("", "the database, e.g. sqlite:////var/lib/kamtool/kamtool.db")
    db_mode = Param(
        0,
        "0 memory only; 1 each change is written at once; 2 changes are written every `timer_interval`; "
        "3 only the database, which other servers may share; 4 loaded at start, never written",
    )
    durable = Param(0, "1: a REGISTER is answered only once its contacts are on the disk (kamtool's own)")
    timer_interval = Param(60, "seconds between runs that drop expired contacts and, in db_mode 2, write")
    use_domain = Param(0, "1: the domain is part of an address-of-record")
    desc_time_order = Param(0, "1: a user's contacts are ordered newest first, not by q")
    matching_mode = Param(
        0,
        "what makes two contacts the same: 0 the URI; 1 and the Call-ID; 2 and the Path; 3 the Call-ID alone",
    )
    cseq_delay = Param(20, "seconds in which a REGISTER with the same Call-ID and CSeq is a retransmission")
    nat_bflag = Param(-1, "the branch flag of contacts behind a NAT, -1 for none")
    preload = Param("", "a table to load at start beside `location`", repeat=True)
    fetch_rows = Param(2000, "how many rows are read at once when a table is loaded")
    db_load = Param(1, "0: do not load the contacts at start")
    db_timer_clean = Param(0, "1: expired rows that memory does not know are deleted from the database too")
    db_clean_tcp = Param(0, "1: contacts over TCP, TLS and WebSocket are deleted at start, not loaded")
    rm_expired_delay = Param(0, "seconds that expired rows stay in the database in db_mode 3")
    expires_type = Param(0, "1: the time columns are integers, seconds since 1970")
    server_id_filter = Param(0, "1: only contacts with this server's `server_id` are loaded and cleaned")
    skip_remote_socket = Param(0, "1: contacts whose socket is none of ours are not loaded")
    close_expired_tcp = Param(
        0, "1: the connection (TCP, TLS, WebSocket) of a contact that expires is closed"
    )
    handle_lost_tcp = Param(0, "1: a contact goes with the TCP connection of its REGISTER; not in db_mode 3")
    version_table = Param(1, "0: do not check the version of the table")

    flash = Param(
        0,
        "with db_mode 2: contacts are written only every so many seconds, and at stop, to spare flash memory "
        "(kamtool's own)",
    )
    ka_mode = Param(0, "keepalive requests: 1 to all contacts; 2 only behind a NAT; 4 only over UDP; a sum")
    ka_method = Param("OPTIONS", "the method of keepalive requests")
    ka_from = Param("sip:server@kamailio.org", "the From of keepalive requests")
    ka_domain = Param("kamailio.org", "the domain in their To, without `use_domain`")
    ka_filter = Param(0, "1: only contacts with this server's `server_id`")
    ka_timeout = Param(0, "seconds after which a contact that answers none is removed, 0 for never")
    ka_loglevel = Param(255, "the level of a log line for each answer, 255 for none")
    ka_logmsg = Param("", "the text of that line; by default the address-of-record, the contact and the time")

    xavp_contact = Param(
        "", "the XAVP that save() keeps with each contact, in `location_attrs` too, and lookup() gives back"
    )

    hash_size = Param(10, "accepted: the table grows by itself")
    timer_procs = Param(0, "accepted: expiry runs in small pieces and never holds up a message")
    db_ops_ruid = Param(1, "accepted: rows are always found by ruid")
    db_insert_update = Param(0, "accepted: a row that exists is always updated")
    db_update_as_insert = Param(0, "accepted: one statement inserts and updates")
    db_check_update = Param(0, "accepted: one statement inserts and updates")
    db_insert_null = Param(0, "accepted: NULL is always written out")
    db_raw_fetch_type = Param(0, "accepted: the query is SQLite's")
    load_rank = Param(1, "accepted: tables are loaded before the first message")

    def __init__(self, server: Host) -> None:
        super().__init__(server)
        self.locations: dict[str, Location] = {}
        self.watches: dict[str, Watch] = {}
        self.listeners: list[Listener] = []
        self.census: list[Listener] = []
        self.database: Database | None = None
        self.sharing: Sharing | None = None

    async def start(self) -> None:
        """Open the database and load the tables. Raises ConfigError or StoreError."""
        try:
            self.mode, self.matching = DbMode(self.db_mode), Matching(self.matching_mode)
        except ValueError as error:
            raise ConfigError(f"usrloc: {error}") from error
        settings = getattr(self.server, "settings", None)
        self.server_id = int(getattr(settings, "server_id", 0) or 0)
        self.ruids = Ruids("uloc", self.server_id)
        self.nat_flag = 1 << self.nat_bflag if self.nat_bflag >= 0 else 0
        self.server.stats["usrloc:registered_users"] = 0
        if self.mode is not DbMode.MEMORY:
            self.database = await open_database(self.server, self.db_url, "usrloc")
        link: Link | None = getattr(self.server, "link", None)
        if link is not None and self.mode is not DbMode.DB_ONLY:
            self.sharing = Sharing(link, self.locations)
        for table in dict.fromkeys(("location", *filter(None, self.preload))):
            await self.open(table)
        if self.handle_lost_tcp:
            self._watch_connections()
        if self.close_expired_tcp:
            self.listen_to_census(self._close_connection)
        if self.flash and self.mode is not DbMode.WRITE_BACK:
            raise ConfigError("usrloc: flash needs db_mode 2")
        if self.flash and self.durable:
            raise ConfigError("usrloc: flash and durable exclude each other")
        self._backup_at = self.server.now() + self.flash
        self.keepalive = self._keepalive() if self.ka_mode else None
        self.every(max(1, self.timer_interval), self.tick, alone=True)

    def _keepalive(self) -> Keepalive:
        if self.mode is DbMode.DB_ONLY:
            raise ConfigError("usrloc: ka_mode needs the contacts in memory, which db_mode 3 has not")
        try:
            parse_uri(self.ka_from)
        except ParseError as error:
            raise ConfigError(f"usrloc: ka_from: {error.reason}") from error
        level = LEVELS.get(self.ka_loglevel)

        def answered(contact: Contact, round_trip: int) -> None:
            if level is not None:
                text = self.ka_logmsg or f"keepalive: {contact.aor} {contact.uri} {round_trip} us"
                logger.log(level, "%s", text)

        keepalive = Keepalive(
            cast("Server", self.server),
            self.locations,
            interval=max(1, self.timer_interval),
            mode=self.ka_mode,
            timeout=self.ka_timeout,
            method=self.ka_method,
            from_uri=self.ka_from,
            domain=self.ka_domain,
            nat_flag=self.nat_flag,
            server_id=self.server_id if self.ka_filter else None,
            answered=answered,
        )
        replies: list[Callable[..., bool]] = getattr(self.server, "stray_replies", [])
        replies.append(keepalive.heard)
        self.listen_to_census(keepalive.gone)
        self.every(TICK, keepalive.tick, alone=True)
        return keepalive

    def _watch_connections(self) -> None:
        connections = Connections()
        self.listen(connections.heard)

        def closed(flow: Flow) -> None:
            for contact in connections.lost(flow.connection):
                for location in self.locations.values():
                    location.delete(contact)

        watchers: list[Callable[[Flow], None]] = getattr(self.server, "closed_watchers", [])
        watchers.append(closed)

    def _close_connection(self, event: Event, contact: Contact) -> None:
        if event is Event.EXPIRED and contact.connection:
            connections = cast("Server", self.server).transports.tcp.connections
            found = connections.get(contact.connection)
            if found is not None:
                found.close("its contact has expired")

    async def stop(self) -> None:
        """Write what is not written yet."""
        for location in self.locations.values():
            if location.journal is not None and (location.db_only or not self.worker):
                await location.journal.stop()

    def state(self) -> Iterable[tuple[Any, ...]]:
        """Every contact. A connection is not handed over, so no contact has one."""
        for name, location in self.locations.items():
            for contact in location.table:
                yield (name, *flat(contact))

    def take_state(self, items: Sequence[tuple[Any, ...]]) -> None:
        """The contacts of another server, and no others."""
        if self.mode is DbMode.DB_ONLY:
            return
        known = {item[RUID] for item in items}
        for location in self.locations.values():
            for contact in location.table:
                if contact.ruid not in known:
                    location.table.delete(contact)
        for name, *rest in items:
            if name in self.locations:
                rest[CONNECTION] = 0
                change(self.locations[name], Event.INSERTED.value, rest)

    def listen(self, listener: Listener) -> None:
        """Call `listener(event, contact)` at each change of any table."""
        self.listeners.append(listener)
        for location in self.locations.values():
            location.table.listeners.append(listener)

    def listen_to_census(self, listener: Listener) -> None:
        """The same without refreshes, which then cost nothing."""
        self.census.append(listener)
        for location in self.locations.values():
            location.table.census.append(listener)

    async def open(self, name: str) -> Location:
        """The table `name`, loaded when it is first wanted. Raises StoreError."""
        if name in self.locations:
            return self.locations[name]
        if not re.fullmatch(r"\w+", name):
            raise StoreError(f"usrloc: {name!r} is no name of a table")
        location = self._make(name)
        if self.database is not None:
            if self.version_table:
                await require_version(self.database, name, VERSION if name != "aliases" else 8)
                if location.journal is not None and (attributes := location.journal.attributes) is not None:
                    await require_version(self.database, attributes.table, ATTRIBUTES_VERSION)
            if self.db_load and not location.db_only:
                keep = self._keeps if self._chooses() else None
                loaded = await location.load(max(1, self.fetch_rows), keep=keep)
                level = logging.INFO if loaded else logging.DEBUG
                logger.log(level, "%d contacts loaded from %s", loaded, name)
        self.locations[name] = location
        Count(self.server.stats, location.table).again()
        return location

    def _make(self, name: str) -> Location:
        now = self.server.now
        table = Table(name, newest_first=bool(self.desc_time_order))
        rows = journal = None
        if self.database is not None:
            columns = {field: getattr(self, f"{field}_column") for field in FIELDS}
            rows = Rows(name, columns, bool(self.use_domain), self.expires_type)
            journal = Journal(
                self.database,
                rows,
                lambda: time.time() - now(),
                self.server.spawn,
                write_through=self.mode is DbMode.WRITE_THROUGH and not self.durable,
                attributes=AttributeRows(name, self.ruid_column) if self.xavp_contact else None,
            )
            # Of several workers, one writes: it hears of the changes of all.
            writes = self.mode is DbMode.DB_ONLY or not self.worker
            if self.mode is not DbMode.LOAD_ONLY and writes:
                table.listeners.append(journal.heard)
        location = Location(
            table,
            self.mode,
            now,
            rows,
            journal,
            durable=bool(self.durable) and self.mode is not DbMode.LOAD_ONLY,
        )
        if self.sharing is not None:
            self.sharing.add(location)
        table.census.append(Count(self.server.stats, table).heard)
        table.listeners.extend(self.listeners)
        table.census.extend(self.census)
        return location

    def _chooses(self) -> bool:
        return bool(self.server_id_filter or self.db_clean_tcp or self.skip_remote_socket)

    def _keeps(self, contact: Contact) -> bool:
        """Whether a contact of the database is loaded."""
        if self.server_id_filter and contact.details.server_id != self.server_id:
            return False
        if self.db_clean_tcp and RELIABLE_CONTACT.search(contact.uri):
            return False
        return not (self.skip_remote_socket and contact.socket and not self.is_ours(contact.socket))

    def is_ours(self, socket: str) -> bool:
        """Whether `udp:127.0.0.1:5060` is a socket of this server."""
        transport, _, address = socket.partition(":")
        host, _, port = address.rpartition(":")
        is_myself = getattr(self.server, "is_myself", None)
        return is_myself is None or bool(is_myself(host, int(port) if port.isdigit() else None, transport))

    async def tick(self) -> None:
        """What is done every `timer_interval`: drop expired contacts, write."""
        for watch in self.watches.values():
            watch.rest(self.server.now())
        for location in list(self.locations.values()):
            if location.db_only:
                await self._clean(location, self.rm_expired_delay)
                continue
            await self._expire(location)
            if location.journal is not None and self.mode is not DbMode.LOAD_ONLY and self._writes():
                try:
                    await location.journal.flush(durable=location.durable)
                except StoreError as error:
                    logger.warning("%s; %d contacts wait to be written", error, len(location.journal))
                if self.db_timer_clean:
                    await self._clean(location, 0)

    def _writes(self) -> bool:
        """Whether it is time to write: always, or with `flash` when the backup is due."""
        if not self.flash:
            return True
        now = self.server.now()
        if now < self._backup_at:
            return False
        self._backup_at = now + self.flash
        return True

    async def _expire(self, location: Location) -> None:
        more = True
        while more:
            more = location.table.expire(self.server.now())
            await asyncio.sleep(0)

    async def _clean(self, location: Location, delay: int) -> None:
        """Delete rows that expired more than `delay` seconds ago."""
        if location.journal is None or location.rows is None:
            return
        before = location.rows.time(time.time() - delay)
        try:
            listeners = [*self.listeners, *self.census]
            if location.db_only and listeners:
                offset = location.offset()
                for row in await location.journal.database.query(location.rows.select_expired, (before,)):
                    contact = location.read(row[0], row, offset)
                    if contact is None:
                        continue
                    for listener in listeners:
                        listener(Event.EXPIRED, contact)
            statements: list[tuple[str, Any]] = [(location.rows.delete_expired, (before,))]
            if location.journal.attributes is not None:
                statements.append((location.journal.attributes.delete_lost, ()))
            await location.journal.database.write_all(statements, durable=False)
        except StoreError as error:
            logger.warning("%s; expired contacts stay in %s", error, location.name)
