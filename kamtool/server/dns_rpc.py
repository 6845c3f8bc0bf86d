"""`dns.*`: the cache of the DNS, to be looked at and written to."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any

from kamtool.errors import RpcError
from kamtool.transport.dns_cache import Entry, Host, Service, shown
from kamtool.transport.dns_options import FOREVER

if TYPE_CHECKING:
    from kamtool.server.rpc import RpcTable
    from kamtool.server.server import Server

PERMANENT = 1
TYPES = ("A", "AAAA", "SRV", "NAPTR", "CNAME", "TXT", "EBL", "PTR")
NUMBERS = {"A": 1, "AAAA": 28, "SRV": 33, "NAPTR": 35}


def register(table: RpcTable, server: Server) -> None:
    """Offer the methods that look at, and change, what the DNS said."""
    methods = DnsRpc(server)
    for name in (
        "lookup", "view", "mem_info", "debug", "debug_all", "add_a", "add_aaaa", "add_srv", "delete_all",
        "delete_all_force", "stats_get", "set_server_state", "get_server_state",
    ):  # fmt: skip
        table.register(f"dns.{name}", getattr(methods, name))
    for kind in TYPES:
        table.register(f"dns.delete_{kind.lower()}", methods.deleting(kind))


class DnsRpc:
    """The methods, for one server."""

    def __init__(self, server: Server) -> None:
        self.resolver = server.transports.resolver
        self.cache = self.resolver.cache

    async def lookup(self, type: str, name: str) -> dict[str, Any]:  # noqa: A002
        """Ask for the records of a name: `A`, `AAAA`, `SRV` or `NAPTR`. The answer stays in the cache."""
        kind = type.upper()
        if kind not in NUMBERS:
            raise RpcError(400, f"no such type: {type!r}")
        key = (name.lower().rstrip("."), kind)
        await self.resolver.get(*key)
        entry = self.cache.get(key, monotonic())
        if entry is None or not entry.records:
            raise RpcError(400, "Not found")
        return _shown(key, entry)

    def view(self) -> list[dict[str, Any]]:
        """All that is in the cache."""
        return [_shown(key, entry) for key, entry in self.cache]

    def mem_info(self) -> list[int]:
        """The octets that the cache takes, about, and how many it may take (dns_cache_mem)."""
        return [self.cache.used_bytes, self.cache.options.cache_bytes]

    def debug(self) -> list[Any]:
        """Of each entry: name, type, references, octets, seconds left, age, 1 if negative."""
        now = monotonic()
        rows: list[Any] = []
        for (name, kind), entry in self.cache:
            age = int(now - entry.used_at)
            rows += [name, NUMBERS.get(kind, 0), 1, entry.size_bytes, _left(entry, now), age]
            rows.append(int(not entry.records))
        return rows

    def debug_all(self) -> list[dict[str, Any]]:
        """As dns.view."""
        return self.view()

    def add_a(self, name: str, ttl: int, ip: str, flags: int = 0) -> None:
        """Put an A record into the cache. With the flag 1 it stays for ever, and no server is asked."""
        self._add(name, "A", ttl, Host(_address(ip, 4)), flags)

    def add_aaaa(self, name: str, ttl: int, ip: str, flags: int = 0) -> None:
        """As dns.add_a, for an IPv6 address."""
        self._add(name, "AAAA", ttl, Host(_address(ip, 6)), flags)

    def add_srv(
        self, name: str, ttl: int, priority: int, weight: int, port: int, target: str, flags: int = 0
    ) -> None:
        """Put an SRV record into the cache; flags as for dns.add_a."""
        numbers = (priority, weight, port)
        if not all(0 <= number < 65536 for number in numbers):
            raise RpcError(400, f"not of 16 bits: {numbers}")
        self._add(name, "SRV", ttl, Service(priority, weight, port, target), flags)

    def _add(self, name: str, kind: str, ttl: int, record: Any, flags: int) -> None:
        seconds = FOREVER if flags & PERMANENT else float(max(ttl, 0))
        self.cache.add((name.lower().rstrip("."), kind), record, seconds, monotonic())

    def deleting(self, kind: str) -> Any:
        """The method that forgets the records of one type."""

        def delete(name: str) -> None:
            if not self.cache.delete((name.lower().rstrip("."), kind)):
                raise RpcError(400, "Not found")

        delete.__doc__ = f"Forget the {kind} records of a name."
        return delete

    def delete_all(self) -> None:
        """Forget everything but what is permanent."""
        self.cache.clear(permanent=False)

    def delete_all_force(self) -> None:
        """Forget everything."""
        self.cache.clear()

    def stats_get(self, name: str = "all") -> dict[str, int]:
        """`dns_req_cnt`: questions that went to a name server; entries in the cache; questions under way."""
        known = {
            "dns_req_cnt": self.resolver.questions.asked,
            "entries": len(self.cache.entries),
            "running": len(self.resolver.questions.running),
        }
        if name != "all" and name not in known:
            raise RpcError(400, f"no such counter: {name!r}")
        return known if name == "all" else {name: known[name]}

    def set_server_state(self, state: int) -> None:
        """0: the name servers are down, ask none and use what is known; 1: ask again."""
        self.resolver.servers_up = bool(state)

    def get_server_state(self) -> int:
        """0 or 1, as dns.set_server_state last said."""
        return int(self.resolver.servers_up)


def _left(entry: Entry, now: float) -> int:
    return -1 if entry.permanent else max(0, int(entry.expires_at - now))


def _shown(key: tuple[str, str], entry: Entry) -> dict[str, Any]:
    now = monotonic()
    return {
        "name": key[0],
        "type": key[1],
        "size_bytes": entry.size_bytes,
        "reference_counter": 1,
        "permanent": "yes" if entry.permanent else "no",
        "expires": _left(entry, now),
        "last_used": int(now - entry.used_at),
        "negative_entry": "no" if entry.records else "yes",
        "records": shown(entry.records),
    }


def _address(text: str, version: int) -> str:
    from ipaddress import ip_address

    try:
        address = ip_address(text.strip("[]"))
    except ValueError:
        raise RpcError(400, f"no address: {text!r}") from None
    if address.version != version:
        raise RpcError(400, f"no IPv{version} address: {text!r}")
    return str(address)
