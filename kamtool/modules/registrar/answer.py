"""The 200 to a REGISTER: the list of all contacts (RFC 3261 §10.3 step 8), GRUUs, Path and outbound."""

from __future__ import annotations

from collections.abc import Sequence

from kamtool.modules.usrloc.contact import PLAIN, Contact, format_q
from kamtool.modules.usrloc.rpc import aor_hash
from kamtool.sip.nameaddr import quote


def contact_header(
    contacts: Sequence[Contact], now: float, received_param: str, gruu: tuple[str, str] | None
) -> str:
    """The one Contact header that lists all valid contacts, "" when there is none.

    `gruu` is the user and host of the address-of-record where the phone asked for GRUUs.
    """
    if len(contacts) == 1 and contacts[0].expires_at > now:
        return f"Contact: {_entry(contacts[0], now, received_param, gruu)}"
    listed = [
        _entry(contact, now, received_param, gruu)
        for contact in contacts
        if contact.expires_at > now or contact.expires_at == 0
    ]
    return f"Contact: {', '.join(listed)}" if listed else ""


def _entry(contact: Contact, now: float, received_param: str, gruu: tuple[str, str] | None) -> str:
    if contact.q < 0 and contact.details is PLAIN and not contact.received:
        return f"<{contact.uri}>;expires={contact.remaining(now)}"
    q = f";q={format_q(contact.q)}" if contact.q >= 0 else ""
    entry = f"<{contact.uri}>{q};expires={contact.remaining(now)}"
    if contact.received and received_param:
        entry += f";{received_param}={quote(contact.received)}"
    details = contact.details
    if details.instance:
        if gruu is not None:
            entry += gruu_params(contact, *gruu)
        entry += f";+sip.instance={quote(details.instance)}"
        if details.reg_id:
            entry += f";reg-id={details.reg_id}"
    return entry


def gruu_params(contact: Contact, user: str, host: str) -> str:
    """`;pub-gruu="…";temp-gruu="…"` (RFC 5627 §5.2)."""
    instance = contact.details.instance.strip("<>")
    public = f"sip:{user}@{host};gr={instance}"
    return f";pub-gruu={quote(public)};temp-gruu={quote(f'sip:{temp_gruu(contact)}@{host};gr')}"


def temp_gruu(contact: Contact) -> str:
    """The user part of a contact's temporary GRUU: it names the contact and hides its owner."""
    return f"{contact.ruid}-{aor_hash(contact.aor):x}"
