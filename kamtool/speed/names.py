"""The header names that have an id, with their compact forms; both twins are built from this one table.

The ids are the positions, and are private to a process: nothing stores them.
"""

from __future__ import annotations

HEADERS: tuple[tuple[str, str], ...] = (
    # What every message must have, or every proxy touches, comes first: the kernel knows these by number.
    ("Via", "v"),
    ("From", "f"),
    ("To", "t"),
    ("Call-ID", "i"),
    ("CSeq", ""),
    ("Max-Forwards", ""),
    ("Content-Length", "l"),
    ("Route", ""),
    ("Record-Route", ""),
    ("Timestamp", ""),
    ("Contact", "m"),
    ("Content-Type", "c"),
    ("Expires", ""),
    ("Authorization", ""),
    ("Proxy-Authorization", ""),
    ("WWW-Authenticate", ""),
    ("Proxy-Authenticate", ""),
    ("Require", ""),
    ("Proxy-Require", ""),
    ("Supported", "k"),
    ("Unsupported", ""),
    ("Allow", ""),
    ("Accept", ""),
    ("Accept-Encoding", ""),
    ("Accept-Language", ""),
    ("Alert-Info", ""),
    ("Allow-Events", "u"),
    ("Authentication-Info", ""),
    ("Call-Info", ""),
    ("Content-Disposition", ""),
    ("Content-Encoding", "e"),
    ("Content-Language", ""),
    ("Date", ""),
    ("Error-Info", ""),
    ("Event", "o"),
    ("In-Reply-To", ""),
    ("MIME-Version", ""),
    ("Min-Expires", ""),
    ("Min-SE", ""),
    ("Organization", ""),
    ("Path", ""),
    ("P-Asserted-Identity", ""),
    ("P-Preferred-Identity", ""),
    ("Priority", ""),
    ("Privacy", ""),
    ("RAck", ""),
    ("Reason", ""),
    ("Refer-To", "r"),
    ("Referred-By", "b"),
    ("Remote-Party-ID", ""),
    ("Replaces", ""),
    ("Reply-To", ""),
    ("Retry-After", ""),
    ("RSeq", ""),
    ("Server", ""),
    ("Service-Route", ""),
    ("Session-Expires", "x"),
    ("SIP-ETag", ""),
    ("SIP-If-Match", ""),
    ("Subject", "s"),
    ("Subscription-State", ""),
    ("User-Agent", ""),
    ("Warning", ""),
    ("Identity", "y"),
    ("Identity-Info", "n"),
    ("Accept-Contact", "a"),
    ("Reject-Contact", "j"),
    ("Request-Disposition", "d"),
    ("Diversion", ""),
    ("History-Info", ""),
)

OTHER = 0
"""The id of a header that is not in the table."""

VIA, FROM, TO, CALL_ID, CSEQ, MAX_FORWARDS, CONTENT_LENGTH, ROUTE, RECORD_ROUTE, TIMESTAMP = range(1, 11)

NAMES: tuple[str, ...] = ("", *(name for name, _ in HEADERS))
"""The usual spelling by id."""

IDS: dict[str, int] = {}
"""The id by name: as usually spelt, in lower case, and compact."""

for _id, (_name, _compact) in enumerate(HEADERS, 1):
    IDS[_name] = IDS[_name.lower()] = _id
    if _compact:
        IDS[_compact] = IDS[_compact.upper()] = _id

METHODS: tuple[str, ...] = (
    "INVITE", "ACK", "BYE", "CANCEL", "REGISTER", "OPTIONS", "PRACK", "SUBSCRIBE", "NOTIFY", "PUBLISH",
    "INFO", "REFER", "MESSAGE", "UPDATE", "KDMQ",
)  # fmt: skip
"""The methods we know of. A mismatch of CSeq is 400 for these and 501 for others (RFC 4475 §3.1.2.18)."""
