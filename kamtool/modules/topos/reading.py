"""What topos reads of a message: texts, URIs, and where headers begin and end."""

from __future__ import annotations

from kamtool.errors import ParseError
from kamtool.modules.topoh.pieces import Edit, items, parts, uri_of
from kamtool.sip.message import Message
from kamtool.speed import split_uri


def text_of(octets: bytes) -> str:
    """Octets as text that becomes the same octets again."""
    return octets.decode("utf-8", "surrogateescape")


def octets_of(text: str) -> bytes:
    """The octets of a text of `text_of`."""
    return text.encode("utf-8", "surrogateescape")


def cut(msg: Message, name: str, edits: list[Edit]) -> str:
    """Cut out all headers of this name; the value of the first."""
    first = ""
    for place in msg.find(name):
        row = msg.row(place)
        first = first or text_of(msg.data[row[3] : row[4]])
        edits.append((row[1], row[5], b""))
    return first


def after(msg: Message, name: str) -> int:
    """Where the last header of this name ends; the end of the head when there is none."""
    places = msg.find(name)
    return msg.row(places[-1])[5] if places else msg.head_end


def contact_of(msg: Message) -> str:
    """The URI of the first Contact, "" when there is none."""
    for start, end in items(msg, "Contact"):
        found = uri_of(msg.data, start, end)
        return text_of(msg.data[found[0] : found[1]]) if found and msg.data[start:end] != b"*" else ""
    return ""


def user_of(uri: str) -> str:
    """The user of a URI, "" when it has none or is none."""
    try:
        return split_uri(uri)[1] or ""
    except ParseError:
        return ""


def backwards(routes: str) -> str:
    """A route set in the order for the other side."""
    return text_of(b",".join(reversed(parts(octets_of(routes)))))
