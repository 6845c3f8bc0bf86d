"""One table: keys, their values, and when they expire."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from kamtool.modules.htable.definition import Definition

Expired = Callable[[str, int | str], None]

OVERHEAD = 250
"""Octets that an item takes beside its texts, about."""


class Table:
    """Items by key. Times are on the server's clock; a table without `autoexpire` knows none.

    An item whose time has come is gone at once for who asks; the timer's `expire` gets those nobody asks for.
    """

    def __init__(self, definition: Definition, now: Callable[[], float], capacity: int) -> None:
        self.definition = definition
        self.name = definition.name
        self.initval = definition.initval
        self.autoexpire = definition.autoexpire
        self.now = now
        self.capacity = capacity
        self.octets = 0
        self.values: dict[str, int | str] = {}
        self.deadlines: dict[str, float] = {}
        self.expired: Expired | None = None
        """Called with each item that expires, once it is gone."""

    def __len__(self) -> int:
        return len(self.values)

    def get(self, key: str) -> int | str | None:
        """The value, else `initval`, which may be None."""
        value = self.values.get(key)
        if value is None:
            return self.initval
        if self.deadlines and self._is_over(key):
            return self.initval
        return value

    def find(self, key: str) -> int | str | None:
        """The value, None when there is none, whatever `initval` says."""
        value = self.values.get(key)
        return None if value is None or (self.deadlines and self._is_over(key)) else value

    def set(self, key: str, value: int | str) -> bool:
        """Store a value of the table's usual lifetime; false when the table is full."""
        old = self.values.get(key)
        size = len(value) if type(value) is str else 0
        if old is None:
            size += OVERHEAD + len(key)
        elif type(old) is str:
            size -= len(old)
        if self.octets + size > self.capacity and size > 0:
            return False
        self.octets += size
        self.values[key] = value
        if self.autoexpire and (old is None or self.definition.updateexpire or self._has_passed(key)):
            self.deadlines[key] = self.now() + self.autoexpire
        return True

    def delete(self, key: str) -> bool:
        """Forget an item; whether there was one."""
        value = self.values.pop(key, None)
        if value is None:
            return False
        self.octets -= OVERHEAD + len(key) + (len(value) if type(value) is str else 0)
        self.deadlines.pop(key, None)
        return True

    def clear(self) -> None:
        self.values.clear()
        self.deadlines.clear()
        self.octets = 0

    def take_over(self, other: Table) -> None:
        """Hold what another table held, and nothing else."""
        self.values, self.deadlines, self.octets = other.values, other.deadlines, other.octets

    def add(self, key: str, by: int) -> int | None:
        """Add to an int, or to `initval` where there is nothing; None when there is no int to add to."""
        value = self.get(key)
        if type(value) is not int:
            return None
        result = ((value + by + 0x80000000) & 0xFFFFFFFF) - 0x80000000
        return result if self.set(key, result) else None

    def remaining(self, key: str) -> int:
        """Seconds an item has left, rounded up; 0 when it is not there or does not expire."""
        if self.find(key) is None:
            return 0
        deadline = self.deadlines.get(key)
        return 0 if deadline is None else max(0, -int(-(deadline - self.now()) // 1))

    def keep(self, key: str, seconds: int) -> bool:
        """Let an item expire in so many seconds, never with 0; false when it is not there."""
        if self.find(key) is None:
            return False
        if self.autoexpire:
            if seconds > 0:
                self.deadlines[key] = self.now() + seconds
            else:
                self.deadlines.pop(key, None)
        return True

    def keys(self) -> list[str]:
        """The keys of all items, expired ones perhaps among them."""
        return list(self.values)

    def items(self) -> Iterator[tuple[str, int | str]]:
        """All items that have not expired, in no order."""
        now, deadlines = self.now(), self.deadlines
        for key, value in list(self.values.items()):
            if key not in deadlines or deadlines[key] > now:
                yield key, value

    def expire(self, keys: list[str]) -> int:
        """Drop those of `keys` that have expired; how many they were."""
        return sum(self._is_over(key) for key in keys)

    def _has_passed(self, key: str) -> bool:
        deadline = self.deadlines.get(key)
        return deadline is not None and deadline <= self.now()

    def _is_over(self, key: str) -> bool:
        """Whether the item has expired; then it is gone."""
        deadline = self.deadlines.get(key)
        if deadline is None or deadline > self.now():
            return False
        value = self.values[key]
        self.delete(key)
        if self.expired is not None:
            self.expired(key, value)
        return True
