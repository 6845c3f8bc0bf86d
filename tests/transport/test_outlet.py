"""What leaves by a stream: together at the end of a turn, in order, within bounds, and before a close."""

import contextlib
import itertools
import socket

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kamtool.sip.flow import Address, Flow
from kamtool.sip.framing import Framer
from kamtool.transport.outlet import WRITE_BYTES
from kamtool.transport.stream import Connection
from kamtool.transport.tcp import TcpTransport
from kamtool.transport.tcp_options import TcpOptions
from kamtool.transport.watch import MOST

OPTIONS = b"OPTIONS sip:a SIP/2.0\r\nl: 0\r\n\r\n"


class Turns:
    """A loop that turns when it is told."""

    def __init__(self):
        self.soon, self.watched, self.now = [], {}, 100.0

    def time(self):
        return self.now

    def call_soon(self, call, *given):
        self.soon.append(call)

    def add_reader(self, fd, call, *given):
        self.watched[fd, "in"] = lambda: call(*given)

    def add_writer(self, fd, call, *given):
        self.watched[fd, "out"] = lambda: call(*given)

    def remove_reader(self, fd):
        return self.watched.pop((fd, "in"), None) is not None

    def remove_writer(self, fd):
        return self.watched.pop((fd, "out"), None) is not None

    def turn(self):
        soon, self.soon = self.soon, []
        for call in soon:
            call()

    def serve(self):
        """What is watched has something, or might have."""
        for call in list(self.watched.values()):
            call()


class Stand:
    """Connections over socket pairs, and what their owner heard."""

    def __init__(self, **options):
        self.loop, self.received, self.failed, self.ended = Turns(), [], [], []
        self.tcp = TcpTransport(
            TcpOptions(**options), self.take, lambda data, flow: self.failed.append(data),
            lambda end, flow: None, lambda flow, reason: self.ended.append(reason),
        )  # fmt: skip
        self.tcp.open(self.loop)
        self.numbers = itertools.count(1)
        self.sockets = []

    def take(self, data, flow):
        self.received.append(data)

    def connection(self, room=0, connecting=False):
        ours, theirs = socket.socketpair()
        self.sockets.append(theirs)
        for each in (ours, theirs):
            each.setblocking(False)
        if room:
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, room)
        flow = Flow("tcp", Address("192.0.2.1", 5060), Address("192.0.2.2", 5060), next(self.numbers))
        made = Connection(self.tcp, ours, flow, Framer(), connecting)
        self.tcp.connections[flow.connection] = made
        return made, theirs

    def close(self):
        self.tcp.close()
        for each in self.sockets:
            each.close()


@pytest.fixture
def stand():
    with contextlib.closing(Stand()) as made:
        yield made


def heard(sock):
    got = b""
    with contextlib.suppress(BlockingIOError):
        while data := sock.recv(1 << 20):
            got += data
    return got


def test_what_is_written_in_one_turn_leaves_at_its_end_together(stand):
    connection, peer = stand.connection()
    assert connection.write(b"one ")
    assert connection.write(b"two ")
    assert heard(peer) == b""
    assert len(stand.loop.soon) == 1
    stand.loop.turn()
    assert heard(peer) == b"one two "
    connection.write(b"three")
    stand.loop.turn()
    assert heard(peer) == b"three"
    assert (connection.unsent, connection.queued_bytes) == ((), 0)


def test_what_was_written_before_a_close_leaves_before_it(stand):
    connection, peer = stand.connection()
    connection.write(b"goodbye")
    connection.close("enough")
    assert peer.recv(100) == b"goodbye"
    assert peer.recv(100) == b""
    assert (stand.failed, stand.ended) == ([], ["enough"])
    stand.loop.turn()


def test_who_is_finished_closes_once_its_last_message_has_left(stand):
    connection, peer = stand.connection()
    connection.write(b"last")
    connection.finish()
    assert connection.is_open
    stand.loop.turn()
    assert peer.recv(100) == b"last"
    assert peer.recv(100) == b""
    assert stand.ended == ["closed as asked"]


