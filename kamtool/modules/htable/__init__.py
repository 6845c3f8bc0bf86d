"""htable: hash tables that all routes share."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from kamtool.errors import ConfigError, StoreError
from kamtool.module import Host, Module, Param
from kamtool.modules.db_sqlite import open_database
from kamtool.modules.htable.definition import read_definition
from kamtool.modules.htable.functions import HtableFunctions
from kamtool.modules.htable.iterators import IteratorFunctions
from kamtool.modules.htable.locks import Locks
from kamtool.modules.htable.persistence import SLICE, Persistence
from kamtool.modules.htable.rows import Columns, Rows
from kamtool.modules.htable.rpc import HtableRpc
from kamtool.modules.htable.sharing import SharedTable, Sharing
from kamtool.modules.htable.table import Expired, Table
from kamtool.modules.htable.variables import RECORD, HtableVariables
from kamtool.script.nodes import String
from kamtool.script.walk import walk

if TYPE_CHECKING:
    from kamtool.script.program import Script

_NAMED = re.compile(r"\$\(?sht[a-z]*\(\s*([\w.-]+)\s*=>")

logger = logging.getLogger("kamtool.modules.htable")

EVENTS_A_SLICE = 50
"""Items that may expire between two breaths of the loop when each runs a route."""


class Htable(HtableVariables, HtableFunctions, IteratorFunctions, HtableRpc, Module):
    """Hash tables in memory that all routes share, with expiry and tables of a database behind them.

    A table is defined by `modparam("htable", "htable", "name=>size=8;autoexpire=300")` and used as
    `$sht(name=>key)`. Its settings are `size` (2 to this power slots, seen in answers only), `autoexpire`
    (seconds until an item expires), `updateexpire` (0: a change does not renew them), `initval` (the number
    that stands in for what is not there), `dbtable` (loaded at start), `dbmode` (1: written back at stop),
    and for tables with columns of their own `cols`, `coldelim` and `colnull`.
    """

    name = "htable"
    tables = ("htable",)
    events = ("htable:mod-init", "htable:expired:*")

    htable = Param("", "a table: `ipban=>size=8;autoexpire=300`", repeat=True)
    db_url = Param("", "the database of the tables with a `dbtable`")
    key_name_column = Param("key_name", "the column with the key")
    key_type_column = Param("key_type", "the column that is 1 for the items of an array")
    value_type_column = Param("value_type", "the column that is 1 for a number")
    key_value_column = Param("key_value", "the column with the value")
    expires_column = Param("expires", "the column with the moment of expiry, seconds since 1970")
    array_size_suffix = Param("::size", "what follows an array's name in the key that holds its size")
    fetch_rows = Param(100, "how many rows are taken at once when a table is loaded")
    timer_interval = Param(20, "seconds between runs that drop expired items")
    db_expires = Param(0, "1: the moments of expiry are read and written too")
    memory_limit = Param(256, "megabytes that one table may take, about (kamtool's own)")

    timer_procs = Param(0, "accepted: expiry runs in small pieces and never holds up a message")
    event_callback_mode = Param(0, "accepted: there is no KEMI")
    enable_dmq = Param(0, "only 0: there is no replication between servers")
    dmq_init_sync = Param(0, "only 0: there is no replication between servers")
    event_callback = Param("", "only empty: there is no KEMI, events run event_route blocks")

    def __init__(self, server: Host) -> None:
        super().__init__(server)
        self.htables: dict[str, Table] = {}
        self.persistent: dict[str, Persistence] = {}
        self.locks = Locks()

    def set_param(self, name: str, value: int | str) -> None:
        """Refuse what kamtool cannot do. Raises ConfigError."""
        super().set_param(name, value)
        if name in ("enable_dmq", "dmq_init_sync") and value:
            raise ConfigError(
                f"htable: `{name}` is {value}, but there is no replication", hint="set it to 0", code="KT1201"
            )
        if name == "event_callback" and value:
            raise ConfigError(
                "htable: `event_callback` names a KEMI function, and there is no KEMI",
                hint="write event_route[htable:mod-init]",
                code="KT1201",
            )
        if name == "htable":
            self._define(str(value))

    def _define(self, text: str) -> None:
        definition = read_definition(text)
        if definition.name in self.htables:
            raise ConfigError(f"htable: there are two tables {definition.name!r}", code="KT1201")
        link = getattr(self.server, "link", None)
        self.htables[definition.name] = (
            Table(definition, self.server.now, 0)
            if link is None
            else SharedTable(definition, self.server.now, 0, link)
        )

    def verify(self, script: Script) -> Iterable[ConfigError]:
        """The tables that variables name by a constant exist. A start does without, as Kamailio's does."""
        for route in script.routes:
            for node in walk(route.body):
                text = node.value if isinstance(node, String) else getattr(node, "text", "")
                for found in _NAMED.finditer(text if "$" in text else ""):
                    if found[1] not in self.htables:
                        yield ConfigError(
                            f"there is no htable `{found[1]}`",
                            node.span,
                            hint="it is always `$null`",
                            code="KT1201",
                            severity="warning",
                        )

    async def start(self) -> None:
        """Load the tables that the database holds, start the timer. Raises ConfigError or StoreError."""
        program = getattr(self.server, "program", None)
        routes = {} if program is None else program.event_routes
        for table in self.htables.values():
            table.capacity = max(1, self.memory_limit) << 20
            if f"htable:expired:{table.name}" in routes and not self.worker:
                table.expired = self._teller(table.name)
        if (link := getattr(self.server, "link", None)) is not None:
            Sharing(link, self.htables)
        if self.db_url:
            await self._load()
        for table in self.htables.values():
            if table.definition.dbtable and table.name not in self.persistent:
                logger.warning("htable %s has a dbtable, but there is no db_url", table.name)
        if any(table.autoexpire for table in self.htables.values()):
            self.every(max(1, self.timer_interval), self.tick)

    async def _load(self) -> None:
        kept = [table for table in self.htables.values() if table.definition.dbtable]
        if not kept:
            return
        database = await open_database(self.server, self.db_url, "htable")
        columns = Columns(
            self.key_name_column, self.key_type_column, self.value_type_column, self.key_value_column,
            self.expires_column, self.array_size_suffix,
        )  # fmt: skip
        for table in kept:
            rows = Rows(table.definition, columns)
            keeper = Persistence(table, rows, database, bool(self.db_expires), self.fetch_rows)
            count = await keeper.load()
            self.persistent[table.name] = keeper
            level = logging.INFO if count else logging.DEBUG
            logger.log(level, "%d items loaded into htable %s", count, table.name)

    def _teller(self, name: str) -> Expired:
        run: Any = self.server

        def tell(key: str, value: int | str) -> None:
            run.run_event(f"htable:expired:{name}", {RECORD: (key, value)})

        return tell

    def state(self) -> Iterable[tuple[Any, ...]]:
        """Every item."""
        for name, table in self.htables.items():
            for key, value in table.items():
                yield name, key, value, table.deadlines.get(key, 0.0)

    def take_state(self, items: Sequence[tuple[Any, ...]]) -> None:
        """The items of another server, and no others."""
        for table in self.htables.values():
            table.clear()
        for name, key, value, deadline in items:
            found = self.htables.get(name)
            if found is not None and found.set(key, value) and deadline:
                found.keep(key, max(1, round(deadline - found.now())))

    async def stop(self) -> None:
        """Write the tables with `dbmode=1`."""
        for name, keeper in self.persistent.items():
            if keeper.table.definition.dbmode and not self.worker:
                try:
                    await keeper.store()
                except StoreError as error:
                    logger.error("%s; htable %s is lost", error, name)

    async def tick(self) -> None:
        """Drop what has expired."""
        for table in self.htables.values():
            keys = list(table.deadlines)
            size = SLICE if table.expired is None else EVENTS_A_SLICE
            for at in range(0, len(keys), size):
                table.expire(keys[at : at + size])
                await asyncio.sleep(0)
