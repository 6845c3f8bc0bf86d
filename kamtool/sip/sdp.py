"""SDP (RFC 8866), enough to read: the session, its streams, their codecs, and whether a call is on hold.

Lines that are not understood are kept where they stood in `attributes` or passed over; what is asked for is
in plain fields. Writing is done by splicing the body, for which every stream and connection line has its
offsets.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from kamtool.errors import ParseError

DIRECTIONS = ("sendrecv", "sendonly", "recvonly", "inactive")

STATIC_CODECS: dict[int, tuple[str, int]] = {
    # RFC 3551 §6: payload types that need no rtpmap.
    0: ("PCMU", 8000), 3: ("GSM", 8000), 4: ("G723", 8000), 5: ("DVI4", 8000), 6: ("DVI4", 16000), 7:
    ("LPC", 8000), 8: ("PCMA", 8000), 9: ("G722", 8000), 10: ("L16", 44100), 11: ("L16", 44100), 12:
    ("QCELP", 8000), 13: ("CN", 8000), 14: ("MPA", 90000), 15: ("G728", 8000), 16: ("DVI4", 11025), 17:
    ("DVI4", 22050), 18: ("G729", 8000), 25: ("CelB", 90000), 26: ("JPEG", 90000), 28: ("nv", 90000), 31:
    ("H261", 90000), 32: ("MPV", 90000), 33: ("MP2T", 90000), 34: ("H263", 90000),
}  # fmt: skip

_UNSPECIFIED = ("0.0.0.0", "::")


@dataclass(frozen=True, slots=True)
class Connection:
    """A `c=` line: the address, its family ("IP4" or "IP6"), and where the address stands in the body."""

    family: str
    address: str
    start: int = -1
    end: int = -1


@dataclass(frozen=True, slots=True)
class Codec:
    """One payload type of a stream: encoding name as written, clock rate in Hz, channels."""

    payload_type: int
    name: str
    rate: int
    channels: int = 1
    fmtp: str = ""


@dataclass(slots=True)
class Stream:
    """One `m=` section. `formats` are as written; `connection` is its own or the session's.

    `port_start:port_end` is where the port stands, `start:end` the whole section.
    """

    media: str
    port: int
    ports: int
    protocol: str
    formats: tuple[str, ...]
    start: int
    end: int = -1
    port_start: int = -1
    port_end: int = -1
    connection: Connection | None = None
    attributes: list[tuple[str, str | None]] = field(default_factory=list)
    direction: str = ""

    @property
    def rejected(self) -> bool:
        """A port of 0 refuses the stream, or takes it away (RFC 3264 §6)."""
        return self.port == 0

    @property
    def codecs(self) -> list[Codec]:
        """The formats as codecs, most wanted first; those of no known payload type have an empty name."""
        maps = dict(self._by_payload("rtpmap"))
        settings = dict(self._by_payload("fmtp"))
        return [_codec(text, maps, settings) for text in self.formats if _is_number(text, 255)]

    def _by_payload(self, name: str) -> Iterator[tuple[str, str]]:
        for attribute, value in self.attributes:
            if attribute == name and value:
                kind, _, rest = value.strip().partition(" ")
                yield kind, rest.strip()

    @property
    def rtcp_port(self) -> int:
        """The port of `a=rtcp`, else the one above the stream's (RFC 3605)."""
        for attribute, value in self.attributes:
            if attribute == "rtcp" and value:
                text = value.split()[0] if value.split() else ""
                if _is_number(text, 65535):
                    return int(text)
        return self.port + 1 if self.port else 0

    @property
    def on_hold(self) -> bool:
        """Whether the sender wants no media: the directions of RFC 3264 §8.4, or its old null address."""
        if self.rejected:
            return False
        if self.connection is not None and self.connection.address in _UNSPECIFIED:
            return True
        return self.direction in ("sendonly", "inactive")


@dataclass(slots=True)
class Session:
    """A session description. `connection` and `attributes` are the session's own, before its streams."""

    origin: str = ""
    name: str = ""
    connection: Connection | None = None
    attributes: list[tuple[str, str | None]] = field(default_factory=list)
    streams: list[Stream] = field(default_factory=list)
    direction: str = ""

    @property
    def on_hold(self) -> bool:
        """Whether there are streams and every one that is not refused is on hold."""
        active = [stream for stream in self.streams if not stream.rejected]
        return bool(active) and all(stream.on_hold for stream in active)

    def stream(self, media: str) -> Stream | None:
        """The first stream of this media ("audio"), None when there is none."""
        return next((stream for stream in self.streams if stream.media == media), None)


