"""Batched UDP on real sockets, both twins."""

import select
import socket

import pytest


@pytest.fixture(params=[(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")], ids=["ipv4", "ipv6"])
def pair(request):
    """Two bound UDP sockets of one family."""
    family, host = request.param
    with socket.socket(family, socket.SOCK_DGRAM) as one, socket.socket(family, socket.SOCK_DGRAM) as other:
        for sock in (one, other):
            try:
                sock.bind((host, 0))
            except OSError as error:
                pytest.skip(f"no {host}: {error}")
        yield one, other


def address(sock):
    return sock.getsockname()[:2]


def receive(twin, sock, count):
    """All of `count` datagrams: loopback delivers at once, but never promised to."""
    got = []
    while len(got) < count:
        assert select.select([sock], [], [], 20)[0], f"only {len(got)} of {count} came"
        got += twin.recv_batch(sock.fileno())
    return got


def test_datagrams_arrive_in_order_with_their_source(twin, pair):
    one, other = pair
    batch = [(b"%d" % number * (number + 1), address(other)) for number in range(100)]
    assert twin.send_batch(one.fileno(), batch) == 100
    assert receive(twin, other, 100) == [(data, address(one)) for data, _ in batch]
    assert twin.recv_batch(other.fileno()) == []


def test_the_largest_and_the_empty_datagram_arrive_whole(twin, pair):
    one, other = pair
    sizes = [65507 if one.family == socket.AF_INET else 65487, 0]
    for size in sizes:
        assert twin.send_batch(one.fileno(), [(b"x" * size, address(other))]) == 1
        assert [len(data) for data, _ in receive(twin, other, 1)] == [size]


def test_the_limit_is_kept(twin, pair):
    one, other = pair
    twin.send_batch(one.fileno(), [(b"x", address(other))] * 5)
    assert select.select([other], [], [], 20)[0]
    assert len(twin.recv_batch(other.fileno(), 2)) <= 2
    assert twin.recv_batch(other.fileno(), 0) == []


def test_the_twins_hear_each_other(pair):
    from tests.support.twins import kernel

    native = kernel()
    from kamtool.speed import pure

    one, other = pair
    assert pure.send_batch(one.fileno(), [(b"pure", address(other))]) == 1
    assert native.send_batch(one.fileno(), [(b"native", address(other))]) == 1
    assert receive(native, other, 2) == [(b"pure", address(one)), (b"native", address(one))]


def test_an_address_that_is_none_is_refused_when_it_comes_first(twin, pair):
    one, other = pair
    good = (b"x", address(other))
    for wrong in (("localhost", 5060), ("1.2.3", 1), (address(one)[0], 65536), (address(one)[0], -1)):
        with pytest.raises(ValueError, match="not a"):
            twin.send_batch(one.fileno(), [(b"x", wrong), good])
        assert twin.send_batch(one.fileno(), [good, (b"x", wrong), good]) == 1


def test_a_datagram_too_large_to_send_raises_only_as_the_first(twin, pair):
    one, other = pair
    good, huge = (b"x", address(other)), (b"x" * 70_000, address(other))
    with pytest.raises(OSError, match="too long"):
        twin.send_batch(one.fileno(), [huge, good])
    assert twin.send_batch(one.fileno(), [good, huge, good]) == 1


def test_a_closed_socket_is_an_error(twin):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    fd = sock.fileno()
    sock.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        twin.recv_batch(fd)


def test_many_sources_cost_no_more_than_the_table_of_addresses(twin, pair):
    """Addresses are forgotten in bulk; what comes after is told right all the same."""
    one, other = pair
    host, port = address(other)
    for number in range(9000):
        # Port 9 of the same host: nobody listens, and nothing is asked of the network but to take it.
        try:
            twin.send_batch(one.fileno(), [(b"", (host, 1 + number % 65000))])
        except ConnectionRefusedError:
            continue
    twin.send_batch(one.fileno(), [(b"last", (host, port))])
    assert receive(twin, other, 1)[-1] in [(b"last", address(one)), (b"", address(one))]
