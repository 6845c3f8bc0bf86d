"""One connection-oriented flow: bytes in through a framer, a bounded queue out.

TCP uses it as it is; a TLS connection is one whose `_recv` and `_send` go through an `ssl.SSLSocket`.
"""

from __future__ import annotations

import asyncio
import socket as sockets
from collections import deque
from typing import Protocol

from kamtool.sip.flow import Flow
from kamtool.sip.framing import PONG, Broken, Framer

READ_BYTES = 65_536


class Owner(Protocol):
    """What a connection asks of the transport that holds it."""

    loop: asyncio.AbstractEventLoop
    connect_timeout: float
    send_timeout: float
    max_queue_bytes: int

    def received(self, connection: Connection, data: bytes) -> None: ...
    def closed(self, connection: Connection, reason: str) -> None: ...
    def broken(self, connection: Connection, end: Broken) -> None: ...
    def crlf_pong(self) -> bool: ...
    def total_queued(self, change: int) -> bool: ...


class Connection:
    """A stream to one peer. `flow.connection` is its number.

    Every wait has an end: `overdue(now)` says when connecting, a write or a half message took too long, or
    when nothing has happened for the connection's lifetime.
    """

    def __init__(
        self, owner: Owner, sock: sockets.socket, flow: Flow, framer: Framer, *, connecting: bool
    ) -> None:
        self.owner, self.sock, self.flow, self.framer = owner, sock, flow, framer
        self.connecting = connecting
        self.close_after_write = False
        self.unsent: deque[bytes] = deque()
        self.queued_bytes = 0
        now = owner.loop.time()
        self.used_at = self.stalled_at = self.partial_at = now
        self.keys: list[tuple[str, str, int]] = []
        """The (transport, host, port) under which this connection is found, aliases included."""
        self._fd = sock.fileno()
        self._writing = False
        self.is_open = True
        if connecting:
            self._watch_writes(True)
        else:
            owner.loop.add_reader(self._fd, self._readable)

    # The two calls that TLS replaces.
    def _recv(self) -> bytes:
        return self.sock.recv(READ_BYTES)

    def _send(self, data: bytes) -> int:
        return self.sock.send(data)

    def write(self, data: bytes) -> bool:
        """Send what the kernel takes now, queue the rest. False, and closed, when the queue is full."""
        if not self.is_open:
            return False
        self.used_at = self.owner.loop.time()
        if not self.connecting and not self.unsent:
            try:
                sent = self._send(data)
            except (BlockingIOError, InterruptedError):
                sent = 0
            except OSError as error:
                self.close(error.strerror or str(error))
                return False
            if sent == len(data):
                return True
            data = data[sent:]
        return self._queue(data)

    def _queue(self, data: bytes) -> bool:
        if self.queued_bytes + len(data) > self.owner.max_queue_bytes or not self.owner.total_queued(
            len(data)
        ):
            self.close("write queue full")
            return False
        if not self.unsent:
            self.stalled_at = self.owner.loop.time()
        self.unsent.append(data)
        self.queued_bytes += len(data)
        self._watch_writes(True)
        return True

    def _watch_writes(self, wanted: bool) -> None:
        if wanted and not self._writing:
            self.owner.loop.add_writer(self._fd, self._writable)
        elif self._writing and not wanted:
            self.owner.loop.remove_writer(self._fd)
        self._writing = wanted

    def _writable(self) -> None:
        if self.connecting and not self._connected():
            return
        while self.unsent:
            data = self.unsent[0]
            try:
                sent = self._send(data)
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                self.close(error.strerror or str(error))
                return
            self.stalled_at = self.owner.loop.time()
            self.queued_bytes -= sent
            self.owner.total_queued(-sent)
            if sent < len(data):
                self.unsent[0] = data[sent:]
                return
            self.unsent.popleft()
        self._watch_writes(False)
        if self.close_after_write:
            self.close("closed as asked")

    def _connected(self) -> bool:
        code = self.sock.getsockopt(sockets.SOL_SOCKET, sockets.SO_ERROR)
        if code:
            self.close(OSError(code, "").strerror or f"error {code}")
            return False
        self.connecting = False
        self.used_at = self.stalled_at = self.owner.loop.time()
        self.owner.loop.add_reader(self._fd, self._readable)
        return True

    def _readable(self) -> None:
        try:
            data = self._recv()
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self.close(error.strerror or str(error))
            return
        if not data:
            self.close("closed by the peer")
            return
        now = self.used_at = self.owner.loop.time()
        if not self.framer.pending:
            self.partial_at = now
        self._take(data, now)

    def _take(self, data: bytes, now: float) -> None:
        for event in self.framer.feed(data):
            self.partial_at = now
            if type(event) is bytes:
                self.owner.received(self, event)
            elif isinstance(event, Broken):
                self.owner.broken(self, event)
                self.close(str(event.error))
            elif self.is_open and self.owner.crlf_pong():
                self.write(PONG)
            if not self.is_open:
                return

    def overdue(self, now: float, lifetime: float) -> str:
        """Why this connection must be closed now, or nothing."""
        if self.connecting:
            return "connect timed out" if now - self.stalled_at > self.owner.connect_timeout else ""
        if self.unsent and now - self.stalled_at > self.owner.send_timeout:
            return "send timed out"
        # A peer that feeds a message byte by byte keeps `used_at` fresh, not `partial_at`.
        if self.framer.pending and now - self.partial_at > self.owner.send_timeout:
            return "message not completed in time"
        return "idle" if lifetime and now - self.used_at > lifetime else ""

    def close(self, reason: str) -> None:
        """Close at once. The owner hears of it, with what was never sent still in `unsent`."""
        if not self.is_open:
            return
        self.is_open = False
        loop = self.owner.loop
        loop.remove_reader(self._fd)
        self._watch_writes(False)
        self.sock.close()
        self.owner.total_queued(-self.queued_bytes)
        self.owner.closed(self, reason)
