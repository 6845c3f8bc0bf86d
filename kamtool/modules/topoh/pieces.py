"""Where the values of a message's header fields stand, in octets."""

from __future__ import annotations

import re
from collections.abc import Iterator

from kamtool.sip.message import Message

Edit = tuple[int, int, bytes]

_ITEM = re.compile(rb'(?:[^,"<]++|"(?:[^"\\]|\\.)*+"|<[^>]*+>)++', re.DOTALL)
_BRACKETED = re.compile(rb'(?:[^"<]++|"(?:[^"\\]|\\.)*+")*+<([^>]*+)>', re.DOTALL)
_BARE = re.compile(rb"\s*+([^;\s]++)")
_BRANCH = re.compile(rb";\s*+branch\s*+=\s*+([^;,\s]++)", re.IGNORECASE)
_SENT_BY = re.compile(
    rb"\s*+SIP\s*+/\s*+2\.0\s*+/\s*+[^\s/]++\s++(?:\[[0-9A-Fa-f:.]++\]|[^\s;,:]++)(?:\s*+:\s*+\d++)?"
)


def values(msg: Message, name: str) -> Iterator[tuple[int, int]]:
    """The span of each header field's value of this name."""
    for place in msg.find(name):
        row = msg.row(place)
        yield row[3], row[4]


def items(msg: Message, name: str) -> Iterator[tuple[int, int]]:
    """The span of each item of the comma lists of this name, blanks around it left out."""
    data = msg.data
    for start, end in values(msg, name):
        for found in _ITEM.finditer(data, start, end):
            text = found[0]
            inner = text.strip()
            if inner:
                first = found.start() + len(text) - len(text.lstrip())
                yield first, first + len(inner)


def parts(value: bytes) -> list[bytes]:
    """The items of one comma list, blanks around them left out."""
    return [inner for found in _ITEM.finditer(value) if (inner := found[0].strip())]


def uri_of(data: bytes, start: int, end: int) -> tuple[int, int, bool] | None:
    """The span of the URI in a name-addr or addr-spec, and whether it stands in angle brackets."""
    found = _BRACKETED.match(data, start, end)
    if found:
        return (*found.span(1), True)
    if b"<" in data[start:end]:
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
