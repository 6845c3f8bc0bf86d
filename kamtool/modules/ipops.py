"""ipops: see `Ipops`."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import TYPE_CHECKING

from kamtool.module import ANY, Module, function

if TYPE_CHECKING:
    from kamtool.script.context import Context

PRIVATE = tuple(ip_network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"))


def pure(text: str) -> IPv4Address | IPv6Address | None:
    """The address, None for what is none or stands in brackets."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return None if "%" in text else address


def reference(text: str) -> IPv6Address | None:
    """The IPv6 address in brackets, None for anything else."""
    inner = pure(text[1:-1]) if text[:1] == "[" and text[-1:] == "]" else None
    return inner if isinstance(inner, IPv6Address) else None


def address_of(text: str) -> IPv4Address | IPv6Address | None:
    """The address, with or without the brackets of IPv6."""
    return pure(text) or reference(text)


class Ipops(Module):
    """Ask what kind of address a text is, compare addresses, look whether one is in a subnet."""

    name = "ipops"

    @function("is_ip", routes=ANY)
    def is_ip(self, ctx: Context, address: str) -> bool:
        """Whether it is an IPv4 or IPv6 address, brackets allowed."""
        return address_of(address) is not None

    @function("is_pure_ip", routes=ANY)
    def is_pure_ip(self, ctx: Context, address: str) -> bool:
        """Whether it is an IPv4 or IPv6 address without brackets."""
        return pure(address) is not None

    @function("is_ipv4", routes=ANY)
    def is_ipv4(self, ctx: Context, address: str) -> bool:
        """Whether it is an IPv4 address."""
        return isinstance(pure(address), IPv4Address)

    @function("is_ipv6", routes=ANY)
    def is_ipv6(self, ctx: Context, address: str) -> bool:
        """Whether it is an IPv6 address without brackets."""
        return isinstance(pure(address), IPv6Address)

    @function("is_ipv6_reference", routes=ANY)
    def is_ipv6_reference(self, ctx: Context, address: str) -> bool:
        """Whether it is an IPv6 address in brackets."""
        return reference(address) is not None

    @function("ip_type", routes=ANY)
    def ip_type(self, ctx: Context, address: str) -> int:
        """1 for IPv4, 2 for IPv6, 3 for IPv6 in brackets, -1 for anything else."""
        found = pure(address)
        if found is not None:
            return 1 if found.version == 4 else 2
        return 3 if reference(address) is not None else -1

    @function("compare_ips", routes=ANY)
    def compare_ips(self, ctx: Context, one: str, other: str) -> bool:
        """Whether both are the same address, however written, brackets or not."""
        found = address_of(one)
        return found is not None and found == address_of(other)

    @function("compare_pure_ips", routes=ANY)
    def compare_pure_ips(self, ctx: Context, one: str, other: str) -> bool:
        """The same for addresses without brackets."""
        found = pure(one)
        return found is not None and found == pure(other)

    @function("is_ip_rfc1918", routes=ANY)
    def is_ip_rfc1918(self, ctx: Context, address: str) -> bool:
        """Whether it is a private IPv4 address (RFC 1918)."""
        found = pure(address)
        return isinstance(found, IPv4Address) and any(found in network for network in PRIVATE)

    @function("is_in_subnet", "ip_is_in_subnet", routes=ANY)
    def is_in_subnet(self, ctx: Context, address: str, subnets: str) -> bool:
        """Whether the address is in one of the subnets `10.0.0.0/8,2001:db8::/32`; no brackets."""
        found = pure(address)
        if found is None:
            return False
        for text in subnets.split(","):
            try:
                network = ip_network(text.strip(), strict=False)
            except ValueError:
                continue
            if found.version == network.version and found in network:
                return True
        return False
