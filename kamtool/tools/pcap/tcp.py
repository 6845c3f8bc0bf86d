"""One direction of a TCP connection, in order whatever order its segments were captured in."""

from __future__ import annotations

MAX_WAITING = 1 << 20
"""Octets that may wait for a gap to be filled; beyond, the gap is given up."""
SYN, FIN, RST = 2, 1, 4


class Stream:
    """Give segments to `add`; it gives the octets that are in order now. `gaps` counts what never came."""

    __slots__ = ("_next", "_waiting", "gaps", "is_lost")

    def __init__(self) -> None:
        self._next: int | None = None
        self._waiting: dict[int, bytes] = {}
        self.gaps = 0
        self.is_lost = False
        """After a gap, until the caller has found the beginning of a message again."""

    def add(self, sequence: int, flags: int, data: bytes) -> bytes:
        """The octets that follow what was given before, b"" while something is missing."""
        if flags & SYN:
            self._next, self._waiting = (sequence + 1) & 0xFFFFFFFF, {}
            sequence = self._next
        if self._next is None:
            self._next = sequence  # the capture began after the connection did
        if not data:
            return b""
        ahead = (sequence - self._next) & 0xFFFFFFFF
        if ahead >= 1 << 31:  # seen before, at least in part
            behind = (1 << 32) - ahead
            if behind >= len(data):
                return b""
            data, ahead = data[behind:], 0
        if ahead:
            here = (self._next + ahead) & 0xFFFFFFFF
            if len(data) > len(self._waiting.get(here, b"")):
                self._waiting[here] = data
            if sum(map(len, self._waiting.values())) <= MAX_WAITING:
                return b""
            return self.give_up()
        self._next = (self._next + len(data)) & 0xFFFFFFFF
        return data + self._following()

    def give_up(self) -> bytes:
        """Go on behind the gap, if there is one: what is missing will not come."""
        if not self._waiting or self._next is None:
            return b""
        start = self._next
        self._next = min(self._waiting, key=lambda at: (at - start) & 0xFFFFFFFF)
        self.gaps += 1
        self.is_lost = True
        return self._following()

    def _following(self) -> bytes:
        """What waited and is in order now."""
        pieces: list[bytes] = []
        while True:
            assert self._next is not None
            here = self._next
            at = next((each for each in self._waiting if (here - each) & 0xFFFFFFFF < 1 << 31), -1)
            if at < 0:
                return b"".join(pieces)
            data = self._waiting.pop(at)[(here - at) & 0xFFFFFFFF :]
            self._next = (here + len(data)) & 0xFFFFFFFF
            pieces.append(data)
