"""The way of a table's changes to the database: which contacts are to be written, and when.

Memory is the truth. A contact that changed is marked once, however often it changes before it is written;
what the disk refuses stays marked and is tried again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from kamtool.errors import StoreError
from kamtool.modules.usrloc.attributes import AttributeRows
from kamtool.modules.usrloc.contact import Contact
from kamtool.modules.usrloc.rows import Rows
from kamtool.modules.usrloc.table import Event
from kamtool.store.database import Database

logger = logging.getLogger("kamtool.usrloc")

TOGETHER = 20_000  # contacts in one transaction: what is written page by page is written once
SLICE = 500  # contacts whose rows are made in one go: about 2 ms of the loop
SOON = 0.02  # seconds that changes wait for company in write-through mode
RETRY = 2.0  # seconds until a refused batch is tried again


class Journal:
    """Listens to a table and writes its changes: at once (`write_through`) or when `flush` is called."""

    def __init__(
        self,
        database: Database,
        rows: Rows,
        offset: Callable[[], float],
        spawn: Callable[[Coroutine[Any, Any, None], str], None],
        *,
        write_through: bool,
        attributes: AttributeRows | None = None,
    ) -> None:
        self.database = database
        self._rows = rows
        self.attributes = attributes
        self._offset = offset
        self._spawn = spawn
        self._write_through = write_through
        self._marked: dict[str, Contact | None] = {}
        """By ruid; None where the row is to be deleted."""
        self._timer: asyncio.TimerHandle | None = None
        self._writing = False
        self._lock = asyncio.Lock()

    def __len__(self) -> int:
        return len(self._marked)

    def heard(self, event: Event, contact: Contact) -> None:
        """The table's listener."""
        gone = event is Event.DELETED or event is Event.EXPIRED
        self._marked[contact.ruid] = None if gone else contact
        if self._write_through and self._timer is None and not self._writing:
            self._timer = asyncio.get_running_loop().call_later(SOON, self._begin)

    def forget(self, contact: Contact) -> None:
        """Never mind what is marked for this contact: it is to live in memory only."""
        self._marked.pop(contact.ruid, None)

    async def flush(self, *, durable: bool = False) -> None:
        """Write what is marked now. Raises StoreError, and then it stays marked.

        `durable` also survives the death of the machine, not only of the process.
        """
        # One at a time: who comes second finds either its own marks, or that they are written.
        async with self._lock:
            await self._flush(durable)

    async def _flush(self, durable: bool) -> None:
        marked, self._marked = self._marked, {}
        ruids = list(marked)
        try:
            for start in range(0, len(ruids), TOGETHER):
                part = ruids[start : start + TOGETHER]
                statements = self._statements(marked, part[:SLICE])
                for begin in range(SLICE, len(part), SLICE):
                    await asyncio.sleep(0)
                    statements += self._statements(marked, part[begin : begin + SLICE])
                await self.database.write_all(statements, durable=durable)
                for ruid in part:
                    del marked[ruid]
        except BaseException:
            marked.update(self._marked)
            self._marked = marked
            raise

    def _statements(self, marked: dict[str, Contact | None], part: list[str]) -> list[tuple[str, Any]]:
        offset, rows = self._offset(), self._rows
        found: list[tuple[str, Any]] = []
        for ruid in part:
            contact = marked[ruid]
            # One that was removed meanwhile must not come back: its removal may be written first.
            if contact is None or contact.bucket < 0:
                found.append((rows.delete, (ruid,)))
                if self.attributes is not None:
                    found += self.attributes.statements(ruid, (), None)
            else:
                row = rows.row(contact, offset)
                found.append((rows.upsert, row))
                if self.attributes is not None:
                    found += self.attributes.statements(ruid, rows.about(row), contact)
        return found

    def _begin(self) -> None:
        self._timer = None
        self._writing = True
        self._spawn(self._write(), f"usrloc: write {self._rows.table}")

    async def _write(self) -> None:
        """Write until nothing is marked, pausing while the disk refuses."""
        try:
            while self._marked:
                try:
                    await self.flush()
                except StoreError as error:
                    logger.warning("%s; %d contacts wait to be written", error, len(self._marked))
                    await asyncio.sleep(RETRY)
        finally:
            self._writing = False

    async def stop(self) -> None:
        """Write the rest; what the disk refuses now is lost with the memory, and the log says so."""
        if self._timer is not None:
            self._timer.cancel()
        self._write_through = False
        try:
            await self.flush(durable=True)
        except StoreError as error:
            logger.error("%s; %d changes of contacts are lost", error, len(self._marked))
