"""Waiting for something that has no event to wait for."""

import asyncio


async def until(condition, seconds=20.0):
    """Return once `condition()` is true; TimeoutError after so many seconds."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
