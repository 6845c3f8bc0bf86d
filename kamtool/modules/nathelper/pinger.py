"""nathelper: every contact of usrloc is pinged once in `natping_interval` seconds, evenly spread."""

from __future__ import annotations

import asyncio
import logging
from itertools import islice
from typing import TYPE_CHECKING

from kamtool.errors import ParseError, StoreError, TransportError
from kamtool.modules.nathelper.ping import FOUR_ZEROS, Request, destination, flow_to, resolve, target_of
from kamtool.modules.usrloc import Usrloc
from kamtool.modules.usrloc.contact import Contact
from kamtool.modules.usrloc.location import Location
from kamtool.modules.usrloc.table import Event
from kamtool.sip.flow import Address, Flow, Socket

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kamtool.server.server import Server
    from kamtool.sip.message import Response
    from kamtool.transport.target import Target

log = logging.getLogger("kamtool.nathelper")

TICK = 0.1
PAGE = 200
SLICE = 50
"""Contacts between two breaths of the loop."""


class Pinger:
    """Walks through the tables of usrloc and pings the contacts that `wanted` says yes to.

    `sip` tells whether a contact gets a request instead of four zeros. With `timeout`, a contact on UDP that
    has not answered a request for so many seconds is removed as if it had expired.
    """

    def __init__(
        self,
        server: Server,
        usrloc: Usrloc,
        *,
        interval: float,
        request: Request,
        wanted: Callable[[Contact], bool],
        sip: Callable[[Contact], bool],
        timeout: float,
        fallback: Socket | None,
        forced: Socket | None,
        by_path: bool,
    ) -> None:
        self.server, self.usrloc, self.interval, self.request = server, usrloc, interval, request
        self.wanted, self.sip, self.timeout = wanted, sip, timeout
        self.fallback, self.forced, self.by_path = fallback, forced, by_path
        self.on = True
        self.answered_at: dict[str, float] = {}
        """By ruid: when a pinged contact last answered, or else was first asked."""
        self._round: Iterator[tuple[Location, str]] = iter(())
        self._size = self._next = 0
        self._began = 0.0
        self._sockets: dict[str, Socket | None] = {}
        self._pages: dict[str, int] = {}

    def watch(self) -> None:
        """Listen for answers and for contacts that go."""
        self.server.stray_replies.append(self.answered)
        if self.timeout > 0:
            self.usrloc.listen(self._heard)

    # The round

    async def tick(self) -> None:
        """Ping the contacts whose turn has come since the last tick."""
        now = self.server.now()
        if self._next >= self._size and now - self._began >= self.interval:
            # Of a million names a copy takes milliseconds; a pair made for each would hold up the loop.
            tables = [
                (location, list(location.table.records))
                for location in self.usrloc.locations.values()
                if not location.db_only
            ]
            self._round = ((location, aor) for location, names in tables for aor in names)
            self._size = sum(len(names) for _, names in tables)
            self._next, self._began = 0, now
            for location in self.usrloc.locations.values():
                if location.db_only:
                    self.server.spawn(self._ping_rows(location), "nathelper: ping")
        share = min(1.0, (now - self._began + TICK) / self.interval)
        until = min(self._size, int(self._size * share + 1))
        for location, aor in islice(self._round, max(0, until - self._next)):
            self._next += 1
            if self.on:
                for contact in location.get(aor):
                    self.ping(contact, location, now)
            if not self._next % SLICE:
                await asyncio.sleep(0)

    async def _ping_rows(self, location: Location) -> None:
        """db_mode 3: the rows are read page by page. The database spreads nothing; each page waits a tick."""
        rows, journal, last = location.rows, location.journal, 0
        while self.on and rows is not None and journal is not None:
            try:
                found = await journal.database.query(rows.select_page, (last, PAGE))
            except StoreError as error:
                log.warning("%s; its contacts are not pinged this time", error)
                return
            now, offset = self.server.now(), location.offset()
            for number, *row in found:
                last = number
                try:
                    self.ping(rows.contact(row, offset), location, now)
                except (TypeError, ValueError) as error:
                    log.warning("%s row %d cannot be pinged: %s", location.name, number, error)
            if len(found) < PAGE:
                return
            await asyncio.sleep(TICK)

    # One contact

    def ping(self, contact: Contact, location: Location, now: float) -> None:
        """Ping it if it wants to be, or remove it if it has been silent for too long."""
        if not contact.is_valid(now) or not self.wanted(contact):
            return
        sip = self.sip(contact)
        if sip and self.timeout > 0 and self._is_silent(contact, now):
            log.info("%s of %s answers no ping: removed", contact.uri, contact.aor)
            self.answered_at.pop(contact.ruid, None)
            location.table.delete(contact, Event.EXPIRED)
            return
        try:
            uri = destination(contact, by_path=sip or self.by_path)
            target = target_of(uri)
        except ParseError as error:
            log.debug("%s cannot be pinged: %s", contact.uri, error)
            return
        if target is None:
            self.server.spawn(self._resolved(contact, uri, sip), "nathelper: resolve")
        else:
            self._send(contact, target, sip)

    async def _resolved(self, contact: Contact, uri: str, sip: bool) -> None:
        try:
            self._send(contact, await resolve(self.server, uri), sip)
        except (ParseError, TransportError) as error:
            log.debug("%s cannot be pinged: %s", uri, error)

    def _send(self, contact: Contact, target: Target, sip: bool) -> None:
        if not sip and target.transport != "udp":
            return  # a connection needs no mapping to be kept, and four zeros would break its framing
        try:
            flow = flow_to(self.server, target, contact, self.forced or self._socket(contact))
        except TransportError as error:
            log.debug("%s cannot be pinged: %s", contact.uri, error)
            return
        self.server.send(flow, self._request(contact, flow) if sip else FOUR_ZEROS)
        self.server.count("nathelper:pings_sent")

    def _request(self, contact: Contact, flow: Flow) -> bytes:
        outbound = self.server.transports.socket_of(flow)
        return self.request.build(contact, outbound or Socket(flow.transport, flow.local))

    def _socket(self, contact: Contact) -> Socket | None:
        """Our socket by which the contact registered, else `force_socket`."""
        text = contact.socket
        if not text:
            return self.fallback
        if text not in self._sockets:
            self._sockets[text] = socket_named(self.server, text)
        return self._sockets[text] or self.fallback

    # Answers

    def _is_silent(self, contact: Contact, now: float) -> bool:
        if contact.socket and not contact.socket.startswith("udp:"):
            return False
        last = max(self.answered_at.setdefault(contact.ruid, now), contact.modified_at)
        return now - last > self.timeout

    def answered(self, response: Response, flow: Flow) -> bool:
        """Take the response to a ping; False when it is none."""
        ruid = self.request.answered(response.from_tag)
        if not ruid:
            return False
        self.server.count("nathelper:pings_answered")
        if ruid in self.answered_at:
            self.answered_at[ruid] = self.server.now()
        return True

    def _heard(self, event: Event, contact: Contact) -> None:
        if event is Event.DELETED or event is Event.EXPIRED:
            self.answered_at.pop(contact.ruid, None)


def socket_named(server: Server, text: str) -> Socket | None:
    """Our socket that is written `udp:127.0.0.1:5060` or `127.0.0.1:5060`; None when it is none of ours."""
    transport, colon, address = text.partition(":")
    if not colon or transport.lower() not in ("udp", "tcp", "tls", "sctp", "ws", "wss"):
        transport, address = "udp", text
    host, _, port = address.rpartition(":") if address.rpartition(":")[2].isdigit() else (address, "", "5060")
    return server.socket(transport.lower(), Address(host.strip("[]"), int(port)))
