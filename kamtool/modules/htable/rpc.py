"""The RPC methods `htable.*`, in the shape that Kamailio 5.6 answers them."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from kamtool.errors import RpcError, StoreError
from kamtool.module import rpc
from kamtool.modules.htable.base import Tables
from kamtool.modules.htable.filling import fill, read_items
from kamtool.modules.htable.persistence import SLICE, Persistence
from kamtool.modules.htable.slots import hash_of
from kamtool.modules.htable.table import Table
from kamtool.script.values import wrap

Tree = dict[str, Any]

STORED = "Ok. Key set to new value."


class HtableRpc(Tables):
    """The RPC methods of htable."""

    persistent: dict[str, Persistence]

    def _asked(self, name: str) -> Table:
        table = self.htables.get(name)
        if table is None:
            raise RpcError(500, "No such htable")
        return table

    def _kept(self, name: str) -> Persistence:
        self._asked(name)
        if name not in self.persistent:
            raise RpcError(500, "No database htable")
        return self.persistent[name]

    def _store(self, name: str, key: str, value: int | str, seconds: int | None = None) -> str:
        table = self._asked(name)
        if not table.set(key, value):
            raise RpcError(500, f"htable {name} is full: `memory_limit` is reached")
        if seconds is not None:
            table.keep(key, seconds)
        return STORED

    async def _slots(self, table: Table) -> dict[int, list[tuple[int, str]]]:
        """The hashes and keys of all items by slot, gathered without holding up the loop."""
        slots: dict[int, list[tuple[int, str]]] = {}
        mask = table.definition.slots - 1
        for number, key in enumerate(table.keys(), 1):
            hashed = hash_of(key)
            slots.setdefault(hashed & mask, []).append((hashed, key))
            if number % SLICE == 0:
                await asyncio.sleep(0)
        return slots

    @rpc("htable.get")
    def rpc_get(self, table: str, key: str) -> Tree:
        """One item: `htable.get TABLE KEY`."""
        found = self._asked(table)
        value = found.find(key)
        if value is None:
            raise RpcError(500, "Key name doesn't exist in htable.")
        deadline = found.deadlines.get(key)
        expires = "NEVER"
        if deadline is not None:
            moment = time.localtime(deadline - found.now() + time.time())
            expires = time.strftime("%Y-%m-%d %H:%M:%S", moment)
        flags = 2 if type(value) is str else 0
        return {"item": {"name": key, "value": value, "flags": flags, "expire": expires}}

    @rpc("htable.sets")
    def rpc_sets(self, table: str, key: str, value: str) -> str:
        """Store a text."""
        return self._store(table, key, value)

    @rpc("htable.seti")
    def rpc_seti(self, table: str, key: str, value: int) -> str:
        """Store a number."""
        return self._store(table, key, wrap(value))

    @rpc("htable.setxs")
    def rpc_setxs(self, table: str, key: str, value: str, seconds: int) -> str:
        """Store a text that expires in so many seconds."""
        return self._store(table, key, value, seconds)

    @rpc("htable.setxi")
    def rpc_setxi(self, table: str, key: str, value: int, seconds: int) -> str:
        """Store a number that expires in so many seconds."""
        return self._store(table, key, wrap(value), seconds)

    @rpc("htable.setex")
    def rpc_setex(self, table: str, key: str, seconds: int) -> str:
        """Let an item expire in so many seconds, never with 0."""
        self._asked(table).keep(key, seconds)
        return "Ok"

    @rpc("htable.fill")
    async def rpc_fill(self, table: str, items: list[Any], replace: int = 0) -> str:
        """Store many items `[key, value, seconds]`, all or none, in the database too (kamtool's own).

        With `replace` 1 they are all there is afterwards.
        """
        kept = self.persistent.get(table)

        async def keep() -> None:
            if kept is not None:
                await kept.store()

        return f"Ok. {await fill(self._asked(table), read_items(items), bool(replace), keep)} keys set."

    @rpc("htable.delete")
    def rpc_delete(self, table: str, key: str) -> str:
        """Remove an item."""
        if not self._asked(table).delete(key):
            raise RpcError(404, "Key not found in htable.")
        return "Ok. Key deleted."

    @rpc("htable.flush")
    def rpc_flush(self, table: str) -> str:
        """Remove all items of a table."""
        self._asked(table).clear()
        return "Ok. Htable flushed."

    @rpc("htable.dump")
    async def rpc_dump(self, table: str) -> list[Tree]:
        """All items of a table, by slot."""
        found = self._asked(table)
        result: list[Tree] = []
        breath = SLICE
        for slot, keys in sorted((await self._slots(found)).items()):
            items = []
            breath -= len(keys)
            if breath < 0:
                breath = SLICE
                await asyncio.sleep(0)
            for _, key in sorted(keys):
                value = found.find(key)
                if value is not None:
                    kind = "str" if type(value) is str else "int"
                    items.append({"name": key, "value": value, "type": kind})
            if items:
                result.append({"entry": slot, "size": len(items), "slot": items})
        return result

    @rpc("htable.items")
    async def rpc_items(self, table: str) -> list[Tree]:
        """All items of a table with the seconds each has left, 0 for ever (kamtool's own)."""
        found = self._asked(table)
        result: list[Tree] = []
        for count, (key, value) in enumerate(found.items(), 1):
            result.append({"name": key, "value": value, "expires": found.remaining(key)})
            if count % SLICE == 0:
                await asyncio.sleep(0)
        return result

    @rpc("htable.listTables")
    def rpc_list(self) -> list[Tree]:
        """The tables and how they are defined, the last defined first."""
        return [
            {
                "name": table.name,
                "dbtable": table.definition.dbtable,
                "dbmode": table.definition.dbmode,
                "expire": table.autoexpire,
                "updateexpire": int(table.definition.updateexpire),
                "size": table.definition.slots,
                "dmqreplicate": 0,
            }
            for table in reversed(self.htables.values())
        ]

    @rpc("htable.stats")
    async def rpc_stats(self) -> list[Tree]:
        """How many items each table has, and its emptiest and fullest slot."""
        result = []
        for table in reversed(list(self.htables.values())):
            sizes = [len(keys) for keys in (await self._slots(table)).values()]
            slots = table.definition.slots
            least = min(sizes, default=0) if len(sizes) == slots else 0
            most = max(sizes, default=0)
            result.append({"name": table.name, "slots": slots, "all": sum(sizes), "min": least, "max": most})
        return result

    @rpc("htable.reload", workers="all")
    async def rpc_reload(self, table: str) -> str:
        """Load a table from the database again; what was in it is forgotten."""
        kept = self._kept(table)
        try:
            await kept.load()
        except StoreError as error:
            raise RpcError(500, str(error)) from error
        return "Ok. Htable reloaded."

    @rpc("htable.store")
    async def rpc_store(self, table: str) -> str:
        """Write a table to the database; the rows there were are replaced."""
        kept = self._kept(table)
        try:
            await kept.store()
        except StoreError as error:
            raise RpcError(500, str(error)) from error
        return "Ok. Htable successfully stored to DB."
