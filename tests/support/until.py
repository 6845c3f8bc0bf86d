"""How long tests wait, and waiting for something that has no event to wait for."""

import asyncio

SOON = 30.0
"""Generous, also where everything takes ten times as long as it should: who waits so long has failed."""


async def until(condition, seconds=SOON):
    """Return once `condition()` is true; TimeoutError after so many seconds."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def eventually(ask, seconds=SOON):
    """Ask again until `await ask()` is true; TimeoutError after so many seconds."""
    async with asyncio.timeout(seconds):
        while not await ask():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
