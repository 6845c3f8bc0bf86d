"""A stream of SIP gives the same messages in one piece and in many, and holds no more than it may."""

from kamtool.sip.framing import Framer
from tests.fuzz.messages import seeds as _messages
from tests.fuzz.pieces import cuts

HEAD, BODY = 2048, 1024


def seeds():
    whole = [b"\r\n\r\n" + data for data in _messages()[:40]]
    return [b"\7" + data for data in whole] + [b"\1" + b"".join(whole[:2])]


def run(data):
    data, pieces = cuts(data)
    at_once = framer().feed(data)
    bit_by_bit, cut = framer(), []
    for piece in pieces:
        cut += bit_by_bit.feed(piece)
        assert bit_by_bit.pending <= HEAD + BODY + len(piece)
    assert [shown(event) for event in cut] == [shown(event) for event in at_once]


def framer():
    return Framer(max_head=HEAD, max_body=BODY)


def shown(event):
    """Of what breaks a stream, how much more had come by then does not count."""
    return (event.error.reason, event.error.status) if hasattr(event, "error") else event