def parse_sdp(body: bytes) -> Session:
    """The session that a body describes. Line ends may be CRLF, LF or CR (RFC 8866 §9).

    Raises ParseError with the offset for what cannot be a description: no `v=0`, a line that is not `x=…`,
    a bad `m=`.
    """
    session = Session()
    target: Session | Stream = session
    seen_version = False
    for start, end in _lines(body):
        line = body[start:end].decode("utf-8", "surrogateescape")
        if len(line) < 2 or line[1] != "=" or not line[0].isascii() or not line[0].isalpha():
            raise ParseError(f"malformed SDP line {line!r}", offset=start)
        if not seen_version:
            if line.rstrip() != "v=0":
                raise ParseError("an SDP body that does not begin with v=0", offset=start)
            seen_version = True
            continue
        if line[0] == "m":
            target = _stream(line, start)
            _close(session, start)
            session.streams.append(target)
        else:
            _apply(target, session, line, start)
    if not seen_version:
        raise ParseError("an empty SDP body")
    _close(session, len(body))
    for stream in session.streams:
        stream.connection = stream.connection or session.connection
        stream.direction = stream.direction or session.direction or "sendrecv"
    return session


def _lines(body: bytes) -> Iterator[tuple[int, int]]:
    """The spans of the lines that are not empty."""
    at = 0
    for line in body.splitlines(keepends=True):
        end = at + len(line.rstrip(b"\r\n"))
        if end > at:
            yield at, end
        at += len(line)


def _close(session: Session, end: int) -> None:
    if session.streams:
        session.streams[-1].end = end


def _apply(target: Session | Stream, session: Session, line: str, start: int) -> None:
    kind, value = line[0], line[2:]
    if kind == "c":
        target.connection = _connection(value, start + 2)
    elif kind == "a":
        name, colon, rest = value.partition(":")
        name = name.strip()
        target.attributes.append((name, rest if colon else None))
        if name in DIRECTIONS and not colon:
            target.direction = name
    elif kind == "o":
        session.origin = value
    elif kind == "s":
        session.name = value


def _connection(value: str, start: int) -> Connection:
    words = value.split()
    if len(words) != 3 or words[0] != "IN" or words[1] not in ("IP4", "IP6"):
        raise ParseError(f"malformed SDP connection {value!r}", offset=start)
    address = words[2].partition("/")[0]
    # The octets before the address are ASCII, or the words above would not have been what they are.
    at = start + value.index(words[2], value.index(words[1]) + 3)
    return Connection(words[1], address, at, at + len(address.encode("utf-8", "surrogateescape")))


def _stream(line: str, start: int) -> Stream:
    words = line[2:].split()
    port, slash, count = words[1].partition("/") if len(words) > 1 else ("", "", "")
    if len(words) < 4 or not _is_number(port, 65535) or (slash and not _is_number(count, 65535)):
        raise ParseError(f"malformed SDP media line {line!r}", offset=start)
    ports = int(count) if slash else 1
    at = len(
        line[: line.index(words[1], line.index(words[0]) + len(words[0]))].encode("utf-8", "surrogateescape")
    )
    port_start = start + at
    return Stream(
        words[0], int(port), ports, words[2], tuple(words[3:]), start,
        port_start=port_start, port_end=port_start + len(port),
    )  # fmt: skip


def _codec(text: str, maps: dict[str, str], settings: dict[str, str]) -> Codec:
    kind = int(text)
    name, rate, channels = *STATIC_CODECS.get(kind, ("", 0)), 1
    if mapped := maps.get(text):
        parts = mapped.split("/")
        name = parts[0]
        rate = int(parts[1]) if len(parts) > 1 and _is_number(parts[1], 2**31) else 0
        channels = int(parts[2]) if len(parts) > 2 and _is_number(parts[2], 255) else 1
    return Codec(kind, name, rate, channels, settings.get(text, ""))


def _is_number(text: str, largest: int) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 10 and int(text) <= largest
