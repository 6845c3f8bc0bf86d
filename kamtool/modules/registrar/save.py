"""save(): a REGISTER becomes changes of the location table (RFC 3261 §10.3), all of them or none."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from kamtool.modules.registrar.extensions import Extensions
from kamtool.modules.registrar.refusal import Refused
from kamtool.modules.registrar.wanted import Wanted
from kamtool.modules.usrloc.attributes import Attributes
from kamtool.modules.usrloc.contact import ALL_METHODS, PLAIN, Contact, Details
from kamtool.modules.usrloc.location import Location
from kamtool.modules.usrloc.matching import NEWER, Matching, Order, find, order
from kamtool.modules.usrloc.ruid import Ruids
from kamtool.modules.usrloc.table import Contacts
from kamtool.sip.message import METHODS, OTHER_METHOD

if TYPE_CHECKING:
    from kamtool.sip.message import Message

MEMORY_ONLY = 0x01
NO_REPLY = 0x02
ONE_CONTACT = 0x04
NO_SPREAD = 0x08
PREPARE_REPLY = 0x10

INSERTED, UPDATED, DELETED, LISTED = 1, 2, 3, 4
ERROR, TOO_MANY = -1, -2


@dataclass(slots=True)
class Registration:
    """What all contacts of one REGISTER have in common."""

    aor: str
    call_id: str
    cseq: int
    now: float
    flags: int
    received: str
    user_agent: str
    socket: str
    connection: int
    methods: int
    cflags: int
    server_id: int
    extensions: Extensions
    attributes: Attributes = ()


Plan = list[tuple[Wanted, Contact | None]]


class Saver:
    """Plans the changes that a REGISTER makes, then makes them."""

    def __init__(self, ruids: Ruids, matching: Matching, cseq_delay: int) -> None:
        self.ruids, self.matching, self.cseq_delay = ruids, matching, cseq_delay

    def clear(self, location: Location, registration: Registration, contacts: Contacts) -> int:
        """`Contact: *`: remove every contact. Raises Refused, and then none is removed."""
        for contact in contacts:
            # Kamailio removes them without a look at CSeq; §10.3 step 6 asks for it.
            if self._order(contact, registration) is not NEWER:
                raise Refused(400, "Invalid CSeq number", listed=contacts)
        for contact in contacts:
            location.delete(contact)
        return DELETED

    def apply(
        self,
        location: Location,
        registration: Registration,
        contacts: Contacts,
        wanted: list[Wanted],
        most: int,
    ) -> int:
        """Insert, refresh and remove; the code of save(). Raises Refused, and then nothing has changed.

        `most` is max_contacts, 0 for any number.
        """
        plan = self._plan(registration, contacts, wanted)
        if registration.flags & ONE_CONTACT:
            keep = {id(contact) for _, contact in plan}
            others = [contact for contact in contacts if id(contact) not in keep]
            plan = plan[:1]
        else:
            others = []
            if 0 < most < len(contacts) + len(plan):
                self._count(registration, contacts, plan, most)
        code = DELETED if others else INSERTED
        for contact in others:
            location.delete(contact)
        return self._carry_out(location, registration, plan, code)

    def _plan(self, registration: Registration, contacts: Contacts, wanted: list[Wanted]) -> Plan:
        plan: Plan = []
        path = registration.extensions.path
        for entry in wanted:
            known = None
            if contacts:
                known = find(
                    contacts,
                    entry.uri,
                    registration.call_id,
                    path,
                    entry.instance,
                    entry.reg_id,
                    self.matching,
                )
            if known is not None:
                age = self._order(known, registration)
                if age is not NEWER:
                    if age is Order.OLDER:
                        raise Refused(400, "Invalid CSeq number", listed=contacts)
                    continue  # a retransmission
            plan.append((entry, known))
        return plan

    def _order(self, contact: Contact, registration: Registration) -> Order:
        if not contact.is_valid(registration.now):
            return NEWER
        return order(contact, registration.call_id, registration.cseq, registration.now, self.cseq_delay)

    def _count(self, registration: Registration, contacts: Contacts, plan: Plan, most: int) -> None:
        held = sum(contact.is_valid(registration.now) for contact in contacts)
        added = 0
        for entry, known in plan:
            there = known is not None and known.is_valid(registration.now)
            added += (entry.expires > 0) - there
        if held + added > most and added > 0:
            raise Refused(503, f"more than {most} contacts", code=TOO_MANY, listed=contacts)

    def _carry_out(self, location: Location, registration: Registration, plan: Plan, code: int) -> int:
        memory_only = bool(registration.flags & MEMORY_ONLY)
        for entry, known in plan:
            if not entry.expires:
                if known is not None:
                    location.delete(known)
                    code = DELETED
            elif known is None:
                location.insert(self._new(registration, entry), memory_only=memory_only)
            else:
                reorder = known.q != entry.q
                _refresh(known, registration, entry)
                location.update(known, reorder=reorder, memory_only=memory_only)
                code = UPDATED
        return code

    def _new(self, registration: Registration, entry: Wanted) -> Contact:
        now = registration.now
        return Contact(
            registration.aor, entry.uri, self.ruids.next(), now + entry.expires, now, entry.q,
            registration.call_id, registration.cseq, registration.received, registration.user_agent,
            registration.socket, registration.connection, _methods(registration, entry), registration.cflags,
            _details(registration, entry),
        )  # fmt: skip


def _refresh(contact: Contact, registration: Registration, entry: Wanted) -> None:
    contact.refresh(
        entry.uri, registration.now + entry.expires, registration.now, entry.q, registration.call_id,
        registration.cseq, registration.received, registration.user_agent, registration.socket,
        registration.connection, _methods(registration, entry), registration.cflags,
        _details(registration, entry),
    )  # fmt: skip


def _methods(registration: Registration, entry: Wanted) -> int:
    return registration.methods if entry.methods is None else mask_of(entry.methods)


def _details(registration: Registration, entry: Wanted) -> Details:
    path, server_id = registration.extensions.path, registration.server_id
    if path or entry.instance or server_id or registration.attributes:
        return Details(path, entry.instance, entry.reg_id, server_id, 0, registration.attributes)
    return PLAIN


def methods_of(msg: Message) -> int:
    """The methods that Allow lists, as a mask; ALL_METHODS without one."""
    values = msg.headers("Allow")
    if not values:
        return ALL_METHODS
    return mask_of(",".join(values))


@lru_cache(1024)
def mask_of(allow: str) -> int:
    """The methods in the value of Allow."""
    mask = 0
    for name in filter(None, map(str.strip, allow.split(","))):
        mask |= METHODS.get(name.upper(), OTHER_METHOD)
    return mask
