"""What a load generator reads of a message: its Call-ID, a tag, a header; the pure twin of `_lines.pxi`."""

from __future__ import annotations

import re
from functools import lru_cache

from kamtool.speed.names import HEADERS

COMPACT = {name.lower().encode(): compact.encode() for name, compact in HEADERS if compact}
"""The one letter that may stand for a header's name."""


def call_id_of(data: bytes) -> bytes:
    """The Call-ID, where it is written as nearly everybody does; else b""."""
    at = data.find(b"\r\nCall-ID: ")
    end = data.find(b"\r", at + 2) if at >= 0 else -1
    return data[at + 11 : end] if end > at + 11 else b""


def to_tag(data: bytes) -> bytes:
    """`;tag=…` of the peer: To's in a response, From's in a request; b"" when there is none."""
    value = header_line(data, b"To" if data.startswith(b"SIP/2.0") else b"From")
    at = value.rfind(b";tag=")
    if at < 0:
        return b""
    end = value.find(b";", at + 1)
    return value[at:] if end < 0 else value[at:end]


def header_line(data: bytes, name: bytes) -> bytes:
    """`Name: value`, of several headers one with commas; b"" when there is none."""
    end = data.find(b"\r\n\r\n")
    head = data if end < 0 else data[: end + 2]
    mark = b"\r\n" + name + b": "
    at = head.find(mark)
    if at >= 0 and head.find(mark, at + 2) < 0:  # nearly always: one, written as usual
        end = head.find(b"\r\n", at + 2)
        if end < 0:
            return head[at + 2 :]
        if head[end + 2 : end + 3] not in (b" ", b"\t"):
            return head[at + 2 : end]
    found = [value.strip() for value in _lines_of(name).findall(head)]
    return name + b": " + b", ".join(found) if found else b""


@lru_cache(512)
def _lines_of(name: bytes) -> re.Pattern[bytes]:
    short = COMPACT.get(name.lower())
    names = re.escape(name) + (b"|" + short if short else b"")
    return re.compile(rb"(?im)^(?:" + names + rb")[ \t]*:[ \t]*((?:[^\r\n]|\r?\n[ \t])*)")
