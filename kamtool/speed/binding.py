"""What a REGISTER says, and the record that is kept of it: RFC 3261 §10. The pure twin."""

from __future__ import annotations

import re
from typing import NamedTuple

from kamtool.errors import ParseError
from kamtool.speed import grammar
from kamtool.speed.details import ALL_METHODS, PLAIN, Details
from kamtool.speed.index import Index
from kamtool.speed.octets import decode
from kamtool.speed.scanners import split_uri

THOUSANDTHS = re.compile(rb"0(?:\.([0-9]*))?|1(?:\.0*)?")


class RegisterFields(NamedTuple):
    """A REGISTER with one ordinary Contact. `expires` and `q` (thousandths) are -1 where they are absent.

    `required` says that there is a Require.
    """

    uri: str
    expires: int
    q: int
    user_agent: str | None
    allow: str | None
    required: bool


def register_fields(index: Index) -> RegisterFields | None:
    """The fields of a REGISTER whose one Contact is a SIP URI, with expires and q and nothing unusual.

    None for every other: `*`, several contacts, an instance or methods, numbers that are none.
    """
    contacts, allows = index.find("Contact"), index.find("Allow")
    if len(contacts) != 1 or len(allows) > 1:
        return None
    row, data = index.row(contacts[0]), index.data
    found = grammar.NAME_ADDR.match(data, row.value_start, row.value_end)
    if not found or not grammar.END.match(data, found.end(), row.value_end):
        return None
    uri = decode(found[2] or found[3])
    try:
        split_uri(uri)
    except ParseError:
        return None
    expires, q = -1, -1
    seen = set()
    at, stop = found.span(4)
    while at < stop and (param := grammar.PARAM.match(data, at, stop)):
        name, value, at = param[1].lower(), param[2] or b"", param.end()
        if name in (b"+sip.instance", b"reg-id", b"methods"):
            return None
        if name in (b"expires", b"q") and name not in seen:
            seen.add(name)
            given = _few_digits(value) if name == b"expires" else _thousandths(value)
            if given < 0:
                return None
            expires, q = (given, q) if name == b"expires" else (expires, given)
    expires_places = index.find("Expires")
    if b"expires" not in seen and expires_places:
        row = index.row(expires_places[0])
        expires = _few_digits(data[row.value_start : row.value_end])
        if expires < 0:
            return None
    return RegisterFields(
        uri, expires, q, index.header("User-Agent"), index.value(allows[0]) if allows else None,
        bool(index.find("Require")),
    )  # fmt: skip


def _few_digits(value: bytes) -> int:
    return int(value) if value.isdigit() and len(value) < 10 else -1


def _thousandths(value: bytes) -> int:
    found = THOUSANDTHS.fullmatch(value)
    if not found:
        return -1
    return 1000 if value[:1] == b"1" else int(((found[1] or b"") + b"000")[:3])


def aor_of(uri: str, use_domain: bool, case_sensitive: bool) -> str | None:
    """`alice`, or with `use_domain` `alice@example.com`, for an ordinary SIP URI, else None."""
    if not uri.isascii():
        return None
    try:
        _, user, _, host, *_ = split_uri(uri)
    except ParseError:
        return None
    if not user or "%" in user:
        return None
    if not case_sensitive:
        user = user.lower()
    return f"{user}@{host.lower()}" if use_domain else user


def address_part(index: Index, of_to: bool, host: bool) -> str | None:
    """The host or the user, as written, of From's SIP URI, or of To's; None where a closer look is due."""
    try:
        _, user, _, found, *_ = split_uri(index.to_address if of_to else index.from_address)
    except ParseError:
        return None
    return found if host else user or None


class Contact:
    """A binding. `expires_at` and `modified_at` are seconds on the loop's clock; `expires_at` 0 never ends.

    `q` is in thousandths, -1 when the phone gave none. `cflags` are the branch flags of its REGISTER.
    `connection` is the number of the TCP connection it came over, 0 for none.
    `bucket` belongs to the table: when its expiry is looked at next.
    """

    __slots__ = (
        "aor", "bucket", "call_id", "cflags", "connection", "cseq", "details", "expires_at", "methods",
        "modified_at", "q", "received", "ruid", "socket", "uri", "user_agent",
    )  # fmt: skip

    def __init__(
        self, aor: str, uri: str, ruid: str, expires_at: float = 0.0, modified_at: float = 0.0, q: int = -1,
        call_id: str = "", cseq: int = 0, received: str = "", user_agent: str = "", socket: str = "",
        connection: int = 0, methods: int = ALL_METHODS, cflags: int = 0, details: Details = PLAIN,
    ) -> None:  # fmt: skip
        self.aor, self.ruid, self.bucket = aor, ruid, 0
        self.refresh(
            uri, expires_at, modified_at, q, call_id, cseq, received, user_agent, socket, connection, methods,
            cflags, details,
        )  # fmt: skip

    def refresh(
        self, uri: str, expires_at: float, modified_at: float, q: int, call_id: str, cseq: int, received: str,
        user_agent: str, socket: str, connection: int, methods: int, cflags: int, details: Details,
    ) -> None:  # fmt: skip
        """The same binding by a later REGISTER."""
        self.uri, self.expires_at, self.modified_at, self.q = uri, float(expires_at), float(modified_at), q
        self.call_id, self.cseq, self.received, self.user_agent = call_id, cseq, received, user_agent
        self.socket, self.connection, self.methods, self.cflags = socket, connection, methods, cflags
        self.details = details

    def is_valid(self, now: float) -> bool:
        """Whether the binding still holds."""
        return self.expires_at > now or self.expires_at == 0

    def remaining(self, now: float) -> int:
        """Whole seconds left, rounded up: what a 200 lists. 0 once expired, and for a permanent contact."""
        # A microsecond less, for `now + 3600.0 - now` may be a little more than 3600.
        left = self.expires_at - now - 1e-6
        return int(left) + 1 if left > 0 else 0

    def plain_entry(self, now: float) -> str | None:
        """The contact as a 200 lists it when there is nothing to it but its expiry, else None."""
        if self.q >= 0 or self.received or self.details is not PLAIN:
            return None
        return f"<{self.uri}>;expires={self.remaining(now)}"

    def __repr__(self) -> str:
        return f"Contact({self.aor!r}, {self.uri!r}, {self.ruid!r})"


Destination = tuple[str, str, int, int, str, str, str, int]
"""What lookup() takes of a plain contact: URI, received, q, cflags, socket, ruid, User-Agent, connection."""


def destinations(contacts: tuple[Contact, ...], now: float) -> list[Destination] | None:
    """The contacts that have not expired; None when one of them has more to it (`Details`)."""
    if any(contact.details is not PLAIN for contact in contacts):
        return None
    return [
        (
            contact.uri, contact.received, contact.q, contact.cflags, contact.socket, contact.ruid,
            contact.user_agent, contact.connection,
        )
        for contact in contacts
        if contact.is_valid(now)
    ]  # fmt: skip
