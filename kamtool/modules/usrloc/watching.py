"""`ul.watch`: the changes of a table, told to who asks again and again. Nothing is kept while nobody does."""

from __future__ import annotations

from collections import deque
from typing import Any

from kamtool.modules.usrloc.contact import Contact
from kamtool.modules.usrloc.table import Event, Table

KEPT = 10_000
"""Changes that wait for their reader at most; the oldest make room."""
PATIENCE = 60.0
"""Seconds without a question after which nobody is watching any more."""


class Watch:
    """The last changes of one table, each with a number."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._changes: deque[tuple[int, str, Contact]] = deque(maxlen=KEPT)
        self._number = 0
        self.asked_at = 0.0
        self.is_on = False

    def since(self, number: int, now: float) -> tuple[int, list[dict[str, Any]]]:
        """The number of the last change, and what has changed since `number`."""
        self.asked_at = now
        if not self.is_on:
            self._table.listeners.append(self._heard)
            self.is_on = True
        found = [
            {"Event": event, "AoR": contact.aor, "Address": contact.uri, "Expires": contact.remaining(now),
             "User-Agent": contact.user_agent, "Ruid": contact.ruid}
            for serial, event, contact in self._changes
            if serial > number
        ]  # fmt: skip
        return self._number, found

    def rest(self, now: float) -> None:
        """Stop listening when nobody has asked for a while."""
        if self.is_on and now - self.asked_at > PATIENCE:
            self._table.listeners.remove(self._heard)
            self._changes.clear()
            self.is_on = False

    def _heard(self, event: Event, contact: Contact) -> None:
        self._number += 1
        self._changes.append((self._number, event.value, contact))
