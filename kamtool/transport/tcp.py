"""SIP over TCP: listeners, connections opened and accepted, and how a connection is found again."""

from __future__ import annotations

import asyncio
import errno
import itertools
import logging
import socket as sockets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from kamtool.errors import TransportError
from kamtool.sip.flow import Address, Flow, Socket
from kamtool.sip.framing import Broken, Framer
from kamtool.transport.stream import Connection
from kamtool.transport.udp import bind

log = logging.getLogger("kamtool.tcp")

BACKLOG = 1024
ACCEPT_BATCH = 64


@dataclass(slots=True)
class TcpOptions:
    """The `tcp_*` parameters of a cfg, in seconds and bytes."""

    lifetime: float = 120.0
    max_connections: int = 2048
    connect_timeout: float = 10.0
    send_timeout: float = 10.0
    max_queue_bytes: int = 1 << 18
    max_total_bytes: int = 10 << 20
    max_body_bytes: int = 1 << 18
    max_partial_bytes: int = 64 << 20
    accept_no_content_length: bool = False
    crlf_pong: bool = True
    accept_aliases: bool = False
    no_connect: bool = False


class TcpTransport:
    """Every TCP socket of one server. `receive(data, flow)` gets each whole message."""

    transport: Literal["tcp"] = "tcp"

    def __init__(
        self,
        options: TcpOptions,
        receive: Callable[[bytes, Flow], None],
        failed: Callable[[bytes, Flow], None],
        broken: Callable[[Broken, Flow], None],
        closed: Callable[[Flow, str], None],
    ) -> None:
        self.options, self.receive, self.failed = options, receive, failed
        self._broken, self._closed = broken, closed
        self.loop: asyncio.AbstractEventLoop
        self.connect_timeout, self.send_timeout = options.connect_timeout, options.send_timeout
        self.max_queue_bytes = options.max_queue_bytes
        self.connections: dict[int, Connection] = {}
        self.queued_bytes = 0
        self.listeners: list[tuple[Socket, sockets.socket]] = []
        self._found: dict[tuple[str, str, int], Connection] = {}
        self._numbers = itertools.count(1)

    # Listening

    def bind(self, socket: Socket) -> Socket:
        """Bind and listen; returns the socket with the port it got. Raises TransportError."""
        bound = bind(socket, sockets.SOCK_STREAM)
        try:
            bound.listen(BACKLOG)
        except OSError as error:
            bound.close()
            raise TransportError(
                f"cannot listen on tcp:{socket.address}: {str(error.strerror).lower()}"
            ) from error
        address = Address(*bound.getsockname()[:2])
        socket = Socket(socket.transport, address, socket.advertised, socket.name)
        self.listeners.append((socket, bound))
        return socket

    def open(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        for socket, listener in self.listeners:
            loop.add_reader(listener.fileno(), self._accept, socket, listener)

    def close(self) -> None:
        for _, listener in self.listeners:
            if hasattr(self, "loop"):
                self.loop.remove_reader(listener.fileno())
            listener.close()
        self.listeners.clear()
        for connection in list(self.connections.values()):
            connection.close("server stops")

    def _accept(self, socket: Socket, listener: sockets.socket) -> None:
        for _ in range(ACCEPT_BATCH):
            try:
                accepted, remote = listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE):
                    self._out_of_files(listener, socket)
                return
            if len(self.connections) >= self.options.max_connections:
                log.warning("tcp: %s:%s refused: %d connections", *remote[:2], len(self.connections))
                accepted.close()
                continue
            accepted.setblocking(False)
            accepted.setsockopt(sockets.IPPROTO_TCP, sockets.TCP_NODELAY, 1)
            self._add(accepted, socket, Address(*remote[:2]), connecting=False)

    def _out_of_files(self, listener: sockets.socket, socket: Socket) -> None:
        # The listener stays readable while we cannot accept: look again in a second instead of spinning.
        log.error("tcp: out of file descriptors, accepting pauses for a second")
        self.loop.remove_reader(listener.fileno())
        self.loop.call_later(1.0, self._resume, socket, listener)

    def _resume(self, socket: Socket, listener: sockets.socket) -> None:
        if listener.fileno() >= 0:
            self.loop.add_reader(listener.fileno(), self._accept, socket, listener)

    # Connections

    def _add(self, sock: sockets.socket, socket: Socket, remote: Address, *, connecting: bool) -> Connection:
        flow = Flow(socket.transport, socket.address, remote, next(self._numbers))
        framer = Framer(
            max_body=self.options.max_body_bytes, length_optional=self.options.accept_no_content_length
        )
        connection = Connection(self, sock, flow, framer, connecting=connecting)
        self.connections[flow.connection] = connection
        self.add_key(connection, remote)
        return connection

    def add_key(self, connection: Connection, remote: Address) -> None:
        """Let requests to `remote` use `connection`; the newest wins."""
        key = (connection.flow.transport, *remote)
        self._found[key] = connection
        if key not in connection.keys:
            connection.keys.append(key)

    def find(self, remote: tuple[str, int], number: int = 0) -> Connection | None:
        """The open connection with this number, else one that leads to `remote` or has it as an alias."""
        return self.connections.get(number) or self._found.get((self.transport, *remote))

    def connect(self, socket: Socket, remote: Address) -> Connection:
        """A connection to `remote`, opened without waiting; what is written meanwhile is queued."""
        if len(self.connections) >= self.options.max_connections:
            raise TransportError(f"tcp:{remote}: {len(self.connections)} connections are open")
        family = sockets.AF_INET6 if ":" in remote.host else sockets.AF_INET
        try:
            sock = sockets.socket(family, sockets.SOCK_STREAM)
        except OSError as error:
            raise TransportError(f"tcp:{remote}: {error.strerror}") from error
        sock.setblocking(False)
        sock.setsockopt(sockets.IPPROTO_TCP, sockets.TCP_NODELAY, 1)
        try:
            if not socket.address.host.startswith(("0.0.0.0", "::")) or socket.address.host == "::1":
                sock.bind((socket.address.host, 0))
            code = sock.connect_ex(tuple(remote))
        except OSError as error:
            sock.close()
            raise TransportError(f"tcp:{remote}: {error.strerror}") from error
        if code not in (0, errno.EINPROGRESS):
            sock.close()
            raise TransportError(f"tcp:{remote}: {OSError(code, '').strerror or code}")
        return self._add(sock, socket, remote, connecting=code != 0)

    def sweep(self, now: float) -> None:
        """Close what is overdue; call it about once a second."""
        lifetime = self.options.lifetime
        late = [(c, why) for c in self.connections.values() if (why := c.overdue(now, lifetime))]
        for connection, why in late:
            connection.close(why)
        partial = sorted(self.connections.values(), key=lambda connection: connection.framer.pending)
        held = sum(connection.framer.pending for connection in partial)
        while partial and held > self.options.max_partial_bytes:
            largest = partial.pop()
            held -= largest.framer.pending
            largest.close("too many unfinished messages")

    # What a connection tells its owner

    def received(self, connection: Connection, data: bytes) -> None:
        self.receive(data, connection.flow)

    def broken(self, connection: Connection, end: Broken) -> None:
        self._broken(end, connection.flow)

    def closed(self, connection: Connection, reason: str) -> None:
        self.connections.pop(connection.flow.connection, None)
        for key in connection.keys:
            if self._found.get(key) is connection:
                del self._found[key]
        connection.keys.clear()
        unsent, connection.unsent = connection.unsent, type(connection.unsent)()
        for data in unsent:
            self.failed(data, connection.flow)
        self._closed(connection.flow, reason)

    def crlf_pong(self) -> bool:
        return self.options.crlf_pong

    def total_queued(self, change: int) -> bool:
        """Account for bytes waiting in all connections; false (and nothing counted) when that is too many."""
        if change > 0 and self.queued_bytes + change > self.options.max_total_bytes:
            return False
        self.queued_bytes += change
        return True

    def __iter__(self) -> Iterator[Connection]:
        return iter(list(self.connections.values()))
