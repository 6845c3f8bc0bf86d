"""All the sockets of one server, behind one object: bytes come in with a Flow, bytes go out by a Flow."""

from __future__ import annotations

import asyncio
import logging
import socket as sockets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Protocol

from kamtool.errors import TransportError
from kamtool.sip.flow import RELIABLE, Address, Flow, Socket, Transport
from kamtool.sip.framing import Broken
from kamtool.transport.resolver import Resolver
from kamtool.transport.sending import Sending
from kamtool.transport.stream import Connection
from kamtool.transport.target import is_loopback as is_loopback
from kamtool.transport.tcp import NAMED, TcpTransport
from kamtool.transport.tcp_options import TcpOptions
from kamtool.transport.tls import TlsConnection
from kamtool.transport.udp import UdpSocket
from kamtool.transport.udp_options import UdpOptions

log = logging.getLogger("kamtool.transport")

SWEEP_SECONDS = 1.0


class Receiver(Protocol):
    """Who gets what arrives; `Server` is one."""

    receive: Callable[[bytes, Flow], None]
    """One datagram, or one message cut from a stream."""

    def unsent(self, data: bytes, flow: Flow) -> None:
        """A message that could not be sent after all."""

    def unreachable(self, data: bytes, remote: Address) -> None:
        """ICMP says that a datagram, of which this is the beginning, did not arrive."""

    def broken(self, end: Broken, flow: Flow) -> None:
        """A stream that cannot be cut into messages any further; it closes after this."""

    def closed(self, flow: Flow, reason: str) -> None:
        """A connection has ended."""


