"""SIP over TCP and TLS: listeners, connections opened and accepted, and how a connection is found again."""

from __future__ import annotations

import asyncio
import errno
import itertools
import logging
import os
import socket as sockets
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Protocol, cast

from kamtool.errors import TransportError
from kamtool.sip.flow import Address, Flow, Socket, Transport
from kamtool.sip.framing import Broken, Framer
from kamtool.transport.stream import Connection, Cutter
from kamtool.transport.tcp_options import TcpOptions as TcpOptions
from kamtool.transport.tls import Profiles, TlsConnection, TlsOwner
from kamtool.transport.udp import bind

log = logging.getLogger("kamtool.tcp")

ACCEPT_BATCH = 64
INET, INET6, STREAM = int(sockets.AF_INET), int(sockets.AF_INET6), int(sockets.SOCK_STREAM)
SILENT_SECONDS = 1.0
MAX_KEYS = 16
NAMED = "named"

OtherEvent = Callable[[Connection, Any], None]


def a_connection() -> int:
    """A number to begin with. Databases keep them: what a stored one meant is not to be met by chance."""
    return 1 + time.time_ns() // 1000 % (1 << 30)  # no secret, so not from what a recording replays


def _accepted(listener: Any, family: int) -> tuple[sockets.socket, Any]:
    """`listener.accept()`, less the ten calls in which it asks for `family` and makes enums of numbers."""
    accept: Any = getattr(listener, "_accept", None)
    if accept is None:  # a Python that has another way inside
        return cast("tuple[sockets.socket, Any]", listener.accept())
    number, remote = accept()
    return sockets.socket(family, STREAM, 0, number), remote


class Elsewhere(Protocol):
    """The connections that other processes of this server hold; they are told of ours."""

    def owns(self, number: int) -> bool: ...
    def send(self, flow: Flow, data: bytes) -> bool: ...
    def find(self, transport: str, remote: tuple[str, int], number: int) -> Flow | None: ...
    def opened(self, connection: Connection, key: tuple[str, str, int]) -> None: ...
    def closed(self, connection: Connection) -> None: ...
    def alias(self, flow: Flow, port: int, forced: bool) -> None: ...
    def finish(self, flow: Flow) -> None: ...


