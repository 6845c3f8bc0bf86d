"""One connection-oriented flow: bytes in through a framer, a bounded queue out.

TCP uses it as it is; a TLS connection (tls.py) is one whose `_recv` and `_send` go through an
`ssl.SSLSocket`. What is spoken on it may change once: HTTP replaces framer and encoder (http.py).
"""

from __future__ import annotations

import asyncio
import socket as sockets
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from kamtool.sip.flow import Flow
from kamtool.sip.framing import PONG, Broken, Ping
from kamtool.transport.tcp_options import TcpOptions


class Cutter(Protocol):
    """What cuts a stream into events; `kamtool.sip.framing.Framer` is one."""

    def feed(self, data: bytes) -> list[Any]: ...

    @property
    def pending(self) -> int: ...


class Owner(Protocol):
    """What a connection asks of the transport that holds it."""

    loop: asyncio.AbstractEventLoop
    options: TcpOptions

    def received(self, connection: Connection, data: bytes) -> None: ...
    def closed(self, connection: Connection, reason: str) -> None: ...
    def broken(self, connection: Connection, end: Broken) -> None: ...
    def happened(self, connection: Connection, event: Any) -> None: ...
    def total_queued(self, change: int) -> bool: ...


class Connection:
    """A stream to one peer. `flow.connection` is its number.

    Every wait has an end: `overdue(now)` says when connecting, a write or a half message took too long, or
    when nothing has happened for the connection's lifetime.
    """

    __slots__ = (
        "_fd", "_writing", "close_after_write", "connecting", "encode", "flow", "framer", "is_open",
        "is_outgoing", "keys", "lifetime", "messages", "opened_at", "owner", "partial_at", "queued_bytes",
        "sock", "stalled_at", "unsent", "used_at",
    )  # fmt: skip

    def __init__(
        self, owner: Owner, sock: sockets.socket, flow: Flow, framer: Cutter, *, connecting: bool,
        outgoing: bool = False,
    ) -> None:  # fmt: skip
        self.owner, self.sock, self.flow, self.framer = owner, sock, flow, framer
        self.connecting, self.is_outgoing = connecting, outgoing
        self.close_after_write = False
        self.encode: Callable[[bytes], bytes] | None = None
        """What becomes of a SIP message before it is written; None when it leaves as it is."""
        self.unsent: deque[bytes] | tuple[()] = ()
        self.queued_bytes = self.messages = 0
        self.lifetime: float | None = None
        """Idle seconds allowed, None for those of the cfg."""
        now = owner.loop.time()
        self.opened_at = self.used_at = self.stalled_at = self.partial_at = now
        self.keys: list[tuple[str, str, int]] = []
        """The (transport, host, port) under which this connection is found, aliases included."""
        self._fd = sock.fileno()
        self._writing = False
        self.is_open = True
        self._watch()

    def _watch(self) -> None:
        if self.connecting:
            self._watch_writes(True)
        else:
            self.owner.loop.add_reader(self._fd, self._readable)

    # The two calls that TLS replaces. They raise BlockingIOError when they would have to wait.
    def _recv(self) -> bytes:
        return self.sock.recv(self.owner.options.read_bytes)

    def _send(self, data: bytes) -> int:
        return self.sock.send(data)

    def write(self, data: bytes) -> bool:
        """Send a SIP message: what the kernel takes now, the rest is queued.

        False, and closed, when the queue is full.
        """
        return self.write_raw(data if self.encode is None else self.encode(data))

    def write_raw(self, data: bytes) -> bool:
        """`write` for bytes that leave as they are."""
        if not self.is_open:
            return False
        if not data:
            return True
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
                if self.close_after_write:
                    self.close("closed as asked")
                return True
            data = data[sent:]
        return self._queue(data)

    def _queue(self, data: bytes) -> bool:
        if self.queued_bytes + len(data) > self.owner.options.max_queue_bytes or not self.owner.total_queued(
            len(data)
        ):
            self.close("write queue full")
            return False
        if not self.unsent:
            self.stalled_at = self.owner.loop.time()
            self.unsent = deque()
        self.unsent.append(data)
        self.queued_bytes += len(data)
        self._watch_writes(True)
        return True

    def finish(self) -> None:
        """Close once all that is queued has left."""
        self.close_after_write = True
        if not self.unsent:
            self.close("closed as asked")

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
        self.unsent = ()
        self._watch_writes(False)
        if self.close_after_write:
            self.close("closed as asked")

    def _connected(self) -> bool:
        """The kernel has connected, or has not; true when the connection can be used now."""
        if not self._is_connected():
            return False
        self.connecting = False
        self.used_at = self.stalled_at = self.owner.loop.time()
        self.owner.loop.add_reader(self._fd, self._readable)
        return True

    def _is_connected(self) -> bool:
        code = self.sock.getsockopt(sockets.SOL_SOCKET, sockets.SO_ERROR)
        if code:
            self.close(OSError(code, "").strerror or f"error {code}")
        return not code

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
                self.messages += 1
                self.owner.received(self, event)
                if self.messages == self.owner.options.max_requests and self.is_open:
                    self.finish()
            elif isinstance(event, Broken):
                self.owner.broken(self, event)
                self.close(str(event.error))
            elif isinstance(event, Ping):
                if self.is_open and self.owner.options.crlf_pong:
                    self.write_raw(PONG)
            else:
                self.owner.happened(self, event)
            if not self.is_open:
                return

    def go_on_with(self, cutter: Cutter, data: bytes) -> None:
        """From now on `cutter` cuts what comes; `data` has come already."""
        self.framer = cutter
        self._take(data, self.owner.loop.time())

    def overdue(self, now: float, lifetime: float) -> str:
        """Why this connection must be closed now, or nothing."""
        options = self.owner.options
        if self.connecting:
            return "connect timed out" if now - self.stalled_at > options.connect_timeout else ""
        if self.unsent and now - self.stalled_at > options.send_timeout:
            return "send timed out"
        # A peer that feeds a message byte by byte keeps `used_at` fresh, not `partial_at`.
        if self.framer.pending and now - self.partial_at > options.send_timeout:
            return "message not completed in time"
        idle = now - self.used_at
        if options.wait_data and idle > options.wait_data and not (self.messages or self.is_outgoing):
            return "nothing received in time"
        if self.lifetime is not None:
            lifetime = self.lifetime
        return "idle" if lifetime and idle > lifetime else ""

    def close(self, reason: str) -> None:
        """Close at once. The owner hears of it, with what was never sent still in `unsent`."""
        if not self.is_open:
            return
        self.is_open = False
        loop = self.owner.loop
        loop.remove_reader(self._fd)
        self._watch_writes(False)
        self._shut()
        self.owner.total_queued(-self.queued_bytes)
        self.owner.closed(self, reason)

    def _shut(self) -> None:
        self.sock.close()
