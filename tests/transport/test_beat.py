"""When a UDP socket is read at a beat, and when at each wake-up."""

import asyncio
import select
import socket

import pytest

from kamtool.sip.flow import Address, Socket
from kamtool.transport import beat as beats
from kamtool.transport.beat import Beat
from kamtool.transport.udp import UdpSocket
from kamtool.transport.udp_options import UdpOptions
from tests.support.until import SOON


class Clock:
    """A clock that stands until it is moved."""

    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def wake(beat, clock, gap, times, work=10e-6):
    """Wake it `times`, `gap` seconds apart; how often it said that a beat is better."""
    said = 0
    for _ in range(times):
        clock.now += gap
        said += beat.woken()
        clock.now += work
        beat.worked()
    return said


def test_thick_traffic_is_read_at_a_beat(clock):
    assert wake(Beat(0.004, clock), clock, 0.001, 40)


def test_thin_traffic_is_read_at_once(clock):
    assert not wake(Beat(0.004, clock), clock, 0.003, 1000)


def test_one_burst_in_thin_traffic_changes_nothing(clock):
    beat = Beat(0.004, clock)
    for _ in range(20):
        assert not wake(beat, clock, 0.0005, 20)
        assert not wake(beat, clock, 0.5, 10)


def test_a_server_that_never_sleeps_is_not_delayed(clock):
    assert not wake(Beat(0.004, clock), clock, 10e-6, 1000)


def test_the_beat_is_longer_for_little_and_shorter_for_much():
    beat = Beat(0.004)
    assert beat.beaten(1)
    assert beat.seconds == 0.004
    for _ in range(5):
        assert beat.beaten(12)
    assert beat.seconds == 0.001


def test_the_beat_is_never_longer_than_asked():
    beat = Beat(0.0015)
    assert [beat.beaten(1) for _ in range(3)] == [True] * 3
    assert beat.seconds == 0.0015


def test_beats_that_find_nothing_end_it(clock):
    beat = Beat(0.004, clock)
    assert wake(beat, clock, 0.001, 33) == 1
    found = [beat.beaten(0) for _ in range(8)]
    assert found == [True] * 7 + [False]


def test_full_batches_end_it_at_once():
    assert not Beat(0.004).beaten(beats.ENOUGH)


@pytest.fixture
async def pair():
    """A socket that gathers, what it received, and a peer."""
    received = []
    there = UdpSocket(
        Socket("udp", Address("127.0.0.1", 0)), lambda data, flow: received.append(data),
        lambda udp: None, lambda data, flow: None, options=UdpOptions(gather=0.004),
    )  # fmt: skip
    peer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    peer.connect(tuple(there.socket.address))
    there.open(asyncio.get_running_loop())
    yield there, received, peer
    there.close()
    peer.close()


async def until(condition):
    async with asyncio.timeout(SOON):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.001)


async def at_a_beat(there, received, peer):
    """Send until the socket is read at a beat; how many were sent."""
    sent = 0
    async with asyncio.timeout(SOON):
        while there._next_beat is None:
            sent += 1
            peer.send(b"%d" % sent * 8)
            await asyncio.sleep(0.0002)
    return sent


async def test_nothing_is_lost_from_wake_ups_to_the_beat_and_back(pair):
    there, received, peer = pair
    sent = await at_a_beat(*pair)
    await until(lambda: there._next_beat is None and len(received) == sent)
    peer.send(b"the last one")
    await until(lambda: received[-1] == b"the last one")
    assert received[:-1] == [b"%d" % n * 8 for n in range(1, sent + 1)]


async def test_a_pause_ends_the_beat_and_leaves_what_comes_to_the_kernel(pair):
    there, received, peer = pair
    await at_a_beat(*pair)
    there.pause()
    count = len(received)
    peer.send(b"for another")
    assert select.select([there.bound], [], [], 20)[0]
    assert there._next_beat is None
    await asyncio.sleep(0)
    assert len(received) == count
    there.resume()
    await until(lambda: received[-1] == b"for another")


async def test_a_close_at_the_beat_is_the_end(pair):
    there, _, _ = pair
    await at_a_beat(*pair)
    there.close()
    assert there._next_beat is None
