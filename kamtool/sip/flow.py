"""The way a message came, and so the way its reply goes back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

Transport = Literal["udp", "tcp", "tls", "ws", "wss", "sctp"]

RELIABLE: frozenset[str] = frozenset({"tcp", "tls", "ws", "wss", "sctp"})


class Address(NamedTuple):
    """An IP address as text (IPv6 without brackets) and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Flow:
    """One pair of addresses and a transport (RFC 5626 §4.2).

    `local` is the address of the listening socket, also on a connection that was accepted or opened from it.
    `connection` is the connection's number, 0 on UDP; a reply must use that connection while it lives
    (RFC 3261 §18.2.2).
    """

    transport: Transport
    local: Address
    remote: Address
    connection: int = 0

    @property
    def reliable(self) -> bool:
        return self.transport in RELIABLE


@dataclass(frozen=True, slots=True)
class Socket:
    """A listening socket as the cfg names it; Via and Record-Route show `advertised` instead of `address`."""

    transport: Transport
    address: Address
    advertised: Address | None = None
    name: str = ""

    @property
    def shown(self) -> Address:
        """The address that peers are told."""
        return self.advertised or self.address