def test_a_record_full_waits_for_no_end_of_the_turn(stand):
    connection, peer = stand.connection()
    for _ in range(3):
        connection.write(b"x" * (WRITE_BYTES // 2))
    assert len(heard(peer)) == WRITE_BYTES
    stand.loop.turn()
    assert len(heard(peer)) == WRITE_BYTES // 2


def test_those_served_in_one_turn_are_answered_before_the_next_are_served(stand):
    those = [stand.connection() for _ in range(MOST + 10)]
    by_number = {connection.flow.connection: connection for connection, _ in those}
    stand.tcp.receive = lambda data, flow: by_number[flow.connection].write(b"answer")
    for _, peer in those:
        peer.send(OPTIONS)
    stand.loop.serve()
    assert not stand.loop.soon
    answers = [heard(peer) for _, peer in those]
    assert (answers.count(b"answer"), answers.count(b"")) == (MOST, 10)
    stand.loop.serve()
    answers = [before + heard(peer) for before, (_, peer) in zip(answers, those, strict=True)]
    assert answers == [b"answer"] * len(those)


def test_who_is_closed_by_one_served_before_it_is_served_no_more(stand):
    those = [stand.connection() for _ in range(3)]

    def take(data, flow):
        stand.received.append(flow.connection)
        for connection, _ in those:
            connection.close("all of them")

    stand.tcp.receive = take
    for _, peer in those:
        peer.send(OPTIONS)
    stand.loop.serve()
    assert len(stand.received) == 1
    assert stand.ended == ["all of them"] * 3


def test_who_takes_the_place_of_one_closed_in_the_same_turn_is_not_taken_for_it(stand):
    """The kernel gives a number anew at once: what had come for the old stream is nothing to the new one."""
    (_, first), (second, gone) = stand.connection(), stand.connection()
    place, opened = second.sock.fileno(), []

    def take(data, flow):
        second.close("by the first")
        opened.append(stand.connection(connecting=True)[0])

    stand.tcp.receive = take
    first.send(OPTIONS)
    gone.close()
    stand.loop.serve()
    (made,) = opened
    assert made.sock.fileno() == place
    assert made.connecting
    stand.loop.serve()
    assert not made.connecting, "its own turn comes"


def test_an_error_of_ours_at_one_stream_leaves_the_others_served(stand, caplog):
    those = [stand.connection() for _ in range(3)]

    def take(data, flow):
        stand.received.append(flow.connection)
        if flow.connection == 1:
            raise ZeroDivisionError

    stand.tcp.receive = take
    for _, peer in those:
        peer.send(OPTIONS)
    stand.loop.serve()
    assert sorted(stand.received) == [1, 2, 3]
    assert "ZeroDivisionError" in caplog.text


def test_where_there_is_no_epoll_the_loop_watches(monkeypatch):
    monkeypatch.delattr("select.epoll", raising=False)
    with contextlib.closing(Stand()) as stand:
        connection, peer = stand.connection(room=4096)
        peer.send(OPTIONS)
        stand.loop.serve()
        assert stand.received == [OPTIONS]
        connection.write(b"x" * 50_000)
        stand.loop.turn()
        got = b""
        while connection.unsent:
            got += heard(peer)
            stand.loop.serve()
        assert len(got + heard(peer)) == 50_000
        peer.close()
        stand.loop.serve()
        assert stand.ended == ["closed by the peer"]
        assert not stand.loop.watched


def test_an_error_behind_one_end_keeps_nobody_from_writing(stand, caplog):
    (broken, gone), (connection, peer) = stand.connection(), stand.connection()
    broken.write(b"x")
    connection.write(b"y")
    gone.close()

    def fails(flow, reason):
        raise ZeroDivisionError(reason)

    stand.tcp._closed = fails
    stand.loop.turn()
    assert heard(peer) == b"y"
    assert "behind the end of a connection" in caplog.text
    stand.tcp._closed = lambda flow, reason: None


def test_what_the_kernel_does_not_take_waits_and_then_leaves_in_order(stand):
    connection, peer = stand.connection(room=4096)
    told = [bytes([65 + number]) * 5000 for number in range(6)]
    for data in told:
        assert connection.write(data)
        stand.loop.turn()
    assert connection.queued_bytes == sum(map(len, connection.unsent)) == stand.tcp.queued_bytes > 0
    got = b""
    while connection.unsent:
        got += heard(peer)
        stand.loop.serve()
    assert got + heard(peer) == b"".join(told)
    assert stand.tcp.queued_bytes == 0
    assert not [key for key in stand.loop.watched if key[1] == "out"]


def test_what_finds_no_room_when_the_turn_ends_is_told_message_by_message():
    with contextlib.closing(Stand(max_queue_bytes=1000)) as stand:
        connection, peer = stand.connection(room=4096)
        told = [bytes([65 + number]) * 3000 for number in range(5)]
        for data in told:
            assert connection.write(data), "how much the kernel takes is not known yet"
        stand.loop.turn()
        assert stand.ended == ["write queue full"]
        assert not connection.write(b"more")
        arrived = heard(peer)
        whole = len(arrived) // 3000
        assert whole < 5
        assert stand.failed[-1] == told[-1]
        assert b"".join(stand.failed) == b"".join(told)[len(arrived) :]
        assert len(stand.failed) == 5 - whole
        assert stand.tcp.queued_bytes == 0


def test_who_waits_for_the_kernel_too_long_is_overdue_and_who_waits_for_the_turn_is_not(stand):
    connection, _ = stand.connection(room=4096)
    stand.loop.now += 1000
    connection.write(b"x" * 10)
    assert connection.overdue(stand.loop.now, 0) == ""
    connection.write(b"x" * 100_000)
    stand.loop.turn()
    assert connection.overdue(stand.loop.now, 0) == ""
    stand.loop.now += 11
    assert connection.overdue(stand.loop.now, 0) == "send timed out"


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(st.integers(1, 9000), st.sampled_from(["turn", "read", "serve"])), max_size=40))
def test_every_octet_arrives_once_and_in_order(steps):
    with contextlib.closing(Stand()) as stand:
        connection, peer = stand.connection(room=4096)
        wanted, got = b"", b""
        for number, step in enumerate(steps):
            if isinstance(step, int):
                wanted += bytes([number]) * step
                connection.write(bytes([number]) * step)
            elif step == "read":
                got += heard(peer)
            else:
                getattr(stand.loop, step)()
            assert connection.is_open
            assert stand.tcp.queued_bytes == connection.queued_bytes <= sum(map(len, connection.unsent))
        while connection.unsent:
            stand.loop.turn()
            got += heard(peer)
            stand.loop.serve()
        assert got + heard(peer) == wanted
