"""pipelimit: named pipes that let through so many messages and no more."""

from __future__ import annotations

import logging
import random
from typing import TYPE_CHECKING, Any

from kamtool.errors import RpcError, StoreError
from kamtool.module import (
    ANY,
    BRANCH_ROUTE,
    FAILURE_ROUTE,
    ONSEND_ROUTE,
    REQUEST_ROUTE,
    Host,
    Module,
    Param,
    function,
    rpc,
)
from kamtool.modules.db_sqlite import open_database
from kamtool.modules.pipelimit.pipes import ALGORITHMS, FEEDBACK, NETWORK, NOP, Control, Machine, Pipe, push
from kamtool.modules.pipelimit.sharing import Sharing
from kamtool.modules.pipelimit.steering import push_load, tune
from kamtool.script.context import Context
from kamtool.store.databases import require_version
from kamtool.store.select import select

if TYPE_CHECKING:
    from kamtool.store.database import Database

logger = logging.getLogger("kamtool.modules.pipelimit")

VERSION = 1
MOST = 1_000_000  # pipes that a script may make: names may come from the network
NOT_FOUND = -2


class Pipelimit(Module):
    """Limit traffic by named pipes, from the table `pl_pipes` or made when they are first used.

    Algorithms: TAILDROP lets `limit` messages through in `timer_interval` seconds; RED lets through every
    n-th, n as many times over the limit as the last interval was; FEEDBACK drops a share so that the CPU is
    busy `limit` percent; NETWORK drops while more than `limit` octets wait in the sockets; NOP nothing.
    """

    name = "pipelimit"
    tables = ("pl_pipes",)

    db_url = Param("", "the database of the pipes; without one all are made by pl_check()")
    plp_table_name = Param("pl_pipes", "its table")
    plp_pipeid_column = Param("pipeid", "the column of the name")
    plp_limit_column = Param("plimit", "the column of the limit")
    plp_algorithm_column = Param("algorithm", "the column of the algorithm")
    timer_interval = Param(10, "seconds in which messages are counted")
    load_fetch = Param(1, "0: the load of CPU and network is not looked at, `pl.push_load` says it")
    reply_code = Param(503, "the status that pl_drop() answers")
    reply_reason = Param("Server Unavailable", "and its reason")
    clean_unused = Param(
        0, "intervals after which a pipe made by pl_check() and not used is dropped; 0 never"
    )
    hash_size = Param(6, "accepted: pipes are found by name at once")
    timer_mode = Param(0, "accepted: the timer never holds up messages")

    def __init__(self, server: Host) -> None:
        super().__init__(server)
        self.pipes: dict[str, Pipe] = {}
        self.control, self.machine = Control(), Machine()
        self.database: Database | None = None
        link = getattr(server, "link", None)
        self.sharing = None if link is None else Sharing(link, "pipelimit", lambda: self.pipes)

    async def start(self) -> None:
        """Load the pipes, start the timer. Raises ConfigError or StoreError."""
        if self.db_url:
            self.database = await open_database(self.server, self.db_url, "pipelimit")
            await require_version(self.database, self.plp_table_name, VERSION)
            await self.load()
        self.every(max(1, self.timer_interval), self.tick)

    async def load(self) -> None:
        """Read the table; a pipe that stays the same goes on counting. Raises StoreError."""
        database = self.database
        assert database is not None
        columns = ("id", self.plp_pipeid_column, self.plp_algorithm_column, self.plp_limit_column)
        fresh: dict[str, Pipe] = {}
        for row_id, name, algorithm, limit in await database.query(select(self.plp_table_name, columns)):
            kind = str(algorithm).upper()
            if kind not in ALGORITHMS or not isinstance(limit, int):
                raise StoreError(
                    f"{database.path}: {self.plp_table_name} row {row_id}: "
                    f"{algorithm!r} {limit!r} is no limit"
                )
            old = self.pipes.get(str(name))
            kept = old is not None and (old.algorithm, old.limit) == (kind, limit)
            fresh[str(name)] = old if old is not None and kept else Pipe(kind, limit)
        self.pipes = {name: pipe for name, pipe in self.pipes.items() if pipe.is_own} | fresh

    def tick(self) -> None:
        """Begin a new interval."""
        waiting = 0
        if self.load_fetch:
            self.control.load = self.machine.cpu()
            if any(pipe.algorithm == NETWORK for pipe in self.pipes.values()):
                waiting = self.machine.waiting({s.address.port for s in getattr(self.server, "sockets", ())})
        for name, pipe in list(self.pipes.items()):
            if pipe.algorithm == FEEDBACK:
                self.control.tick(pipe.limit / 100)
            pipe.tick(pipe.limit, waiting)
            if self.clean_unused > 0 and pipe.is_own and pipe.unused >= self.clean_unused:
                del self.pipes[name]

    @function("pl_check", routes=ANY, arities=(1, 3))
    def pl_check(self, ctx: Context, name: str, algorithm: str = "", limit: int = 0) -> int:
        """Count a message in a pipe: 1 it may pass, -1 the limit is reached, -2 no such pipe, 2 no limit.

        With an algorithm and a limit the pipe is made if it is not there; a limit above 0 changes it.
        """
        pipe = self.pipes.get(name)
        if pipe is None:
            kind = algorithm.upper()
            if not kind or kind not in ALGORITHMS or len(self.pipes) >= MOST:
                logger.info("pl_check: there is no pipe %r", name)
                return NOT_FOUND
            pipe = self.pipes[name] = Pipe(kind, limit, is_own=True)
        elif limit > 0 and algorithm:
            pipe.limit = limit
        if self.sharing is not None:
            self.sharing.counted(name, pipe)
        return push(pipe, self.timer_interval, self.control)

    @function("pl_active", routes=ANY)
    def pl_active(self, ctx: Context, name: str) -> bool:
        """Whether there is a pipe of this name."""
        return name in self.pipes

    @function("pl_drop", routes=REQUEST_ROUTE | FAILURE_ROUTE | BRANCH_ROUTE | ONSEND_ROUTE)
    def pl_drop(self, ctx: Context, least: int | None = None, most: int | None = None) -> bool:
        """Answer 503: `pl_drop(5)` with Retry-After: 5, `pl_drop(5, 10)` with a number between."""
        headers = []
        if least is not None:
            low, high = (least, least) if most is None else (min(least, most), max(least, most))
            headers.append(("Retry-After", str(random.randint(low, high))))
        server: Any = self.server
        return bool(server.reply(ctx, self.reply_code, self.reply_reason, headers))

    def _listed(self) -> list[tuple[str, Pipe]]:
        return [(name, pipe) for name, pipe in self.pipes.items() if pipe.algorithm != NOP]

    @rpc("pl.stats")
    def rpc_stats(self) -> list[str]:
        """What the last interval has counted, by pipe."""
        return [f"PIPE: id={name} load={p.load} counter={p.last_counter}" for name, p in self._listed()]

    @rpc("pl.get_pipes")
    def rpc_get_pipes(self) -> list[str]:
        """The pipes and what this interval has counted."""
        return [
            f"PIPE: id={name} algorithm={p.algorithm} limit={p.limit} counter={p.counter}"
            for name, p in self._listed()
        ]

    @rpc("pl.list")
    def rpc_list(self, name: str = "") -> list[dict[str, Any]]:
        """All pipes, or one."""
        if name and name not in self.pipes:
            raise RpcError(400, f"Unknown pipe id {name}")
        return [
            {
                "name": each, "algorithm": p.algorithm, "limit": p.limit, "counter": p.counter,
                "last_counter": p.last_counter, "unused_intervals": p.unused,
            }
            for each, p in self._listed()
            if name in ("", each)
        ]  # fmt: skip

    @rpc("pl.set_pipe", workers="all")
    def rpc_set_pipe(self, name: str, algorithm: str, limit: int) -> None:
        """Change algorithm and limit of a pipe."""
        if algorithm.upper() not in ALGORITHMS:
            raise RpcError(400, "Unknown algorithm")
        pipe = self.pipes.get(name)
        if pipe is None:
            raise RpcError(400, f"Unknown pipe id {name}")
        pipe.algorithm, pipe.limit = algorithm.upper(), limit

    @rpc("pl.get_pid")
    def rpc_get_pid(self) -> str:
        """The constants of FEEDBACK's controller."""
        control = self.control
        return f"ki[{control.ki:f}] kp[{control.kp:f}] kd[{control.kd:f}] "

    @rpc("pl.set_pid", workers="all")
    def rpc_set_pid(self, ki: str, kp: str, kd: str) -> None:
        """Change the constants of FEEDBACK's controller."""
        tune(self.control, ki, kp, kd)

    @rpc("pl.push_load", workers="all")
    def rpc_push_load(self, load: str) -> None:
        """Say the load of the CPU, 0.0 to 1.0; with `load_fetch` 1 until the next interval."""
        push_load(self.control, load)

    @rpc("pl.reload", workers="all")
    async def rpc_reload(self) -> str:
        """Read the table again (kamtool's own); a bad row leaves the old pipes in place."""
        if self.database is None:
            raise RpcError(500, "db_url is not set")
        try:
            await self.load()
        except StoreError as error:
            raise RpcError(500, str(error)) from error
        return "Ok"
