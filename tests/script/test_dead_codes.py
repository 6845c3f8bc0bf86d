"""Return codes that nobody reads are not stored; a watched program, which stores all, says the same."""

import ast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kamtool import script as language
from tests.support.script import BASE, Run, script  # noqa: F401


class Unwatching:
    """An observer: its program stores every code."""

    def at(self, action, ctx):
        return None


def stores(text):
    """How often `ctx.rc` is set in the code of a script."""
    made = language.load(f"#!KAMAILIO\n{BASE}{text}", name="test.cfg").python()
    return sum(ast.unparse(tree).count("ctx.rc = ") for _, tree in made)


READS = '$var(x) = "$rc";'


@pytest.mark.parametrize(
    ("body", "kept"),
    [
        ("is_method('INVITE'); is_method('ACK'); " + READS, 1),
        (READS + " is_method('INVITE'); exit;", 0),
        ("if (is_method('INVITE')) { is_method('ACK'); } " + READS, 2),
        ("is_method('INVITE'); if ($var(a)) { is_method('ACK'); exit; } " + READS, 1),
        ("$var(i) = 0; while ($var(i) < 3) { " + READS + " is_method('ACK'); $var(i) = $var(i) + 1; }", 1),
        ("is_method('INVITE'); xlog('$retcode'); exit;", 1),
        ("is_method('INVITE'); xlog('$(rc{s.len})'); exit;", 1),
        ("is_method('INVITE'); xlog('$?'); exit;", 1),
        ("is_method('INVITE'); pv_evalx('$var(x)', '$var(y)'); exit; " + READS, 1),
        ("is_method('INVITE'); exit; # $rc is read nowhere\n", 0),
        ("is_method('INVITE'); switch ($rc) { case 1: is_method('ACK'); break; default: exit; }", 1),
    ],
)
def test_a_code_is_stored_where_it_can_be_read(body, kept):
    assert stores(f"request_route {{ {body} }}") == kept


def test_a_route_that_begins_with_a_read_has_the_code_of_before(script):  # noqa: F811
    run = script(
        'request_route { route(A); if (!is_method("OPTIONS")) exit; route(B); }',
        "route[A] { return -3; }",
        "route[B] { $avp(seen) = $rc; route(C); $avp(later) = $rc; }",
        "route[C] { return 7; }",
    )
    outcome = run()
    assert (outcome["avp(seen)"], outcome["avp(later)"]) == (1, 7)


def test_a_code_that_a_modparam_reads_is_always_stored():
    text = 'modparam("xlog", "prefix", "[$rc] ")\nrequest_route { is_method("ACK"); exit; }'
    assert stores(text) == 1


def test_what_a_block_leaves_is_there_for_a_route_that_another_function_runs():
    """A branch_route begins with the code that the last function before t_relay() gave."""
    text = (
        'loadmodule "tm.so"\nrequest_route { is_method("INVITE"); t_on_branch("B"); t_relay(); exit; }\n'
        'branch_route[B] { xlog("$rc\\n"); }'
    )
    assert stores(text) == 3  # that of is_method is followed by another before anything can read it


CALLS = [
    "is_method('OPTIONS');",
    "is_method('ACK');",
    "route(A);",
    "route(B);",
    "route(C);",
    "route($var(n));",
]
NOTES = ['$var(log) = $var(log) + ":" + $rc;', '$var(log) = $var(log) + ":$retcode";']


COUNT = "$var(i) = $var(i) + 1;"
LEAVES = [*CALLS, *NOTES, "return;", "return -3;", "exit;", "$var(d) = 1 / 0;"]


def blocks(inner):
    body = st.lists(inner, min_size=1, max_size=4).map(" ".join)
    conditions = st.sampled_from(
        ["is_method('OPTIONS')", "!is_method('ACK')", "route(A)", "$rc > 0", "$var(i) < 2",
         "route(C) && route(A)", "is_method('ACK') || $rc < 0"]
    )  # fmt: skip
    return st.one_of(
        st.tuples(conditions, body).map(lambda t: f"if ({t[0]}) {{ {t[1]} }}"),
        st.tuples(conditions, body, body).map(lambda t: f"if ({t[0]}) {{ {t[1]} }} else {{ {t[2]} }}"),
        st.tuples(body, body).map(
            lambda t: f"switch ($rc) {{ case 1: {t[0]} break; case -3: {t[1]} default: $var(z) = 1; }}"
        ),
        body.map(lambda b: f"{COUNT} while ($var(i) < 3) {{ {COUNT} {b} }}"),
    )


statements = st.recursive(
    st.sampled_from(CALLS + NOTES + ["return;", "return -3;", "exit;", "$var(d) = 1 / 0;"]),
    blocks,
    max_leaves=12,
)
bodies = st.lists(statements, min_size=1, max_size=6).map(" ".join)


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(bodies, bodies, bodies)
def test_a_script_says_the_same_with_all_codes_stored(main, one, other):
    text = (
        f"#!KAMAILIO\n{BASE}max_while_loops=5\n"
        f'request_route {{ $var(log) = ""; $var(i) = 0; $var(n) = "C"; {main} {NOTES[0]} }}\n'
        f"route[A] {{ {one.replace('route(A)', 'route(C)').replace('route(B)', 'route(C)')} }}\n"
        f"route[B] {{ {other.replace('route(B)', 'route(A)')} }}\nroute[C] {{ return -3; }}"
    )
    made = language.load(text, name="test.cfg")
    plain, watched = Run(made), Run(made, Unwatching())
    ends = [(end.outcome, end.code, end["var(log)"]) for end in (plain(), watched())]
    assert ends[0] == ends[1]
