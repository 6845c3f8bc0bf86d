"""The far ends that tests talk to: free ports for them, and phones of our own."""

import pytest

from tests.support.ports import OURS


@pytest.fixture(scope="session")
def free_port():
    """A port of 127.0.0.1 that is free for UDP and TCP; `free_port(n)` gives the first, even, of n."""
    return OURS.choose


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
