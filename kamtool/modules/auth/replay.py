"""Which nonces were used, and how often: `nonce_count` and `one_time_nonce`."""

from __future__ import annotations


class Uses:
    """Remembers the last `nc` of each nonce in use, at most `size` of them; the oldest make room.

    A nonce that had to make room cannot be told from a used one and is refused: its phone gets a new one.
    """

    def __init__(self, size: int) -> None:
        self._size = max(1, size)
        self._last: dict[tuple[int, int], int] = {}
        self._forgotten = (0, 0)

    def use(self, created: int, number: int, count: int) -> bool:
        """Note a use with this `nc`; false when it is no later than one seen before."""
        key = (created, number)
        last = self._last.get(key)
        if last is None:
            if key <= self._forgotten:
                return False
            if len(self._last) >= self._size:
                oldest = next(iter(self._last))
                del self._last[oldest]
                self._forgotten = max(self._forgotten, oldest)
        elif count <= last:
            return False
        self._last[key] = count
        return True
