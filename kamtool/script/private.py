"""Addresses that no router of the public Internet leads to."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, ip_address

RFC1918 = tuple(map(IPv4Network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")))
SHARED = tuple(map(IPv4Network, ("100.64.0.0/10", "192.0.0.0/24")))
"""Carrier-grade NAT (RFC 6598) and DS-Lite (RFC 6333)."""


@lru_cache(4096)
def is_private(host: str, *, shared: bool = True) -> bool:
    """Whether a host is a numeric IPv4 address of RFC 1918 or, with `shared`, of a carrier's NAT."""
    try:
        address = ip_address(host.strip("[]"))
    except ValueError:
        return False
    if not isinstance(address, IPv4Address):
        return False
    return any(address in network for network in (RFC1918 + SHARED if shared else RFC1918))
