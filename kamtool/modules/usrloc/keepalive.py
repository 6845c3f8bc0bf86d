"""The `ka_*` parameters: requests that keep contacts reachable, and tell which of them are."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from itertools import count, islice
from os import urandom
from typing import TYPE_CHECKING

from kamtool.errors import KamtoolError
from kamtool.modules.usrloc.contact import Contact
from kamtool.modules.usrloc.location import Location
from kamtool.modules.usrloc.table import Event
from kamtool.server.routing import hop_of, via_start
from kamtool.sip import build
from kamtool.sip.flow import Flow, Socket

if TYPE_CHECKING:
    from kamtool.server.server import Server
    from kamtool.sip.message import Response

log = logging.getLogger("kamtool.usrloc")

TICK = 0.1
ALL, NATED, UDP = 1, 2, 4


class Keepalive:
    """Asks every wanted contact once in `interval` seconds, evenly spread, and notes the answers.

    With `timeout`, a contact that has not answered for so many seconds is removed as if it had expired. A
    contact whose host is a name is asked where it was seen (`received`), else not at all: no DNS is spent.
    """

    def __init__(
        self, server: Server, locations: dict[str, Location], *, interval: float, mode: int, timeout: float,
        method: str, from_uri: str, domain: str, nat_flag: int, server_id: int | None,
        answered: Callable[[Contact, int], None] | None = None,
    ) -> None:  # fmt: skip
        self._server, self._locations, self._interval, self._mode = server, locations, interval, mode
        self._timeout, self._method, self._from, self._domain = timeout, method, from_uri, domain
        self._nat_flag, self._server_id, self._answered = nat_flag, server_id, answered
        self._key = urandom(4).hex()
        self._numbers = count(1)
        self.asked: dict[str, tuple[Contact, float]] = {}
        """By ruid: the contact, and when it last answered, or was first asked."""
        self.round_trips: dict[str, int] = {}
        """By ruid, in microseconds."""
        self._round: Iterator[tuple[Location, str]] = iter(())
        self._size, self._next, self._began = 0, 0, -interval

    def tick(self) -> None:
        """Ask the contacts whose turn has come since the last tick."""
        now = self._server.now()
        if self._next >= self._size and now - self._began >= self._interval:
            # Of a million names a copy takes milliseconds; a pair made for each would hold up the loop.
            tables = [(location, list(location.table.records)) for location in self._locations.values()]
            self._round = ((location, aor) for location, names in tables for aor in names)
            self._size, self._next, self._began = sum(len(names) for _, names in tables), 0, now
        share = min(1.0, (now - self._began + TICK) / self._interval)
        until = min(self._size, int(self._size * share + 1))
        for location, aor in islice(self._round, max(0, until - self._next)):
            self._next += 1
            for contact in location.get(aor):
                if self._wants(contact, now):
                    self._ask(contact, location, now)

    def _wants(self, contact: Contact, now: float) -> bool:
        if not contact.is_valid(now):
            return False
        if self._mode & NATED and not contact.cflags & self._nat_flag:
            return False
        if self._mode & UDP and contact.connection:
            return False
        return self._server_id is None or contact.details.server_id == self._server_id

    def _ask(self, contact: Contact, location: Location, now: float) -> None:
        known = self.asked.get(contact.ruid)
        if known is None:
            self.asked[contact.ruid] = (contact, now)
        elif 0 < self._timeout < now - max(known[1], contact.modified_at):
            log.info("%s of %s answers no keepalive: removed", contact.uri, contact.aor)
            location.table.delete(contact, Event.EXPIRED)
            return
        try:
            flow = self._flow(contact)
            socket = self._server.transports.socket_of(flow) if flow is not None else None
            if flow is not None and socket is not None:
                self._server.send(flow, self._request(contact, socket))
        except KamtoolError as error:
            log.debug("%s cannot be asked: %s", contact.uri, error)

    def _flow(self, contact: Contact) -> Flow | None:
        """The flow that a phone registered by: no connection is opened for it."""
        target = hop_of(contact.received or contact.uri).target
        if target is None:
            return None
        socket: Socket | None = None
        transport, _, address = contact.socket.partition(":")
        host, _, port = address.rpartition(":")
        if port.isdigit():
            socket = self._server.socket(transport, (host.strip("[]"), int(port)))
        return self._server.transports.flow_to(
            target.transport, target.address, socket, contact.connection, connect=False
        )

    def _request(self, contact: Contact, socket: Socket) -> bytes:
        number = next(self._numbers)
        via = via_start(socket.transport, *socket.shown).decode()
        aor = contact.aor if "@" in contact.aor else f"{contact.aor}@{self._domain}"
        branch = f"{self._server.branch_start}ka{self._key}.{time.monotonic_ns()}.{number}"
        headers = [
            ("Via", f"{via.removeprefix('Via: ')}{branch}"),
            ("From", f"<{self._from}>;tag={contact.ruid}.{self._key}"),
            ("To", f"<sip:{aor}>"),
            ("Call-ID", f"{self._key}-{number}@{socket.shown.host}"),
            ("CSeq", f"1 {self._method}"),
            ("Max-Forwards", "70"),
        ]
        if contact.details.path:
            headers.insert(1, ("Route", contact.details.path))
        return build.request(self._method, contact.uri, headers)

    def heard(self, msg: Response, flow: Flow) -> bool:
        """A response that nobody else waits for: whether it answers a request of ours."""
        ruid, _, key = msg.from_tag.rpartition(".")
        asked = self.asked.get(ruid)
        if key != self._key or asked is None:
            return False
        contact = asked[0]
        self.asked[ruid] = (contact, self._server.now())
        sent = msg.branch.split(".")
        if len(sent) == 3 and sent[1].isdigit():
            self.round_trips[ruid] = max(0, (time.monotonic_ns() - int(sent[1])) // 1000)
        if self._answered is not None:
            self._answered(contact, self.round_trips.get(ruid, 0))
        return True

    def gone(self, event: Event, contact: Contact) -> None:
        """A listener of the tables: nothing is kept of a contact that has gone."""
        if event is Event.DELETED or event is Event.EXPIRED:
            self.asked.pop(contact.ruid, None)
            self.round_trips.pop(contact.ruid, None)
