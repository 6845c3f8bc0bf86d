"""benchmark: timers of the script, their log lines and their RPC."""

import logging
import re

import pytest

from kamtool.errors import ConfigError, RpcError
from tests.modules.test_regex import OPTIONS
from tests.support.host import Host


@pytest.fixture
async def benchmark():
    return await Host().load("benchmark", enable=1, granularity=2, register="first")


def measure(module, name, ctx=None):
    ctx = ctx or module.server.context(OPTIONS)
    assert module.bm_start_timer(ctx, name) == 1
    assert module.bm_log_timer(ctx, name) == 1


async def test_every_so_many_calls_are_logged_in_one_line(benchmark, caplog):
    caplog.set_level(logging.INFO)
    measure(benchmark, "t1")
    assert caplog.text == ""
    measure(benchmark, "t1")
    assert re.search(
        r"benchmark \(timer t1 \[1\]\): \d+ \[ msgs/total/min/max/avg - "
        r"LR: 2/\d+/\d+/\d+/\d+\.\d{6} \| GB: 2/\d+/\d+/\d+/\d+\.\d{6}\]",
        caplog.text,
    )


async def test_messages_do_not_disturb_each_other(benchmark):
    one, other = (benchmark.server.context(OPTIONS) for _ in range(2))
    benchmark.bm_start_timer(one, "t")
    began = one.scratch["benchmark.starts"]["t"]
    one.scratch["benchmark.starts"]["t"] = began - 10
    measure(benchmark, "t", other)
    assert 0 <= benchmark.get_difference(other) < 5_000_000
    benchmark.bm_log_timer(one, "t")
    assert 10_000_000 <= benchmark.get_difference(one) < 20_000_000


async def test_a_timer_that_was_not_started_counts_nothing(benchmark):
    ctx = benchmark.server.context(OPTIONS)
    assert benchmark.bm_log_timer(ctx, "t") == 1
    assert benchmark.timers["t"].overall.count == 0
    assert benchmark.get_difference(ctx) == 0


async def test_timers_are_switched_over_rpc():
    module = await Host().load("benchmark")
    measure(module, "t")
    assert module.timers["t"].overall.count == 0
    module.rpc_enable_timer("t", 1)
    measure(module, "t")
    assert module.rpc_timer_name_list("t")["calls"] == "1"
    module.rpc_enable_global(-1)
    measure(module, "t")
    assert module.rpc_timer_list()[0]["calls"] == "1"
    assert list(module.rpc_timer_list()[0]) == [
        "name", "state", "id", "granularity", "period_sum", "period_min", "period_max", "period_media",
        "calls", "sum", "global_min", "global_max", "global_media",
    ]  # fmt: skip
    module.rpc_granularity(3)
    module.rpc_loglevel(3)
    assert (module.granularity, module.loglevel) == (3, 3)
    for refused in (
        lambda: module.rpc_enable_timer("nope", 1),
        lambda: module.rpc_enable_global(2),
        lambda: module.rpc_granularity(0),
        lambda: module.rpc_loglevel(9),
    ):
        with pytest.raises(RpcError):
            refused()


@pytest.mark.parametrize("params", [{"enable": 2}, {"granularity": 0}])
async def test_wrong_parameters_are_refused(params):
    with pytest.raises(ConfigError):
        await Host().load("benchmark", **params)
