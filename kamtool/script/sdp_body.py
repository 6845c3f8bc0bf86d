"""The SDP that a message carries, alone or as a part of a multipart body, and where its lines stand.

Offsets are those of `msg.data`, so that a change is a splice. Edits that are queued are not looked at.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kamtool.script import edits
from kamtool.script.values import from_octets, to_octets

if TYPE_CHECKING:
    from kamtool.script.context import Context
    from kamtool.sip.message import Message

_LINE = re.compile(rb"[^\r\n]*(\r\n|\n|\r|\Z)")
_BOUNDARY = re.compile(r';\s*boundary\s*=\s*(?:"([^"]+)"|([^\s;"]+))', re.IGNORECASE)
_CONTENT_TYPE = re.compile(rb"(?:\A|\n)(?:content-type|c)[ \t]*:[ \t]*([^;\s]+)", re.IGNORECASE)
_CONNECTION = re.compile(r"c=\s*IN\s+(IP[46])\s+([^\s/]+)", re.IGNORECASE)
_ORIGIN = re.compile(r"o=(?:\S+\s+){3}IN\s+(IP[46])\s+(\S+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Line:
    """One line: `data[start:end]` without its line end, which goes on to `stop`."""

    text: str
    start: int
    end: int
    stop: int

    @property
    def kind(self) -> str:
        """The letter before `=`, "" when there is none."""
        return self.text[0] if self.text[1:2] == "=" else ""


@dataclass(frozen=True, slots=True)
class Host:
    """The address in a `c=` or `o=` line: its family, IP4 or IP6, and both their places."""

    family: str
    address: str
    family_start: int
    family_end: int
    start: int
    end: int


@dataclass(slots=True)
class Section:
    """The lines of the session (`media` is None), or of one stream from its `m=` line on."""

    media: Line | None
    lines: list[Line] = field(default_factory=list)

    @property
    def words(self) -> list[str]:
        """The words of the m= line: media, port, transport, formats."""
        return self.media.text[2:].split() if self.media is not None else []

    @property
    def connection(self) -> Host | None:
        """The address of its own c= line."""
        return next((host for line in self.lines if (host := host_of(line)) and line.kind == "c"), None)


@dataclass(slots=True)
class Body:
    """An SDP: `data[start:end]`, its session section and its streams."""

    start: int
    end: int
    session: Section
    streams: list[Section]

    @property
    def sections(self) -> list[Section]:
        return [self.session, *self.streams]

    def lines(self) -> Iterator[Line]:
        for section in self.sections:
            yield from section.lines


def host_of(line: Line) -> Host | None:
    """The address in a c= or o= line."""
    found = (_CONNECTION if line.kind == "c" else _ORIGIN).match(line.text)
    if found is None:
        return None
    # Offsets count octets; what stands before an address may be anything.
    before = [len(to_octets(line.text[: found.start(group)])) for group in (1, 2)]
    family, address = line.start + before[0], line.start + before[1]
    return Host(found[1].upper(), found[2], family, family + 3, address, address + len(to_octets(found[2])))


def span(msg: Message) -> tuple[int, int] | None:
    """Where the SDP stands in the message; None when it has none. No Content-Type means SDP."""
    start, end = msg.body_start, len(msg.data)
    if start >= end:
        return None
    written = msg.header("Content-Type")
    kind = (written or "application/sdp").partition(";")[0].strip().lower()
    if kind == "application/sdp":
        return start, end
    return _part(msg, written or "") if kind.startswith("multipart/") else None


def _part(msg: Message, content_type: str) -> tuple[int, int] | None:
    boundary = _BOUNDARY.search(content_type)
    if boundary is None:
        return None
    mark = re.escape(to_octets(boundary[1] or boundary[2]))
    delimiter = re.compile(rb"\r?\n--" + mark + rb"(--)?[ \t]*(?:\r?\n|\Z)")
    # The line end before a delimiter belongs to it (RFC 2046 §5.1.1).
    opened = -1
    for found in delimiter.finditer(msg.data, msg.body_start - 2):
        if opened >= 0:
            head, blank, content = msg.data[opened : found.start()].partition(b"\r\n\r\n")
            named = _CONTENT_TYPE.search(head)
            if blank and named and named[1].lower() == b"application/sdp":
                at = found.start() - len(content)
                return at, found.start()
        opened = -1 if found[1] else found.end()
    return None


def read(msg: Message) -> Body | None:
    """The SDP of a message taken into lines; None when it has none."""
    place = span(msg)
    if place is None:
        return None
    at, end = place
    body = Body(at, end, Section(None), [])
    section = body.session
    while at < end:
        found = _LINE.match(msg.data, at, end)
        if found is None or found.end() == at:
            break
        line = Line(from_octets(msg.data[at : found.start(1)]), at, found.start(1), found.end())
        at = found.end()
        if line.kind == "m":
            section = Section(line)
            body.streams.append(section)
        section.lines.append(line)
    return body


def replace(ctx: Context, start: int, end: int, text: bytes) -> None:
    """Queue another text for a span of the body, in place of whatever is queued within it."""
    ctx.edits = [edit for edit in ctx.edits if not (start <= edit[0] and edit[1] <= end)]
    edits.put(ctx, start, end, text)


def insert(ctx: Context, at: int, text: str) -> None:
    """Queue lines at a place of the body; one that follows a line without a line end begins with one."""
    data = ctx.msg.data
    if at > ctx.msg.body_start and data[at - 1 : at] not in (b"\n", b"\r"):
        text = f"\r\n{text}"
    edits.insert(ctx, at, text)


def set_host(ctx: Context, host: Host, address: str) -> bool:
    """Queue another address for a c= or o= line, its family included; false when it is that already."""
    if host.address == address:
        return False
    family = "IP6" if ":" in address else "IP4"
    if family != host.family:
        edits.put(ctx, host.family_start, host.family_end, family.encode())
    edits.put(ctx, host.start, host.end, to_octets(address))
    return True
