"""A byte stream cut into SIP messages (RFC 3261 §18.3), and the keep-alives between them (RFC 5626 §4.4.1).

Pure and incremental: bytes in, events out. Pieces of any size cost time linear in the octets, because the
search for the empty line resumes where it stopped.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from kamtool.errors import ParseError

MAX_HEAD = 65_536
MAX_BODY = 16 * 1024 * 1024

_EMPTY_LINE = re.compile(rb"\n\r?\n")
_CONTENT_LENGTH = re.compile(rb"\n(?:content-length|l)[ \t]*:(?:[ \t]|\r?\n[ \t])*([^\r\n]*)", re.IGNORECASE)
_LINE_ENDS = b"\r\n"


class Ping:
    """A double CRLF between messages: answer with PONG."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ping)

    def __hash__(self) -> int:
        return hash(Ping)

    def __repr__(self) -> str:
        return "Ping()"


PONG = b"\r\n"
"""What answers a Ping, and what a peer sends to answer ours; a single CRLF is otherwise skipped."""


@dataclass(frozen=True, slots=True)
class Broken:
    """The stream cannot be cut any further: answer if `head` allows it, then close the connection.

    `head` is the message as far as it came, for `kamtool.sip.message.salvage`.
    """

    error: ParseError
    head: bytes


Event = bytes | Ping | Broken


class Framer:
    """One direction of one connection. Give what arrives to `feed`; after a Broken it takes nothing more.

    A message without Content-Length is an error, unless `length_optional`: then it ends with its headers,
    as some old peers mean it (Kamailio's `tcp_accept_no_cl`).
    """

    __slots__ = ("_body_end", "_buffer", "_scanned", "broken", "length_optional", "max_body", "max_head")

    def __init__(
        self, *, max_head: int = MAX_HEAD, max_body: int = MAX_BODY, length_optional: bool = False
    ) -> None:
        self.max_head, self.max_body, self.length_optional = max_head, max_body, length_optional
        self.broken = False
        self._buffer = bytearray()
        self._scanned = 0
        self._body_end = 0

    @property
    def pending(self) -> int:
        """How many octets of an unfinished message are held."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[Event]:
        """The messages, pings and errors that `data` completes, in order."""
        events: list[Event] = []
        if self.broken:
            return events
        self._buffer += data
        start = 0
        while True:
            at = self._skip_line_ends(start, events) if not self._body_end and not self._scanned else start
            end = self._message_end(at, events)
            if end < 0:
                start = at
                break
            events.append(bytes(memoryview(self._buffer)[at:end]))
            start, self._scanned, self._body_end = end, 0, 0
        if start:
            del self._buffer[:start]
        if self.broken:
            self._buffer.clear()
        return events

    def _skip_line_ends(self, at: int, events: list[Event]) -> int:
        """Step over CRLFs between messages. A lone CRLF may be half a ping: it waits for what follows."""
        buffer = self._buffer
        while at < len(buffer) and buffer[at] in _LINE_ENDS:
            rest = bytes(buffer[at : at + 4])
            if rest == b"\r\n\r\n":
                events.append(Ping())
                at += 4
            elif rest in (b"\r", b"\r\n", b"\r\n\r"):
                break
            else:
                at += 1
        return at

    def _message_end(self, at: int, events: list[Event]) -> int:
        """Where the message at `at` ends, -1 while it is incomplete. Kept offsets are relative to it."""
        buffer, size = self._buffer, len(self._buffer) - at
        if not self._body_end:
            if not size or buffer[at] in _LINE_ENDS:
                return -1
            found = _EMPTY_LINE.search(buffer, at + self._scanned)
            if not found:
                # Two octets may already belong to the empty line.
                self._scanned = max(size - 2, 0)
                if size > self.max_head:
                    self._break(events, at, ParseError("the headers are too long", status=513))
                return -1
            head_end = found.end()
            if head_end - at > self.max_head:
                self._break(events, at, ParseError("the headers are too long", status=513))
                return -1
            try:
                length = self._content_length(at, head_end)
            except ParseError as error:
                self._break(events, at, error)
                return -1
            self._body_end = head_end - at + length
        return at + self._body_end if size >= self._body_end else -1

    def _content_length(self, at: int, head_end: int) -> int:
        found = _CONTENT_LENGTH.findall(self._buffer, at, head_end)
        if not found:
            if self.length_optional:
                return 0
            raise ParseError("missing", header="Content-Length")
        values = {bytes(value).strip(b" \t") for value in found}
        value = values.pop()
        if values or not value.isdigit():
            raise ParseError("malformed", header="Content-Length")
        digits = value.lstrip(b"0") or b"0"
        if len(digits) > 10 or int(digits) > self.max_body:
            raise ParseError("the body is too long", header="Content-Length", status=513)
        return int(digits)

    def _break(self, events: list[Event], at: int, error: ParseError) -> None:
        self.broken = True
        events.append(Broken(error, bytes(self._buffer[at:])))
