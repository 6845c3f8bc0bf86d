"""Which of a user's contacts a REGISTER means, and whether its CSeq allows the change."""

from __future__ import annotations

from enum import Enum

from kamtool.errors import ParseError
from kamtool.modules.usrloc.contact import Contact
from kamtool.modules.usrloc.table import Contacts
from kamtool.sip.uri import SipUri


class Matching(Enum):
    """`matching_mode`: what makes two contacts the same."""

    CONTACT_ONLY = 0
    CONTACT_CALLID = 1
    CONTACT_PATH = 2
    CALLID_ONLY = 3


CONTACT_ONLY, CALLID_ONLY = Matching.CONTACT_ONLY, Matching.CALLID_ONLY


class Order(Enum):
    """What the CSeq of a REGISTER says about a binding with the same Call-ID (RFC 3261 §10.3 step 7)."""

    NEWER = "newer"
    REPEATED = "repeated"
    OLDER = "older"


NEWER = Order.NEWER


def find(
    contacts: Contacts, uri: str, call_id: str, path: str, instance: str, reg_id: int, mode: Matching
) -> Contact | None:
    """The contact that is meant: by instance and reg-id where there is one (RFC 5626 §6), else by `mode`."""
    if instance:
        for contact in contacts:
            details = contact.details
            if details.instance == instance and details.reg_id == reg_id:
                return contact
        return None
    for contact in contacts:
        if mode is CALLID_ONLY:
            if contact.call_id == call_id:
                return contact
        elif contact.uri == uri and (mode is CONTACT_ONLY or _agrees(contact, call_id, path, mode)):
            return contact
    if contacts and mode is not CALLID_ONLY:
        return _find_equivalent(contacts, uri, call_id, path, mode)
    return None


def _agrees(contact: Contact, call_id: str, path: str, mode: Matching) -> bool:
    if mode is Matching.CONTACT_CALLID:
        return contact.call_id == call_id
    return mode is not Matching.CONTACT_PATH or contact.details.path == path


def _find_equivalent(contacts: Contacts, uri: str, call_id: str, path: str, mode: Matching) -> Contact | None:
    # RFC 3261 §10.3 compares contacts as URIs (§19.1.4), Kamailio as text. Text was tried first; what is
    # left to find here is the phone that changes the case of a host or the order of its parameters.
    try:
        wanted = SipUri.parse(uri)
    except ParseError:
        return None
    for contact in contacts:
        if _agrees(contact, call_id, path, mode):
            try:
                if SipUri.parse(contact.uri).equals(wanted):
                    return contact
            except ParseError:
                continue
    return None


def order(contact: Contact, call_id: str, cseq: int, now: float, cseq_delay: int) -> Order:
    """Whether a REGISTER is newer than `contact`, repeats it (for `cseq_delay` seconds), or is older."""
    if contact.call_id != call_id or cseq > contact.cseq:
        return NEWER
    if cseq == contact.cseq and now < contact.modified_at + cseq_delay:
        return Order.REPEATED
    return Order.OLDER