class Transports(Sending):
    """Binds, listens, sends. Nothing here waits but `resolver`."""

    def __init__(
        self, receiver: Receiver, *, tcp: TcpOptions | None = None, resolver: Resolver | None = None,
        udp: UdpOptions | None = None,
    ) -> None:  # fmt: skip
        super().__init__(
            TcpTransport(
                tcp or TcpOptions(), receiver.receive, receiver.unsent, receiver.broken, receiver.closed
            )
        )
        self.receiver = receiver
        self.udp_options = udp or UdpOptions()
        self._watches_errors = False
        self.resolver = resolver or Resolver()
        self.sockets: list[Socket] = []
        self._sockets: dict[tuple[str, tuple[str, int]], Socket] = {}
        self._dirty: list[UdpSocket] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._sweeper: asyncio.TimerHandle | None = None
        self.before_reading: Callable[[], None] | None = None
        """Called when datagrams have come, before they are given on: news of others came first."""

    def start(self, listens: Iterable[Socket], bound: Mapping[Socket, sockets.socket] | None = None) -> None:
        """Bind every socket that is not `bound`, then read from all.

        Raises TransportError, and then none is open.
        """
        have = bound or {}
        loop = self._loop = asyncio.get_running_loop()
        try:
            for wanted in listens:
                socket = self._bind(wanted, have.get(wanted))
                self.sockets.append(socket)
                self._sockets[socket.transport, socket.address] = socket
        except TransportError:
            self.stop()
            raise
        for udp in self._udp.values():
            udp.before_reading, udp.before_sending = self.before_reading, self.before_sending
            udp.open(loop)
        self.tcp.open(loop)
        self.resolver.transports = {socket.transport for socket in self.sockets}
        self.resolver.families = {6 if ":" in socket.address.host else 4 for socket in self.sockets}
        self._sweep()

    def resume(self) -> None:
        """Take from the listening sockets again."""
        for udp in self._udp.values():
            udp.resume()
        self.tcp.resume()

    def bound(self) -> list[tuple[Socket, sockets.socket]]:
        """The listening sockets of the system."""
        return [*((udp.socket, udp.bound) for udp in self._udp.values()), *self.tcp.listeners]

    def queued_percent(self) -> int:
        """How full the fullest receive queue of a UDP socket is."""
        return max((udp.queued_percent for udp in self._udp.values()), default=0)

    def receive_by(self, receive: Callable[[bytes, Flow], None]) -> None:
        """From now on give what arrives to `receive`."""
        for udp in self._udp.values():
            udp.receive = receive
        self.tcp.receive = receive

    def pause(self) -> None:
        """Take nothing new from the listening sockets; open connections and sending go on."""
        for udp in self._udp.values():
            udp.pause()
        self.tcp.pause()

    def _bind(self, socket: Socket, bound: sockets.socket | None) -> Socket:
        if socket.transport == "udp":
            udp = UdpSocket(
                socket, self.receiver.receive, self._mark, self.receiver.unsent, bound, self.udp_options
            )
            udp.use(self.udp_options)
            if self._watches_errors:
                udp.watch_errors(self.receiver.unreachable)
            self._udp[udp.socket.address] = udp
            return udp.socket
        if socket.transport in ("tcp", "tls"):
            return self.tcp.bind(socket, bound)
        raise TransportError(f"{socket.transport}:{socket.address}: this transport is not built")

    def stop(self) -> None:
        """Send what is queued and close everything."""
        self.flush()
        for udp in self._udp.values():
            udp.close()
        self.tcp.close()
        self.resolver.stop()
        if self._sweeper is not None:
            self._sweeper.cancel()
        self._udp.clear()
        self._last_local = self._last_udp = None
        self.sockets.clear()

    def _sweep(self) -> None:
        assert self._loop is not None
        self.tcp.sweep(self._loop.time())
        if self._watches_errors:
            for udp in self._udp.values():
                udp.take_errors()
        self._sweeper = self._loop.call_later(SWEEP_SECONDS, self._sweep)

    # Sending

    def _mark(self, udp: UdpSocket) -> None:
        if not self._dirty and self._loop is not None:
            self._loop.call_soon(self.flush)
        self._dirty.append(udp)

    def flush(self) -> None:
        """Hand every queued datagram to the kernel. Called by itself once per turn of the loop."""
        for _ in range(4):  # what cannot be sent may make the receiver send something else
            dirty, self._dirty = self._dirty, []
            for udp in dirty:
                udp.flush()
            if not self._dirty:
                return

    @property
    def sends_raw(self) -> bool:
        """Whether any datagram leaves by a raw socket."""
        return any(udp.raw is not None for udp in self._udp.values())

    def watch_errors(self) -> None:
        """From now on the receiver hears of datagrams that ICMP reports lost."""
        if not self._watches_errors:
            self._watches_errors = True
            for udp in self._udp.values():
                udp.watch_errors(self.receiver.unreachable)

    # Choosing

    def choose(self, transport: str, remote_host: str, preferred: Socket | None = None) -> Socket | None:
        """The socket to send from: `preferred` if it fits transport and family, else the first that does."""
        six = ":" in remote_host
        if (
            preferred is not None
            and preferred.transport == transport
            and (":" in preferred.address.host) == six
        ):
            return preferred
        fitting = [s for s in self.sockets if s.transport == transport and (":" in s.address.host) == six]
        if not fitting:
            return None
        if preferred is not None:
            for socket in fitting:  # the same interface, by another transport
                if socket.address.host == preferred.address.host:
                    return socket
        loopback = is_loopback(remote_host)
        return next((s for s in fitting if is_loopback(s.address.host) == loopback), fitting[0])

    @property
    def udp_sockets(self) -> list[UdpSocket]:
        """The bound UDP sockets."""
        return list(self._udp.values())

    def socket_of(self, flow: Flow) -> Socket | None:
        """The listening socket that a flow belongs to."""
        return self._sockets.get((flow.transport, flow.local))

    def socket(self, transport: str, address: tuple[str, int]) -> Socket | None:
        """The listening socket that is bound to this address."""
        return self._sockets.get((transport, address))

    def find_socket(self, transport: str, host: str, port: int) -> Socket | None:
        """The socket that is bound to, or advertised as, this address; "" and 0 fit any."""
        for socket in self.sockets:
            if transport in ("", socket.transport):
                for address in (socket.address, socket.shown):
                    if address.host == host.strip("[]") and port in (0, address.port):
                        return socket
        return None

    def flow_to(
        self,
        transport: str,
        remote: Address,
        socket: Socket | None = None,
        connection: int = 0,
        *,
        connect: bool = True,
        name: str = "",
        server_id: str = "",
    ) -> Flow:
        """The flow to an address: for TCP an open connection, else (with `connect`) a new one.

        `name` is the host that DNS led from, for TLS to verify; `server_id` is the profile to use.
        Raises TransportError: no socket of that kind, no connection wanted, or the network says no at once.
        """
        if transport in RELIABLE:
            elsewhere = self.tcp.elsewhere
            if elsewhere is not None and elsewhere.owns(connection):
                kept = elsewhere.find(transport, remote, connection)
                if kept is not None:
                    return kept
            found = self.tcp.find(transport, remote, connection)
            if found is None and elsewhere is not None:
                kept = elsewhere.find(transport, remote, 0)
                if kept is not None:
                    return kept
            if found is not None and not _leads_elsewhere(found, name, server_id):
                return found.flow
            if transport in ("ws", "wss"):
                raise TransportError(f"{transport}:{remote}: only the client can open a WebSocket")
            if not connect or self.tcp.options.no_connect:
                raise TransportError(f"{transport}:{remote}: no connection is open")
        chosen = self.choose(transport, remote.host, socket)
        if chosen is None:
            raise TransportError(f"{transport}:{remote}: no {transport} socket of that family to send from")
        if transport == "udp":
            return self._udp[chosen.address].flow(remote)
        if transport not in ("tcp", "tls"):
            raise TransportError(f"{transport}:{remote}: this transport is not built")
        return self.tcp.connect(chosen, remote, name, server_id).flow

    def connection(self, flow: Flow) -> Connection | None:
        """The open connection of a flow."""
        return self.tcp.connections.get(flow.connection) if flow.connection else None

    def flow_of(self, number: int, host: str) -> Flow | None:
        """The flow of the open connection with this number, else of the one that goes by the name `host`."""
        found = self.tcp.connections.get(number) if number else None
        found = found or self.tcp.named(host)
        if found is not None or self.tcp.elsewhere is None:
            return None if found is None else found.flow
        return self.tcp.elsewhere.find(NAMED, Address(host.lower(), 0), number)

    def finish(self, flow: Flow) -> None:
        """Close the connection of a flow once all that is queued has left."""
        connection = self.connection(flow)
        if connection is not None:
            connection.finish()
        elif self.tcp.elsewhere is not None and self.tcp.elsewhere.owns(flow.connection):
            self.tcp.elsewhere.finish(flow)

    def add_alias(self, flow: Flow, port: int, *, forced: bool = False) -> None:
        """Let requests to `port` at the far end of `flow` use its connection (`;alias`, force_tcp_alias).

        RFC 5923 §5: over TLS only for a peer whose certificate was verified, unless the script forces it.
        """
        if self.tcp.elsewhere is not None and self.tcp.elsewhere.owns(flow.connection):
            self.tcp.elsewhere.alias(flow, port, forced)
            return
        connection = self.connection(flow)
        if connection is None or not 0 < port < 65536:
            return
        if isinstance(connection, TlsConnection) and not forced and not connection.is_verified():
            return
        self.tcp.add_key(connection, Address(flow.remote.host, port))

    def add_streams(self, transport: Transport, carrier: str) -> None:
        """Let `transport` (ws, wss) stand for what is spoken on the listening sockets of `carrier`."""
        for socket in self.sockets:
            if socket.transport == carrier:
                self._sockets[transport, socket.address] = replace(socket, transport=transport)


def _leads_elsewhere(connection: Connection, name: str, server_id: str) -> bool:
    """Whether an open TLS connection was made for another host or profile than is wanted now.

    One address may serve many domains: a certificate that was good for one says nothing about the others
    (RFC 5922 §7.4).
    """
    if not isinstance(connection, TlsConnection) or not connection.is_outgoing:
        return False
    if server_id and connection.server_id != server_id:
        return True
    return bool(name and connection.asked_name != name and connection.verifies)
