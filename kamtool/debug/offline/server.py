"""The offline server: bytes in, what it sends out, and time in between."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from kamtool.debug.offline.loop import OfflineLoop
from kamtool.debug.offline.rows import MemoryDatabases
from kamtool.debug.offline.wire import Chance, Names, Sent, Wire, resolver_of
from kamtool.server.options import Options
from kamtool.server.server import Server
from kamtool.sip.flow import Address, Flow, Socket, Transport
from kamtool.store.databases import Databases
from kamtool.transport.dns_ask import Query

T = TypeVar("T")
Rows = Mapping[str, Sequence[Mapping[str, Any]]]

HERE = Address("192.0.2.1", 5060)
"""Where an offline server listens when nothing else is said."""
SOCKETS = (Socket("udp", HERE), Socket("tcp", HERE))
NOON = 1_700_000_000.0
"""The time of day at which it starts."""
OUTSIDE = ("ctl", "jsonrpcs")
"""Modules that only open sockets to be asked by: offline nobody asks."""


class _Server(Server):
    """A server whose modules stay inside."""

    def make_modules(self) -> None:
        super().make_modules()
        for name in OUTSIDE:
            if (module := self.modules.get(name)) is not None:
                module.start = module.stop = _nothing  # type: ignore[method-assign]


async def _nothing() -> None:
    return None


class Offline:
    """A server of a script. `dns` is a zone, `rows` are by table; `query` and `databases` go before them.

    Raises what starting a server raises.
    """

    def __init__(
        self, script: Any, *, listens: Sequence[Socket] = (), dns: Mapping[str, Any] | None = None,
        rows: Rows | None = None, epoch: float = NOON, seed: int | str = 1, query: Query | None = None,
        databases: Databases | None = None, loop: OfflineLoop | None = None,
    ) -> None:  # fmt: skip
        self.loop = loop or OfflineLoop()
        began = self.loop.time()
        self.chance = Chance(lambda: epoch + self.loop.time() - began, str(seed))
        random.seed(f"numbers {seed}")
        self.names = Names(dns or {})
        self.chance.look()
        settings = script.settings
        resolver = resolver_of(
            query or self.names.query, naptr=bool(settings.values.get("dns_try_naptr", False)),
            ipv6=bool(settings.values.get("dns_try_ipv6", True)),
        )  # fmt: skip
        given = list(listens) or ([] if settings.listens else list(SOCKETS))
        with self.chance():
            self.server = _Server(
                script, options=Options(listens=given, freeze=False, drain=0, resolver=resolver)
            )
            self.wire = self.server.transports = Wire(self.server, resolver)
            self.server.transactions.send = self.wire.send
            self.server.databases = databases or MemoryDatabases(rows or {})

    def start(self) -> Offline:
        """Start it. Raises ConfigError, StoreError or TransportError."""
        self.chance.look()
        self.work(self.server.start())
        return self

    def work(self, work: Coroutine[Any, Any, T]) -> T:
        """Do this on its loop, in its time."""
        with self.chance():
            return self.loop.finish(work)

    def flow(self, source: Address, transport: Transport = "udp", to: Address | None = None) -> Flow:
        """The flow by which messages of a peer come."""
        local = next(
            (
                each.address
                for each in self.server.sockets
                if each.transport == transport and to in (None, each.address)
            ),
            HERE,
        )
        number = 0 if transport == "udp" else self.wire.opened(transport, source)
        return Flow(transport, local, source, number)

    def receive(self, data: bytes, flow: Flow) -> list[Sent]:
        """One message comes; what was sent because of it, before any time has passed."""
        return self.call(self.server.receive, data, flow)

    def call(self, what: Callable[..., Any], *arguments: Any) -> list[Sent]:
        """Call something on the loop; what was sent because of it."""
        self.loop.call_soon(what, *arguments)
        return self.wait(0.0)

    def wait(self, seconds: float) -> list[Sent]:
        """Let time pass; what was sent meanwhile."""
        with self.chance():
            self.loop.go(seconds)
        return self.wire.taken()

    def rpc(self, method: str, params: Sequence[Any] = ()) -> Any:
        """Call a method of the control plane. Raises RpcError."""
        return self.work(self.server.rpc.call(method, list(params)))

    def stop(self) -> None:
        """End it in good order."""
        with suppress(TimeoutError):
            self.work(self.server.stop(drain=0))
        for task in asyncio.all_tasks(self.loop):
            task.cancel()
        with self.chance():
            self.loop.go()
        self.loop.close()
