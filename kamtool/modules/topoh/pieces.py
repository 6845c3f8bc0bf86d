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
    return [(entry[2], entry[3]) for entry in msg.entries(name)]


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
    at = data.find(b";branch=", start, end)
    if at >= 0:
        text = data[at + 8 : end].partition(b";")[0]
        if text.isascii() and not (b" " in text or b"," in text or b"\t" in text or b"\r" in text):
            return text
    found = _BRANCH.search(data, start, end)
    return found[1] if found else b""


def sent_by_end(data: bytes, start: int, end: int) -> int:
    """Where the sent-by of a Via entry ends, -1 when it is none."""
    found = _SENT_BY.match(data, start, end)
    return found.end() if found else -1
