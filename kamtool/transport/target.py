"""A place that a message is sent to, and what can be told of a host without asking anybody."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import ip_address

from kamtool.sip.flow import Address


@dataclass(frozen=True, slots=True)
class Target:
    """One place to try, in its turn."""

    transport: str
    address: Address
    name: str = field(default="", compare=False)
    """The host that was asked for, which a TLS certificate must name (RFC 5922 §4)."""


def is_loopback(host: str) -> bool:
    """Whether a numeric address is of this host only."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def is_numeric(host: str) -> bool:
    """Whether a host (IPv6 with or without brackets) is an address, and so needs no DNS."""
    if not host:
        return False
    if host[-1].isdigit() and ":" not in host:
        parts = host.split(".")
        return len(parts) == 4 and all(
            p.isascii() and p.isdigit() and len(p) <= 3 and int(p) < 256 for p in parts
        )
    if ":" in host:
        try:
            ip_address(host.strip("[]"))
        except ValueError:
            return False
        return True
    return False
