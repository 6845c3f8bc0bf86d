"""Where a SIP URI leads: RFC 3263 over dnspython, with a small cache. Numeric hosts never come here."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import monotonic
from typing import Any, Protocol

from kamtool.errors import TransportError
from kamtool.sip.flow import Address

MAX_CACHED = 10_000
SERVICES = {"udp": "_sip._udp.", "tcp": "_sip._tcp.", "tls": "_sips._tcp.", "sctp": "_sip._sctp."}
NAPTR_SERVICES = {"SIP+D2U": "udp", "SIP+D2T": "tcp", "SIPS+D2T": "tls", "SIP+D2S": "sctp"}


@dataclass(frozen=True, slots=True)
class Target:
    """One place to try, in its turn."""

    transport: str
    address: Address
    name: str = field(default="", compare=False)
    """The host that was asked for, which a TLS certificate must name (RFC 5922 §4)."""


class Answer(Protocol):
    """The part of dnspython's answer that is used."""

    rrset: Any


Query = Callable[[str, str], Awaitable[tuple[list[Any], float]]]
"""Ask for (name, type): the records and their time to live. Raises TransportError when there is no answer."""


class Resolver:
    """Names to addresses, in the order in which they should be tried.

    `query` does the asking and may be replaced, e.g. by a table in a test.
    """

    def __init__(
        self,
        *,
        query: Query | None = None,
        hosts: Path = Path("/etc/hosts"),
        naptr: bool = False,
        srv: bool = True,
        ipv4: bool = True,
        ipv6: bool = True,
        negative_ttl: float = 60.0,
    ) -> None:
        self._query = query or _ask
        self._naptr, self._srv, self._negative_ttl = naptr, srv, negative_ttl
        self._types = (("A",) if ipv4 else ()) + (("AAAA",) if ipv6 else ())
        self._cache: dict[tuple[str, str], tuple[float, list[Any]]] = {}
        self._hosts = read_hosts(hosts)

    async def resolve(
        self, host: str, port: int | None, transport: str = "", *, secure: bool = False
    ) -> list[Target]:
        """RFC 3263 §4: the targets for a host that is a name. Raises TransportError when there is none.

        `transport` is empty when the URI does not name one.
        """
        targets = await self._resolve(host.lower().rstrip("."), port, transport, secure)
        return [replace(t, name=host) if t.transport == "tls" else t for t in targets]

    async def _resolve(self, host: str, port: int | None, transport: str, secure: bool) -> list[Target]:
        known = self._hosts.get(host)
        plain = transport or ("tls" if secure else "udp")
        if known:
            return [Target(plain, Address(ip, port or _default_port(plain))) for ip in known]
        if port is not None or not self._srv:
            return await self._hosts_of(host, port or _default_port(plain), plain)
        for service, owner in await self._services(host, transport, secure):
            targets = await self._srv_targets(owner, service)
            if targets:
                return targets
        return await self._hosts_of(host, _default_port(plain), plain)

    async def _services(self, host: str, transport: str, secure: bool) -> list[tuple[str, str]]:
        """(transport, SRV name) in the order to be asked (§4.1)."""
        if transport:
            return [(transport, SERVICES.get(transport, "_sip._tcp.") + host)]
        if self._naptr:
            records = sorted(await self._get(host, "NAPTR"), key=lambda r: (r.order, r.preference))
            services = [
                (NAPTR_SERVICES.get(_text(r.service).upper(), ""), _name(r.replacement)) for r in records
            ]
            found = [pair for pair in services if pair[0] and (not secure or pair[0] == "tls")]
            if found:
                return found
        return [(name, SERVICES[name] + host) for name in (("tls",) if secure else ("udp", "tcp"))]

    async def _srv_targets(self, owner: str, transport: str) -> list[Target]:
        targets: list[Target] = []
        for record in by_weight(await self._get(owner, "SRV")):
            name = _name(record.target)
            if name:  # §4.1 of RFC 2782: the target "." means that the service is not there
                targets += await self._hosts_of(name, record.port, transport, required=False)
        return targets

    async def _hosts_of(self, host: str, port: int, transport: str, *, required: bool = True) -> list[Target]:
        addresses = list(self._hosts.get(host, ()))
        if not addresses:
            for kind in self._types:
                addresses += [str(record.address) for record in await self._get(host, kind)]
        if not addresses and required:
            raise TransportError(f"{host}: the name does not resolve")
        return [Target(transport, Address(ip, port)) for ip in addresses]

    async def _get(self, name: str, kind: str) -> list[Any]:
        key, now = (name, kind), monotonic()
        cached = self._cache.get(key)
        if cached and cached[0] > now:
            return cached[1]
        try:
            records, ttl = await self._query(name, kind)
        except TransportError:
            records, ttl = [], self._negative_ttl
        if not records:
            ttl = min(ttl or self._negative_ttl, self._negative_ttl)
        if len(self._cache) >= MAX_CACHED:
            self._cache.clear()
        self._cache[key] = (now + ttl, records)
        return records

    def clear(self) -> None:
        """Forget every cached answer."""
        self._cache.clear()


def by_weight(records: Iterable[Any], rng: random.Random | None = None) -> list[Any]:
    """SRV records in the order to be tried: by priority, then drawn by weight (RFC 2782)."""
    draw = (rng or random).random
    ordered: list[Any] = []
    left = sorted(records, key=lambda record: record.priority)
    while left:
        group = [record for record in left if record.priority == left[0].priority]
        left = left[len(group) :]
        while group:
            point = draw() * sum(record.weight for record in group)
            chosen = group[-1]
            for record in group:
                point -= record.weight
                if point < 0:
                    chosen = record
                    break
            group.remove(chosen)
            ordered.append(chosen)
    return ordered


def read_hosts(path: Path) -> dict[str, list[str]]:
    """The names of a hosts file with their addresses; empty when it cannot be read."""
    names: dict[str, list[str]] = {}
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError:
        return names
    for line in lines:
        words = line.partition("#")[0].split()
        for name in words[1:]:
            names.setdefault(name.lower(), []).append(words[0])
    return names


async def _ask(name: str, kind: str) -> tuple[list[Any], float]:
    import dns.asyncresolver
    import dns.exception

    try:
        answer = await dns.asyncresolver.resolve(name, kind, lifetime=5.0)
    except (dns.exception.DNSException, OSError, ValueError) as error:
        raise TransportError(f"{name} {kind}: {error}") from error
    return list(answer), float(answer.rrset.ttl if answer.rrset is not None else 0)


def _default_port(transport: str) -> int:
    return 5061 if transport == "tls" else 5060


def _name(name: Any) -> str:
    return str(name).rstrip(".")


def _text(value: Any) -> str:
    return value.decode("ascii", "replace") if isinstance(value, bytes) else str(value)
