"""Phones of our own for tests to talk to."""

import pytest


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
