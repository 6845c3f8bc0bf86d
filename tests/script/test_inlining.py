"""Routes that stand in their callers do what they do when they are called."""

import ast
import traceback

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kamtool import script as language
from tests.script.test_dead_codes import Unwatching
from tests.support.script import BASE, OPTIONS, Run


def code(text):
    """The generated functions by name."""
    trees = language.load(f"#!KAMAILIO\n{BASE}{text}", name="test.cfg").python()
    return {function.name: ast.unparse(function) for _, tree in trees for function in tree.body}


def test_a_short_route_stands_in_each_of_its_callers():
    made = code("request_route { route(A); if ($rm == 'ACK') route(A); } route[A] { setflag(1); }")
    assert made["request_route_0"].count("f_setflag(ctx, 1)") == 2
    assert "route_A" not in made["request_route_0"]


def test_a_long_route_stands_in_its_only_caller_alone():
    long = "setflag(1);" * 80
    once = f"request_route {{ route(A); }} route[A] {{ {long} }}"
    assert "request_route_A" not in code(once)["request_route_0"]
    twice = f"request_route {{ route(A); route(A); route(A); }} route[A] {{ {long} }}"
    assert code(twice)["request_route_0"].count("request_route_A_1(ctx)") == 3


@pytest.mark.parametrize(
    "text",
    [
        "request_route { route(A); } route[A] { setflag(1); route(A); }",
        "request_route { route(A); } route[A] { route(B); } route[B] { if (is_method('ACK')) route(A); }",
        "request_route { route(A); } route[A] { $var(i) = 0; while ($var(i) < 2) { return 2; } }",
        "failure_route[F] { route(A); } request_route { exit; } route[A] { exit; }",
    ],
)
def test_what_recurs_or_returns_out_of_a_loop_or_is_called_from_elsewhere_is_called(text):
    assert any("request_route_A_" in source.partition("\n")[2] for source in code(text).values())


def test_a_deep_row_of_routes_compiles():
    rows = "".join(
        f"route[R{n}] {{ if ($rm == 'X{n}') return; route(R{n + 1}); setflag({n}); }}" for n in range(28)
    )
    text = f"{BASE}request_route {{ route(R0); exit; }} {rows} route[R28] {{ setflag(31); }}"
    end = Run(language.load(text, name="test.cfg"))()
    assert end.ctx.flags == (1 << 28) - 1 | 1 << 31


def test_a_traceback_shows_every_call_that_was_written(tmp_path):
    file = tmp_path / "edge.cfg"
    file.write_text(
        f"{BASE}request_route {{\n  route(A);\n}}\n"
        "route[A] {\n  if ($rm == 'ACK') return;\n  route(B);\n}\n"
        'route[B] {\n  xlog("x");\n}\n'
    )
    run = Run(language.load(file))
    run.host.modules["xlog"].write = lambda *arguments: 1 / 0
    with pytest.raises(ZeroDivisionError) as caught:
        run(OPTIONS)
    frames = [f for f in traceback.extract_tb(caught.value.__traceback__) if f.filename == str(file)]
    assert [(f.name, f.line) for f in frames] == [
        ("request_route", "route(A);"), ("route[A]", "route(B);"), ("route[B]", 'xlog("x");'),
    ]  # fmt: skip


NOTE = '$var(log) = $var(log) + ":$rm,$cfg(route),$cfg(line)";'
ENDS = ["exit;", "return;", "return 7;", "return -3;", "return 0;", "return $var(i);", "drop;", "drop();"]
CALLS = [f"route({name});" for name in "ABC"]
TESTS = [
    "route(B)",
    "!route(C)",
    "is_method('OPTIONS')",
    "$rm == 'ACK'",
    "$var(i) > 1",
    "route(C) && route(B)",
]
LEAVES = [NOTE, "$var(i) = $var(i) + 1;", "$var(c) = $rc;", *ENDS, *CALLS]


def nested(inner, test):
    body = st.lists(inner, min_size=1, max_size=3).map(" ".join)
    return st.one_of(
        st.tuples(test, body).map(lambda t: f"if ({t[0]}) {{ {t[1]} }}"),
        st.tuples(test, body, body).map(lambda t: f"if ({t[0]}) {{ {t[1]} }} else {{ {t[2]} }}"),
        body.map(lambda b: f"$var(n) = 0; while ($var(n) < 2) {{ $var(n) = $var(n) + 1; {b} }}"),
        body.map(lambda b: f"switch ($var(i)) {{ case 1: {b} break; default: {NOTE} }}"),
    )


def only(names):
    """Bodies that call these routes alone, so that none recurs."""

    def allowed(text):
        return all(f"route({name})" not in text for name in "ABC" if name not in names)

    leaves = st.sampled_from([leaf for leaf in LEAVES if allowed(leaf)])
    tests = st.sampled_from([test for test in TESTS if allowed(test)])
    bodies = st.recursive(leaves, lambda inner: nested(inner, tests), max_leaves=7)
    return st.lists(bodies, min_size=1, max_size=4).map(" ".join)


@settings(deadline=None, max_examples=120, suppress_health_check=list(HealthCheck))
@given(only("ABC"), only("BC"), only("C"), only(""), st.sampled_from(["", " # $rc\n"]))
def test_a_script_does_the_same_when_its_routes_are_called(main, one, two, three, reads_rc):
    text = (
        f'#!KAMAILIO\n{BASE}request_route {{ $var(log) = ""; $var(i) = 0; {main} {NOTE} }}{reads_rc}\n'
        f"route[A] {{ {one} }}\nroute[B] {{ {two} }}\nroute[C] {{ {three} }}\n"
    )
    made = language.load(text, name="test.cfg")
    seen = ("var(log)", "var(i)", "var(c)")
    ends = [
        (end.outcome, end.code, *(end[name] for name in seen))
        for end in (Run(made)(), Run(made, Unwatching())())
    ]
    assert ends[0] == ends[1]
