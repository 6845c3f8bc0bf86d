"""Datagrams that leave as one, both twins: each call's order, and what the socket does not take."""

import errno
import socket

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kamtool.speed import segments
from tests.support.until import SOON

HERE, THERE = ("127.0.0.1", 1), ("127.0.0.1", 2)


def message(call, method, size=100):
    head = b"%s sip:a SIP/2.0\r\nCall-ID: %d@x\r\n" % (method, call)
    return head + b"x" * (size - len(head))


@pytest.fixture(params=["pure", "native"])
def send(request):
    """`send_segments` of one twin."""
    if request.param == "pure":
        return segments.send_segments
    return native()


def native():
    kernel = pytest.importorskip("kamtool.speed._datagrams", reason="the kernel is not built")
    return getattr(kernel, "send_segments", None) or pytest.skip("the kernel is older than its sources")


class Pair:
    """A socket that sends to another one on the loopback."""

    def __init__(self):
        self.here, self.there = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
        self.there.bind(("127.0.0.1", 0))
        self.there.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.there.settimeout(SOON)
        self.target = self.there.getsockname()
        if not segments.supported(self.here):
            pytest.skip("this kernel sends no segments")

    def take(self, count):
        return [self.there.recv(65535) for _ in range(count)]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.here.close()
        self.there.close()


@pytest.fixture
def pair():
    with Pair() as made:
        yield made


def test_the_messages_of_many_calls_go_in_runs():
    out = [
        (message(call, method, size), HERE)
        for call in range(9)
        for method, size in ((b"ACK", 90), (b"BYE", 95))
    ]
    acks, byes = segments.runs(out)
    assert [len(data) for data, _ in acks] == [90] * 9
    assert [len(data) for data, _ in byes] == [95] * 9


def test_the_messages_of_one_call_keep_their_order():
    out = [(message(1, b"ACK", 90), HERE), (message(1, b"BYE", 95), HERE), (message(2, b"ACK", 95), HERE),
           (message(2, b"BYE", 90), HERE), (message(2, b"INFO", 95), HERE)]  # fmt: skip
    made = [one for run in segments.runs(out) for one in run]
    assert sorted(made) == sorted(out)
    for call in (b"Call-ID: 1@", b"Call-ID: 2@"):
        assert [one for one in made if call in one[0]] == [one for one in out if call in one[0]]


def test_a_run_has_one_destination():
    out = [(message(call, b"ACK"), to) for call, to in enumerate((HERE, THERE, HERE, THERE))]
    assert [{to for _, to in run} for run in segments.runs(out)] == [{HERE}, {THERE}]


def ordered(send, pair, sizes):
    """What the target gets of messages of so many octets of so many calls, and whether each call's order
    stayed.
    """
    sent = [b"%03d " % number + message(call, b"INFO", size) for number, (call, size) in enumerate(sizes)]
    assert send(pair.here.fileno(), [(data, pair.target) for data in sent]) == ([], 0)
    got = pair.take(len(sent))
    assert sorted(got) == sorted(sent)
    for call in {call for call, _ in sizes}:
        mark = b"Call-ID: %d@" % call
        assert [one for one in got if mark in one] == [one for one in sent if mark in one]
    return got


SIZES = st.lists(st.tuples(st.integers(0, 9), st.sampled_from((80, 81, 90, 1300))), min_size=1, max_size=60)


@settings(max_examples=50, deadline=None)
@given(SIZES)
def test_the_twins_send_the_same_in_the_same_order(sizes):
    with Pair() as pair:
        assert ordered(segments.send_segments, pair, sizes) == ordered(native(), pair, sizes)


def test_a_flush_of_any_length_keeps_each_calls_order(send, pair):
    """More than the kernel arranges at once, and more lengths than it remembers."""
    ordered(send, pair, [(number % 7, 80 + number * 31 % 150) for number in range(900)])


def test_what_the_kernel_refuses_is_named_and_comes_back(send, pair):
    out = [(message(call, b"OPTIONS"), ("127.0.0.1", 0)) for call in range(8)]
    assert send(pair.here.fileno(), out) == (out, errno.EINVAL)


def test_what_is_no_datagram_is_an_error(send, pair):
    for wrong in ([(None, pair.target)] * 5, [("text", pair.target)] * 5, [7] * 5):
        with pytest.raises((TypeError, ValueError, AttributeError)):
            send(pair.here.fileno(), wrong)
    with pytest.raises((ValueError, OSError)):
        send(pair.here.fileno(), [(b"x", ("example.invalid", 5060))] * 5)
