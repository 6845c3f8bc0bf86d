"""Where a message on a stream ends: the kernel and its pure twin say the same."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kamtool.speed import pure
from kamtool.speed.cutting import MALFORMED, MISSING, TOO_LONG
from tests.support.twins import INVITE, kernel, torture_files, twin  # noqa: F401

SCRAPS = [
    b"\r\n", b"\n", b"\r", b" ", b"\t", b":", b"l", b"L:", b"l: 7", b"Content-Length: 7", b"content-length:",
    b"CONTENT\rLENGTH: 1", b"Content-Length", b"Contact: x", b"0", b"12", b"007", b"9" * 11, b"-1", b"\r\n ",
    b"\n\t", b"\r\n\r\n", b"\n\n", b"\n\r", b"X: l: 3", b"\0", b"\xff", b"k",
]  # fmt: skip


@pytest.mark.parametrize(
    ("headers", "length"),
    [
        (b"l: 7\r\n", 7),
        (b"L:7\n", 7),
        (b"CONTENT-LENGTH \t:\r\n 007 \t\r\n", 7),
        (b"l: 7\r\nContent-Length: 7\r\n", 7),
        (b"l: 7\r\nContent-Length: 07\r\n", MALFORMED),
        (b"l:\r\n", MALFORMED),
        (b"l: 7 7\r\n", MALFORMED),
        (b"l: 9999999999\r\n", 9_999_999_999),
        (b"l: 00000000000000000001\r\n", 1),
        (b"l: 10000000000\r\n", TOO_LONG),
        (b"Content-Lengths: 7\r\nContent\rLength: 7\r\nX-l: 7\r\nls: 7\r\n", MISSING),
        (b"", MISSING),
    ],
)
@pytest.mark.parametrize("kind", [bytes, bytearray])
def test_the_length_is_what_the_headers_say(twin, headers, length, kind):  # noqa: F811
    data = kind(b"l: 5\r\n" + headers + b"\r\nl: 3\r\n")
    end = twin.end_of_head(data, 0)
    assert bytes(data[end:]) == b"l: 3\r\n"
    assert twin.body_length(data, 0, end) == length


def test_the_search_begins_where_it_is_told(twin):  # noqa: F811
    data = b"\n\nA\r\n\r\nB"
    assert [twin.end_of_head(data, start) for start in (-1, 0, 1, 2, 4, 5, 99)] == [2, 2, 7, 7, 7, -1, -1]
    assert twin.body_length(b"\nl: 1\nl: 2\n", 1, 11) == 2
    assert twin.body_length(b"\nl: 1\nl: 2\n", 0, 4) == MALFORMED
    assert twin.body_length(b"\nl: 1\nl: 2\n", 0, 6) == 1


@settings(max_examples=1500, deadline=None)
@given(
    pieces=st.lists(st.one_of(st.sampled_from(SCRAPS), st.binary(max_size=2)), max_size=14),
    start=st.integers(-1, 60),
    end=st.integers(0, 90),
)
@example(pieces=[b"A\n", b"content", b"\r", b"length: 1"], start=0, end=90)
def test_the_twins_agree_on_scraps_of_headers(pieces, start, end):
    data = b"".join(pieces)
    for kind in (bytes, bytearray):
        ours, theirs = kernel(), pure
        assert ours.end_of_head(kind(data), start) == theirs.end_of_head(kind(data), start)
        assert ours.body_length(kind(data), start, end) == theirs.body_length(kind(data), start, end)
    assert ours.is_one_message(data, end, start) is theirs.is_one_message(data, end, start)


def test_the_twins_agree_on_every_prefix_of_real_messages():
    for data in (INVITE, *(path.read_bytes()[:3000] for path in torture_files())):
        for end in range(0, len(data), 7):
            assert kernel().end_of_head(data[:end], 0) == pure.end_of_head(data[:end], 0)
            assert kernel().body_length(data, 0, end) == pure.body_length(data, 0, end)


def test_one_message_whole_and_nothing_else_is_told(twin):  # noqa: F811
    size = len(INVITE)
    assert twin.is_one_message(INVITE, size, 4)
    assert not twin.is_one_message(INVITE, size - 5, 4), "its headers are too long"
    assert not twin.is_one_message(INVITE, size, 3), "its body is too long"
    for end in range(size):
        assert not twin.is_one_message(INVITE[:end], size, 4)
    wrong = INVITE.replace(b"Length: 4", b"Length: x")
    for more in (INVITE + b"\r", b"\r\n" + INVITE, INVITE + INVITE, wrong):
        assert not twin.is_one_message(more, 2 * size, 4)


def test_the_kernel_takes_octets_alone():
    for call in (kernel().end_of_head, lambda data, at: kernel().body_length(data, at, 1)):
        with pytest.raises(TypeError, match="bytes are needed, not str"):
            call("text", 0)
