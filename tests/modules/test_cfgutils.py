"""cfgutils: chance, waits, locks, global flags."""

import asyncio
import hashlib

import pytest

from kamtool.errors import ConfigError, RpcError
from tests.support.messages import PLAIN_INVITE
from tests.support.runtime import Runtime


@pytest.fixture
def runtime():
    return Runtime("pv", "cfgutils")


@pytest.fixture
def ctx(runtime):
    return runtime.message(PLAIN_INVITE)


async def test_the_chance_is_set_and_reset(runtime, ctx):
    await runtime.modules["cfgutils"].start()
    assert runtime.call(ctx, "rand_get_prob") == 10
    assert runtime.call(ctx, "rand_set_prob", 100) == 1
    assert all(runtime.call(ctx, "rand_event") == 1 for _ in range(20))
    assert runtime.call(ctx, "rand_set_prob", 0) == 1
    assert all(runtime.call(ctx, "rand_event") == -1 for _ in range(20))
    assert runtime.call(ctx, "rand_set_prob", 101) == -1
    runtime.call(ctx, "rand_reset_prob")
    assert runtime.call(ctx, "rand_get_prob") == 10


async def test_a_chance_beyond_certainty_is_a_mistake(runtime):
    runtime.modules["cfgutils"].set_param("initial_probability", 101)
    with pytest.raises(ConfigError):
        await runtime.modules["cfgutils"].start()


def test_a_random_number_is_an_int_that_changes(runtime, ctx):
    numbers = {runtime.get(ctx, "$RANDOM") for _ in range(20)}
    assert len(numbers) > 1
    assert all(type(n) is int and 0 <= n < 2**31 for n in numbers)


async def test_sleeping_lets_others_go_on(runtime, ctx):
    order = []

    async def sleeper():
        assert await runtime.call(ctx, "usleep", 1000) == 1
        assert await runtime.call(ctx, "sleep", 0) == 1
        order.append("slept")

    task = asyncio.create_task(sleeper())
    await asyncio.sleep(0)
    order.append("went on")
    await task
    assert order == ["went on", "slept"]


async def test_a_lock_is_held_by_one_message_at_a_time(runtime):
    one, other, third = (runtime.message(PLAIN_INVITE) for _ in range(3))
    for ctx in (one, other, third):
        ctx.scratch["me"] = ctx
    assert await runtime.call(one, "lock", "$rU") == 1
    assert await runtime.call(one, "lock", "alice") == 1, "held already"
    assert runtime.call(other, "trylock", "alice") == -1
    waiting = [asyncio.create_task(runtime.call(ctx, "lock", "alice")) for ctx in (other, third)]
    await asyncio.sleep(0)
    assert not any(task.done() for task in waiting)
    assert runtime.call(other, "unlock", "alice") == -1, "not its own"
    assert runtime.call(one, "unlock", "alice") == 1
    assert await waiting[0] == 1
    assert not waiting[1].done()
    assert runtime.call(other, "unlock", "alice") == 1
    assert await waiting[1] == 1
    assert runtime.call(third, "unlock", "alice") == 1
    assert runtime.call(one, "trylock", "alice") == 1
    runtime.call(one, "unlock", "alice")
    module = runtime.modules["cfgutils"]
    assert (module.locks, module.waiting) == ({}, {}), "nothing is remembered of a free lock"


async def test_a_waiter_that_gave_up_does_not_get_the_lock(runtime):
    one, other, third = (runtime.message(PLAIN_INVITE) for _ in range(3))
    await runtime.call(one, "lock", "k")
    gave_up, waits = (asyncio.create_task(runtime.call(ctx, "lock", "k")) for ctx in (other, third))
    await asyncio.sleep(0)
    gave_up.cancel()
    await asyncio.gather(gave_up, return_exceptions=True)
    runtime.call(one, "unlock", "k")
    assert await waits == 1


async def test_global_flags_are_shared(runtime, ctx):
    runtime.modules["cfgutils"].set_param("initial_gflags", 4)
    await runtime.modules["cfgutils"].start()
    other = runtime.message(PLAIN_INVITE)
    assert [runtime.call(ctx, "is_gflag", mask) for mask in (4, 1)] == [1, -1]
    runtime.call(ctx, "set_gflag", 3)
    assert runtime.call(other, "is_gflag", 7) == 1
    runtime.call(other, "reset_gflag", 4)
    assert runtime.call(ctx, "is_gflag", 7) == -1
    module = runtime.modules["cfgutils"]
    assert module.rpc_get_gflags() == "0x3"
    module.rpc_set_gflag(8)
    assert module.rpc_is_gflag(8)
    module.rpc_reset_gflag(8)
    assert not module.rpc_is_gflag(8)


async def test_the_hash_of_a_file_tells_when_it_changed(runtime, tmp_path):
    path = tmp_path / "kamailio.cfg"
    path.write_text("request_route { exit; }")
    module = runtime.modules["cfgutils"]
    with pytest.raises(RpcError):
        module.rpc_get_config_hash()
    module.set_param("hash_file", str(path))
    await module.start()
    assert module.rpc_get_config_hash() == hashlib.md5(path.read_bytes()).hexdigest()
    assert await module.rpc_check_config_hash() == "identical"
    path.write_text("request_route { drop; }")
    with pytest.raises(RpcError):
        await module.rpc_check_config_hash()


def test_a_message_cannot_end_the_server(runtime, ctx, caplog):
    assert runtime.call(ctx, "abort") == -1
    assert "refused" in caplog.text


def test_the_core_hash_stays_in_its_range_and_is_repeatable(runtime, ctx):
    numbers = [runtime.call(ctx, "core_hash", f"user{n}", "x", 3) for n in range(50)]
    assert set(numbers) <= set(range(1, 9))
    assert len(set(numbers)) > 3
    assert numbers[0] == runtime.call(ctx, "core_hash", "user0", "x", 3)


async def test_a_route_is_run_when_it_exists(runtime, ctx):
    async def known(ctx):
        return 7

    class Program:
        routes = {"known": known}  # noqa: RUF012

    runtime.program = Program()
    assert runtime.call(ctx, "check_route_exists", "known") == 1
    assert runtime.call(ctx, "check_route_exists", "other") == -1
    assert await runtime.call(ctx, "route_if_exists", "known") == 7
    assert await runtime.call(ctx, "route_if_exists", "other") == -1


def test_the_chance_is_set_over_rpc(runtime):
    module = runtime.modules["cfgutils"]
    module.rpc_rand_set_prob(42)
    assert module.rpc_rand_get_prob() == 42
    with pytest.raises(RpcError):
        module.rpc_rand_set_prob(101)
    module.rpc_rand_reset_prob()
    assert module.rpc_rand_get_prob() == 10
