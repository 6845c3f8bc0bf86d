"""Where the values of a message's header fields stand, in octets."""

from __future__ import annotations

import re

from kamtool.sip.message import Message

Edit = tuple[int, int, bytes]
Span = tuple[int, int]

_ITEM = re.compile(rb'(?:[^,"<]++|"(?:[^"\\]|\\.)*+"|<[^>]*+>)++', re.DOTALL)
_BRACKETED = re.compile(rb'(?:[^"<]++|"(?:[^"\\]|\\.)*+")*+<([^>]*+)>', re.DOTALL)
_BARE = re.compile(rb"\s*+([^;\s]++)")
_BRANCH = re.compile(rb";\s*+branch\s*+=\s*+([^;,\s]++)", re.IGNORECASE)
_SENT_BY = re.compile(
    rb"\s*+SIP\s*+/\s*+2\.0\s*+/\s*+[^\s/]++\s++(?:\[[0-9A-Fa-f:.]++\]|[^\s;,:]++)(?:\s*+:\s*+\d++)?"
)


def values(msg: Message, name: str) -> list[Span]:
    """The span of each header field's value of this name."""
    found: list[Span] = []
    for place in msg.find(name):
        row = msg.row(place)
        found.append((row[3], row[4]))
    return found


def items(msg: Message, name: str) -> list[Span]:
    """The span of each item of the comma lists of this name, blanks around it left out."""
    data = msg.data
    spans: list[Span] = []
    for place in msg.find(name):
        row = msg.row(place)
        start, end = row[3], row[4]
        if _is_one(data, start, end):
            spans.append((start, end))
        elif start < end:
            _split(data, start, end, spans)
    return spans


def _is_one(data: bytes, start: int, end: int) -> bool:
    """Whether the value is one item at a glance: no list, no quotes, no bracket that does not close."""
    if start == end or data.find(b",", start, end) >= 0 or data.find(b'"', start, end) >= 0:
        return False
    opened = data.find(b"<", start, end)
    return opened < 0 or (data.find(b">", opened, end) >= 0 and data.count(b"<", start, end) == 1)


def _split(data: bytes, start: int, end: int, spans: list[Span]) -> None:
    for found in _ITEM.finditer(data, start, end):
        text = found[0]
        inner = text.strip()
        if inner:
            first = found.start() + len(text) - len(text.lstrip())
            spans.append((first, first + len(inner)))


def parts(value: bytes) -> list[bytes]:
    """The items of one comma list, blanks around them left out."""
    return [inner for found in _ITEM.finditer(value) if (inner := found[0].strip())]


def uri_of(data: bytes, start: int, end: int) -> tuple[int, int, bool] | None:
    """The span of the URI in a name-addr or addr-spec, and whether it stands in angle brackets."""
    opened = data.find(b"<", start, end)
    if opened >= 0 and data.find(b'"', start, opened) < 0:
        closed = data.find(b">", opened, end)
        return (opened + 1, closed, True) if closed >= 0 else None
    found = _BRACKETED.match(data, start, end)
    if found:
        return (*found.span(1), True)
    if opened >= 0:
        return None
    found = _BARE.match(data, start, end)
    return (*found.span(1), False) if found else None


def branch_of(data: bytes, start: int, end: int) -> bytes:
    """The branch of a Via entry, empty when it has none."""
    found = _BRANCH.search(data, start, end)
    return found[1] if found else b""


def sent_by_end(data: bytes, start: int, end: int) -> int:
    """Where the sent-by of a Via entry ends, -1 when it is none."""
    found = _SENT_BY.match(data, start, end)
    return found.end() if found else -1
