"""Nonces that carry their own time: 28 characters of base64, checked without remembering any (RFC 7616 §3.3).

    created (4 octets, seconds since 1970) | number (4) | kind of checks (1) | keyed hash (12)

The hash covers what stands before it and those parts of the request that `auth_checks_*` name.
"""

from __future__ import annotations

import struct
from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64
from enum import Enum
from hashlib import blake2b
from hmac import compare_digest
from secrets import randbits
from typing import NamedTuple

HEAD = struct.Struct(">IIB")
HEAD_SIZE = HEAD.size
HASH_SIZE = 12
LENGTH = 28


class Validity(Enum):
    """What a nonce that a phone used is worth."""

    GOOD = "good"
    STALE = "stale"
    FORGED = "forged"


GOOD, STALE, FORGED = Validity.GOOD, Validity.STALE, Validity.FORGED


class Nonce(NamedTuple):
    """A nonce taken apart."""

    created: int
    number: int
    validity: Validity


NOT_OURS = Nonce(0, 0, FORGED)


class Nonces:
    """Makes and checks nonces. `now` is in seconds since 1970: a nonce may outlive a restart."""

    def __init__(self, secret: bytes, expire: int, drift: int, started: int) -> None:
        key = blake2b(secret, digest_size=32, person=b"kamtool nonce").digest()
        self._keyed = blake2b(digest_size=HASH_SIZE, key=key)
        self._expire, self._drift, self._started = expire, drift, started
        self._number = randbits(31)

    def make(self, now: int, binding: bytes = b"", checks: int = 0) -> str:
        """A new nonce; `binding` is what the next request must have in common with this one."""
        self._number = (self._number + 1) & 0xFFFFFFFF
        head = HEAD.pack(now & 0xFFFFFFFF, self._number, checks)
        return b2a_base64(head + self._hash(head, binding), newline=False).decode()

    def check(self, text: str, now: int, binding: bytes = b"") -> Nonce:
        """Whether a nonce is ours, meant for this request, and young enough."""
        if len(text) != LENGTH:
            return NOT_OURS
        try:
            raw = a2b_base64(text, strict_mode=True)
        except (Base64Error, ValueError):
            return NOT_OURS
        if not compare_digest(raw[HEAD_SIZE:], self._hash(raw[:HEAD_SIZE], binding)):
            return NOT_OURS
        created, number, _ = HEAD.unpack_from(raw)
        age = now - created
        fresh = -self._drift <= age <= self._expire and created >= self._started - self._drift
        return Nonce(created, number, GOOD if fresh else STALE)

    def _hash(self, head: bytes, binding: bytes) -> bytes:
        digest = self._keyed.copy()
        digest.update(head + binding if binding else head)
        return digest.digest()
