"""Header names: the usual spelling, compact forms, and which hold comma lists (RFC 3261 §7.3)."""

from __future__ import annotations

from kamtool.speed import HEADERS, IDS, NAMES

COMPACT: dict[str, str] = {name: compact for name, compact in HEADERS if compact}
"""The one-letter form by usual name."""

NOT_LISTS: frozenset[str] = frozenset({
    # §7.3.1 names these four: their values have commas of their own.
    "WWW-Authenticate", "Authorization", "Proxy-Authenticate", "Proxy-Authorization", "Authentication-Info",
    # One value, in which a comma means nothing special.
    "Call-ID", "CSeq", "Content-Length", "Content-Type", "Date", "Expires", "Max-Forwards", "Organization",
    "Server", "Subject", "Timestamp", "User-Agent", "Identity", "Retry-After", "Subscription-State",
    "Event",
})  # fmt: skip
"""Headers whose commas do not separate values."""


def canonical(name: str) -> str:
    """The usual spelling: `m` and `CONTACT` give `Contact`; unknown names come back unchanged."""
    number = IDS.get(name) or IDS.get(name.lower())
    return NAMES[number] if number else name


def same(one: str, other: str) -> bool:
    """Whether two names mean the same header."""
    return canonical(one).lower() == canonical(other).lower()
