"""Datagrams that leave as one: each call's order, and what the kernel refuses."""

import errno
import socket

import pytest

from kamtool.sip.flow import Address
from kamtool.tools.stress import segments
from kamtool.tools.stress.endpoint import open_udp
from kamtool.tools.stress.pieces import Setting
from kamtool.tools.stress.schedule import Load
from tests.tools.stress.standin import StandIn
from tests.tools.stress.test_engine import KEYS, drive

HERE, THERE = ("127.0.0.1", 1), ("127.0.0.1", 2)


def message(call, method, size=100):
    head = b"%s sip:a SIP/2.0\r\nCall-ID: %d@x\r\n" % (method, call)
    return head + b"x" * (size - len(head))


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


@pytest.fixture
def pair():
    there = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    there.bind(("127.0.0.1", 0))
    there.settimeout(10)
    here = open_udp(Address("127.0.0.1", 0), Address(*there.getsockname()))
    here.segment()
    yield here, there
    here.close()
    there.close()


@pytest.mark.live
def test_the_target_gets_the_datagrams_one_by_one(pair):
    here, there = pair
    sent = [message(call, b"OPTIONS", 400 + call % 2) for call in range(90)]
    here.out += [(data, here.target) for data in sent]
    here.flush()
    assert here.out == []
    assert sorted(there.recv(65535) for _ in sent) == sorted(sent)


@pytest.mark.live
def test_where_the_kernel_refuses_they_go_one_by_one(pair, monkeypatch):
    def refuses(sock, run):
        raise OSError(errno.EIO, "no")

    monkeypatch.setattr(segments, "send", refuses)
    here, there = pair
    sent = [message(call, b"OPTIONS", 400 + call % 2) for call in range(20)]
    here.out += [(data, here.target) for data in sent]
    here.flush()
    assert here.segmenting is False
    assert sorted(there.recv(65535) for _ in sent) == sorted(sent)


@pytest.mark.live
def test_calls_in_segments_all_end():
    with StandIn() as server:
        _, total = drive(
            server.port, Load(rate=2000, duration=30, calls=400), "options", Setting(keys=KEYS), segment=True
        )
    assert (total.succeeded, total.failed) == (400, 0)
