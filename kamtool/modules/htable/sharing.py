"""The hash tables of several workers: each holds them all, and tells the others what it changes.

Increments travel as increments, so that they add up whoever made them; of two values set for one key at the
same time the later one stays, everywhere. What one table publishes, another never publishes again.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from kamtool.modules.htable.definition import Definition
from kamtool.modules.htable.table import Table

if TYPE_CHECKING:
    from kamtool.server.workers_link import Link

TOPIC = "htable"
SET, ADD, DELETE, CLEAR, KEEP, ITEM = "=", "+", "-", "0", "e", "i"
RECENT = 10_000
"""So many of the latest changes are remembered, to tell which of two came later."""
SLICE = 1000


class SharedTable(Table):
    """A table whose changes are published."""

    def __init__(self, definition: Definition, now: Callable[[], float], capacity: int, link: Link) -> None:
        super().__init__(definition, now, capacity)
        self._link = link
        self._is_telling = True
        self._set_at: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def _tell(self, kind: str, key: str, value: object) -> None:
        if self._is_telling:
            at = self.now()
            if kind in (SET, DELETE):
                self._note(key, (at, self._link.number))
            self._link.publish(TOPIC, (self.name, kind, key, value, at))

    def _note(self, key: str, stamp: tuple[float, int]) -> None:
        self._set_at.pop(key, None)
        self._set_at[key] = stamp
        if len(self._set_at) > RECENT:
            self._set_at.popitem(last=False)

    def set(self, key: str, value: int | str) -> bool:
        done = super().set(key, value)
        if done:
            self._tell(SET, key, value)
        return done

    def delete(self, key: str) -> bool:
        done = super().delete(key)
        if done:
            self._tell(DELETE, key, None)
        return done

    def clear(self) -> None:
        super().clear()
        self._tell(CLEAR, "", None)

    def keep(self, key: str, seconds: int) -> bool:
        done = super().keep(key, seconds)
        if done:
            self._tell(KEEP, key, seconds)
        return done

    def add(self, key: str, by: int) -> int | None:
        told, self._is_telling = self._is_telling, False
        try:
            result = super().add(key, by)
        finally:
            self._is_telling = told
        if result is not None:
            self._tell(ADD, key, by)
        return result

    def _is_over(self, key: str) -> bool:
        # Every worker sees for itself what has expired.
        told, self._is_telling = self._is_telling, False
        try:
            return super()._is_over(key)
        finally:
            self._is_telling = told

    def changed(self, sender: int, kind: str, key: str, value: Any, at: float) -> None:
        """Make the change of another worker."""
        stamp = (at, sender)
        if kind in (SET, DELETE, ADD) and self._set_at.get(key, stamp) > stamp:
            return
        self._is_telling = False
        try:
            if kind == SET:
                self._note(key, stamp)
                self.set(key, value)
            elif kind == ADD:
                self.add(key, value)
            elif kind == DELETE:
                self._note(key, stamp)
                self.delete(key)
            elif kind == CLEAR:
                self.clear()
            elif kind == KEEP:
                self.keep(key, value)
            elif kind == ITEM:
                item, deadline = value
                if self.set(key, item) and deadline:
                    self.deadlines[key] = deadline
        finally:
            self._is_telling = True


class Sharing:
    """The tables of this worker, and the others' letters about them."""

    def __init__(self, link: Link, tables: dict[str, Table]) -> None:
        self.link, self.tables = link, tables
        link.on(TOPIC, self._heard)
        link.snapshots.append(self._snapshot)

    def _heard(self, sender: int, value: Any) -> None:
        name, kind, key, changed, at = value
        table = self.tables.get(name)
        if isinstance(table, SharedTable):
            table.changed(sender, kind, key, changed, at)

    async def _snapshot(self, sender: int, value: Any) -> None:
        for name, table in self.tables.items():
            self.link.send(sender, TOPIC, (name, CLEAR, "", None, 0.0))
            for number, (key, item) in enumerate(table.items(), 1):
                deadline = table.deadlines.get(key, 0.0)
                self.link.send(sender, TOPIC, (name, ITEM, key, (item, deadline), 0.0))
                if number % SLICE == 0:
                    await asyncio.sleep(0)
