"""mqueue: queues of keys and values between routes."""

from __future__ import annotations

import logging
from collections import OrderedDict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from kamtool.errors import ConfigError, RpcError, StoreError
from kamtool.module import ANY, Host, Module, Param, Value, function, pv, rpc
from kamtool.modules.db_sqlite import open_database
from kamtool.store.select import bound, identifier, text_of

if TYPE_CHECKING:
    from kamtool.script.context import Context
    from kamtool.script.program import Script
    from kamtool.store.database import Database

logger = logging.getLogger("kamtool.modules.mqueue")

FETCHED: Final = "mqueue.fetched"
ALL, OLDEST, NEWEST = 0, 1, 2
BOTH, WRITE, READ = 1, 2, 3


@dataclass(slots=True)
class Queue:
    """One queue; `keys` counts what is in it when keys are unique."""

    name: str
    size: int = 0
    mode: int = ALL
    dbmode: int = 0
    items: deque[tuple[str, str]] = field(default_factory=deque)
    keys: OrderedDict[str, str] = field(default_factory=OrderedDict)

    def add(self, key: str, value: str) -> None:
        """Append; when it is full the oldest goes."""
        if self.mode:
            if key in self.keys:
                if self.mode == OLDEST:
                    return
                del self.keys[key]
            elif self.size and len(self.keys) >= self.size:
                self.keys.popitem(last=False)
            self.keys[key] = value
            return
        if self.size and len(self.items) >= self.size:
            self.items.popleft()
        self.items.append((key, value))

    def fetch(self) -> tuple[str, str] | None:
        """Take out the oldest."""
        if self.mode:
            return self.keys.popitem(last=False) if self.keys else None
        return self.items.popleft() if self.items else None

    def all(self) -> list[tuple[str, str]]:
        return list(self.keys.items()) if self.mode else list(self.items)

    def __len__(self) -> int:
        return len(self.keys) if self.mode else len(self.items)


