"""Datagrams that leave as one: what the target gets, and what the kernel refuses."""

import errno
import socket

import pytest

from kamtool.sip.flow import Address
from kamtool.tools.stress import endpoint
from kamtool.tools.stress.endpoint import open_udp
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
def test_where_the_kernel_refuses_they_go_one_by_one(pair, monkeypatch):
    monkeypatch.setattr(endpoint, "send_segments", lambda fd, out: (list(out), errno.EIO))
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
