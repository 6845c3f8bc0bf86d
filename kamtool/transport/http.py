"""HTTP on a SIP port: what is spoken is told by the first line, then h11 cuts requests and frames answers.

A SIP response that is written to an HTTP connection leaves as an HTTP response, so that what answers SIP
(authentication challenges, `sl_send_reply`) answers HTTP too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import h11

from kamtool.transport.stream import Cutter

MAX_FIRST_LINE = 8192
MAX_HEAD = 32_768
SIP_ONLY = frozenset(
    b"via from to call-id cseq content-length record-route contact max-forwards v f t i l".split()
)


@dataclass(frozen=True, slots=True)
class Spoken:
    """What the first line of a connection says: `cutter` goes on with `data`."""

    is_http: bool
    cutter: Cutter
    data: bytes


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One request, whole. Header names are in lower case."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes


@dataclass(frozen=True, slots=True)
class HttpRefused:
    """A request that cannot be read any further: answer with `status` and close."""

    status: int
    reason: str


@dataclass(frozen=True, slots=True)
class Raw:
    """Bytes to write as they are; with `ends` the connection closes behind them."""

    data: bytes
    ends: bool = False


class Sniffer:
    """Holds the first line of a connection until it is whole."""

    __slots__ = ("_held", "_max_body", "_sip")

    def __init__(self, sip: Cutter, max_body: int) -> None:
        self._sip, self._max_body, self._held = sip, max_body, b""

    @property
    def pending(self) -> int:
        return len(self._held)

    def feed(self, data: bytes) -> list[Any]:
        data = self._held + data
        end = data.find(b"\n")
        if end < 0 and len(data) < MAX_FIRST_LINE:
            self._held = data
            return []
        self._held = b""
        if end < MAX_FIRST_LINE and data[:end].rstrip(b"\r")[-9:-1] == b" HTTP/1.":
            return [Spoken(True, HttpCutter(self._max_body), data)]
        return [Spoken(False, self._sip, data)]


class HttpCutter:
    """The server's side of one HTTP connection. One request at a time: the next waits for our answer."""

    __slots__ = ("_body", "_connection", "_max_body", "_request", "_size", "is_answered")

    def __init__(self, max_body: int) -> None:
        self._connection = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)
        self._max_body, self._size = max_body, 0
        self._request: h11.Request | None = None
        self._body: list[bytes] = []
        self.is_answered = True

    @property
    def pending(self) -> int:
        return self._size

    def feed(self, data: bytes) -> list[Any]:
        if data:
            self._connection.receive_data(data)
            self._size += len(data)
            if self._size > self._max_body + MAX_HEAD:
                return [HttpRefused(413, "Content Too Large")]
        events: list[Any] = []
        try:
            while self._next(events):
                pass
        except h11.RemoteProtocolError as error:
            events.append(HttpRefused(error.error_status_hint or 400, "Bad Request"))
        return events

    def _next(self, events: list[Any]) -> bool:
        event = self._connection.next_event()
        if isinstance(event, h11.Request):
            self._request, self._body = event, []
        elif isinstance(event, h11.Data):
            self._body.append(bytes(event.data))
        elif isinstance(event, h11.EndOfMessage):
            events.append(self._whole())
        else:
            if event is h11.NEED_DATA and self._connection.they_are_waiting_for_100_continue:
                answer = h11.InformationalResponse(status_code=100, headers=[], reason=b"Continue")
                events.append(Raw(self._connection.send(answer) or b""))
            return False
        return True

    def _whole(self) -> HttpRequest:
        request = self._request
        assert request is not None
        self._size, self.is_answered = 0, False
        headers = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers)
        return HttpRequest(
            request.method.decode("ascii"), request.target.decode("ascii", "replace"), headers,
            b"".join(self._body),
        )  # fmt: skip

    # Answering

    def answer(
        self, status: int, reason: str, headers: Sequence[tuple[str, str]] = (), body: bytes = b""
    ) -> Raw:
        """The bytes of our answer to the request that waits for one; none, when no request does."""
        if self.is_answered or self._connection.our_state not in (h11.SEND_RESPONSE, h11.IDLE):
            return Raw(b"")
        self.is_answered = True
        fields = [(name.encode("latin-1", "replace"), _field(value)) for name, value in headers]
        fields.append((b"content-length", str(len(body)).encode()))
        phrase = reason.encode("latin-1", "replace").replace(b"\r", b" ").replace(b"\n", b" ")
        data = self._connection.send(h11.Response(status_code=status, headers=fields, reason=phrase)) or b""
        request = self._request
        if not (request is not None and request.method == b"HEAD"):
            data += self._connection.send(h11.Data(data=body)) or b""
        data += self._connection.send(h11.EndOfMessage()) or b""
        states = {self._connection.our_state, self._connection.their_state}
        ends = states != {h11.DONE}
        if not ends:
            self._connection.start_next_cycle()
        return Raw(data, ends)

    def switch(self, headers: Sequence[tuple[str, str]]) -> tuple[bytes, bytes]:
        """101: what to send, and what the client has sent behind its request already."""
        self.is_answered = True
        fields = [(name.encode("latin-1", "replace"), _field(value)) for name, value in headers]
        answer = h11.InformationalResponse(status_code=101, headers=fields, reason=b"Switching Protocols")
        return self._connection.send(answer) or b"", bytes(self._connection.trailing_data[0])

    def from_sip(self, data: bytes) -> Raw:
        """A SIP response as an HTTP one: its headers but those that only SIP has."""
        if not data.startswith(b"SIP/2.0 "):
            return Raw(b"")
        head, _, body = data.partition(b"\r\n\r\n")
        first, *lines = head.split(b"\r\n")
        _, status, reason = (*first.decode("latin-1").split(" ", 2), "")[:3]
        headers = []
        for line in lines:
            name, colon, value = line.partition(b":")
            if colon and name.strip().lower() not in SIP_ONLY:
                headers.append((name.strip().decode("latin-1"), value.strip().decode("latin-1")))
        return self.answer(max(int(status), 200), reason, headers, body)


def _field(value: str) -> bytes:
    return value.replace("\r", " ").replace("\n", " ").encode("latin-1", "replace")


def refusal(refused: HttpRefused) -> bytes:
    """The answer to what could not be read."""
    line = f"HTTP/1.1 {refused.status} {refused.reason}\r\n"
    return (line + "Content-Length: 0\r\nConnection: close\r\n\r\n").encode()