class TcpTransport(TlsOwner):
    """Every stream socket of one server. `receive(data, flow)` gets each whole SIP message."""

    def __init__(
        self,
        options: TcpOptions,
        receive: Callable[[bytes, Flow], None],
        failed: Callable[[bytes, Flow], None],
        broken: Callable[[Broken, Flow], None],
        closed: Callable[[Flow, str], None],
    ) -> None:
        super().__init__(options, receive)
        self.failed, self.broken_stream, self._closed = failed, broken, closed
        self.cutter: Callable[[Framer], Cutter] | None = None
        """Puts something before the SIP framer of an accepted connection: HTTP on the same port."""
        self.other: OtherEvent | None = None
        """Gets the events that are not SIP."""
        self.connections: dict[int, Connection] = {}
        self.tls_count = 0
        self.listeners: list[tuple[Socket, sockets.socket]] = []
        self._found: dict[tuple[str, str, int], Connection] = {}
        self.numbers: Iterator[int] = itertools.count(a_connection())
        """Where the numbers of connections come from."""
        self.elsewhere: Elsewhere | None = None
        """The connections of other processes that share our sockets."""

    # Listening

    def bind(self, socket: Socket, bound: sockets.socket | None = None) -> Socket:
        """Bind (unless it is `bound`) and listen; the socket with the port it got. Raises TransportError."""
        if bound is None:
            bound = bind(socket, sockets.SOCK_STREAM, self.options.tell_listener)
        try:
            self.options.tell_heirs(bound)
            bound.listen(self.options.backlog)
        except OSError as error:
            bound.close()
            reason = str(error.strerror).lower()
            raise TransportError(f"cannot listen on {socket.transport}:{socket.address}: {reason}") from error
        address = Address(*bound.getsockname()[:2])
        socket = replace(socket, address=address)
        self.listeners.append((socket, bound))
        return socket

    def open(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.handshakes.open_on(loop)
        self.watch.open_on(loop)
        for socket, listener in self.listeners:
            if socket.transport != "tls" or self.profiles is not None:
                loop.add_reader(listener.fileno(), self._accept, socket, listener)

    def use_tls(self, profiles: Profiles) -> None:
        """From now on TLS connections are made, with these profiles; those waiting are accepted."""
        is_first, self.profiles = self.profiles is None, profiles
        if is_first and self.loop is not None:
            for socket, listener in self.listeners:
                if socket.transport == "tls":
                    self.loop.add_reader(listener.fileno(), self._accept, socket, listener)

    def pause(self) -> None:
        """Accept no more; who shares the listening sockets does."""
        for _, listener in self.listeners:
            if self.loop is not None:
                self.loop.remove_reader(listener.fileno())

    def resume(self) -> None:
        """Accept again."""
        for socket, listener in self.listeners:
            if socket.transport != "tls" or self.profiles is not None:
                self.loop.add_reader(listener.fileno(), self._accept, socket, listener)

    def close(self) -> None:
        self.pause()
        for _, listener in self.listeners:
            listener.close()
        self.listeners.clear()
        for connection in list(self.connections.values()):
            connection.close("server stops")
        self.watch.close()

    def _accept(self, socket: Socket, listener: sockets.socket) -> None:
        for _ in range(ACCEPT_BATCH):
            try:
                accepted, remote = _accepted(listener, INET6 if ":" in socket.address.host else INET)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE):
                    self._out_of_files(listener, socket)
                return
            if len(self.connections) >= self.options.max_connections:
                self._make_room()
            if why := self._objection(socket.transport, Address(*remote[:2])):
                log.warning("%s: %s:%s refused: %s", socket.transport, *remote[:2], why)
                accepted.close()
                continue
            try:
                self.options.tell_accepted(accepted)
            except OSError:  # it has gone already
                accepted.close()
                continue
            self._add(accepted, socket, Address(*remote[:2]), connecting=False)

    def _make_room(self) -> None:
        """Who came first and has said nothing yet gives way: silent peers cannot lock others out."""
        before = self.loop.time() - SILENT_SECONDS
        for connection in self.connections.values():
            if not connection.messages and not connection.is_outgoing and connection.opened_at < before:
                connection.close("silent, and its place is needed")
                return

    def _objection(self, transport: str, remote: Address) -> str:
        """Why there can be no further connection, or nothing."""
        if len(self.connections) >= self.options.max_connections:
            return f"{len(self.connections)} connections"
        if transport == "tls" and self.tls_count >= self.options.max_tls_connections:
            return f"{self.tls_count} TLS connections"
        if self.options.accept_unique and (transport, *remote) in self._found:
            return "a connection from this address and port is open"
        return ""

    def _out_of_files(self, listener: sockets.socket, socket: Socket) -> None:
        # The listener stays readable while we cannot accept: look again in a second instead of spinning.
        log.error("tcp: out of file descriptors, accepting pauses for a second")
        self.loop.remove_reader(listener.fileno())
        self.loop.call_later(1.0, self._resume, socket, listener)

    def _resume(self, socket: Socket, listener: sockets.socket) -> None:
        if listener.fileno() >= 0:
            self.loop.add_reader(listener.fileno(), self._accept, socket, listener)

    # Connections

    def _add(
        self, sock: sockets.socket, socket: Socket, remote: Address, *, connecting: bool,
        outgoing: bool = False, name: str = "", server_id: str = "",
    ) -> Connection:  # fmt: skip
        flow = Flow(socket.transport, socket.address, remote, next(self.numbers))
        framer: Cutter = Framer(
            max_body=self.options.max_body_bytes, length_optional=self.options.accept_no_content_length
        )
        if self.cutter is not None and not outgoing:
            framer = self.cutter(framer)  # type: ignore[arg-type]
        connection: Connection
        if socket.transport == "tls":
            self.tls_count += 1
            connection = TlsConnection(self, sock, flow, framer, outgoing, name, server_id)
        else:
            connection = Connection(self, sock, flow, framer, connecting, outgoing)
        self.connections[flow.connection] = connection
        self.add_key(connection, remote)
        return connection

    def add_key(self, connection: Connection, remote: Address) -> None:
        """Let requests to `remote` use `connection`; the newest wins."""
        key = (connection.flow.transport, *remote)
        self._found[key] = connection
        if key not in connection.keys:
            connection.keys.append(key)
        if self.elsewhere is not None:
            self.elsewhere.opened(connection, key)

    def add_name(self, connection: Connection, host: str) -> None:
        """Let requests to a host that no DNS knows use `connection`; who comes first keeps the name."""
        key = (NAMED, host, 0)
        if key not in self._found and len(connection.keys) < MAX_KEYS:
            self._found[key] = connection
            connection.keys.append(key)
            if self.elsewhere is not None:
                self.elsewhere.opened(connection, key)

    def named(self, host: str) -> Connection | None:
        """The open connection that goes by this name."""
        return self._found.get((NAMED, host.lower(), 0))

    def find(self, transport: str, remote: tuple[str, int], number: int = 0) -> Connection | None:
        """The open connection with this number, else one that leads to `remote` or has it as an alias."""
        return self.connections.get(number) or self._found.get((transport, *remote))

    def change_transport(self, connection: Connection, transport: Transport) -> Flow:
        """What is spoken on an open connection has changed, e.g. to WebSocket; its flow with it."""
        for key in connection.keys:
            if self._found.get(key) is connection:
                del self._found[key]
        ports = [Address(host, port) for _, host, port in connection.keys]
        if self.elsewhere is not None:
            self.elsewhere.closed(connection)
        connection.keys.clear()
        connection.flow = replace(connection.flow, transport=transport)
        for remote in ports:
            self.add_key(connection, remote)
        return connection.flow

    def connect(self, socket: Socket, remote: Address, name: str = "", server_id: str = "") -> Connection:
        """A connection to `remote`, opened without waiting; what is written meanwhile is queued.

        `name` is the host that was asked for, for TLS to verify; `server_id` chooses its profile.
        """
        transport, options = socket.transport, self.options
        if transport == "tls" and self.profiles is None:
            raise TransportError(f"tls:{remote}: the module tls is not loaded")
        if why := self._objection(transport, remote):
            raise TransportError(f"{transport}:{remote}: {why}")
        family = sockets.AF_INET6 if ":" in remote.host else sockets.AF_INET
        try:
            sock = sockets.socket(family, sockets.SOCK_STREAM)
        except OSError as error:
            raise TransportError(f"{transport}:{remote}: {error.strerror}") from error
        try:
            options.tell_connection(sock)
            source = options.source(socket.address.host)
            if options.reuse_port:
                sock.setsockopt(sockets.SOL_SOCKET, sockets.SO_REUSEPORT, 1)
            if source:
                sock.bind((source, socket.address.port if options.reuse_port else 0))
            code = sock.connect_ex(tuple(remote))
        except OSError as error:
            sock.close()
            raise TransportError(f"{transport}:{remote}: {error.strerror}") from error
        if code not in (0, errno.EINPROGRESS):
            sock.close()
            reason = os.strerror(code)
            raise TransportError(f"{transport}:{remote}: {reason}") from OSError(code, reason)
        return self._add(
            sock, socket, remote, connecting=code != 0, outgoing=True, name=name, server_id=server_id
        )

    def sweep(self, now: float) -> None:
        """Close what is overdue; call it about once a second."""
        lifetime = self.options.lifetime
        late = [(c, why) for c in self.connections.values() if (why := c.overdue(now, lifetime))]
        for connection, why in late:
            connection.close(why)
        unfinished = [(c.framer.pending, c.flow.connection) for c in self.connections.values()]
        held = sum(pending for pending, _ in unfinished)
        if held > self.options.max_partial_bytes:
            for pending, number in sorted(unfinished, reverse=True):
                if held <= self.options.max_partial_bytes:
                    break
                held -= pending
                if number in self.connections:
                    self.connections[number].close("too many unfinished messages")

    # What a connection tells its owner

    def broken(self, connection: Connection, end: Broken) -> None:
        self.broken_stream(end, connection.flow)

    def happened(self, connection: Connection, event: Any) -> None:
        if self.other is not None:
            self.other(connection, event)

    def closed(self, connection: Connection, reason: str) -> None:
        if self.connections.pop(connection.flow.connection, None) is not None and isinstance(
            connection, TlsConnection
        ):
            self.tls_count -= 1
        if self.elsewhere is not None:
            self.elsewhere.closed(connection)
        for key in connection.keys:
            if self._found.get(key) is connection:
                del self._found[key]
        connection.keys.clear()
        unsent, connection.unsent = connection.unsent, ()
        if connection.encode is None:
            for data in unsent:
                self.failed(data, connection.flow)
        self._closed(connection.flow, reason)

    def __iter__(self) -> Iterator[Connection]:
        return iter(list(self.connections.values()))
