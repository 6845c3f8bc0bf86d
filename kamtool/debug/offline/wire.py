"""What stands for sockets, name servers, the clock and chance."""

from __future__ import annotations

import hashlib
import os
import random
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kamtool.errors import TransportError
from kamtool.sip.flow import RELIABLE, Address, Flow, Socket
from kamtool.transport.resolver import Resolver
from kamtool.transport.transports import Receiver, Transports

if TYPE_CHECKING:
    import socket as sockets

NOWHERE = Path("/nonexistent/hosts")


@dataclass(frozen=True, slots=True)
class Sent:
    """What the server sent."""

    flow: Flow
    data: bytes

    @property
    def first_line(self) -> str:
        """The request or status line."""
        return self.data.partition(b"\r\n")[0].decode("utf-8", "replace")


class Wire(Transports):
    """Keeps what is sent. A peer in `refused` cannot be reached."""

    def __init__(self, receiver: Receiver, resolver: Resolver) -> None:
        super().__init__(receiver, resolver=resolver)
        self.sent: list[Sent] = []
        self.refused: set[Address] = set()
        self.connections: dict[tuple[str, Address], int] = {}
        self.expected: dict[tuple[str, Address], int] = {}
        """The numbers that new connections will get, where they are known beforehand."""

    def start(self, listens: Iterable[Socket], bound: Mapping[Socket, sockets.socket] | None = None) -> None:
        """Take the sockets as given: nothing is bound."""
        for socket in listens:
            self.sockets.append(socket)
            self._sockets[socket.transport, socket.address] = socket

    def stop(self) -> None:
        """There is nothing to close."""

    def flow_to(
        self, transport: str, remote: Address, socket: Socket | None = None, connection: int = 0, *,
        connect: bool = True, name: str = "", server_id: str = "",
    ) -> Flow:  # fmt: skip
        """The flow to an address: what would need a new connection gets one. Raises TransportError."""
        known = self.connections.get((transport, remote), 0)
        if transport in RELIABLE and not known and (not connect or remote in self.refused):
            raise TransportError(f"{transport}:{remote}: no connection is open")
        chosen = self.choose(transport, remote.host, socket)
        if chosen is None:
            raise TransportError(f"{transport}:{remote}: no {transport} socket of that family to send from")
        if transport == "udp":
            return Flow("udp", chosen.address, remote)
        number = known or self.opened(transport, remote)
        return Flow(chosen.transport, chosen.address, remote, number)

    def opened(self, transport: str, remote: Address, number: int = 0) -> int:
        """The number of the connection with that peer."""
        key = (transport, remote)
        number = number or self.expected.get(key, 0) or len(self.connections) + 1
        return self.connections.setdefault(key, number)

    def send(self, flow: Flow, data: bytes) -> bool:
        """Keep it."""
        if flow.remote in self.refused and flow.transport in RELIABLE:
            return False
        self.sent.append(Sent(flow, data))
        return True

    def taken(self) -> list[Sent]:
        """What was sent since the last time."""
        sent, self.sent[:] = list(self.sent), []
        return sent


class Names:
    """A DNS of a few names, records as zone files have them: `{"example.com": {"A": ["192.0.2.1"]}}`."""

    def __init__(self, zone: Mapping[str, Mapping[str, Sequence[str]]]) -> None:
        self.zone = {name.lower().rstrip("."): records for name, records in zone.items()}
        self.asked: list[tuple[str, str]] = []

    async def query(self, name: str, kind: str) -> tuple[list[Any], float]:
        """The records of a name; none for one that is not there."""
        from dns import rdata

        self.asked.append((name, kind))
        records = self.zone.get(name.lower().rstrip("."), {}).get(kind, ())
        return [rdata.from_text("IN", kind, text) for text in records], 3600.0


def resolver_of(query: Callable[[str, str], Any], *, naptr: bool, ipv6: bool) -> Resolver:
    """A resolver that asks nobody else, the hosts file neither."""
    return Resolver(query=query, hosts=NOWHERE, naptr=naptr, ipv6=ipv6)


class Octets:
    """Random octets that the same seed gives again; who sees some cannot tell the next ones."""

    def __init__(self, seed: str) -> None:
        self._key = hashlib.sha256(seed.encode()).digest()
        self._count = 0
        self._left = b""

    def __call__(self, size: int) -> bytes:
        """So many of them."""
        while len(self._left) < size:
            self._count += 1
            self._left += hashlib.blake2b(self._count.to_bytes(8, "big"), key=self._key).digest()
        drawn, self._left = self._left[:size], self._left[size:]
        return drawn


@lru_cache(4)
def _drawing(loaded: int, drawn: Any) -> list[Any]:
    """Who has `drawn` by a name of its own, of so many modules that are loaded."""
    modules = [each for name, each in list(sys.modules.items()) if name.startswith("kamtool.")]
    return [each for each in modules if getattr(each, "urandom", None) is drawn]


@dataclass(slots=True)
class Chance:
    """The clock and the random numbers of an offline server, in force while it runs."""

    now: Callable[[], float]
    """The time of day."""
    seed: str = "1"
    octets: Octets = field(init=False)
    _places: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.octets = Octets(self.seed)

    def look(self) -> None:
        """Find who draws random octets by a name of its own."""
        self._places = _drawing(len(sys.modules), os.urandom)

    @contextmanager
    def __call__(self) -> Iterator[None]:
        day, octets, hidden = time.time, os.urandom, random._urandom  # type: ignore[attr-defined]
        drawn = self.octets
        time.time = self.now
        os.urandom = drawn
        random._urandom = drawn  # type: ignore[attr-defined]
        for place in self._places:
            place.urandom = drawn
        try:
            yield
        finally:
            time.time, os.urandom, random._urandom = day, octets, hidden  # type: ignore[attr-defined]
            for place in self._places:
                place.urandom = octets
