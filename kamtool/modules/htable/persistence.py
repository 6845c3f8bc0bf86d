"""Loading tables from the database and writing them back."""

from __future__ import annotations

import asyncio
import itertools
import time
from typing import Any

from kamtool.errors import StoreError
from kamtool.modules.htable.rows import Rows
from kamtool.modules.htable.table import Table
from kamtool.store.database import Database

SLICE = 1000
"""Items between two breaths of the loop."""


class Persistence:
    """One table and its rows. With `with_expiry` the moments of expiry are read and written too."""

    def __init__(self, table: Table, rows: Rows, database: Database, with_expiry: bool, fetch: int) -> None:
        self.table, self.rows, self.database = table, rows, database
        self.with_expiry, self.fetch = with_expiry, max(1, fetch)

    async def load(self) -> int:
        """Replace what the table holds by what the database does; how many items. Raises StoreError.

        Until all is read, the table stays what it was.
        """
        found = await self.database.query(self.rows.select)
        table = self.table
        fresh = Table(table.definition, table.now, table.capacity)
        offset = time.time() - table.now()
        items = iter(self.rows.items(found))
        while piece := list(itertools.islice(items, self.fetch)):
            for key, value, expires in piece:
                self._take(fresh, key, value, expires - offset if expires else 0.0)
            await asyncio.sleep(0)
        table.take_over(fresh)
        return len(table)

    def _take(self, fresh: Table, key: str, value: int | str, deadline: float) -> None:
        over = self.with_expiry and fresh.autoexpire and deadline and deadline <= fresh.now()
        if over:
            return
        if not fresh.set(key, value):
            raise StoreError(
                f"{self.database.path}: {self.rows.definition.dbtable} does not fit into "
                f"htable {fresh.name!r}; raise `memory_limit`"
            )
        if self.with_expiry and fresh.autoexpire and deadline:
            fresh.deadlines[key] = deadline

    async def store(self) -> int:
        """Make the rows what the table holds, all or nothing; how many. Raises StoreError."""
        offset = time.time() - self.table.now()
        statements: list[tuple[str, tuple[Any, ...]]] = [(self.rows.delete, ())]
        for number, (key, value) in enumerate(list(self.table.items()), 1):
            deadline = self.table.deadlines.get(key) if self.with_expiry else None
            expires = deadline + offset if deadline else 0.0
            statements.append((self.rows.insert, self.rows.row(key, value, expires)))
            if number % SLICE == 0:
                await asyncio.sleep(0)
        await self.database.write_all(statements)
        return len(statements) - 1
