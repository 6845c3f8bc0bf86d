"""What a route reads of its message twice it reads once, and never from a way that has not been taken."""

import ast
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kamtool import script as language
from tests.script.test_dead_codes import Unwatching
from tests.support.script import BASE, Run


def code(body, *more):
    text = "\n".join(["#!KAMAILIO", BASE, *more, f"request_route {{ {body} }}"])
    return "\n".join(ast.unparse(tree) for _, tree in language.load(text, name="test.cfg").python())


@pytest.mark.parametrize(
    ("body", "reads"),
    [
        ("if (is_method('ACK')) exit; if (is_method('BYE')) exit;", 1),
        ("if ($rm == 'ACK' || is_method('BYE')) exit; xlog('$rm');", 1),
        ("if ($var(a) && is_method('BYE')) exit; xlog('$rm');", 2),
        ("if ($var(a)) { is_method('ACK'); } else { is_method('BYE'); } xlog('$rm');", 2),
        # A statement that may fail has read before.
        ("if ($var(a)) { xlog('$rm'); } else { xlog('$rm $rm'); } xlog('$rm');", 2),
        ("if ($var(a)) { xlog('$rm'); exit; } xlog('$rm');", 2),
        ("while ($var(a)) { xlog('$rm'); } xlog('$rm');", 2),
        ("is_method('ACK'); while ($var(a)) { xlog('$rm'); } xlog('$rm');", 1),
        ("is_method('ACK');", 1),
        ("while ($var(a)) { if (is_method('ACK')) break; xlog('$rm'); } xlog('$rm');", 2),
        ("switch ($var(a)) { case 1: xlog('$rm'); break; default: append_hf('$rm'); } xlog('$rm');", 3),
    ],
)
def test_an_attribute_is_read_once_on_each_way(body, reads):
    made = code(body.replace("xlog(", "append_hf("))
    assert len(re.findall(r"\.method\b", made)) == reads


def test_where_a_function_may_put_another_message_in_all_is_read_anew():
    made = code("is_method('ACK'); msg_apply_changes(); is_method('BYE');", 'loadmodule "textopsx.so"')
    assert made.count("ctx.msg.method") == 2
    assert ":=" not in made


NOTE = '$var(log) = $var(log) + ":$rm,$si,$sp,$proto";'
TESTS = ["is_method('OPTIONS')", "$rm == 'ACK'", "$si == '127.0.0.1'", "has_totag()", "$var(i) < 2"]
TESTS.append("from_uri == myself")


def nested(inner):
    body = st.lists(inner, min_size=1, max_size=3).map(" ".join)
    one = st.sampled_from(TESTS)
    test = st.one_of(
        one, st.tuples(one, st.sampled_from(["&&", "||"]), one).map(" ".join), one.map(lambda t: f"!({t})")
    )
    return st.one_of(
        st.tuples(test, body).map(lambda t: f"if ({t[0]}) {{ {t[1]} }}"),
        st.tuples(test, body, body).map(lambda t: f"if ({t[0]}) {{ {t[1]} }} else {{ {t[2]} }}"),
        body.map(lambda b: f"$var(i) = 0; while ($var(i) < 2) {{ $var(i) = $var(i) + 1; {b} }}"),
        st.tuples(body, body).map(
            lambda t: f"switch ($rm) {{ case 'ACK': {t[0]} break; case 'OPTIONS': {t[1]} break; }}"
        ),
    )


bodies = st.recursive(st.sampled_from([NOTE, "$var(log) = $var(log) + $rm;", "exit;"]), nested, max_leaves=10)


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(bodies, min_size=1, max_size=4).map(" ".join))
def test_a_script_says_the_same_with_everything_read_anew(body):
    text = f'#!KAMAILIO\n{BASE}request_route {{ $var(log) = ""; {body} {NOTE} }}'
    made = language.load(text, name="test.cfg")
    ends = [(end.outcome, end.code, end["var(log)"]) for end in (Run(made)(), Run(made, Unwatching())())]
    assert ends[0] == ends[1]
