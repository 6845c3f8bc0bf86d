"""Every SIP message in and out of one server's sockets, as plain text, for those who watch.

With nobody watching nothing of it is on the way: the first watcher swaps wrappers in where messages are taken
and given, the last one to leave takes them out again.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from kamtool.sip.flow import Flow
from kamtool.sip.framing import Broken
from kamtool.speed.cutting import KEEPALIVE_BYTES
from kamtool.transport.records import Recording
from kamtool.transport.records import Watcher as RecordWatcher

if TYPE_CHECKING:
    from kamtool.transport.transports import Transports

Seen = tuple[float, bool, Flow, bytes]
"""The time of day, whether it came in (else it went out), the flow, and the message."""
Watcher = Callable[[Seen], object]
"""May be as little as the `append` of a list. One that has `receiving` and `sending` (kamtool.speed.tape)
wraps itself around the functions of the transports.
"""
Receive = Callable[[bytes, Flow], None]
Send = Callable[[Flow, bytes], bool]


class Tap:
    """`others` are objects that hold a `send` of their own, bound to that of the transports."""

    def __init__(self, transports: Transports, *others: Any) -> None:
        self.transports, self.others = transports, others
        self.watchers: list[Watcher] = []
        self.recorder: Any = None
        """The flight recorder, where one runs: kamtool.tools.trace.recorder."""
        self._undo: list[Callable[[], None]] = []

    def add(self, watcher: Watcher) -> None:
        """Let it watch from the next message on."""
        self.watchers = [*self.watchers, watcher]
        self._rewire()

    def remove(self, watcher: Watcher) -> None:
        """It watches no more."""
        self.watchers = [each for each in self.watchers if each is not watcher and each != watcher]
        self._rewire()

    def record(self, watcher: RecordWatcher) -> None:
        """Let it have the records of TLS connections that begin from now on. Raises TransportError."""
        tcp = self.transports.tcp
        tcp.recording = tcp.recording or Recording()
        tcp.recording.watchers = [*tcp.recording.watchers, watcher]

    def record_no_more(self, watcher: RecordWatcher) -> None:
        """It has them no more; with the last one, the secrets end."""
        recording = self.transports.tcp.recording
        if recording is None:
            return
        recording.watchers = [each for each in recording.watchers if each != watcher]
        if not recording.watchers:
            self.transports.tcp.recording = None
            recording.stop()

    def _rewire(self) -> None:
        for undo in self._undo:
            undo()
        self._undo.clear()
        if not self.watchers:
            return
        transports, tcp = self.transports, self.transports.tcp
        send: Send = transports.send
        for watcher in self.watchers:
            send = self._sending(send, watcher)
        sockets: list[Any] = [*transports.udp_sockets, tcp]
        for socket in sockets:
            receive: Receive = socket.receive
            for watcher in self.watchers:
                receive = self._receiving(receive, watcher)
            self._swap(socket, "receive", receive)
        self._swap(tcp, "broken_stream", _breaking(tcp.broken_stream, self._tell_all))
        for holder in (transports, *self.others):
            self._swap(holder, "send", send)

    def _swap(self, holder: Any, name: str, wrapped: Any) -> None:
        own = getattr(holder, "__dict__", None)
        before = getattr(holder, name)

        def undo() -> None:
            if own is not None and holder is self.transports:
                own.pop(name, None)  # the method is the class's
            else:
                setattr(holder, name, before)

        setattr(holder, name, wrapped)
        self._undo.append(undo)

    def _tell_all(self, seen: Seen) -> None:
        for watcher in self.watchers:
            watcher(seen)

    @staticmethod
    def _receiving(plain: Receive, watcher: Any) -> Receive:
        own: Callable[[Receive], Receive] | None = getattr(watcher, "receiving", None)
        return own(plain) if own is not None else _receiving(plain, watcher)

    def _sending(self, plain: Send, watcher: Any) -> Send:
        own: Callable[[Send, Callable[[Flow], bool]], Send] | None = getattr(watcher, "sending", None)
        is_http = partial(_is_http, self.transports)
        return own(plain, is_http) if own is not None else _sending(plain, watcher, is_http)


def _receiving(plain: Receive, told: Watcher) -> Receive:
    now = time.time

    def receive(data: bytes, flow: Flow) -> None:
        told((now(), True, flow, data))
        plain(data, flow)

    return receive


def _breaking(plain: Callable[[Broken, Flow], None], told: Watcher) -> Callable[[Broken, Flow], None]:
    def broken(end: Broken, flow: Flow) -> None:
        told((time.time(), True, flow, end.head))
        plain(end, flow)

    return broken


def _sending(plain: Send, told: Watcher, is_http: Callable[[Flow], bool]) -> Send:
    now = time.time

    def send(flow: Flow, data: bytes) -> bool:
        sent = plain(flow, data)
        if sent and len(data) > KEEPALIVE_BYTES and not (flow.connection and is_http(flow)):
            told((now(), False, flow, data))
        return sent

    return send


def _is_http(transports: Transports, flow: Flow) -> bool:
    """Whether what is written here leaves as HTTP."""
    connection = transports.connection(flow)
    return connection is not None and connection.encode is not None and flow.transport in ("tcp", "tls")
