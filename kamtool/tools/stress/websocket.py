"""A WebSocket connection to the target (RFC 7118): one SIP message a frame, over TCP or TLS."""

from __future__ import annotations

import socket
import time

from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Ping,
    RejectConnection,
    Request,
    TextMessage,
)
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from kamtool.errors import TransportError
from kamtool.sip.flow import Address
from kamtool.tools.stress.endpoint import Arrived
from kamtool.tools.stress.streams import StreamEndpoint


class WebSocketEndpoint(StreamEndpoint):
    """What StreamEndpoint does, with frames around the messages."""

    def __init__(
        self, sock: socket.socket, remote: Address, host: str, transport: str, link: WSConnection
    ) -> None:
        super().__init__(sock, remote, host, transport)
        self.link = link
        self.half = bytearray()

    def flush(self) -> None:
        out, self.out = self.out, []
        for data, _ in out:
            self.pending += self.link.send(BytesMessage(data))
        super().flush()

    def cut(self, data: bytes) -> Arrived:
        """The messages that these octets complete."""
        made: Arrived = []
        try:
            self.link.receive_data(data)
            for event in self.link.events():
                if isinstance(event, TextMessage | BytesMessage):
                    part = event.data.encode() if isinstance(event, TextMessage) else event.data
                    self.half += part
                    if event.message_finished:
                        made.append((bytes(self.half), self.target))
                        self.half.clear()
                elif isinstance(event, Request):
                    self.pending += self.link.send(_welcome(event))
                elif isinstance(event, Ping):
                    self.pending += self.link.send(event.response())
                elif isinstance(event, CloseConnection):
                    self.closed = f"the target closed the WebSocket ({event.code})"
        except (RemoteProtocolError, LocalProtocolError) as error:
            self.closed = f"no WebSocket: {error}"
        return made


def accepted(sock: socket.socket, remote: Address, host: str, transport: str) -> WebSocketEndpoint:
    """A connection to us: the handshake is answered as it comes."""
    return WebSocketEndpoint(sock, remote, host, transport, WSConnection(ConnectionType.SERVER))


def _welcome(request: Request) -> AcceptConnection | RejectConnection:
    """RFC 7118 §4: who does not offer `sip` is no SIP client."""
    if "sip" not in request.subprotocols:
        return RejectConnection(status_code=400)
    return AcceptConnection(subprotocol="sip")


def open_websocket(stream: StreamEndpoint, patience: float) -> WebSocketEndpoint:
    """Shake hands on an open connection. Raises TransportError."""
    link = WSConnection(ConnectionType.CLIENT)
    sock, remote = stream.sock, stream.remote
    request = Request(host=f"{stream.host}:{remote.port}", target="/", subprotocols=["sip"])
    ends = time.monotonic() + patience
    sock.settimeout(patience)
    try:
        sock.sendall(link.send(request))
        while True:
            data = sock.recv(65536)
            if not data:
                raise TransportError(f"{stream.transport} {remote}: closed during the handshake")
            link.receive_data(data)
            for event in link.events():
                if isinstance(event, AcceptConnection):
                    sock.setblocking(False)
                    return WebSocketEndpoint(sock, remote, stream.host, stream.transport, link)
                if isinstance(event, RejectConnection):
                    raise TransportError(f"{stream.transport} {remote}: refused with {event.status_code}")
            left = ends - time.monotonic()
            if left <= 0:
                raise TimeoutError
            sock.settimeout(left)
    except TimeoutError as error:
        raise TransportError(f"{stream.transport} {remote}: no WebSocket within {patience:g} s") from error
    except (RemoteProtocolError, OSError) as error:
        reason = getattr(error, "strerror", "") or error
        raise TransportError(f"{stream.transport} {remote}: {reason}") from error
