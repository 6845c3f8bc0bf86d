"""Streams cut into messages, however they arrive (RFC 3261 §18.3, RFC 5626 §4.4.1)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kamtool.sip.framing import Broken, Framer, Ping
from kamtool.sip.message import salvage
from tests.support.twins import INVITE, torture_files

OPTIONS = b"OPTIONS sip:a SIP/2.0\r\nl: 0\r\n\r\n"


def feed(framer, data, size):
    return [event for at in range(0, len(data), size) for event in framer.feed(data[at : at + size])]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 100_000])
def test_messages_come_out_whole(size):
    framer = Framer()
    assert feed(framer, INVITE + OPTIONS + INVITE, size) == [INVITE, OPTIONS, INVITE]
    assert framer.pending == 0


@pytest.mark.parametrize("size", [1, 3, 7, 100])
def test_a_double_line_end_is_a_ping_and_a_single_one_is_nothing(size):
    stream = b"\r\n\r\n" + INVITE + b"\r\n" + OPTIONS + b"\r\n\r\n\r\n\r\n"
    assert feed(Framer(), stream, size) == [Ping(), INVITE, OPTIONS, Ping(), Ping()]


@pytest.mark.parametrize("size", [1, 100])
def test_odd_line_ends_between_messages_are_skipped(size):
    assert feed(Framer(), b"\n\r" + OPTIONS + b"\n" + OPTIONS, size) == [OPTIONS, OPTIONS]


@given(st.lists(st.sampled_from([INVITE, OPTIONS, b"\r\n\r\n"]), max_size=6), st.integers(1, 50))
def test_the_size_of_the_pieces_does_not_matter(parts, size):
    stream = b"".join(parts)
    assert feed(Framer(), stream, size) == Framer().feed(stream)


def test_a_body_may_look_like_messages():
    body = OPTIONS * 3 + b"\r\n\r\n"
    message = b"MESSAGE sip:a SIP/2.0\r\nContent-Length : \r\n %d\r\n\r\n" % len(body) + body
    assert feed(Framer(), message + OPTIONS, 5) == [message, OPTIONS]


def test_the_length_is_found_in_any_spelling_but_only_in_the_headers():
    for name in (b"content-length:", b"L:", b"l \t:", b"CONTENT-LENGTH: \t"):
        message = b"A sip:a SIP/2.0\r\nX-l: 9\r\n" + name + b"2\r\n\r\nl:"
        assert Framer().feed(message) == [message]


@pytest.mark.parametrize(
    ("head", "reason", "status"),
    [
        (b"X: 1", "Content-Length: missing", 400),
        (b"l: x", "Content-Length: malformed", 400),
        (b"l: -1", "Content-Length: malformed", 400),
        (b"l:", "Content-Length: malformed", 400),
        (b"l: 1\r\nContent-Length: 2", "Content-Length: malformed", 400),
        (b"l: 99999999", "Content-Length: the body is too long", 513),
        (b"l: " + b"9" * 9000, "Content-Length: the body is too long", 513),
        (b"X: " + b"x" * 70_000, "the headers are too long", 513),
    ],
    ids=["missing", "word", "negative", "empty", "two", "long", "endless", "head"],
)
@pytest.mark.parametrize("size", [7, 100_000])
def test_a_stream_that_cannot_be_cut_is_broken_for_good(head, reason, status, size):
    framer = Framer()
    events = feed(framer, b"OPTIONS sip:a SIP/2.0\r\n" + head + b"\r\n\r\n" + OPTIONS, size)
    assert [type(event) for event in events] == [Broken]
    assert (str(events[0].error), events[0].error.status) == (reason, status)
    assert framer.broken
    assert framer.feed(OPTIONS) == []
    assert framer.pending == 0


def test_headers_without_end_are_refused_before_they_fill_the_memory():
    framer, events = Framer(max_head=1000), []
    for _ in range(5):
        events += framer.feed(b"x" * 300)
    assert [type(event) for event in events] == [Broken]


def test_the_head_of_a_broken_stream_can_be_answered():
    (broken,) = Framer().feed(INVITE.replace(b"Length: 4", b"Length: x"))
    assert salvage(broken.head).call_id == "a84b4c76e66710@pc33.example.com"


def test_the_length_may_be_optional():
    message = b"OPTIONS sip:a SIP/2.0\r\n\r\n"
    assert Framer(length_optional=True).feed(message + OPTIONS) == [message, OPTIONS]


def test_slow_pieces_are_linear():
    """A quarter of a million octets one by one: searching from the start each time would exceed the limit."""
    framer = Framer(max_head=300_000)
    message = b"A sip:a SIP/2.0\r\nX: " + b"x" * 120_000 + b"\r\nl: 120000\r\n\r\n" + b"y" * 120_000
    assert feed(framer, message, 1) == [message]


@given(st.binary(max_size=300), st.integers(1, 40))
def test_any_bytes_are_cut_or_refused_alike_in_any_pieces(data, size):
    whole, pieces = Framer(max_head=200), Framer(max_head=200)
    first, second = whole.feed(data), feed(pieces, data, size)
    assert [event for event in first if not isinstance(event, Broken)] == [
        event for event in second if not isinstance(event, Broken)
    ]
    assert whole.broken == pieces.broken


def test_the_torture_messages_are_cut_as_they_are():
    for path in torture_files():
        if path.stem in ("clerr", "dblreq", "insuf", "badinv01"):
            continue
        assert feed(Framer(), path.read_bytes(), 7) == [path.read_bytes()], path.stem


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_a_ping_behind_stray_line_ends_is_heard_however_it_arrives(size):
    assert feed(Framer(), b"\n\r\n\r\n" + OPTIONS + b"\r\r\n\r\n" + OPTIONS, size) == [
        Ping(), OPTIONS, Ping(), OPTIONS,
    ]  # fmt: skip
