"""Requests are the same in one piece and in many; each can be answered; nothing rises."""

from kamtool.sip.framing import Framer
from kamtool.transport.http import HttpRefused, HttpRequest, Raw, Sniffer, Spoken
from tests.fuzz.pieces import cuts

LARGEST = 1024


def seeds():
    return [
        b"\5" + text for text in (
            b"GET /a?b=c HTTP/1.1\r\nHost: x\r\n\r\n",
            b"POST /RPC HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}GET / HTTP/1.1\r\nHost: y\r\n\r\n",
            b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: "
            b"dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: sip\r\n\r\n",
            b"HEAD / HTTP/1.0\r\n\r\n", b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
            b"Content-Length: 3\r\n\r\nabc", b"OPTIONS sip:a SIP/2.0\r\nContent-Length: 0\r\n\r\n",
        )
    ]  # fmt: skip


def run(data):
    data, pieces = cuts(data)
    assert read(pieces) == read([data])


def read(pieces):
    """The requests that come out, each answered at once, and the status of a refusal."""
    cutter, found = Sniffer(Framer(), LARGEST), []
    for piece in pieces:
        events = cutter.feed(piece)
        while events:
            todo, events = events, []
            for event in todo:
                if isinstance(event, Spoken):
                    if not event.is_http:
                        return found
                    cutter = event.cutter
                    events = cutter.feed(event.data)
                elif isinstance(event, HttpRefused):
                    return [*found, event.status]
                elif isinstance(event, HttpRequest):
                    found.append(event)
                    if cutter.answer(200, "OK", [("X", "y")], b"body").ends:
                        return found
                    events = cutter.feed(b"")
                else:
                    assert isinstance(event, Raw)
    return found
