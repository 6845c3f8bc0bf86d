"""Datagrams that leave as one: what the target gets, and what the kernel refuses."""

import errno
import socket
import time

import pytest

from kamtool.sip.flow import Address
from kamtool.speed import segments
from kamtool.tools.stress import datagrams
from kamtool.tools.stress.datagrams import open_udp
from kamtool.tools.stress.pieces import Setting
from kamtool.tools.stress.schedule import Load
from tests.support.until import SOON
from tests.tools.stress.standin import StandIn
from tests.tools.stress.test_engine import KEYS, drive


def message(call, method, size=100):
    head = b"%s sip:a SIP/2.0\r\nCall-ID: %d@x\r\n" % (method, call)
    return head + b"x" * (size - len(head))


@pytest.fixture
def pair():
    there = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    there.bind(("127.0.0.1", 0))
    there.settimeout(SOON)
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
@pytest.mark.parametrize("how", ["receive", "receive_stamped"])
def test_what_the_target_sends_as_one_is_cut_apart(pair, how):
    here, there = pair
    lengths = [400] * 40 + [300] * 5 + [700]
    sent = [message(call, b"OPTIONS", length) for call, length in enumerate(lengths)]
    segments.send_segments(there.fileno(), [(data, tuple(here.local)) for data in sent])
    came, end = [], time.monotonic() + 20
    while len(came) < len(sent) and time.monotonic() < end:
        came += getattr(here, how)()
    assert sorted(one[0] for one in came) == sorted(sent)
    assert {one[1] for one in came} == {there.getsockname()}


@pytest.mark.live
def test_where_the_kernel_refuses_they_go_one_by_one(pair, monkeypatch):
    monkeypatch.setattr(datagrams, "send_segments", lambda fd, out: (list(out), errno.EIO))
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
