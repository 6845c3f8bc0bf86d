"""statistics: variables of the script. The answers are Kamailio 5.6.3's."""

import pytest

from kamtool.errors import ConfigError
from tests.modules.test_regex import OPTIONS
from tests.support.host import Host


async def test_a_variable_is_changed_and_reset():
    module = await Host().load("statistics", variable=["reg_counter", "active_calls/no_reset"])
    ctx, stats = module.server.context(OPTIONS), module.server.stats
    assert module.update_stat(ctx, "reg_counter", "+3")
    assert module.update_stat(ctx, "reg_counter", "-1")
    assert module.update_stat(ctx, "reg_counter", "7")
    assert stats["script:reg_counter"] == 9
    assert module.update_stat(ctx, "reg_counter", "abc")
    assert stats["script:reg_counter"] == 9
    assert module.update_stat(ctx, "active_calls", "+2")
    assert module.reset_stat(ctx, "active_calls")
    assert module.reset_stat(ctx, "reg_counter")
    assert stats == {"script:reg_counter": 0, "script:active_calls": 2}


async def test_an_unknown_variable_is_false_and_logged(caplog):
    module = await Host().load("statistics", variable="a")
    ctx = module.server.context(OPTIONS)
    assert not module.update_stat(ctx, "nope", "1")
    assert not module.reset_stat(ctx, "nope")
    assert "variable <nope> not defined" in caplog.text


async def test_counters_of_other_modules_can_be_changed_too():
    module = await Host().load("statistics")
    module.server.stats["core:drop_requests"] = 3
    assert module.update_stat(module.server.context(OPTIONS), "drop_requests", "1")
    assert module.server.stats == {"core:drop_requests": 4}


@pytest.mark.parametrize("text", ["", "/no_reset", "a/often"])
async def test_a_wrong_declaration_is_refused(text):
    with pytest.raises(ConfigError):
        await Host().load("statistics", variable=text)
