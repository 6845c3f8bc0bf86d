"""What one statement computes for the next alone is written there; scripts do the same as before."""

import ast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kamtool import script as language
from kamtool.script.short_lives import join
from tests.script.test_dead_codes import Unwatching
from tests.support.script import BASE, Run


def joined(source):
    (function,) = ast.parse(f"def f():\n{source}").body
    join(function)
    return ast.unparse(ast.fix_missing_locations(function)).partition("\n")[2]


@pytest.mark.parametrize(
    ("source", "result"),
    [
        (" t1 = a()\n if t1:\n  b()", "    if a():\n        b()"),
        (" t1 = a()\n if not t1 and c:\n  b()", None),
        (" t1 = a()\n if t1 and c:\n  b()", "    if a() and c:\n        b()"),
        (" t1 = a()\n if t1 <= 0:\n  b()", "    if a() <= 0:\n        b()"),
        (" t1 = a()\n return 1 if t1 else -1", "    return 1 if a() else -1"),
        (" t1 = a\n if t1:\n  t1 = b\n if t1:\n  c()", "    if a and b:\n        c()"),
        (" t1 = a\n if not t1:\n  t2 = b\n  t1 = not t2\n return t1", "    return a or not b"),
        # Somebody else reads it, or something is done in between, or it is not what is read first.
        (" t1 = a()\n if t1:\n  b(t1)", None),
        (" t1 = a()\n c()\n if t1:\n  b()", None),
        (" t1 = a()\n return c(t1)", None),
        (" t1 = a()\n if c and t1:\n  b()", None),
        (" t1 = a\n if t1:\n  t1 = b(t1)\n return t1", None),
        (" c1 = a()\n if c1:\n  b()", None),
        (" t1 = 1\n b()", "    b()"),
        (" t1 = a()\n b()", None),
    ],
)
def test_what_is_read_at_once_and_once(source, result):
    assert joined(source) == (
        result if result is not None else ast.unparse(ast.parse(f"if 1:\n{source}")).partition("\n")[2]
    )


TESTS = [
    "is_method('OPTIONS')", "has_totag()", "$var(i) > 1", "route(B)", "remove_hf('X-Num')", "setflag(3)",
    "isflagset(3)", "$rU == 'alice'", "append_hf('A: b\\r\\n')", "is_request()", "uri == myself",
]  # fmt: skip
tests = st.recursive(
    st.sampled_from(TESTS),
    lambda inner: st.one_of(
        inner.map(lambda one: f"!({one})"),
        st.tuples(inner, st.sampled_from(["&&", "||"]), inner).map(lambda three: f"({' '.join(three)})"),
        # Without more parentheses a number could be compared with a text, which is a mistake.
        st.tuples(inner, inner).map(lambda two: f"(({two[0]}) == ({two[1]}))"),
    ),
    max_leaves=5,
)
NOTE = "$var(log) = $var(log) + ':{}';"
statements = st.one_of(
    tests.map(lambda test: f"if ({test}) {NOTE.format('y')} else {NOTE.format('n')}"),
    tests.map(lambda test: f"$var(x) = {test}; $var(log) = $var(log) + $var(x);"),
    st.sampled_from(
        ["$var(i) = $var(i) + 1;", "$var(log) = $var(log) + $rc;", "is_method('ACK');", "has_totag();"]
    ),
)


@settings(deadline=None, max_examples=150, suppress_health_check=list(HealthCheck))
@given(st.lists(statements, min_size=1, max_size=4).map(" ".join), st.booleans())
def test_a_script_says_the_same_with_every_step_by_itself(body, reads_rc):
    text = (
        f"#!KAMAILIO\n{BASE}request_route {{ $var(log) = ''; $var(i) = 0; resetflag(3); {body} }}\n"
        f"route[B] {{ $var(i) = $var(i) + 1; return $var(i) - 2; }} {'# $rc' if reads_rc else ''}\n"
    )
    made = language.load(text, name="test.cfg")
    ends = [
        (end.outcome, end.code, end["var(log)"], end["var(i)"], end.ctx.flags)
        for end in (Run(made)(), Run(made, Unwatching())())
    ]
    assert ends[0] == ends[1]
