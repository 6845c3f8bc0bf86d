"""Where a SIP URI leads: RFC 3263, NAPTR to SRV to addresses. Numeric hosts never come here."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Collection, Iterable
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import Any

from kamtool.errors import TransportError
from kamtool.sip.flow import Address
from kamtool.transport.dns_ask import DEADLINE_SECONDS, NameServers, Query, Questions
from kamtool.transport.dns_cache import FAILURE_TTL, Cache, text
from kamtool.transport.dns_options import DnsOptions
from kamtool.transport.target import Target

SERVICES = {"udp": "_sip._udp.", "tcp": "_sip._tcp.", "tls": "_sips._tcp.", "sctp": "_sip._sctp."}
NAPTR_SERVICES = {"SIP+D2U": "udp", "SIP+D2T": "tcp", "SIPS+D2T": "tls", "SIP+D2S": "sctp"}
MAX_TARGETS = 32
"""A zone may hold any number of records; more places than this are never tried."""


class Resolver:
    """Names to addresses, in the order in which they should be tried.

    `query` does the asking and may be replaced, e.g. by a table in a test. `transports` and `families` are
    what the server has sockets for, once it has them: nothing else is asked for.
    """

    def __init__(
        self,
        options: DnsOptions | None = None,
        *,
        query: Query | None = None,
        hosts: Path = Path("/etc/hosts"),
        naptr: bool = False,
        ipv6: bool = True,
        within: float | None = None,
    ) -> None:
        self.options = options or DnsOptions(naptr=naptr, ipv6=ipv6)
        self.cache = Cache(self.options)
        self.questions = Questions(query or NameServers(self.options))
        self.transports: Collection[str] = ("udp", "tcp", "tls")
        self.families: Collection[int] = (4, 6)
        self.servers_up = True
        """Said over RPC: while it is false no name server is asked."""
        self._hosts = read_hosts(hosts)
        self._within = within or self._deadline()

    def _deadline(self) -> float:
        """Seconds for one name with all that follows from it: two questions, one after the other."""
        options = self.options
        if not options.try_seconds:
            return 2 * DEADLINE_SECONDS
        return 2.0 * options.try_seconds * (options.tries or 2)

    async def resolve(
        self, host: str, port: int | None, transport: str = "", *, secure: bool = False
    ) -> list[Target]:
        """RFC 3263 §4: the targets for a host that is a name. Raises TransportError when there is none.

        `transport` is empty when the URI does not name one.
        """
        search = _Search(self, monotonic() + self._within)
        targets = await search.targets(host.lower().rstrip("."), port, transport, secure)
        if not self.options.failover:
            targets = targets[:1]
        return [replace(t, name=host) if t.transport == "tls" else t for t in targets[:MAX_TARGETS]]

    async def get(self, name: str, kind: str, end: float | None = None) -> list[Any]:
        """The records of a name, from the cache or the name servers; none when there are none.

        Raises TransportError when no server answers before `end`.
        """
        key, now = (name, kind), monotonic()
        entry = self.cache.get(key, now)
        if entry is not None:
            return entry.records
        try:
            if not self.servers_up:
                raise TransportError(f"{name} {kind}: the name servers are said to be down")
            within = self._within if end is None else end - now
            records, ttl = await self.questions.ask(name, kind, within)
        except TransportError:
            stale = self.cache.stale(key, now)
            if stale is None:
                self.cache.put(key, [], min(self.options.negative_ttl, FAILURE_TTL), now)
                raise
            stale.expires_at = monotonic() + FAILURE_TTL
            return stale.records
        if not records:
            ttl = min(ttl, self.options.negative_ttl)
        return self.cache.put(key, records, ttl, monotonic()).records

    def addresses_in_hosts(self, host: str) -> list[str]:
        """The addresses that the hosts file has for a name."""
        return self._hosts.get(host, [])

    def clear(self) -> None:
        """Forget every answer."""
        self.cache.clear()

    def stop(self) -> None:
        """Wait for no answer any more."""
        self.questions.stop()


class _Search:
    """One URI's way through the DNS, with the moment at which it must be over."""

    def __init__(self, resolver: Resolver, end: float) -> None:
        self.resolver, self.options, self.end = resolver, resolver.options, end
        self.failure: TransportError | None = None
        self.refused = False
        """The domain says that it has no such service, and nothing else was found."""

    async def targets(self, host: str, port: int | None, transport: str, secure: bool) -> list[Target]:
        known = self.resolver.addresses_in_hosts(host)
        plain = transport or ("tls" if secure else "udp")
        if known:
            return [Target(plain, Address(ip, port or default_port(plain))) for ip in known]
        found: list[Target] = []
        if port is None:
            for service, owner in await self._services(host, transport, secure):
                found += await self._srv_targets(owner, service)
                if found:
                    break
        if not found and not self.refused:
            found = await self._addresses(host, port or default_port(plain), plain)
        if not found:
            raise self.failure or TransportError(f"{host}: the name does not resolve")
        return list(dict.fromkeys(found))

    async def _services(self, host: str, transport: str, secure: bool) -> list[tuple[str, str]]:
        """(transport, SRV name) in the order to be asked (§4.1)."""
        if transport and not (secure and self.options.naptr):  # of sips: the transport is said by the scheme
            return [(transport, SERVICES.get(transport, "_sip._tcp.") + host)]
        if self.options.naptr:
            found = [
                (service, str(record.replacement).rstrip("."))
                for record in self._in_order(await self._get(host, "NAPTR"))
                if self._is_wanted(service := NAPTR_SERVICES.get(text(record.service).upper(), ""), secure)
            ]
            if found:
                return found
        # As Kamailio: whoever asks for NAPTR asks for TLS as well, where there is none.
        wanted = ("tls",) if secure else ("udp", "tcp", "sctp", *(("tls",) if self.options.naptr else ()))
        usable = [name for name in wanted if self._is_wanted(name, secure)]
        return [(name, SERVICES[name] + host) for name in sorted(usable, key=self._preference)]

    def _preference(self, transport: str) -> int:
        return -self.options.preferences.get(transport, 0)

    def _is_wanted(self, transport: str, secure: bool) -> bool:
        if transport not in self.resolver.transports or (secure and transport != "tls"):
            return False
        return self.options.preferences.get(transport, 0) >= 0

    def _in_order(self, records: Iterable[Any]) -> list[Any]:
        """NAPTR records: by our own preference (dns_*_pref) or, as RFC 3263 has it, by theirs."""

        def key(record: Any) -> tuple[int, int, int]:
            ours = self._preference(NAPTR_SERVICES.get(text(record.service).upper(), ""))
            theirs = (record.order, record.preference)
            return (ours, *theirs) if self.options.naptr_by_preference else (*theirs, ours)

        return sorted(records, key=key)

    async def _srv_targets(self, owner: str, transport: str) -> list[Target]:
        targets: list[Target] = []
        records = await self._get(owner, "SRV")
        if self.options.srv_by_weight:
            records = by_weight(records)
        else:
            records = sorted(records, key=lambda record: (record.priority, -record.weight))
        for record in records:
            name = str(record.target).rstrip(".").lower()
            if not name:  # RFC 2782: the target "." means that the service is decidedly not there
                self.refused = True
            else:
                targets += await self._addresses(name, record.port, transport)
            if len(targets) >= MAX_TARGETS or (targets and not self.options.failover):
                break
        return targets

    async def _addresses(self, host: str, port: int, transport: str) -> list[Target]:
        found = list(self.resolver.addresses_in_hosts(host))
        if not found:
            options, families = self.options, self.resolver.families
            kinds = ["A"] if options.ipv4 and 4 in families else []
            kinds += ["AAAA"] if options.ipv6 and 6 in families else []
            if options.prefer_ipv6:
                kinds.reverse()
            answers = await asyncio.gather(*[self._get(host, kind) for kind in kinds])
            found = [str(record.address) for records in answers for record in records]
        return [Target(transport, Address(ip, port)) for ip in found]

    async def _get(self, name: str, kind: str) -> list[Any]:
        """As `Resolver.get`; a question without an answer is one without records, and remembered."""
        try:
            return await self.resolver.get(name, kind, self.end)
        except TransportError as error:
            self.failure = error
            return []


def by_weight(records: Iterable[Any], rng: random.Random | None = None) -> list[Any]:
    """SRV records in the order to be tried: by priority, then drawn by weight (RFC 2782)."""
    dice = rng or random.Random()
    ordered: list[Any] = []
    left = sorted(records, key=lambda record: record.priority)
    while left:
        group = [record for record in left if record.priority == left[0].priority]
        left = left[len(group) :]
        dice.shuffle(group)
        group.sort(key=lambda record: bool(record.weight))  # weight 0 stands first: a small chance
        while group:
            point = dice.randint(0, sum(record.weight for record in group))
            for chosen in group:
                point -= chosen.weight
                if point <= 0:
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


def default_port(transport: str) -> int:
    """The port of a transport where none is said."""
    return 5061 if transport == "tls" else 5060
