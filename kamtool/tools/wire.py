"""A phone's connection to one server: messages out, messages in, over UDP or TCP."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from kamtool.errors import ParseError, TransportError
from kamtool.sip.flow import Address
from kamtool.sip.framing import PONG, Broken, Framer, Ping
from kamtool.sip.message import Message, parse

Receiver = Callable[[Message], None]


class Wire:
    """Sends to `remote`, gives what comes to `receive`. What cannot be parsed is dropped, as a phone does."""

    transport: str
    reliable: bool
    local: Address

    def __init__(self, remote: Address, receive: Receiver) -> None:
        self.remote, self.receive = remote, receive

    async def open(self, local: Address) -> None:
        """Bind, and connect where there is something to connect. Raises TransportError."""
        raise NotImplementedError

    def send(self, data: bytes) -> None:
        """Hand octets to the network."""
        raise NotImplementedError

    def close(self) -> None:
        """Let go of the socket."""
        raise NotImplementedError

    def arrived(self, data: bytes, *, stream: bool) -> None:
        """Parse what came and pass it on."""
        with suppress(ParseError):
            self.receive(parse(data, stream=stream))


class UdpWire(Wire, asyncio.DatagramProtocol):
    """One UDP socket."""

    transport = "udp"
    reliable = False
    _socket: asyncio.DatagramTransport

    async def open(self, local: Address) -> None:
        loop = asyncio.get_running_loop()
        try:
            self._socket, _ = await loop.create_datagram_endpoint(lambda: self, local)
        except OSError as error:
            raise TransportError(f"udp {local}: {error.strerror or error}") from error
        self.local = Address(*self._socket.get_extra_info("sockname")[:2])

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.arrived(data, stream=False)

    def send(self, data: bytes) -> None:
        self._socket.sendto(data, self.remote)

    def close(self) -> None:
        self._socket.close()


class TcpWire(Wire, asyncio.Protocol):
    """One TCP connection; requests to the phone come back on it."""

    transport = "tcp"
    reliable = True
    _connection: asyncio.Transport

    async def open(self, local: Address) -> None:
        self._framer = Framer()
        loop = asyncio.get_running_loop()
        try:
            made, _ = await loop.create_connection(lambda: self, *self.remote, local_addr=local)
        except OSError as error:
            raise TransportError(f"tcp {self.remote}: {error.strerror or error}") from error
        self._connection = made
        self.local = Address(*made.get_extra_info("sockname")[:2])

    def data_received(self, data: bytes) -> None:
        for event in self._framer.feed(data):
            if isinstance(event, Ping):
                self.send(PONG)
            elif isinstance(event, Broken):
                self._connection.abort()
            else:
                self.arrived(event, stream=True)

    def send(self, data: bytes) -> None:
        self._connection.write(data)

    def close(self) -> None:
        self._connection.close()


WIRES: dict[str, type[Wire]] = {"udp": UdpWire, "tcp": TcpWire}
