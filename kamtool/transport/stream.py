"""One connection-oriented flow: bytes in through a framer, a bounded queue out (outlet.py).

TCP uses it as it is; a TLS connection (tls.py) is one whose `_recv` and `_send` go through an
`ssl.SSLSocket`. What is spoken on it may change once: HTTP replaces framer and encoder (http.py).
"""

from __future__ import annotations

import socket as sockets
from typing import Any, Protocol

from kamtool.sip.flow import Flow
from kamtool.sip.framing import PONG, Broken, Ping
from kamtool.transport.outlet import Outlet, Owner


class Cutter(Protocol):
    """What cuts a stream into events; `kamtool.sip.framing.Framer` is one."""

    def feed(self, data: bytes) -> list[Any]: ...

    @property
    def pending(self) -> int: ...


class Connection(Outlet):
    """A stream to one peer. `flow.connection` is its number.

    Every wait has an end: `overdue(now)` says when connecting, a write or a half message took too long, or
    when nothing has happened for the connection's lifetime.
    """

    __slots__ = ("flow", "framer", "is_outgoing", "keys", "lifetime", "messages", "opened_at", "partial_at")

    def __init__(
        self, owner: Owner, sock: sockets.socket, flow: Flow, framer: Cutter, connecting: bool,
        outgoing: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(owner, sock, connecting)
        self.flow, self.framer = flow, framer
        self.is_outgoing = outgoing
        self.messages = 0
        self.lifetime: float | None = None
        """Idle seconds allowed, None for those of the cfg."""
        self.opened_at = self.partial_at = self.used_at
        self.keys: list[tuple[str, str, int]] = []
        """The (transport, host, port) under which this connection is found, aliases included."""
        self._watch()

    def _watch(self) -> None:
        if self.connecting:
            self._watch_writes(True)
        else:
            self._watch_reads()

    # TLS replaces it. It raises BlockingIOError when it would have to wait.
    def _recv(self) -> bytes:
        data: bytes = self.sock.recv(self.owner.options.read_bytes)
        return data

    def _connected(self) -> bool:
        if not self._is_connected():
            return False
        self.connecting = False
        self.used_at = self.stalled_at = self.owner.loop.time()
        self._watch_reads()
        return True

    def _is_connected(self) -> bool:
        code: int = self.sock.getsockopt(sockets.SOL_SOCKET, sockets.SO_ERROR)
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
        now: float = self.owner.loop.time()
        self.used_at = now
        if not self.framer.pending:
            self.partial_at = now
        self._take(data, now)

    def _take(self, data: bytes, now: float) -> None:
        for event in self.framer.feed(data):
            self.partial_at = now
            if type(event) is bytes:
                self.messages += 1
                self.owner.receive(event, self.flow)
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
        if self._writing and now - self.stalled_at > options.send_timeout:
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
