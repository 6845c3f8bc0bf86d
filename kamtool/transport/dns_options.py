"""The `dns_*` parameters of a cfg."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

PREFERENCES = {"udp": 30, "tcp": 20, "tls": 10, "sctp": 20}
ONLY_V4, ONLY_V6, PREFER_V6 = 1, 2, 4
FOREVER = float("inf")


@dataclass(slots=True)
class DnsOptions:
    """How names are looked up. Seconds and bytes; None leaves it to resolv.conf."""

    naptr: bool = False
    ipv4: bool = True
    ipv6: bool = True
    prefer_ipv6: bool = False
    preferences: dict[str, int] = field(default_factory=lambda: dict(PREFERENCES))
    """By transport: the higher is tried first, a negative one never."""
    naptr_by_preference: bool = True
    """Our own preferences stand above the order of the NAPTR records."""
    srv_by_weight: bool = True
    failover: bool = True
    cache: bool = True
    cache_bytes: int = 500 * 1024
    drop_living: bool = False
    """When the cache is full, entries that are still good may go."""
    negative_ttl: float = 60.0
    min_ttl: float = 0.0
    max_ttl: float = FOREVER
    gc_seconds: float = 120.0
    try_seconds: float | None = None
    tries: int | None = None
    servers: int | None = None
    search: bool = True


def dns_options(setting: Callable[[str, Any], Any]) -> DnsOptions:
    """The options that a cfg asks for; `setting(name, default)` reads a global parameter.

    Where Kamailio's default is not what RFC 3263 asks for (failover, weights), the RFC's holds until the cfg
    says otherwise.
    """
    flags = int(setting("dns_cache_flags", 0))
    longest = int(setting("dns_cache_max_ttl", -1))
    return DnsOptions(
        naptr=bool(setting("dns_try_naptr", False)),
        ipv4=not flags & ONLY_V6,
        ipv6=bool(setting("dns_try_ipv6", True)) and not flags & ONLY_V4,
        prefer_ipv6=bool(flags & PREFER_V6),
        preferences={
            name: int(setting(f"dns_{name}_pref", setting(f"dns_{name}_preference", default)))
            for name, default in PREFERENCES.items()
        },
        naptr_by_preference=bool(setting("dns_naptr_ignore_rfc", True)),
        srv_by_weight=bool(setting("dns_srv_lb", True)),
        failover=bool(setting("use_dns_failover", True)),
        cache=bool(setting("use_dns_cache", True)) and bool(setting("dns_cache_init", True)),
        cache_bytes=int(setting("dns_cache_mem", 500)) * 1024,
        drop_living=bool(setting("dns_cache_del_nonexp", False)),
        negative_ttl=float(setting("dns_cache_negative_ttl", 60)),
        min_ttl=float(setting("dns_cache_min_ttl", 0)),
        max_ttl=FOREVER if longest < 0 else float(longest),
        gc_seconds=float(setting("dns_cache_gc_interval", 120)),
        try_seconds=_positive(setting("dns_retr_time", 0)),
        tries=_positive(setting("dns_retr_no", 0)),
        servers=_positive(setting("dns_servers_no", 0)),
        search=bool(setting("dns_use_search_list", True)),
    )


def _positive(value: Any) -> int | None:
    return int(value) if int(value) > 0 else None
