"""Nonces that carry their own time: they are checked without remembering any (RFC 7616 §3.3).

`kamtool.speed.make_nonce` says how they are made. The keyed hash in them covers their time and number, and
those parts of the request that `auth_checks_*` name.
"""

from __future__ import annotations

from enum import Enum
from hashlib import blake2b
from secrets import randbits
from typing import NamedTuple

from kamtool.speed import make_nonce, read_nonce


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
        self._key = blake2b(secret, digest_size=16, person=b"kamtool nonce").digest()
        self._expire, self._drift, self._started = expire, drift, started
        self._number = randbits(31)

    def make(self, now: int, binding: bytes = b"", checks: int = 0) -> str:
        """A new nonce; `binding` is what the next request must have in common with this one."""
        if now < self._started:  # the clock was put back: what is new must not look older than this server
            self._started = now
        self._number = number = (self._number + 1) & 0xFFFFFFFF
        return make_nonce(self._key, now & 0xFFFFFFFF, number, checks, binding)

    def read(self, text: str, now: int, binding: bytes) -> tuple[int, int, bool]:
        """When a nonce was made, its number, whether it is young enough; (-1, 0, False): it is not ours."""
        read = read_nonce(self._key, text, binding)
        if read is None:
            return -1, 0, False
        created, number = read
        age = now - created
        fresh = -self._drift <= age <= self._expire and created >= self._started - self._drift
        return created, number, fresh

    def check(self, text: str, now: int, binding: bytes = b"") -> Nonce:
        """Whether a nonce is ours, meant for this request, and young enough."""
        created, number, fresh = self.read(text, now, binding)
        return NOT_OURS if created < 0 else Nonce(created, number, GOOD if fresh else STALE)
