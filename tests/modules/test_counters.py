"""counters: what a script counts, and cnt.* over RPC. The answers are Kamailio 5.6.3's."""

import pytest

from kamtool.errors import ConfigError, RpcError
from tests.modules.test_regex import OPTIONS
from tests.support.host import Host


@pytest.fixture
async def counters():
    return await Host().load(
        "counters", script_counter=["foo", "test.bar", "baz example counter", "test.x:another example"]
    )


async def test_a_script_counts(counters):
    ctx, stats = counters.server.context(OPTIONS), counters.server.stats
    assert counters.cnt_inc(ctx, "foo")
    assert counters.cnt_add(ctx, "test.bar", 5)
    assert counters.cnt_add(ctx, "baz", -2)
    assert stats == {"script:foo": 1, "test:bar": 5, "script:baz": -2, "test:x": 0}
    assert counters.cnt_reset(ctx, "test.bar")
    assert stats["test:bar"] == 0


async def test_a_counter_that_is_not_declared_is_false_and_logged(counters, caplog):
    assert not counters.cnt_inc(counters.server.context(OPTIONS), "nope")
    assert "nope" in caplog.text
    assert "script:nope" not in counters.server.stats


async def test_the_group_of_counters_that_name_none_is_a_parameter():
    module = await Host().load("counters", script_counter="reqs", script_cnt_grp_name="mine")
    assert module.cnt_inc(module.server.context(OPTIONS), "reqs")
    assert module.cnt_inc(module.server.context(OPTIONS), "mine.reqs")
    assert module.server.stats == {"mine:reqs": 2}


async def test_a_counter_without_a_name_is_refused():
    with pytest.raises(ConfigError, match="names no counter"):
        await Host().load("counters", script_counter=". what")


async def test_rpc_tells_of_every_counter(counters):
    counters.server.stats["core:rcv_requests"] = 2**32 + 7
    assert counters.rpc_list_groups() == ["core", "script", "test"]
    assert counters.rpc_list_vars("script") == ["baz", "foo"]
    assert counters.rpc_get_vars("test") == counters.rpc_get("test") == {"bar": 0, "x": 0}
    assert counters.rpc_get("core", "rcv_requests") == 7
    assert counters.rpc_get_raw("core", "rcv_requests") == 2**32 + 7
    assert [counters.rpc_help("script", "baz"), counters.rpc_help("test", "x")] == [
        "example counter",
        "another example",
    ]
    assert counters.rpc_help("script", "foo") == "custom script counter."
    counters.rpc_reset("core", "rcv_requests")
    assert counters.server.stats["core:rcv_requests"] == 0
    with pytest.raises(RpcError, match=r"non-existent counter script\.nope"):
        counters.rpc_get("script", "nope")
