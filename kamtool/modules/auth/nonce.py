"""Nonces that carry their own time: 28 characters of base64, checked without remembering any (RFC 7616 §3.3).

    created (4 octets, seconds since 1970) | number (4) | kind of checks (1) | keyed hash (12)

The hash covers what stands before it and those parts of the request that `auth_checks_*` name.
"""

from __future__ import annotations

import struct
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from enum import Enum
from hashlib import blake2b
from hmac import compare_digest
from secrets import randbits
from typing import NamedTuple

HEAD = struct.Struct(">IIB")
HASH_SIZE = 12
LENGTH = 28


class Validity(Enum):
    """What a nonce that a phone used is worth."""

    GOOD = "good"
    STALE = "stale"
    FORGED = "forged"


class Nonce(NamedTuple):
    """A nonce taken apart."""

    created: int
    number: int
    validity: Validity


class Nonces:
    """Makes and checks nonces. `now` is in seconds since 1970: a nonce may outlive a restart."""

    def __init__(self, secret: bytes, expire: int, drift: int, started: int) -> None:
        self._key = blake2b(secret, digest_size=32, person=b"kamtool nonce").digest()
        self._expire, self._drift, self._started = expire, drift, started
        self._number = randbits(31)

    def make(self, now: int, binding: bytes = b"", checks: int = 0) -> str:
        """A new nonce; `binding` is what the next request must have in common with this one."""
        self._number = (self._number + 1) & 0xFFFFFFFF
        head = HEAD.pack(now & 0xFFFFFFFF, self._number, checks)
        return b64encode(head + self._hash(head, binding)).decode()

    def check(self, text: str, now: int, binding: bytes = b"") -> Nonce:
        """Whether a nonce is ours, meant for this request, and young enough."""
        if len(text) != LENGTH:
            return Nonce(0, 0, Validity.FORGED)
        try:
            raw = b64decode(text, validate=True)
        except (Base64Error, ValueError):
            return Nonce(0, 0, Validity.FORGED)
        head = raw[: HEAD.size]
        if not compare_digest(raw[HEAD.size :], self._hash(head, binding)):
            return Nonce(0, 0, Validity.FORGED)
        created, number, _ = HEAD.unpack(head)
        age = now - created
        fresh = -self._drift <= age <= self._expire and created >= self._started - self._drift
        return Nonce(created, number, Validity.GOOD if fresh else Validity.STALE)

    def _hash(self, head: bytes, binding: bytes) -> bytes:
        return blake2b(head + binding, digest_size=HASH_SIZE, key=self._key).digest()
