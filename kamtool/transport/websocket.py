"""SIP in WebSocket frames (RFC 7118): wsproto cuts messages out of frames, and puts them into frames."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import (
    BytesMessage,
    CloseConnection,
    Message,
    Ping,
    Pong,
    TextMessage,
)
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from kamtool.transport.http import Raw

TOO_BIG, PROTOCOL_ERROR, NORMAL = 1009, 1002, 1000
KEEPALIVE = "\r\n"


class WebSocketCutter:
    """The server's side of one WebSocket. A frame of CRLFs is a keep-alive and gets a CRLF (RFC 7118 §6)."""

    __slots__ = ("_connection", "_held", "_max_message", "_size", "heard", "is_alive", "pings")

    def __init__(self, max_message: int) -> None:
        self._connection = Connection(ConnectionType.SERVER)
        self._max_message, self._size = max_message, 0
        self._held: list[bytes] = []
        self.heard: Callable[[bytes], None] | None = None
        """Gets each SIP message before the server does."""
        self.is_alive = True
        """False from a ping of ours until anything comes."""
        self.pings = 0

    @property
    def pending(self) -> int:
        return self._size

    @property
    def is_open(self) -> bool:
        return self._connection.state is ConnectionState.OPEN

    def feed(self, data: bytes) -> list[Any]:
        self.is_alive = True
        events: list[Any] = []
        try:
            self._connection.receive_data(data)
            for event in self._connection.events():
                if not self._take(event, events):
                    break
        except RemoteProtocolError as error:
            hint = error.event_hint
            code = hint.code if isinstance(hint, CloseConnection) else PROTOCOL_ERROR
            events.append(self.close(int(code)))
        except LocalProtocolError:
            events.append(Raw(b"", True))
        return events

    def _take(self, event: Any, events: list[Any]) -> bool:
        if isinstance(event, TextMessage | BytesMessage):
            piece = event.data.encode() if isinstance(event.data, str) else bytes(event.data)
            self._size += len(piece)
            if self._size > self._max_message:
                events.append(self.close(TOO_BIG))
                return False
            self._held.append(piece)
            if event.message_finished:
                self._finish(events)
        elif isinstance(event, Ping):
            events.append(Raw(self._connection.send(event.response())))
        elif isinstance(event, CloseConnection):
            if self._connection.state is ConnectionState.REMOTE_CLOSING:
                events.append(Raw(self._connection.send(event.response()), True))
            else:  # so wsproto tells of a frame that breaks the protocol
                events.append(self.close(int(event.code), event.reason or ""))
            return False
        return True

    def _finish(self, events: list[Any]) -> None:
        message = b"".join(self._held)
        self._held, self._size = [], 0
        if not message.strip(b"\r\n\0 "):
            if message:
                events.append(Raw(self._connection.send(TextMessage(data=KEEPALIVE))))
            return
        if self.heard is not None:
            self.heard(message)
        events.append(message)

    # Sending

    def frame(self, data: bytes) -> bytes:
        """One SIP message as a frame: text, or binary where it is no UTF-8 (RFC 7118 §5.2)."""
        if not self.is_open:
            return b""
        message: Message[Any]
        try:
            message = TextMessage(data=data.decode())
        except UnicodeDecodeError:
            message = BytesMessage(data=data)
        return self._connection.send(message)

    def ping(self, payload: bytes = b"") -> bytes:
        """A ping; `is_alive` tells later whether anything has come since."""
        self.is_alive, self.pings = False, self.pings + 1
        return self._connection.send(Ping(payload=payload[:125])) if self.is_open else b""

    def pong(self, payload: bytes = b"") -> bytes:
        """A pong that nobody asked for: keeps the way open without an answer."""
        return self._connection.send(Pong(payload=payload[:125])) if self.is_open else b""

    def close(self, code: int = NORMAL, reason: str = "") -> Raw:
        """Our goodbye; the connection ends behind it."""
        if self._connection.state not in (ConnectionState.OPEN, ConnectionState.REMOTE_CLOSING):
            return Raw(b"", True)
        try:
            return Raw(self._connection.send(CloseConnection(code=code, reason=reason[:120])), True)
        except (LocalProtocolError, UnicodeError, ValueError):
            return Raw(b"", True)
