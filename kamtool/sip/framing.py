"""A byte stream cut into SIP messages (RFC 3261 §18.3), and the keep-alives between them (RFC 5626 §4.4.1).

Pure and incremental: bytes in, events out. Pieces of any size cost time linear in the octets, because the
search for the empty line resumes where it stopped.
"""

from __future__ import annotations

from dataclasses import dataclass

from kamtool.errors import ParseError
from kamtool.speed import body_length, end_of_head, is_one_message
from kamtool.speed.cutting import MISSING, TOO_LONG

MAX_HEAD = 65_536
MAX_BODY = 16 * 1024 * 1024

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

    __slots__ = ("_body_end", "_held", "_scanned", "broken", "length_optional", "max_body", "max_head")

    def __init__(
        self, *, max_head: int = MAX_HEAD, max_body: int = MAX_BODY, length_optional: bool = False
    ) -> None:
        self.max_head, self.max_body, self.length_optional = max_head, max_body, length_optional
        self.broken = False
        self._held: bytearray | None = None
        """What is not a whole message yet. Mostly one arrives whole, and nothing is held or copied."""
        self._scanned = 0
        self._body_end = 0

    @property
    def pending(self) -> int:
        """How many octets of an unfinished message are held."""
        return 0 if self._held is None else len(self._held)

    def feed(self, data: bytes) -> list[Event]:
        """The messages, pings and errors that `data` completes, in order."""
        events: list[Event] = []
        if self.broken:
            return events
        held = self._held
        if held is None:
            if is_one_message(data, self.max_head, self.max_body):
                events.append(data)
                return events
            start = self._cut(data, events)
            if start < len(data) and not self.broken:
                self._held = bytearray(data[start:])
            return events
        held += data
        start = self._cut(held, events)
        if self.broken or start == len(held):
            self._held = None
        elif start:
            del held[:start]
        return events

    def _cut(self, octets: bytes | bytearray, events: list[Event]) -> int:
        """The events that `octets` hold, and where what is left of them begins."""
        at = 0
        while True:
            if not self._body_end and not self._scanned:
                at = self._skip_line_ends(octets, at, events)
            end = self._message_end(octets, at, events)
            if end < 0:
                return at
            # Of all of a `bytes` this is no copy.
            whole = octets[at:end] if isinstance(octets, bytes) else memoryview(octets)[at:end]
            events.append(bytes(whole))
            at, self._scanned, self._body_end = end, 0, 0

    def _skip_line_ends(self, octets: bytes | bytearray, at: int, events: list[Event]) -> int:
        """Step over CRLFs between messages. A lone CRLF may be half a ping: it waits for what follows."""
        size = len(octets)
        while at < size and octets[at] in _LINE_ENDS:
            rest = bytes(octets[at : at + 4])
            if rest == b"\r\n\r\n":
                events.append(Ping())
                at += 4
            elif rest in (b"\r", b"\r\n", b"\r\n\r"):
                break
            else:
                at += 1
        return at

    def _message_end(self, octets: bytes | bytearray, at: int, events: list[Event]) -> int:
        """Where the message at `at` ends, -1 while it is incomplete. Kept offsets are relative to it."""
        size = len(octets) - at
        if not self._body_end:
            if not size or octets[at] in _LINE_ENDS:
                return -1
            head_end = end_of_head(octets, at + self._scanned)
            if (size if head_end < 0 else head_end - at) > self.max_head:
                return self._break(octets, at, events, ParseError("the headers are too long", status=513))
            if head_end < 0:
                # Two octets may already belong to the empty line.
                self._scanned = max(size - 2, 0)
                return -1
            length = body_length(octets, at, head_end)
            if length == MISSING and self.length_optional:
                length = 0
            if not 0 <= length <= self.max_body:
                return self._break(octets, at, events, _wrong(length))
            self._body_end = head_end - at + length
        return at + self._body_end if size >= self._body_end else -1

    def _break(self, octets: bytes | bytearray, at: int, events: list[Event], error: ParseError) -> int:
        self.broken = True
        events.append(Broken(error, bytes(octets[at:])))
        return -1


def _wrong(length: int) -> ParseError:
    """What to say of a Content-Length that is none, or too much."""
    if length == MISSING:
        return ParseError("missing", header="Content-Length")
    if length == TOO_LONG or length >= 0:
        return ParseError("the body is too long", header="Content-Length", status=513)
    return ParseError("malformed", header="Content-Length")
