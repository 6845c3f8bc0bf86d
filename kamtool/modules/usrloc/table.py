"""A location table in memory: address-of-record → contacts, best first, with the order they expire in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import Enum

from kamtool.modules.usrloc.contact import Contact

Contacts = tuple[Contact, ...]


class Event(Enum):
    """What happened to a contact; listeners are called with it."""

    INSERTED = "inserted"
    UPDATED = "updated"
    DELETED = "deleted"
    EXPIRED = "expired"


# Looked up once: an enum's members are slow to reach in Python 3.11.
INSERTED, UPDATED = Event.INSERTED, Event.UPDATED

Listener = Callable[[Event, Contact], None]


class Table:
    """One table (`location`) of contacts by address-of-record.

    The contacts of one are a tuple: whoever holds it may go on iterating while the table changes.
    Expiry is a wheel of buckets of `span` seconds. A contact stands in the bucket where it was put first and
    is looked at again when that comes due, so a refresh costs nothing there.
    """

    def __init__(self, name: str, *, newest_first: bool = False, span: float = 1.0) -> None:
        self.name = name
        self.newest_first = newest_first
        self.records: dict[str, Contacts] = {}
        self.count = 0
        self.expired = 0
        self.listeners: list[Listener] = []
        self.census: list[Listener] = []
        """Listeners that a refresh does not concern."""
        self._span = span
        self._buckets: dict[int, list[Contact]] = {}
        self._due = 0

    def get(self, aor: str) -> Contacts:
        """Every contact of `aor`, the expired ones too, best first; empty when there is none."""
        return self.records.get(aor, ())

    def __iter__(self) -> Iterator[Contact]:
        for contacts in list(self.records.values()):
            yield from contacts

    def insert(self, contact: Contact) -> None:
        """Add a contact behind those of the same q."""
        aor = contact.aor
        known = self.records.get(aor)
        self.records[aor] = self._placed(known, contact) if known else (contact,)
        self.count += 1
        self._schedule(contact)
        for listener in self.listeners:
            listener(INSERTED, contact)
        for listener in self.census:
            listener(INSERTED, contact)

    def refreshed(self, contact: Contact, reorder: bool) -> None:
        """A contact's fields were changed in place; `reorder` when its q did."""
        if contact.expires_at and int(contact.expires_at / self._span) + 1 < contact.bucket:
            self._schedule(contact)
        if reorder or (self.newest_first and self.records[contact.aor][0] is not contact):
            others = tuple(c for c in self.records[contact.aor] if c is not contact)
            self.records[contact.aor] = self._placed(others, contact)
        for listener in self.listeners:
            listener(UPDATED, contact)

    def delete(self, contact: Contact, event: Event = Event.DELETED) -> bool:
        """Take a contact out; false when it was not there (any more)."""
        contacts = self.records.get(contact.aor, ())
        rest = tuple(c for c in contacts if c is not contact)
        if len(rest) == len(contacts):
            return False
        if rest:
            self.records[contact.aor] = rest
        else:
            del self.records[contact.aor]
        self.count -= 1
        contact.bucket = -1
        self.tell(event, contact)
        return True

    def expire(self, now: float, most: int = 500) -> bool:
        """Take out contacts that have expired, looking at about `most`; whether more are due already."""
        last = int(now / self._span)
        if not self._due:
            self._due = min(last, min(self._buckets, default=last))
        looked = 0
        while self._due <= last:
            bucket = self._buckets.get(self._due)
            while bucket:
                contact = bucket.pop()
                if contact.bucket == self._due:
                    self._look(contact, now)
                looked += 1
                if looked >= most:
                    return True
            self._buckets.pop(self._due, None)
            self._due += 1
        return False

    def tell(self, event: Event, contact: Contact) -> None:
        for listener in self.listeners:
            listener(event, contact)
        if event is not UPDATED:
            for listener in self.census:
                listener(event, contact)

    def _look(self, contact: Contact, now: float) -> None:
        if contact.expires_at > now:
            self._schedule(contact)
        elif contact.expires_at:
            self.expired += 1
            self.delete(contact, Event.EXPIRED)

    def _schedule(self, contact: Contact) -> None:
        if not contact.expires_at:
            contact.bucket = 0
            return
        number = max(int(contact.expires_at / self._span) + 1, self._due + 1)
        contact.bucket = number
        bucket = self._buckets.get(number)
        if bucket is None:
            self._buckets[number] = [contact]
        else:
            bucket.append(contact)

    def _placed(self, contacts: Contacts, contact: Contact) -> Contacts:
        if not contacts:
            return (contact,)
        if self.newest_first:
            return (contact, *contacts)
        for place, other in enumerate(contacts):
            if other.q < contact.q:
                return (*contacts[:place], contact, *contacts[place:])
        return (*contacts, contact)
