"""The UDP socket's queue: batches, a full kernel buffer, what cannot be sent."""

import asyncio

import pytest

from kamtool import speed
from kamtool.errors import TransportError
from kamtool.sip.flow import Address, Socket
from kamtool.transport import udp
from kamtool.transport.target import is_numeric
from kamtool.transport.udp import UdpSocket

THERE = ("127.0.0.1", 9)


class Made:
    """A socket, and what it told its owner."""

    def __init__(self):
        self.marked, self.failed_with, self.received = [], [], []
        self.socket = UdpSocket(
            Socket("udp", Address("127.0.0.1", 0)), lambda data, flow: self.received.append((data, flow)),
            self.marked.append, lambda data, flow: self.failed_with.append((data, flow)),
        )  # fmt: skip

    def __getattr__(self, name):
        return getattr(self.socket, name)


@pytest.fixture
def made():
    one = Made()
    yield one
    one.close()


def test_a_turn_is_marked_once_and_sent_in_one_batch(made, monkeypatch):
    batches = []
    monkeypatch.setattr(speed, "send_batch", lambda fd, batch: batches.append(list(batch)) or len(batch))
    made.send(b"one", THERE)
    made.send(b"two", THERE)
    assert made.marked == [made.socket]
    made.flush()
    assert [[data for data, _ in batch] for batch in batches] == [[b"one", b"two"]]


def test_what_the_kernel_refuses_is_given_back_and_the_rest_is_sent(made, monkeypatch):
    sent = []

    def send(fd, batch):
        if batch[0][0] == b"bad":
            raise OSError(90, "Message too long")
        good = next((n for n, (data, _) in enumerate(batch) if data == b"bad"), len(batch))
        sent.extend(data for data, _ in batch[:good])
        return good

    monkeypatch.setattr(speed, "send_batch", send)
    for data in (b"one", b"bad", b"two"):
        made.send(data, THERE)
    made.flush()
    assert sent == [b"one", b"two"]
    assert [data for data, _ in made.failed_with] == [b"bad"]
    assert made.failed_with[0][1].remote == THERE


async def test_a_full_buffer_waits_until_the_socket_is_writable(made, monkeypatch):
    sent, full = [], [True]

    def send(fd, batch):
        if full[0]:
            return 0
        sent.extend(data for data, _ in batch)
        return len(batch)

    monkeypatch.setattr(speed, "send_batch", send)
    made.open(asyncio.get_running_loop())
    made.send(b"one", THERE)
    made.flush()
    made.send(b"two", THERE)
    made.flush()
    assert sent == []
    full[0] = False
    for _ in range(100):
        await asyncio.sleep(0.01)
        if sent:
            break
    assert sent == [b"one", b"two"]


def test_a_queue_that_is_full_drops_and_counts(made):
    for number in range(udp.MAX_QUEUE + 2):
        made.send(b"%d" % number, THERE)
    assert made.dropped == 2


def test_the_flow_to_a_peer_is_one_object(made):
    assert made.flow(("127.0.0.1", 1)) is made.flow(("127.0.0.1", 1))


def test_a_bad_address_is_one_clear_error():
    with pytest.raises(TransportError, match=r"cannot listen on udp:192\.0\.2\.1:5060"):
        UdpSocket(Socket("udp", Address("192.0.2.1", 5060)), print, print, print)


@pytest.mark.parametrize(
    ("host", "numeric"),
    [
        ("192.0.2.1", True), ("[2001:db8::1]", True), ("::1", True), ("example.com", False), ("1.2.3", False),
        ("1.2.3.256", False), ("", False), ("gw1", False), ("1.2.3.4.5", False), ("[x]", False),
    ],
)  # fmt: skip
def test_an_address_needs_no_dns(host, numeric):
    assert is_numeric(host) is numeric
