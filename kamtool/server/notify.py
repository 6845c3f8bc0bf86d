"""systemd's notify protocol: a datagram of `NAME=value` lines to the socket in $NOTIFY_SOCKET."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from contextlib import suppress


class Notify:
    """Tells systemd how we are; without it, nobody. `interval`: seconds between signs of life, or 0."""

    def __init__(self, path: str | None = None, watchdog_usec: str | None = None) -> None:
        self.path = os.environ.pop("NOTIFY_SOCKET", "") if path is None else path
        usec = os.environ.get("WATCHDOG_USEC", "") if watchdog_usec is None else watchdog_usec
        # Half of what systemd allows, as its manual advises.
        self.interval = int(usec) / 2_000_000 if usec.isdigit() and self.path else 0.0
        self._said_at = 0.0
        self._socket: socket.socket | None = None
        if self.path:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)

    def say(self, lines: str) -> None:
        """Send lines; nobody there is no reason to fail."""
        if self._socket is not None:
            address = "\0" + self.path[1:] if self.path.startswith("@") else self.path
            with suppress(OSError):
                self._socket.sendto(lines.encode(), address)

    def reloading(self) -> None:
        self.say(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def alive(self) -> None:
        """A sign of life, when one is due."""
        if self.interval and (now := time.monotonic()) - self._said_at >= self.interval * 0.9:
            self._said_at = now
            self.say("WATCHDOG=1")

    def every(self, call_later: Callable[[float, Callable[[], None]], object]) -> None:
        """Give signs of life by a loop's clock: a loop that stands still gives none."""
        if self.interval and self._socket is not None:
            self.alive()
            call_later(self.interval, lambda: self.every(call_later))

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket, self.interval = None, 0.0