class Mqueue(Module):
    """Queues that routes fill and others empty, usually a timer's: work that need not hold up a message.

    `modparam("mqueue", "mqueue", "name=q;size=100")`; with `addmode` 1 the oldest of each key stays, with 2
    the newest. `dbmode` 1 keeps a queue over a restart in the table of its name, with the columns `key` and
    `val`; 2 only writes, 3 only reads.
    """

    per_worker = "has queues of its own, and timers run on worker 0 alone"

    db_url = Param("", "the database of the queues with a `dbmode`")
    mqueue = Param("", "a queue: `name=q;size=100;dbmode=0;addmode=0`", repeat=True)
    mqueue_name = Param(
        "", "a queue by its name; `mqueue_size` and `mqueue_addmode` above it count", repeat=True
    )
    mqueue_size = Param(0, "the size of the queues that follow by name, 0 for any")
    mqueue_addmode = Param(0, "the addmode of the queues that follow by name")

    def __init__(self, server: Host) -> None:
        super().__init__(server)
        self.queues: dict[str, Queue] = {}
        self.database: Database | None = None

    def set_param(self, name: str, value: int | str) -> None:
        """Define queues in the order of the cfg. Raises ConfigError."""
        super().set_param(name, value)
        if name == "mqueue":
            self._define(_read(str(value)))
        elif name == "mqueue_name":
            self._define(Queue(str(value), self.mqueue_size, self.mqueue_addmode))

    def _define(self, queue: Queue) -> None:
        if queue.name in self.queues:
            raise ConfigError(f"mqueue: there are two queues {queue.name!r}", code="KT1201")
        if not ALL <= queue.mode <= NEWEST or not 0 <= queue.dbmode <= READ:
            raise ConfigError(f"mqueue: {queue.name!r}: addmode is 0 to 2, dbmode 0 to 3", code="KT1201")
        self.queues[queue.name] = queue

    def verify(self, script: Script) -> Iterable[ConfigError]:
        """Queues with a table need a database."""
        for queue in self.queues.values():
            if queue.dbmode and not self.db_url:
                yield ConfigError(
                    f"mqueue: {queue.name!r} has a dbmode, but there is no db_url", code="KT1201"
                )

    async def start(self) -> None:
        """Read the queues that the database holds. Raises ConfigError or StoreError."""
        if not self.db_url:
            return
        self.database = await open_database(self.server, self.db_url, "mqueue")
        for queue in self.queues.values() if not self.worker else ():
            if queue.dbmode in (BOTH, READ):
                table = identifier(queue.name)
                for key, value in await self.database.query(f"SELECT key, val FROM {table} ORDER BY id"):
                    queue.add(text_of(key), text_of(value))
            if queue.dbmode in (BOTH, WRITE):
                await self.database.write_all([(f"DELETE FROM {identifier(queue.name)}", ())])

    async def stop(self) -> None:
        """Write the queues that shall outlive the server."""
        for queue in self.queues.values():
            if self.database is not None and queue.dbmode in (BOTH, WRITE):
                table = identifier(queue.name)
                rows: list[tuple[str, tuple[Any, ...]]] = []
                for key, value in queue.all():
                    rows.append((f"INSERT INTO {table} (key, val) VALUES (?, ?)", (bound(key), bound(value))))
                try:
                    await self.database.write_all(rows)
                except StoreError as error:
                    logger.error("%s; queue %s is lost", error, queue.name)

    @function("mq_add", routes=ANY)
    def mq_add(self, ctx: Context, queue: str, key: str, value: str) -> bool:
        """Append a key and a value; in a full queue the oldest gives way."""
        found = self.queues.get(queue)
        if found is None:
            logger.error("mq_add: there is no queue %r", queue)
            return False
        found.add(key, value)
        return True

    @function("mq_fetch", routes=ANY)
    def mq_fetch(self, ctx: Context, queue: str) -> int:
        """Take out the oldest: `$mqk(queue)` and `$mqv(queue)`. -2 when it is empty."""
        found = self.queues.get(queue)
        if found is None:
            logger.error("mq_fetch: there is no queue %r", queue)
            return -1
        item = found.fetch()
        fetched: dict[str, tuple[str, str]] = ctx.scratch.setdefault(FETCHED, {})
        if item is None:
            fetched.pop(queue, None)
            return -2
        fetched[queue] = item
        return 1

    @function("mq_pv_free", routes=ANY)
    def mq_pv_free(self, ctx: Context, queue: str) -> bool:
        """Forget what was fetched."""
        ctx.scratch.get(FETCHED, {}).pop(queue, None)
        return queue in self.queues

    @function("mq_size", routes=ANY)
    def mq_size(self, ctx: Context, queue: str) -> int:
        """How many are in a queue; -1 for none, -2 for no queue."""
        found = self.queues.get(queue)
        return -2 if found is None else len(found) or -1

    def _fetched(self, ctx: Context, queue: str) -> tuple[str, str] | None:
        fetched: dict[str, tuple[str, str]] = ctx._scratch.get(FETCHED, {}) if ctx._scratch else {}
        return fetched.get(queue)

    @pv("mqk", kind=str, inner_required=True)
    def mqk(self, ctx: Context, inner: str) -> Value:
        """The key that mq_fetch took out of this queue."""
        item = self._fetched(ctx, inner)
        return item[0] if item else None

    @pv("mqv", kind=str, inner_required=True)
    def mqv(self, ctx: Context, inner: str) -> Value:
        """The value that mq_fetch took out of this queue."""
        item = self._fetched(ctx, inner)
        return item[1] if item else None

    @pv("mq_size", kind=int, inner_required=True)
    def pv_mq_size(self, ctx: Context, inner: str) -> Value:
        """How many are in a queue."""
        found = self.queues.get(inner)
        return None if found is None else len(found)

    def _asked(self, name: str) -> Queue:
        if name not in self.queues:
            raise RpcError(404, "No such queue")
        return self.queues[name]

    @rpc("mqueue.get_size")
    def rpc_get_size(self, name: str) -> dict[str, Any]:
        """How many are in a queue."""
        return {"name": name, "size": len(self._asked(name))}

    @rpc("mqueue.get_sizes")
    def rpc_get_sizes(self) -> list[dict[str, Any]]:
        """How many are in each queue."""
        return [{"name": name, "size": len(queue)} for name, queue in reversed(self.queues.items())]

    @rpc("mqueue.fetch", workers="any")
    def rpc_fetch(self, name: str) -> dict[str, str]:
        """Take the oldest out of a queue."""
        item = self._asked(name).fetch()
        if item is None:
            raise RpcError(404, "Empty queue")
        return {"key": item[0], "val": item[1]}


def _read(text: str) -> Queue:
    settings: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(";"))):
        name, equals, value = part.partition("=")
        if not equals or name.strip() not in ("name", "size", "dbmode", "addmode"):
            raise ConfigError(f"mqueue: {part!r} in {text!r}", hint="name=q;size=100", code="KT1201")
        settings[name.strip()] = value.strip()
    numbers = [settings.get(name, "0") for name in ("size", "addmode", "dbmode")]
    if not settings.get("name") or not all(number.isdigit() for number in numbers):
        raise ConfigError(f"mqueue: {text!r}", hint="name=q;size=100", code="KT1201")
    size, mode, dbmode = map(int, numbers)
    return Queue(settings["name"], size, mode, dbmode)
