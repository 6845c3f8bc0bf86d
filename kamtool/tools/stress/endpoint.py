"""Sockets of a load generator: what goes out waits in a list, what came in is given as whole messages."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import ssl
import time
from collections.abc import Callable
from typing import Any, ClassVar

from kamtool import speed
from kamtool.errors import TransportError
from kamtool.sip.flow import Address
from kamtool.sip.framing import PONG, Framer, Ping
from kamtool.speed import segments
from kamtool.tools.stress.kernel import NATIVE, SO_TIMESTAMPNS, Stamped, recv_stamped, send_segments

Source = tuple[str, int]
Arrived = list[tuple[bytes, Source]]

RECEIVE_BUFFER = 8 << 20
IP_RECVERR = 11
SO_RCVBUFFORCE, SO_SNDBUFFORCE = 33, 32
MSG_ERRQUEUE = 0x2000
UNSEGMENTED = (errno.EIO, errno.EINVAL, errno.EMSGSIZE, errno.EOPNOTSUPP)
"""What the kernel says where a route or a device does not take segments."""


class Endpoint:
    """One socket towards the target. `out` is what waits to be sent; `flush` sends it."""

    CONSTANTS: ClassVar[frozenset[str]] = frozenset({
        "remote_ip", "remote_host", "remote_port", "local_ip", "local_port", "local_ip_type", "server_ip",
        "transport", "media_ip", "media_ip_type",
    })  # fmt: skip
    """Keywords whose value is fixed by the socket."""

    reliable = False
    transport = "udp"

    def __init__(self, sock: socket.socket, remote: Address, host: str) -> None:
        self.sock, self.remote, self.host = sock, remote, host
        self.fd = sock.fileno()
        self.local = Address(*sock.getsockname()[:2])
        self.out: list[tuple[bytes, Source]] = []
        self.closed = ""
        """Why it can no longer be used, "" while it can."""
        self.refusals, self.refusal = 0, ""
        self.blocked = 0
        self.calls: dict[bytes, Any] = {}
        """The calls whose messages come here, by Call-ID; whoever runs it sets it."""
        self.accepted: list[Endpoint] = []
        """Connections that a listening socket has taken, until they are looked at."""
        self.target: Source = (remote.host, remote.port)
        self.call_id_tail = b""
        """What the Call-IDs of calls from here end with; whoever runs it sets it."""
        family = b"6" if ":" in self.local.host else b"4"
        local, far = shown(self.local.host), shown(remote.host)
        self.constants: dict[str, bytes] = {
            "remote_ip": far,
            "remote_host": host.encode(),
            "remote_port": b"%d" % remote.port,
            "local_ip": local,
            "local_port": b"%d" % self.local.port,
            "local_ip_type": family,
            "server_ip": local,
            "transport": self.transport.upper().encode(),
            "media_ip": self.local.host.encode(),
            "media_ip_type": family,
        }

    def flush(self) -> None:
        """Send what waits in `out`, as far as the socket takes it."""
        raise NotImplementedError

    def receive(self) -> Arrived:
        """What has come; [] when nothing has."""
        raise NotImplementedError

    def receive_stamped(self) -> Stamped:
        """What has come, and when."""
        now = time.perf_counter()
        return [(data, source, now) for data, source in self.receive()]

    def wants_to_write(self) -> bool:
        """Whether octets wait that the socket did not take."""
        return False

    def close(self) -> None:
        self.sock.close()


def shown(host: str) -> bytes:
    """A host as it stands in a URI."""
    return f"[{host}]".encode() if ":" in host else host.encode()


class UdpEndpoint(Endpoint):
    """A UDP socket, read and written in batches."""

    segmenting = False
    """Whether datagrams of one length leave as one, see `segments`."""

    gathering = False
    """Whether what came as one is cut apart by `recv_stamped`, which alone can."""

    def segment(self) -> None:
        """From now on send so, and take what comes so, where this kernel can."""
        self.segmenting = segments.supported(self.sock)
        if self.segmenting and NATIVE:
            with contextlib.suppress(OSError):
                self.sock.setsockopt(segments.SOL_UDP, segments.UDP_GRO, 1)
                self.gathering = True

    def flush(self) -> None:
        if self.segmenting and len(self.out) >= segments.WORTH_IT:
            self._flush_segments()
        self._flush_batches(self.out)

    def _flush_segments(self) -> None:
        """Send what goes in segments; what cannot go so stays in `out`, in its order."""
        try:
            rest, error = send_segments(self.fd, self.out)
        except ValueError:  # an address that is none: sending one by one says which
            return
        self.out[:] = rest  # the kernel appends to this very list
        if error:
            self.segmenting = error not in UNSEGMENTED
            self._refused(OSError(error, os.strerror(error)))

    def _flush_batches(self, out: list[tuple[bytes, Source]]) -> None:
        failures = 0
        while out:
            try:
                sent = speed.send_batch(self.fd, out)
            except (OSError, ValueError) as error:
                # The first error may be what became of an earlier datagram; a second one is this one's own.
                self._refused(error)
                failures += 1
                if failures % 2 == 0:
                    del out[:1]
                continue
            del out[:sent]
            if not out:
                return
            if not sent:
                self.blocked += 1
                select.select([], [self.fd], [], 0.05)

    def receive(self) -> Arrived:
        if self.gathering:
            return [(data, source) for data, source, _ in self.receive_stamped()]
        try:
            return speed.recv_batch(self.fd, 64)
        except OSError as error:
            self._refused(error)
            return []

    def receive_stamped(self) -> Stamped:
        """What has come, and when."""
        try:
            return recv_stamped(self.fd)
        except OSError as error:
            self._refused(error)
            return []

    def _refused(self, error: OSError | ValueError) -> None:
        """An ICMP error for something sent earlier, or a datagram that cannot go."""
        self.refusals += 1
        self.refusal = getattr(error, "strerror", "") or str(error)
        with contextlib.suppress(OSError):
            while True:
                self.sock.recvmsg(1, 1024, MSG_ERRQUEUE | socket.MSG_DONTWAIT)


class StreamEndpoint(Endpoint):
    """A TCP or TLS connection; messages are cut from the stream."""

    reliable = True
    transport = "tcp"

    def __init__(self, sock: socket.socket, remote: Address, host: str, transport: str = "tcp") -> None:
        self.transport = transport
        super().__init__(sock, remote, host)
        self.framer = Framer()
        self.pending = bytearray()

    def flush(self) -> None:
        if self.out:
            self.pending += b"".join([data for data, _ in self.out])
            self.out = []
        while self.pending and not self.closed:
            try:
                sent = self.sock.send(self.pending)
            except (BlockingIOError, InterruptedError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
                return
            except OSError as error:
                self.fail(error)
                return
            del self.pending[:sent]

    def wants_to_write(self) -> bool:
        return bool(self.pending) and not self.closed

    def receive(self) -> Arrived:
        made: Arrived = []
        while not self.closed:
            try:
                data = self.sock.recv(65536)
            except (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                break
            except OSError as error:
                self.fail(error)
                break
            if not data:
                self.closed = "the target closed the connection"
                break
            made += self.cut(data)
            if len(data) < 65536 and not isinstance(self.sock, ssl.SSLSocket):
                break
        return made

    def cut(self, data: bytes) -> Arrived:
        """The messages that these octets complete."""
        made: Arrived = []
        for event in self.framer.feed(data):
            if isinstance(event, bytes):
                made.append((event, self.target))
            elif isinstance(event, Ping):
                self.out.append((PONG, self.target))
            else:
                self.closed = f"no SIP on the stream: {event.error}"
        return made

    def fail(self, error: OSError) -> None:
        self.closed = error.strerror or str(error)


Maker = Callable[[socket.socket, Address, str, str], StreamEndpoint]


class Listener(Endpoint):
    """A listening TCP socket; its connections wait in `accepted`."""

    reliable = True
    transport = "tcp"

    def __init__(
        self, sock: socket.socket, transport: str, context: ssl.SSLContext | None, make: Maker
    ) -> None:
        self.transport = transport
        super().__init__(sock, Address(*sock.getsockname()[:2]), sock.getsockname()[0])
        self.context, self.make = context, make

    def flush(self) -> None:
        self.out = []

    def receive(self) -> Arrived:
        with contextlib.suppress(BlockingIOError, InterruptedError, ConnectionError):
            while True:
                sock, address = self.sock.accept()
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if self.context is not None:
                    sock.setblocking(False)
                    sock = self.context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
                sock.setblocking(False)
                remote = Address(*address[:2])
                self.accepted.append(self.make(sock, remote, remote.host, self.transport))
        return []


def listen(
    transport: str, local: Address, certificate: str = "", key: str = "", make: Maker | None = None
) -> Listener:
    """A socket that takes connections; `make` is what each becomes. Raises TransportError."""
    context = None
    try:
        if transport in ("tls", "wss"):
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate, key or None)
        family = socket.AF_INET6 if ":" in local.host else socket.AF_INET
        sock = socket.create_server((local.host, local.port), family=family, backlog=1024)
    except OSError as error:
        raise TransportError(f"{transport} {local}: {error.strerror or error}") from error
    sock.setblocking(False)
    return Listener(sock, transport, context, make or StreamEndpoint)


def open_udp(local: Address, remote: Address, host: str = "") -> UdpEndpoint:
    """A UDP socket on `local`. Raises TransportError."""
    sock = socket.socket(socket.AF_INET6 if ":" in remote.host else socket.AF_INET, socket.SOCK_DGRAM)
    sock.setblocking(False)
    for forced, plain in ((SO_RCVBUFFORCE, socket.SO_RCVBUF), (SO_SNDBUFFORCE, socket.SO_SNDBUF)):
        try:
            sock.setsockopt(socket.SOL_SOCKET, forced, RECEIVE_BUFFER)
        except OSError:
            sock.setsockopt(socket.SOL_SOCKET, plain, RECEIVE_BUFFER)
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.IPPROTO_IP if sock.family == socket.AF_INET else 41,
                        IP_RECVERR if sock.family == socket.AF_INET else 25, 1)  # fmt: skip
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    try:
        sock.bind(tuple(local))
        if local.host in ("0.0.0.0", "::", ""):
            raise OSError("an address of one interface is needed")
    except OSError as error:
        sock.close()
        raise TransportError(f"udp {local}: {error.strerror or error}") from error
    return UdpEndpoint(sock, remote, host or remote.host)


def open_stream(
    transport: str,
    local: Address,
    remote: Address,
    host: str,
    context: ssl.SSLContext | None,
    patience: float = 10.0,
) -> StreamEndpoint:
    """A connection to the target. Raises TransportError."""
    begun = time.monotonic()
    try:
        source = (local.host, local.port) if local.host else None
        sock = socket.create_connection((remote.host, remote.port), patience, source)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if context is not None:
            sock.settimeout(max(0.1, patience - (time.monotonic() - begun)))
            sock = context.wrap_socket(sock, server_hostname=host)
    except OSError as error:
        raise TransportError(f"{transport} {remote}: {error.strerror or error}") from error
    sock.setblocking(False)
    return StreamEndpoint(sock, remote, host, transport)


def tls_context(ca: str = "", certificate: str = "", key: str = "", verify: bool = False) -> ssl.SSLContext:
    """What TLS connections present and trust. Raises TransportError for files that cannot be read."""
    context = ssl.create_default_context(cafile=ca or None)
    if not verify and not ca:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    try:
        if certificate:
            context.load_cert_chain(certificate, key or None)
    except (OSError, ssl.SSLError) as error:
        raise TransportError(f"{certificate}: {error}") from error
    return context
