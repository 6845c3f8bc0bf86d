"""Whether the phone that sends a REGISTER takes MESSAGEs, and stays (RFC 3261 §20.5, RFC 3840 §9)."""

from __future__ import annotations

from kamtool.sip.message import Request, parse_expires


def takes_messages(register: Request) -> bool:
    """True unless Allow or the contacts' `methods` leave MESSAGE out, or all contacts are removed.

    Raises ParseError.
    """
    contacts = register.contacts
    if not isinstance(contacts, list) or not contacts:
        return False
    allowed = register.headers("Allow")
    if allowed and not _lists(",".join(allowed)):
        return False
    usual = register.expires
    for contact in contacts:
        own = contact.params.get("expires")
        expires = parse_expires(own) if own else usual
        methods = contact.params.get("methods")
        if expires != 0 and (methods is None or _lists(methods)):
            return True
    return False


def _lists(methods: str) -> bool:
    return any(name.strip().upper() == "MESSAGE" for name in methods.strip('"').split(","))
