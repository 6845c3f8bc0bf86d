"""How the original URI travels in our Record-Route: the difference of two URIs, in an alphabet of its own."""

from __future__ import annotations

import base64
import binascii
from itertools import cycle

from kamtool.errors import ParseError
from kamtool.script.values import to_octets

_TO_KAMAILIO = bytes.maketrans(b"+/=", b"./-")
_FROM_KAMAILIO = bytes.maketrans(b"./-", b"+/=")

LONGEST = 1024


def _xor(one: bytes, other: bytes) -> bytes:
    size = max(len(one), len(other))
    return bytes(a ^ b for a, b in zip(one.ljust(size, b"\0"), other.ljust(size, b"\0"), strict=True))


def _masked(data: bytes, password: str) -> bytes:
    return bytes(a ^ b for a, b in zip(data, cycle(to_octets(password)), strict=False)) if password else data


def hide(original: str, shown: str, password: str) -> str:
    """What turns each of two URIs into the other."""
    data = _masked(_xor(to_octets(original), to_octets(shown)), password)
    return base64.b64encode(data).translate(_TO_KAMAILIO).decode()


def reveal(hidden: str, known: str, password: str) -> str:
    """The other URI, for one of the two. Raises ParseError when what comes out can be none."""
    if len(hidden) > LONGEST:
        raise ParseError("a stored URI is too long", header="Route")
    try:
        data = base64.b64decode(hidden.encode().translate(_FROM_KAMAILIO), validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise ParseError(f"{hidden!r} holds no URI", header="Route") from error
    found = _xor(_masked(data, password), to_octets(known)).rstrip(b"\0")
    text = found.decode("utf-8", "surrogateescape")
    scheme, colon, rest = text.partition(":")
    if (
        not colon
        or not rest
        or not scheme.isalpha()
        or any(char <= " " or char in '<>"\x7f' for char in text)
    ):
        raise ParseError("a stored URI does not belong to this message", header="Route")
    return text
