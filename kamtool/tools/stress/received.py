"""What a scenario wants to know of a message it received: read from the bytes, only when asked."""

from __future__ import annotations

import re
from functools import lru_cache


@lru_cache(512)
def _lines_of(name: str) -> re.Pattern[bytes]:
    short = _COMPACT.get(name.lower())
    names = re.escape(name) if short is None else f"{re.escape(name)}|{short}"
    return re.compile(rf"(?im)^(?:{names})[ \t]*:[ \t]*((?:[^\r\n]|\r?\n[ \t])*)".encode())


_COMPACT = {
    "via": "v", "from": "f", "to": "t", "call-id": "i", "contact": "m", "content-type": "c", "content-length":
    "l", "subject": "s", "supported": "k", "event": "o", "refer-to": "r", "allow-events": "u",
}  # fmt: skip


def head_of(data: bytes) -> bytes:
    """The first line and the headers."""
    end = data.find(b"\r\n\r\n")
    return data if end < 0 else data[: end + 2]


def values(data: bytes, name: str) -> list[bytes]:
    """The values of all headers of this name, in order."""
    return [value.strip() for value in _lines_of(name).findall(head_of(data))]


def line(data: bytes, name: str) -> bytes:
    """`Name: value`, several joined by commas, as `[last_Name:]` shows it; b"" when there is none."""
    mark = b"\r\n" + name.encode() + b": "
    at = data.find(mark)
    if at > 0 and data.find(mark, at + 2) < 0:  # nearly always: one, written as usual
        return data[at + 2 : data.find(b"\r\n", at + 2)]
    found = values(data, name)
    return name.encode() + b": " + b", ".join(found) if found else b""


def to_tag(data: bytes) -> bytes:
    """`;tag=…` of the peer: To's in a response, From's in a request; b"" when there is none."""
    name = b"\r\nTo:" if data.startswith(b"SIP/2.0") else b"\r\nFrom:"
    at = data.find(name)
    if at < 0:
        found = values(data, "To" if name == b"\r\nTo:" else "From")
        value = found[0] if found else b""
    else:
        value = data[at : data.find(b"\r\n", at + 2)]
    at = value.rfind(b";tag=")
    if at < 0:
        return b""
    end = value.find(b";", at + 1)
    return value[at:] if end < 0 else value[at:end]


def cseq(data: bytes) -> tuple[int, bytes]:
    """Number and method of CSeq; (0, b"") when it cannot be read."""
    at = data.find(b"\r\nCSeq: ")
    value = data[at + 8 : data.find(b"\r\n", at + 8)] if at >= 0 else b"".join(values(data, "CSeq")[:1])
    number, _, method = value.strip().partition(b" ")
    return (int(number), method.strip()) if number.isdigit() else (0, method.strip())


def call_id(data: bytes) -> bytes:
    """The Call-ID; what SIPp's files put before `///` is no part of it. b"" when there is none."""
    found = values(data, "Call-ID")
    return found[0].rpartition(b"///")[2] if found else b""


def first_line(data: bytes) -> str:
    """For people: at most 60 characters."""
    return data[: data.find(b"\r\n")].decode(errors="replace")[:60]


_ANGLE = re.compile(rb"<([^>]*)>")


def contact_uri(data: bytes) -> bytes:
    """The URI of the first Contact, b"" when there is none."""
    found = values(data, "Contact")
    if not found:
        return b""
    angle = _ANGLE.search(found[0])
    return angle[1] if angle else found[0].partition(b";")[0]


_ROUTE = re.compile(rb'(?:"(?:[^"\\]|\\.)*"|[^,<"]|<[^>]*>)+')


def route_set(data: bytes) -> bytes:
    """The value of Route for the next requests: Record-Route as it came in a request, reversed from a
    response.
    """
    entries = [
        e.strip() for value in values(data, "Record-Route") for e in _ROUTE.findall(value) if e.strip()
    ]
    return b", ".join(reversed(entries) if data.startswith(b"SIP/2.0") else entries)
