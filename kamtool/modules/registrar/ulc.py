"""`$ulc(profile=>attribute)`: the contacts that reg_fetch_contacts() has put aside."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kamtool.module import Index, Value
from kamtool.modules.usrloc.contact import ALL_METHODS, Contact
from kamtool.modules.usrloc.rpc import aor_hash

SCRATCH = "registrar.ulc"


@dataclass(slots=True)
class Profile:
    """The contacts under one profile's name, as they were when they were fetched."""

    aor: str
    table: str
    contacts: tuple[Contact, ...]
    offset: float


OF_CONTACT: dict[str, Callable[[Contact, float], Value]] = {
    "addr": lambda contact, _: contact.uri,
    "path": lambda contact, _: contact.details.path or None,
    "received": lambda contact, _: contact.received or None,
    "expires": lambda contact, offset: int(contact.expires_at + offset) if contact.expires_at else 0,
    "callid": lambda contact, _: contact.call_id,
    "q": lambda contact, _: contact.q,
    "cseq": lambda contact, _: contact.cseq,
    "flags": lambda contact, _: contact.details.flags,
    "cflags": lambda contact, _: contact.cflags,
    "user_agent": lambda contact, _: contact.user_agent,
    "socket": lambda contact, _: contact.socket or None,
    "modified": lambda contact, offset: int(contact.modified_at + offset),
    "methods": lambda contact, _: None if contact.methods == ALL_METHODS else contact.methods,
    "ruid": lambda contact, _: contact.ruid,
    "regid": lambda contact, _: contact.details.reg_id,
    "instance": lambda contact, _: contact.details.instance or None,
    "conid": lambda contact, _: contact.connection or None,
    "server_id": lambda contact, _: contact.details.server_id,
}


def read(scratch: dict[str, Any], inner: str, index: Index) -> Value:
    """The value of `$(ulc(inner)[index])`."""
    name, _, attribute = inner.replace(" ", "").partition("=>")
    profile: Profile | None = scratch.get(SCRATCH, {}).get(name)
    if profile is None:
        return None
    match attribute:
        case "aor":
            return profile.aor
        case "domain":
            return profile.table
        case "aorhash":
            return aor_hash(profile.aor)
        case "count":
            return len(profile.contacts)
    place = index if isinstance(index, int) else 0
    attribute_of = OF_CONTACT.get(attribute)
    if attribute_of is None or not 0 <= place < len(profile.contacts):
        return None
    return attribute_of(profile.contacts[place], profile.offset)
