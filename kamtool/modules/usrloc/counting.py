"""The statistics of a location table, kept as contacts come and go."""

from __future__ import annotations

from kamtool.modules.usrloc.contact import Contact
from kamtool.modules.usrloc.table import Event, Table

ALL_USERS = "usrloc:registered_users"


class Count:
    """Keeps the users and contacts of one table, and how many have expired, in the server's statistics."""

    def __init__(self, stats: dict[str, int], table: Table) -> None:
        self._stats, self._table = stats, table
        name = table.name
        self._users, self._contacts = f"usrloc:{name}_users", f"usrloc:{name}_contacts"
        self._expired = f"usrloc:{name}_expires"

    def heard(self, event: Event, contact: Contact) -> None:
        """A listener for `Table.census`."""
        self.again()

    def again(self) -> None:
        """Say how it is now."""
        stats, table = self._stats, self._table
        now, before = len(table.records), stats.get(self._users, 0)
        stats[self._users] = now
        if now != before:
            stats[ALL_USERS] += now - before
        stats[self._contacts], stats[self._expired] = table.count, table.expired
