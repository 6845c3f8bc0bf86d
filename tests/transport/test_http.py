"""HTTP's side of a connection: any bytes, any pieces, and no answer but to a request."""

from hypothesis import given
from hypothesis import strategies as st

from kamtool.sip.framing import Framer
from kamtool.transport.http import HttpCutter, HttpRefused, HttpRequest, Raw, Sniffer, Spoken

GET = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n"


@given(st.binary(max_size=300), st.integers(1, 40))
def test_any_bytes_are_cut_or_refused(data, size):
    for text in (
        data,
        GET + data,
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + data,
    ):
        cutter = HttpCutter(1000)
        for at in range(0, len(text), size):
            events = cutter.feed(text[at : at + size])
            assert all(isinstance(event, HttpRequest | HttpRefused | Raw) for event in events)
            if any(isinstance(event, HttpRefused) for event in events):
                break


@given(st.binary(max_size=200), st.integers(1, 40))
def test_the_sniffer_loses_nothing(data, size):
    sniffer, given_on = Sniffer(Framer(), 1000), b""
    text = data + b"\nrest"
    for at in range(0, len(text), size):
        for event in sniffer.feed(text[at : at + size]):
            assert isinstance(event, Spoken)
            given_on = event.data + text[at + size :]
        if given_on:
            break
    assert given_on == text


def test_a_request_in_pieces_is_one():
    cutter = HttpCutter(1000)
    found = [event for octet in GET for event in cutter.feed(bytes([octet]))]
    assert found == [HttpRequest("GET", "/a", (("host", "x"),), b"")]


def test_there_is_one_answer_to_a_request():
    cutter = HttpCutter(1000)
    assert cutter.answer(200, "OK") == Raw(b""), "nobody has asked"
    cutter.feed(GET)
    first = cutter.answer(200, "OK", [("X", "a\r\nb")], b"body")
    assert first.data.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"X: a  b\r\n" in first.data, "a header cannot smuggle another"
    assert cutter.answer(200, "OK") == Raw(b"")


def test_a_sip_response_becomes_an_http_one():
    cutter = HttpCutter(1000)
    cutter.feed(GET)
    raw = cutter.from_sip(
        b"SIP/2.0 401 Unauthorized\r\nVia: SIP/2.0/TCP x\r\nTo: <sip:x>\r\n"
        b"WWW-Authenticate: Digest realm=\"x\"\r\nContent-Length: 0\r\n\r\n"
    )  # fmt: skip
    assert raw.data.startswith(b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Digest")
    assert b"Via" not in raw.data
    assert cutter.from_sip(b"OPTIONS sip:x SIP/2.0\r\n\r\n") == Raw(b""), "no request goes to an HTTP client"


def test_a_request_of_http_1_0_ends_the_connection():
    cutter = HttpCutter(1000)
    cutter.feed(b"GET / HTTP/1.0\r\n\r\n")
    assert cutter.answer(200, "OK").ends
