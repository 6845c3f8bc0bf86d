"""The far ends that tests talk to: free ports for them, and phones of our own."""

import random
import socket

import pytest


def _is_free(port):
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                return False
    return True


@pytest.fixture(scope="session")
def free_port():
    """A port of 127.0.0.1 that is free for UDP and TCP, for programs that cannot be told to choose one.

    `free_port(n)` gives the first, even, of n free ones. They are taken below the range that the system gives
    out by itself, at random, so that tests that run beside each other seldom meet.
    """
    given = set()

    def choose(count=1):
        for _ in range(1000):
            first = random.randrange(10_000, 32_000 - count) & ~1
            ports = range(first, first + count)
            if not given.intersection(ports) and all(map(_is_free, ports)):
                given.update(ports)
                return first
        raise AssertionError("no free ports")

    return choose


@pytest.fixture
async def phone():
    """Makes phones of kamtool: `await phone("alice", ("127.0.0.1", port), password="…", transport="tcp")`."""
    from kamtool.sip.flow import Address
    from kamtool.tools.phone import Phone

    made = []

    async def make(user, server, **options):
        made.append(Phone(user, Address(*server), **options))
        return await made[-1].start()

    yield make
    for one in made:
        await one.stop()
