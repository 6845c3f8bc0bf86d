"""One SIP message that was seen on its way: when, from where, to where, and what the script did with it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from kamtool.errors import ParseError
from kamtool.sip.flow import Address
from kamtool.sip.message import Message, Request, parse

_CALL_ID = re.compile(rb"^(?:call-id|i)[ \t]*:[ \t]*([^\r\n]*)", re.IGNORECASE | re.MULTILINE)
_CSEQ = re.compile(rb"^cseq[ \t]*:[ \t]*(\d+)[ \t]+([^\s]+)", re.IGNORECASE | re.MULTILINE)
_USER = re.compile(r"sips?:(?:([^@;>]*)@)?([^;>?\s]*)", re.IGNORECASE)
LARGEST_PATH = 500


@dataclass(frozen=True, slots=True)
class Place:
    """A statement of the cfg."""

    file: str
    line: int
    name: str
    route: str

    def __str__(self) -> str:
        file = self.file.rpartition("/")[2]
        return f"{file}:{self.line} {self.name}"


@dataclass(slots=True)
class Captured:
    """A message. `inbound` says how kamtool saw it, None when the capture does not tell."""

    at: float
    transport: str
    source: Address
    target: Address
    data: bytes
    inbound: bool | None = None
    connection: int = 0
    comment: str = ""
    correlation: str = ""
    sent_by: Place | None = None
    """The statement that was running when it went out."""
    route: str = ""
    """The block that was run for it; below: the statements that ran, the response made, what went wrong."""
    path: list[Place] = field(default_factory=list)
    replied: int = 0
    error: str = ""
    _message: Message | ParseError | None = None
    _key: tuple[str, int, str] | None = None

    @property
    def message(self) -> Message | None:
        """The message taken apart, None when it is malformed."""
        if self._message is None:
            try:
                self._message = parse(self.data)
            except ParseError as error:
                self._message = error
        return None if isinstance(self._message, ParseError) else self._message

    @property
    def malformed(self) -> str:
        """Why it cannot be taken apart, or nothing."""
        return "" if self.message is not None else str(self._message)

    @property
    def key(self) -> tuple[str, int, str]:
        """Call-ID, CSeq number and method, as far as they can be found."""
        if self._key is None:
            head = self.data.partition(b"\r\n\r\n")[0]
            found, cseq = _CALL_ID.search(head), _CSEQ.search(head)
            number, method = (int(cseq[1][:10]), cseq[2].decode("latin-1")) if cseq else (0, "")
            self._key = (found[1].strip().decode("utf-8", "surrogateescape") if found else "", number, method)
        return self._key

    @property
    def call_id(self) -> str:
        return self.key[0]

    @property
    def first_line(self) -> str:
        return self.data.lstrip(b"\r\n").partition(b"\n")[0].rstrip(b"\r").decode("utf-8", "replace")

    @property
    def is_request(self) -> bool:
        return not self.first_line.upper().startswith("SIP/")

    @property
    def status(self) -> int:
        """The code of a response, 0 for a request."""
        words = self.first_line.split(" ", 2)
        return int(words[1]) if not self.is_request and len(words) > 1 and words[1].isdecimal() else 0

    @property
    def method(self) -> str:
        """The method, of a response that of its CSeq."""
        return self.first_line.partition(" ")[0] if self.is_request else self.key[2]

    @property
    def uri(self) -> str:
        """The Request-URI, "" for a response."""
        words = self.first_line.split(" ")
        return words[1] if self.is_request and len(words) > 1 else ""

    @property
    def label(self) -> str:
        """`INVITE`, `180 Ringing`."""
        if self.is_request:
            return self.method
        return self.first_line.partition(" ")[2]

    def header(self, name: str) -> str:
        """A header's first value, "" without one; also of a malformed message."""
        message = self.message
        if message is not None:
            return message.header(name) or ""
        found = re.search(
            rb"^" + re.escape(name.encode()) + rb"[ \t]*:[ \t]*([^\r\n]*)",
            self.data,
            re.IGNORECASE | re.MULTILINE,
        )
        return found[1].decode("utf-8", "replace") if found else ""

    @property
    def from_user(self) -> str:
        """`alice@example.com`, or what there is of it."""
        return address_of(self.header("From"))

    @property
    def to_user(self) -> str:
        return address_of(self.header("To"))

    @property
    def body(self) -> bytes:
        return self.data.partition(b"\r\n\r\n")[2]

    @property
    def has_sdp(self) -> bool:
        return b"\r\nv=0" in self.data or self.body.startswith(b"v=0")

    @property
    def is_first(self) -> bool:
        """Whether it is a request outside a dialog."""
        return isinstance(self.message, Request) and self.message.is_initial


def address_of(header: str) -> str:
    """`alice@example.com` of a From or To, or what there is of it."""
    found = _USER.search(header)
    if not found:
        return header.partition(";")[0].strip(" <>")
    return f"{found[1]}@{found[2]}" if found[1] else found[2]
