"""A coroutine's first step: the native one and its pure twin do alike."""

import asyncio
import types

import pytest

from kamtool import speed
from kamtool.speed import stepping


@types.coroutine
def wait(value):
    return (yield value)


async def work(value):
    return await wait(value)


async def nothing():
    return 5


async def failing():
    raise LookupError("here")


@pytest.fixture(params=[speed.step, stepping.step], ids=["native", "pure"])
def step(request):
    return request.param


def test_a_coroutine_that_waits_for_nothing_has_ended(step):
    assert step(nothing()) is speed.ENDED


@pytest.mark.parametrize("value", [None, "something"])
def test_what_a_coroutine_waits_for_is_given_even_when_it_is_none(step, value):
    begun = work(value)
    assert step(begun) is value
    with pytest.raises(StopIteration) as end:
        begun.send("answer")
    assert end.value.value == "answer"


def test_what_a_coroutine_raises_is_raised(step):
    with pytest.raises(LookupError, match="here"):
        step(failing())


def test_a_coroutine_that_has_ended_is_not_begun_again(step):
    begun = nothing()
    step(begun)
    with pytest.raises(RuntimeError):
        step(begun)


def test_what_was_stepped_goes_on_in_a_task(step):
    async def main():
        begun = asyncio.sleep(0, "slept")
        assert step(begun) is None
        with pytest.raises(StopIteration) as end:
            begun.send(None)
        return end.value.value

    assert asyncio.run(main()) == "slept"
