"""Questions to the name servers, by dnspython: few at a time, each one once, none for ever."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from kamtool.errors import TransportError
from kamtool.sip.flow import Address
from kamtool.transport.dns_options import DnsOptions

MAX_AT_ONCE = 64
MAX_WAITING = 4096
MAX_ALIASES = 8
"""How many CNAMEs are followed from zone to zone."""
DEADLINE_SECONDS = 5.0

Query = Callable[[str, str], Awaitable[tuple[list[Any], float]]]
"""Ask for (name, type): the records, none when there are none, and how long that is so.

Raises TransportError when there is no answer.
"""


class Questions:
    """Asks, and lets whoever has the same question wait for the same answer.

    A question is a task of its own: who waits for it may stop waiting.
    """

    def __init__(self, query: Query) -> None:
        self.query = query
        self.running: dict[tuple[str, str], asyncio.Task[tuple[list[Any], float]]] = {}
        self.asked = 0
        self._places: asyncio.Semaphore | None = None

    async def ask(self, name: str, kind: str, within: float) -> tuple[list[Any], float]:
        """The answer, if it comes within so many seconds. Raises TransportError."""
        key = (name, kind)
        task = self.running.get(key)
        if task is None:
            if len(self.running) >= MAX_WAITING:
                raise TransportError(f"{name} {kind}: {MAX_WAITING} questions wait for an answer already")
            task = asyncio.get_running_loop().create_task(self._ask(name, kind))
            self.running[key] = task
            task.add_done_callback(lambda done: self._done(key, done))
        # No asyncio.timeout here: a route that has not waited yet runs in no task.
        await asyncio.wait((task,), timeout=max(within, 0.0))
        if not task.done():
            raise TransportError(f"{name} {kind}: no answer in time")
        if task.cancelled():
            raise TransportError(f"{name} {kind}: the server stops")
        return task.result()

    async def _ask(self, name: str, kind: str) -> tuple[list[Any], float]:
        if self._places is None:
            self._places = asyncio.Semaphore(MAX_AT_ONCE)
        async with self._places:
            self.asked += 1
            return await self.query(name, kind)

    def _done(self, key: tuple[str, str], task: asyncio.Task[tuple[list[Any], float]]) -> None:
        self.running.pop(key, None)
        if not task.cancelled():
            task.exception()  # seen, also when nobody waits any more

    def stop(self) -> None:
        """Wait for nothing any more."""
        for task in list(self.running.values()):
            task.cancel()


class NameServers:
    """The `query` that asks real name servers: those of resolv.conf, or `servers`."""

    def __init__(
        self,
        options: DnsOptions,
        servers: Sequence[Address] = (),
        resolv_conf: Path = Path("/etc/resolv.conf"),
    ) -> None:
        self.options, self.servers, self.resolv_conf = options, servers, resolv_conf
        self._resolver: Any = None
        self._read_at = 0
        """When the resolv.conf in use was last changed, in ns."""

    async def __call__(self, name: str, kind: str) -> tuple[list[Any], float]:
        resolver = await self._current()
        ttl = float("inf")
        for _ in range(MAX_ALIASES):
            records, here, leads_to = await self._one(resolver, name, kind)
            ttl = min(ttl, here)
            if records or not leads_to:
                return records, ttl
            name = leads_to
        raise TransportError(f"{name} {kind}: more than {MAX_ALIASES} aliases")

    async def _one(self, resolver: Any, name: str, kind: str) -> tuple[list[Any], float, str]:
        """Records, their time to live, and the alias to follow where the server did not follow it itself."""
        dns = importlib.import_module("dns.resolver")
        exception = importlib.import_module("dns.exception")
        try:
            answer = await resolver.resolve(name, kind, search=self.options.search, raise_on_no_answer=False)
        except dns.NXDOMAIN as error:
            return [], _negative_ttl(error), ""
        except (exception.DNSException, OSError, ValueError) as error:
            raise TransportError(f"{name} {kind}: {error}") from error
        if answer.rrset is not None:
            return list(answer), float(answer.chaining_result.minimum_ttl), ""
        leads_to = str(answer.canonical_name)
        asked = str(answer.qname)
        return [], float(answer.chaining_result.minimum_ttl), leads_to if leads_to != asked else ""

    async def _current(self) -> Any:
        """The resolver for the resolv.conf as it is now."""
        changed = 0
        with suppress(OSError):
            changed = self.resolv_conf.stat().st_mtime_ns
        if self._resolver is None or (changed != self._read_at and not self.servers):
            # The import takes a tenth of a second: messages do not wait for it.
            loop = asyncio.get_running_loop()
            made = await loop.run_in_executor(None, self._make)
            self._resolver, self._read_at = made, changed
        return self._resolver

    def _make(self) -> Any:
        module: Any = importlib.import_module("dns.asyncresolver")
        options = self.options
        resolver = module.Resolver(configure=False)
        if self.servers:
            plain: Any = importlib.import_module("dns.nameserver").Do53Nameserver
            resolver.nameservers = [plain(server.host, server.port) for server in self.servers]
        else:
            with suppress(importlib.import_module("dns.exception").DNSException, OSError, ValueError):
                resolver.read_resolv_conf(str(self.resolv_conf))
        if options.servers:
            resolver.nameservers = resolver.nameservers[: options.servers]
        if options.try_seconds:
            resolver.timeout = float(options.try_seconds)
        tries = options.tries or (2 if options.try_seconds else 0)
        resolver.lifetime = resolver.timeout * tries if tries else DEADLINE_SECONDS
        # A server that is down for one question is down for the next: the cache is ours, not dnspython's.
        resolver.cache = None
        return resolver


def _negative_ttl(error: Any) -> float:
    """RFC 2308 §5: how long a name is known not to be there."""
    for response in (error.kwargs.get("responses") or {}).values():
        for rrset in response.authority:
            for record in rrset:
                if hasattr(record, "minimum"):
                    return float(min(rrset.ttl, record.minimum))
    return float("inf")
