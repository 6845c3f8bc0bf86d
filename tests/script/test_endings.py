"""How a script ends: `exit`, `drop` and a code of 0, wherever they stand, seen from outside and within."""

import asyncio
from dataclasses import replace

import pytest

from kamtool.script.context import Exit
from kamtool.script.entries import inner

X = "route[X] {{ {body} }} request_route {{ route(X); $var(after) = 1; return 7; }}"
ENDINGS = [
    ("exit;", ("exit", 1)),
    ("return 0;", ("exit", 0)),
    ("drop;", ("drop", 0)),
    ("exit(0);", ("exit", 0)),
    ("if ($rm == 'OPTIONS') { exit; }", ("exit", 1)),
    ("while (1) { exit; }", ("exit", 1)),
    ("switch (1) { case 1: exit; default: return; }", ("exit", 1)),
    ("route(Y);", ("exit", 1)),
    ("route($var(name));", ("exit", 1)),
    ("return;", ("return", 7)),
    ("break;", ("return", 7)),
]


@pytest.mark.parametrize(("body", "ending"), ENDINGS)
def test_an_ending_in_a_route_ends_the_script(script, body, ending):
    run = script(f"{X.format(body=body)} route[Y] {{ $var(name) = 'Z'; exit; }} route[Z] {{ exit; }}")
    ctx = run.context()
    run.host.modules["pv"].variables["name"] = "Z"
    found = run(ctx=ctx)
    assert (found.outcome, found.code) == ending
    assert found["var(after)"] == (1 if ending[0] == "return" else 0)


@pytest.mark.parametrize(("body", "ending"), ENDINGS)
def test_an_ending_in_a_route_ends_the_block_that_called_it(script, body, ending):
    run = script(
        f"{X.format(body=body)} route[Y] {{ exit; }} route[Z] {{ exit; }} "
        "failure_route[F] { route(X); return 7; }"
    )
    run.host.modules["pv"].variables["name"] = "Z"
    found = run(route=run.program.failure_routes["F"])
    assert (found.outcome, found.code) == ending


def test_a_route_that_calls_itself_can_end_the_script(script):
    run = script(
        "route[X] { $var(n) = $var(n) + 1; if ($var(n) > 3) { exit; } route(X); $var(n) = 0; } "
        "request_route { route(X); $var(n) = 0; }"
    )
    ctx = run.context()
    found = run(ctx=ctx)
    assert (found.outcome, found["var(n)"], ctx.depth) == ("exit", 4, 1)


def test_what_the_server_enters_returns_none_for_exit_and_false_for_the_code_0(script):
    for body, value in (("exit;", None), ("return 0;", False), ("return 5;", 5)):
        program = script(f"request_route {{ {body} }}").program
        assert not program.entry_waits
        assert program.entry(None) is value if value != 5 else program.entry(None) == 5


def test_a_route_that_waits_is_entered_as_a_coroutine(script):
    run = script('loadmodule "cfgutils.so"', 'request_route { usleep("1"); exit; }')
    assert run.program.entry_waits
    assert asyncio.run(run.program.entry(run.context())) is None


def test_another_request_route_in_its_place_is_not_passed_by(script):
    program = script("request_route { exit; }").program

    async def mine(ctx):
        raise Exit

    assert inner(program.request_route)[0] is program.entry
    assert replace(program, request_route=mine).entry is None
