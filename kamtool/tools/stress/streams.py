"""TCP and TLS connections of a load generator; messages are cut from the stream."""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from collections.abc import Callable

from kamtool.errors import TransportError
from kamtool.sip.flow import Address
from kamtool.sip.framing import PONG, Framer, Ping
from kamtool.tools.stress.endpoint import Arrived, Endpoint


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


def open_stream(
    transport: str,
    local: Address,
    remote: Address,
    host: str,
    context: ssl.SSLContext | None,
    patience: float = 10.0,
) -> StreamEndpoint:
    """A connection to the target. Raises TransportError."""
    begun, what = time.monotonic(), "connection"
    try:
        source = (local.host, local.port) if local.host else None
        sock = socket.create_connection((remote.host, remote.port), patience, source)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if context is not None:
            what = "TLS handshake"
            sock.settimeout(max(0.1, patience - (time.monotonic() - begun)))
            sock = context.wrap_socket(sock, server_hostname=host)
    except TimeoutError as error:
        raise TransportError(f"{transport} {remote}: no {what} within {patience:g} s") from error
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
