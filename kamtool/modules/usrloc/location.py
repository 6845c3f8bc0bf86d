"""A location table as other modules use it: one face whatever `db_mode` says."""

from __future__ import annotations

import gc
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from enum import IntEnum
from typing import Any

from kamtool.modules.usrloc.contact import Contact
from kamtool.modules.usrloc.journal import Journal
from kamtool.modules.usrloc.loading import load
from kamtool.modules.usrloc.rows import Rows
from kamtool.modules.usrloc.table import Contacts, Event, Table

logger = logging.getLogger("kamtool.usrloc")


class DbMode(IntEnum):
    """`db_mode`: what the database has to do with the table."""

    MEMORY = 0
    WRITE_THROUGH = 1
    WRITE_BACK = 2
    DB_ONLY = 3
    LOAD_ONLY = 4


class Location:
    """One table. `get` and the changes below are all that a registrar needs.

    `waits` is true when a change is only done once `commit` has returned: in db_mode 3, or with `durable`.
    """

    def __init__(
        self,
        table: Table,
        mode: DbMode,
        now: Callable[[], float],
        rows: Rows | None = None,
        journal: Journal | None = None,
        *,
        durable: bool = False,
    ) -> None:
        self.table = table
        self.name = table.name
        self.mode = mode
        self.db_only = mode is DbMode.DB_ONLY
        self.durable = durable and journal is not None
        self.waits = self.db_only or self.durable
        self.rows = rows
        self.journal = journal
        self._now = now
        self.unwritten: Callable[[Contact], None] | None = None
        """Told of contacts that stay in memory, where another worker writes."""
        self.committed: Callable[[], Awaitable[None]] | None = None
        """Has another worker write, where it does."""

    def offset(self) -> float:
        """What to add to the loop's clock to get seconds since 1970."""
        return time.time() - self._now()

    def get(self, aor: str) -> Contacts:
        """The contacts of `aor` in memory, best first. In db_mode 3 there are none: `fetch` them."""
        return self.table.records.get(aor, ())

    async def fetch(self, aor: str) -> Contacts:
        """The contacts of `aor`, from the database in db_mode 3. Raises StoreError."""
        if not self.db_only or self.rows is None or self.journal is None:
            return self.get(aor)
        found = await self.journal.database.query(self.rows.select, self.rows.key(aor))
        offset = self.offset()
        contacts = [contact for row in found if (contact := self.read(row[0], row, offset)) is not None]
        if contacts and (attributes := self.journal.attributes) is not None:
            user = self.rows.key(aor)[0]
            attributes.give(contacts, await self.journal.database.query(attributes.select, (user,)))
        if self.table.newest_first:
            contacts.sort(key=lambda contact: -contact.modified_at)
        return tuple(contacts)

    def insert(self, contact: Contact, *, memory_only: bool = False) -> None:
        """Add a contact; `memory_only` keeps it from the database."""
        if self.db_only:
            self.table.tell(Event.INSERTED, contact)
        else:
            self.table.insert(contact)
            if memory_only:
                self._keep_unwritten(contact)

    def update(self, contact: Contact, *, reorder: bool = False, memory_only: bool = False) -> None:
        """A contact's fields were changed; `reorder` when its q did."""
        if self.db_only:
            self.table.tell(Event.UPDATED, contact)
        else:
            self.table.refreshed(contact, reorder)
            if memory_only:
                self._keep_unwritten(contact)

    def _keep_unwritten(self, contact: Contact) -> None:
        if self.journal is not None:
            self.journal.forget(contact)
        if self.unwritten is not None:
            self.unwritten(contact)

    def delete(self, contact: Contact) -> None:
        """Take a contact out."""
        if self.db_only:
            self.table.tell(Event.DELETED, contact)
        else:
            self.table.delete(contact)

    async def commit(self) -> None:
        """Have the changes made so far in the database when this returns. Raises StoreError."""
        if self.committed is not None:
            await self.committed()
        elif self.journal is not None:
            await self.journal.flush(durable=self.durable)

    def read(self, number: object, row: Sequence[Any], offset: float) -> Contact | None:
        """The contact of a row; None, and a line in the log with the row's id, when it cannot be used."""
        assert self.rows is not None
        try:
            return self.rows.contact(row, offset)
        except (TypeError, ValueError, OverflowError) as error:
            logger.warning("%s: row %s is skipped: %s", self.name, number, error)
            return None

    async def load(self, page: int, *, keep: Callable[[Contact], bool] | None) -> int:
        """Read the table from the database into memory, `page` rows at a time; how many contacts came.

        Expired ones stay behind, and those that `keep` does not want. Raises StoreError.
        """
        if self.rows is None or self.journal is None:
            return 0
        query, rows = self.journal.database.query, self.rows
        last, loaded = 0, 0
        listeners, self.table.listeners = self.table.listeners, []
        census, self.table.census = self.table.census, []
        collecting = gc.isenabled()
        gc.disable()  # nothing here becomes garbage, and there may be a million of them
        try:
            while True:
                found = await query(rows.select_short, (last, page))
                if not found:
                    if loaded and (attributes := self.journal.attributes) is not None:
                        attributes.give(self.table, await query(attributes.select_all, ()))
                    return loaded
                more: dict[int, tuple[Any, ...]] = {}
                if not all(row[-1] for row in found):
                    more = {row[0]: row for row in await query(rows.select_more, (last, found[-1][0]))}
                loaded += load(
                    found, more, self.table, rows.use_domain, self.offset(), self._now(), keep, self.read
                )
                last = found[-1][0]
        finally:
            self.table.listeners, self.table.census = listeners, census
            if collecting:
                gc.enable()
