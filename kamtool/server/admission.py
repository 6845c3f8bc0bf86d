"""Who may command the server over a network whose protocol knows no password: it goes by the address."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from kamtool.errors import ConfigError
from kamtool.server.listen import ipv4_addresses, ipv6_addresses
from kamtool.transport.transports import is_loopback

log = logging.getLogger("kamtool.control")

MOST_TOLD = 100
"""Addresses that are named in the log when they are turned away; further ones are not."""


class Admission:
    """This machine's own addresses, and those that the cfg trusts. Raises ConfigError for what is none."""

    def __init__(self, face: str, trusted: Iterable[str]) -> None:
        self.face = face
        self.networks: list[IPv4Network | IPv6Network] = []
        for text in (word for each in trusted for word in each.replace(",", " ").split()):
            try:
                self.networks.append(ip_network(text, strict=False))
            except ValueError:
                raise ConfigError(
                    f"{face}: trusted {text!r} is neither an address nor a network",
                    hint="10.0.0.5, 10.0.0.0/24, 2001:db8::/32; several with commas", code="KT1201",
                ) from None  # fmt: skip
        self._told: set[str] = set()

    def admits(self, host: str) -> bool:
        """Whether what comes from this address is answered; one that is not is named in the log, once."""
        address = ip_address(host.partition("%")[0])
        if isinstance(address, IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        if address.is_loopback or any(address in network for network in self.networks):
            return True
        # Looked up anew: addresses come and go, and this is for commands, not for calls.
        if str(address) in (*ipv4_addresses(), *ipv6_addresses()):
            return True
        if str(address) not in self._told and len(self._told) < MOST_TOLD:
            self._told.add(str(address))
            log.warning(
                '%s: %s is not answered: with modparam("%s", "trusted", "%s") it could command this server',
                self.face, address, self.face, address,
            )  # fmt: skip
        return False

    def tell(self, host: str, port: int | str) -> None:
        """Say once, at the start, who is answered where others than this machine can come."""
        if host == "localhost" or is_loopback(host):
            return
        others = " and ".join(map(str, self.networks)) or "nobody else, as `trusted` names nobody"
        log.warning(
            "%s: %s:%s asks for no password: it answers this machine, and %s (UDP: addresses can be forged)",
            self.face, host, port, others,
        )  # fmt: skip
