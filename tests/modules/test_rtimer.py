"""rtimer: routes on a timer."""

from types import SimpleNamespace

import pytest

from kamtool.errors import ConfigError
from kamtool.module import Routes, find
from kamtool.script.context import Exit
from tests.support.host import Host


def host(**routes):
    made = Host()
    made.sockets = []
    made.program = SimpleNamespace(routes=routes)
    return made


def route(seen, name, error=None):
    async def run(ctx):
        seen.append((name, ctx.msg.method, ctx.route_kind, ctx.route_name))
        if error is not None:
            raise error
        return 1

    return run


async def test_a_timer_runs_its_routes_in_order_on_a_request_nobody_sent(caplog):
    seen = []
    here = host(A=route(seen, "A", Exit(1)), B=route(seen, "B", ValueError("ours")), C=route(seen, "C"))
    await here.load(
        "rtimer", timer="name=ta;interval=10;mode=1;", exec=[f"timer=ta;route={name}" for name in "ABC"]
    )
    assert [seconds for seconds, _ in here.timers] == [10]
    await here.tick()
    assert seen == [(name, "OPTIONS", Routes.REQUEST, name) for name in "ABC"]
    assert "route[B] failed" in caplog.text


async def test_each_timer_has_its_interval(caplog):
    routes = {name: route([], name) for name in "ABC"}
    here = host(**routes)
    module = find("rtimer")(here)
    for name, value in (
        ("timer", "name=a;interval=100000u;mode=1;"), ("default_interval", 300), ("timer", "name=b"),
        ("default_interval", 5), ("timer", "name=c;"),
        *(("exec", f"timer={name};route={name.upper()}") for name in "abc"),
    ):  # fmt: skip
        module.set_param(name, value)
    await module.start()
    assert [round(seconds, 6) for seconds, _ in here.timers] == [0.1, 300, 5]


async def test_a_timer_without_routes_does_not_run():
    here = host()
    await here.load("rtimer", timer="name=a;interval=1")
    assert here.timers == []


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("timer", "interval=10", "name of its own"),
        ("timer", "name=ta;interval=soon", "no interval"),
        ("timer", "name=ta;interval=0", "no interval"),
        ("timer", "name=ta;every=10", "every"),
        ("timer", "name", "name"),
        ("exec", "timer=nope;route=A", "names no timer"),
    ],
)
async def test_a_wrong_parameter_is_refused(name, text, reason):
    with pytest.raises(ConfigError, match=reason):
        await host().load("rtimer", **{name: text})


async def test_a_route_that_does_not_exist_is_left_out_with_a_warning(caplog):
    server = host()
    await server.load("rtimer", timer="name=a", exec="timer=a;route=A")
    assert "no route[A]" in caplog.text
    assert server.timers == []
