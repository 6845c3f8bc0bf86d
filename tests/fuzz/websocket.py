"""Frames give the same messages in one piece and in many; nothing rises, and what is held is bounded."""

from kamtool.transport.http import Raw
from kamtool.transport.websocket import WebSocketCutter
from tests.fuzz.pieces import cuts

LARGEST = 1024


def seeds():
    mask = b"\1\2\3\4"
    hidden = bytes(octet ^ mask[at % 4] for at, octet in enumerate(b"OPTIONS sip:a SIP/2.0\r\n\r\n"))
    text = b"\x81" + bytes([0x80 | len(hidden)]) + mask + hidden
    start = b"\x01" + bytes([0x80 | len(hidden)]) + mask + hidden
    end = b"\x80" + bytes([0x80 | len(hidden)]) + mask + hidden
    return [
        b"\5" + frames for frames in (
            text, start + b"\x89\x80" + mask + end, b"\x88\x82" + mask + b"\2\xeb", b"\x8a\x80" + mask + text,
            b"\x82\xfe\x00\x7e" + mask + b"x" * 126, b"\x82\xff" + b"\0" * 6 + b"\1\0" + mask + b"y" * 256,
            b"\x81\x84" + mask + b"\x0c\x08\x0e\x0e",
        )
    ]  # fmt: skip


def run(data):
    data, pieces = cuts(data)
    whole = read([data])
    assert read(pieces) == whole


def read(pieces):
    cutter, messages = WebSocketCutter(LARGEST), []
    for piece in pieces:
        for event in cutter.feed(piece):
            if isinstance(event, Raw):
                if event.ends:
                    return messages
            else:
                messages.append(event)
        assert cutter.pending <= LARGEST
    return messages
