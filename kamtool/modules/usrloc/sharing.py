"""The location tables of several workers: what changes in one changes in all, and worker 0 writes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from kamtool.errors import RpcError, StoreAway, StoreError
from kamtool.modules.usrloc.contact import PLAIN, Contact, Details
from kamtool.modules.usrloc.location import Location
from kamtool.modules.usrloc.table import Event

if TYPE_CHECKING:
    from kamtool.server.workers_link import Link

CHANGE, COMMIT = "usrloc", "usrloc.commit"
UNWRITTEN, ONLY = "unwritten", "only"
RUID, CONNECTION = 3, 11
"""Where these stand in a contact as plain data: the ruid behind a table's name, the other without it."""
COMMIT_PATIENCE = 16.0
"""Seconds for worker 0 to write, even if it dies and another begins. A client gives up after 32."""
SLICE = 500
"""Contacts that a worker which begins late is sent between two breaths of the loop."""


class Sharing:
    """Publishes the changes of this worker's tables and makes those of the others."""

    def __init__(self, link: Link, locations: dict[str, Location]) -> None:
        self.link, self.locations = link, locations
        self.is_copying = False
        """Whether a change is being made that another worker has made already."""
        link.on(CHANGE, self._heard)
        link.answer(COMMIT, self._commit)
        link.snapshots.append(self._snapshot)

    def add(self, location: Location) -> None:
        """Share one table."""
        name, link = location.name, self.link

        def publish(event: Event, contact: Contact) -> None:
            if not self.is_copying:
                link.publish(CHANGE, (name, event.value, *flat(contact)))

        location.table.listeners.append(publish)
        if link.number:
            location.unwritten = lambda contact: link.publish(CHANGE, (name, UNWRITTEN, *flat(contact)))

            async def committed() -> None:
                try:
                    await link.ask(0, COMMIT, name, COMMIT_PATIENCE, again=True)
                except RpcError as error:
                    wrong = StoreAway if error.code == 503 else StoreError
                    raise wrong(error.message) from error

            location.committed = committed

    async def _commit(self, sender: int, name: str) -> bool:
        try:
            await self.locations[name].commit()
        except StoreError as error:
            raise RpcError(500, str(error)) from error
        return True

    async def _snapshot(self, sender: int, value: Any) -> None:
        for name, location in list(self.locations.items()):
            for number, contact in enumerate(location.table, 1):
                self.link.send(sender, CHANGE, (name, Event.INSERTED.value, *flat(contact)))
                if number % SLICE == 0:
                    await asyncio.sleep(0)
            known = tuple(contact.ruid for contact in location.table)
            self.link.send(sender, CHANGE, (name, ONLY, known))

    def _heard(self, sender: int, value: Any) -> None:
        name, event, *rest = value
        location = self.locations.get(name)
        if location is None:
            return
        self.is_copying = True
        try:
            if event == ONLY:  # what the database still had was removed meanwhile
                known = set(rest[0])
                for contact in location.table:
                    if contact.ruid not in known:
                        location.table.delete(contact)
                return
            change(location, event, rest)
        finally:
            self.is_copying = False


def change(location: Location, event: str, rest: list[Any]) -> None:
    """Make a change that another worker has made."""
    (aor, uri, ruid, expires_at, modified_at, q, call_id, cseq, received, user_agent, socket, connection,
     methods, cflags, more) = rest  # fmt: skip
    table = location.table
    known = next((contact for contact in table.get(aor) if contact.ruid == ruid), None)
    if event in (Event.DELETED.value, Event.EXPIRED.value):
        if known is not None:
            table.delete(known, Event(event))
        return
    if event == UNWRITTEN:
        if known is not None and location.journal is not None:
            location.journal.forget(known)
        return
    details = Details(*more) if more else PLAIN
    if known is None:
        table.insert(
            Contact(
                aor, uri, ruid, expires_at, modified_at, q, call_id, cseq, received, user_agent, socket,
                connection, methods, cflags, details,
            )
        )  # fmt: skip
        return
    reorder = known.q != q
    known.refresh(
        uri, expires_at, modified_at, q, call_id, cseq, received, user_agent, socket, connection, methods,
        cflags, details,
    )  # fmt: skip
    table.refreshed(known, reorder)


def flat(contact: Contact) -> tuple[Any, ...]:
    """A contact as plain data."""
    d = contact.details
    more = () if d is PLAIN else (d.path, d.instance, d.reg_id, d.server_id, d.flags, d.attributes)
    return (
        contact.aor, contact.uri, contact.ruid, contact.expires_at, contact.modified_at, contact.q,
        contact.call_id, contact.cseq, contact.received, contact.user_agent, contact.socket,
        contact.connection, contact.methods, contact.cflags, more,
    )  # fmt: skip
