"""The answer to a digest challenge that is like one before: the pure twin of `_proving.pxi`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


class Answer:
    """What meets one target's challenges to one user and request, which differ in their nonces alone.

    Where there are several challenges it is for the first of them (RFC 8760 §2.4: the one that is preferred).

    `asked` is the name of the header that challenges, `before` and `after` are its value around the nonce,
    `first` is the first line of the request. `pieces` are the line that answers, around nonce and response,
    and with a qop around the cnonce as well. `hashed` gives digits of another hash than MD5.
    """

    __slots__ = ("after", "asked", "before", "counted", "first", "ha1", "ha2", "hashed", "pieces", "proxy")

    def __init__(
        self, asked: bytes, before: bytes, after: bytes, first: bytes, pieces: Sequence[bytes],
        ha1: bytes, ha2: bytes, hashed: Callable[[bytes], str] | None = None,
    ) -> None:  # fmt: skip
        self.asked, self.before, self.after, self.first = b"\r\n" + asked, before, after, first
        self.pieces, self.ha1, self.ha2, self.hashed = tuple(pieces), ha1, ha2, hashed or _md5
        self.proxy, self.counted = asked[:1] == b"P", len(self.pieces) == 4
        if not 3 <= len(self.pieces) <= 4:
            raise ValueError("three pieces around nonce and response, four with a cnonce")

    def meets(self, challenge: bytes, first: bytes, number: int) -> bytes:
        """The whole header line; b"" when this challenge is another one. `number` becomes the cnonce."""
        if first != self.first or (challenge[8:11] == b"407") is not self.proxy:
            return b""
        _, found, rest = challenge.partition(self.asked)
        line, end, more = rest.partition(b"\r")
        if (
            not found or not end or more[:1] != b"\n" or more[1:2] in (b" ", b"\t")
            or line[:2] != b": " or len(line) - 2 < len(self.before) + len(self.after)
            or not line.startswith(self.before, 2) or not line.endswith(self.after)
        ):  # fmt: skip
            return b""
        nonce = line[2 + len(self.before) : len(line) - len(self.after)]
        if b'"' in nonce or b"\\" in nonce:
            return b""
        if not self.counted:
            begin, middle, after = self.pieces
            response = self.hashed(b"%b:%b:%b" % (self.ha1, nonce, self.ha2)).encode()
            return begin + nonce + middle + response + after
        begin, middle, again, after = self.pieces
        cnonce = b"%08x" % number
        asked = b"%b:%b:00000001:%b:auth:%b" % (self.ha1, nonce, cnonce, self.ha2)
        return begin + nonce + middle + self.hashed(asked).encode() + again + cnonce + after
