"""The TLS handshakes under way: which goes on when, and which gives way in a crowd.

A handshake costs as much as a hundred messages. Many at once (a restart of all phones) are carried out a few
milliseconds a turn, so that messages on other connections do not wait for them.
"""

from __future__ import annotations

import logging
from collections import deque
from time import monotonic
from typing import TYPE_CHECKING, Any

from kamtool.transport.watch import Watch

if TYPE_CHECKING:
    from kamtool.transport.tls import TlsConnection

log = logging.getLogger("kamtool.tls")

SLICE = 0.005
"""Seconds of handshakes in one turn of the loop."""
MAX_HANDSHAKES = 1024
"""Handshakes under way that are no crowd yet."""
SILENT_AGE, SLOW_AGE = 1.0, 8.0
"""Seconds that a peer in a crowd may take to say hello, and to end its handshake."""


class Handshakes:
    """The connections whose handshake has something to do, in the order in which they became ready."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._loop: Any = None
        self.most, self.silent_age, self.slow_age = MAX_HANDSHAKES, SILENT_AGE, SLOW_AGE
        self._ready: deque[TlsConnection] = deque()
        self._is_armed = False
        self.open: dict[int, TlsConnection] = {}
        """Every connection whose handshake has not ended, by number, the oldest first."""
        self.silent: dict[int, TlsConnection] = {}
        """Those of them that have not said hello."""

    def open_on(self, loop: Any) -> None:
        """The loop whose turns they take."""
        self._loop = loop

    def begin(self, connection: TlsConnection) -> None:
        """One more. In a crowd the oldest gives way: a slow peer holds the place of a quick one.

        Who has said hello is given time: when all phones come back at once, it is we who are slow.
        """
        if len(self.open) >= self.most:
            now = self._loop.time()
            for waiting, age in ((self.silent, self.silent_age), (self.open, self.slow_age)):
                oldest = next(iter(waiting.values()), None)
                if oldest is not None and not oldest.is_waiting and now - oldest.stalled_at > age:
                    oldest.close("handshake too slow in a crowd")
                    break
        self.open[connection.flow.connection] = connection
        if not connection.is_outgoing:
            self.silent[connection.flow.connection] = connection

    def heard(self, connection: TlsConnection) -> None:
        """It has said hello."""
        self.silent.pop(connection.flow.connection, None)

    def end(self, connection: TlsConnection) -> None:
        self.open.pop(connection.flow.connection, None)
        self.silent.pop(connection.flow.connection, None)

    def add(self, connection: TlsConnection) -> None:
        """Let `connection` do its next step soon."""
        if connection.is_waiting:
            return
        connection.is_waiting = True
        self._ready.append(connection)
        if not self._is_armed and not self._watch.is_turning:
            self._is_armed = True
            self._loop.call_soon(self._run)

    def go_on(self) -> None:
        """At the end of a turn in which streams were served: do what became ready in it."""
        if self._ready and not self._is_armed:
            self._run()

    def _run(self) -> None:
        end = monotonic() + SLICE
        self._is_armed = False
        while self._ready:
            connection = self._ready.popleft()
            connection.is_waiting = False
            if connection.is_open:
                try:
                    connection.step()
                except Exception:
                    log.exception("tls: a handshake with %s failed", connection.flow.remote)
                    connection.close("handshake failed")
            # uvloop's clock stands still within a turn: ask the system's.
            if self._ready and monotonic() > end:
                self._is_armed = True
                self._loop.call_later(0, self._run)
                return
