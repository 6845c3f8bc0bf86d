"""The Python that routes become: how it is found in tracebacks, what it awaits, what it leaves out."""

import ast
import asyncio
import traceback
from itertools import product
from pathlib import Path

import pytest

from kamtool import script as language
from kamtool.errors import ConfigError
from kamtool.script.context import Exit
from kamtool.script.inlining import LONGEST
from tests.support.script import BASE, INVITE, OPTIONS, Run, ScriptHost

STOCK = Path("/etc/kamailio/kamailio.cfg")


def python(body, routes="", head=BASE):
    """The source that a request_route becomes."""
    script = language.load(f"#!KAMAILIO\n{head}request_route {{ {body} }}\n{routes}", name="t.cfg")
    return "\n".join(ast.unparse(tree) for _, tree in script.python())


def test_a_traceback_points_into_the_cfg(tmp_path):
    file = tmp_path / "edge.cfg"
    file.write_text(
        f'#!KAMAILIO\n{BASE}request_route {{\n  route(SUB);\n}}\nroute[SUB] {{\n\n  xlog("x");\n}}\n'
    )
    run = Run(language.load(file))
    run.host.modules["xlog"].write = lambda *arguments: 1 / 0
    with pytest.raises(ZeroDivisionError) as caught:
        run(OPTIONS)
    frames = [f for f in traceback.extract_tb(caught.value.__traceback__) if f.filename == str(file)]
    first = BASE.count("\n") + 2
    assert [(f.name, f.lineno, f.line) for f in frames] == [
        ("request_route", first + 1, "route(SUB);"),
        ("route[SUB]", first + 5, 'xlog("x");'),
    ]


def test_a_route_that_awaits_nothing_is_a_plain_function():
    source = python("route(A);", 'route[A] { xlog("a"); }')
    assert "async" not in source
    assert "await" not in source


def test_a_route_that_calls_an_async_function_awaits_it_and_so_do_its_callers():
    head = BASE + 'loadmodule "tm.so"\n'
    long = "setflag(1);" * LONGEST  # else they would stand in their caller
    routes = f"route[A] {{ t_relay(); {long} }} route[B] {{ {long} }}"
    source = python("route(A); route(B); route(A); route(B);", routes, head)
    assert "= f_t_relay_at_once(ctx)" in source
    assert "await request_route_A_1(ctx)" in source
    assert "t2 = request_route_B_2(ctx)" in source


def test_every_entry_is_a_coroutine_function():
    script = language.load(
        f'{BASE}request_route {{ exit; }} route[A] {{ xlog("a"); }} failure_route[F] {{ drop; }}'
    )
    program = script.link(ScriptHost(script))
    for route in (program.request_route, program.routes["A"], program.failure_routes["F"]):
        assert asyncio.iscoroutinefunction(route)


def test_formats_without_variables_are_constants():
    assert "f_xlog(ctx, 'plain $ text')" in python('xlog("plain $$ text");')


def test_comparisons_of_known_kinds_are_written_out():
    source = python('if ($rU == "alice" && $sp == 5060 && $du == $null) exit;')
    assert "equal(" not in source
    assert "to_int(" not in source
    assert "== 'alice'" in source


def test_nothing_is_kept_for_statements_whose_code_nobody_asks_for():
    assert python("setflag(1); setflag(2); exit;").count("ctx.rc") == 0


def test_rc_is_stored_only_where_the_cfg_reads_it():
    assert "ctx.rc" not in python('is_method("BYE"); route(A);', "route[A] { exit; }")
    assert python('is_method("BYE"); xlog("$(rc)");').count("ctx.rc =") == 1


def test_a_constant_condition_leaves_one_branch():
    source = python("if (1 > 0) setflag(1); else setflag(2);")
    assert "f_setflag(ctx, 1)" in source
    assert "f_setflag(ctx, 2)" not in source


def test_else_if_becomes_elif_so_that_long_chains_stay_flat(script):
    chain = " else ".join(f'if ($rU == "u{n}") setflag({n % 32});' for n in range(100))
    source = python(chain)
    assert source.count("elif") == 99
    run = script("request_route { " + chain.replace('"u77"', '"alice"') + " }")
    assert run(OPTIONS).ctx.flags == 1 << 77 % 32


def test_a_chain_of_a_thousand_alternatives_is_one_expression(script):
    chain = " || ".join(f'$rU == "u{n}"' for n in range(1000))
    run = script(f'request_route {{ if ({chain} || $rU == "alice") drop; }}')
    assert run(OPTIONS).outcome == "drop"


def test_what_python_cannot_nest_is_a_config_error():
    body = "while (1 > $var(x)) { " * 25 + "exit;" + " }" * 25
    script = language.load(f"{BASE}request_route {{ {body} }}", name="t.cfg")
    with pytest.raises(ConfigError) as caught:
        script.link(ScriptHost(script))
    assert caught.value.code == "KT1107"


def test_included_lines_keep_the_line_of_the_block_in_code_of_another_file(tmp_path):
    (tmp_path / "m.cfg").write_text(f'{BASE}request_route {{\nsetflag(1);\ninclude_file "i.cfg"\n}}\n')
    (tmp_path / "i.cfg").write_text("\n" * 50 + "setflag(2);\n")
    script = language.load(tmp_path / "m.cfg")
    lines = {node.lineno for _, tree in script.python() for node in ast.walk(tree) if hasattr(node, "lineno")}
    assert max(lines) <= BASE.count("\n") + 3


def test_two_servers_run_one_script_apart():
    script = language.load(f"#!KAMAILIO\n{BASE}request_route {{ $var(n) = $var(n) + 1; }}")
    one, two = Run(script), Run(script)
    one(OPTIONS)
    assert one(OPTIONS)["var(n)"] == 2
    assert two(OPTIONS)["var(n)"] == 1


def test_the_first_unnamed_failure_route_answers_to_zero():
    script = language.load(f"{BASE}request_route {{ exit; }} failure_route {{ drop; }}")
    assert set(script.link(ScriptHost(script)).failure_routes) == {"0"}


# Arguments


def test_substitutions_variables_and_integers_reach_the_function(script):
    run = script(
        "request_route {",
        '  $var(n) = 2; $avp(x) = "aXbX";',
        "  $avp(y) = $(avp(x){re.subst,/X/$var(n)/g});",
        '  if (pv_isset("$avp(x)")) pv_unset("$avp(x)");',
        "}",
    )
    left = run(OPTIONS)
    assert (left["avp(y)"], left["avp(x)"]) == ("a2b2", None)


def test_a_substitution_that_leaves_nothing_leaves_nothing(script):
    run = script("request_route { $avp(y) = $(rU{re.subst,/.*//}); $avp(z) = $(rU{re.subst,/zed/x/}); }")
    left = run(OPTIONS)
    assert (left["avp(y)"], left["avp(z)"]) == ("", "alice")


def test_a_function_that_cannot_be_carried_out_returns_minus_one(script):
    run = script('request_route { $var(n) = "x"; strip_tail($var(n)); $avp(c) = $rc; }')
    left = run(OPTIONS)
    assert left["rU"] == "alice"
    assert "'x' stands where a number should" in left.log[0]


def test_old_attributes_store_and_read_without_the_marker():
    text = BASE + 'request_route { $nosuch = 7; $f.x = "a"; $avp(r) = $nosuch + 1; $avp(s) = $f.x; }'
    left = Run(language.load(text))(OPTIONS)
    assert (left["avp(r)"], left["avp(s)"]) == (8, "a")


def test_myself_asks_the_server(script):
    run = script(
        "request_route { if (src_ip == myself) setflag(1); if (dst_ip == myself) setflag(2);",
        "if (uri == myself) setflag(3); if (uri != myself) setflag(4);",
        '$ru = "sip:x@127.0.0.1:5060"; if (uri == myself) setflag(5); if (myself == from_uri) setflag(6); }',
    )
    flags = run(OPTIONS).ctx.flags
    assert [number for number in range(8) if flags >> number & 1] == [1, 2, 4, 5]


def test_cfg_line_and_route_are_known_while_compiling(script):
    run = script("request_route { route(A); }", "route[A] {", ' xlog("$cfg(line) $cfg(route) $cfg(file)"); }')
    assert run(OPTIONS).log == [f"{BASE.count(chr(10)) + 4} A test.cfg"]


# Watched


class Observer:
    def __init__(self):
        self.seen = []

    async def at(self, action, ctx):
        await asyncio.sleep(0)
        self.seen.append((action.route, action.span.line, action.line, action.name))


def test_an_observer_is_told_of_each_statement_before_it_runs(script):
    observer = Observer()
    run = script(
        "request_route {",  # line 7
        "$var(a) = 1;",
        "if ($var(a) == 1 &&",
        '   is_method("OPTIONS"))',
        "{",
        "  route(SUB);",
        "} else {",
        "  setflag(1);",
        "}",
        "setflag(2);",
        "}",
        "route[SUB] {",
        '  is_method("INVITE");',
        "  return -1;",
        "}",
        observer=observer,
    )
    run(OPTIONS)
    # Kamailio 5.6.3's debugger module gives these lines in the fourth column's order (cfglang §20).
    assert [(route, line, name) for route, _, line, name in observer.seen] == [
        ("", 7, "assign"),
        ("", 14, "if"),
        ("", 9, "is_method"),
        ("", 11, "route"),
        ("SUB", 18, "is_method"),
        ("SUB", 19, "return"),
        ("", 15, "setflag"),
    ]
    assert [line for _, line, _, _ in observer.seen] == [7, 8, 9, 11, 18, 19, 15]


TRACED = """
setflag(1)
;
$var(a)=1
;
is_method("INFO"
)
;
if (1) {
 setflag(2);
} else {
 setflag(3);
}

switch(1) {
 case 1: setflag(4);
}

while(0) {
 setflag(5);
}

return
;
"""


def test_traced_lines_are_those_of_kamailio(script):
    """The case trace-token-lines, recorded from 5.6.3: a call, an assignment, constants, loops."""
    observer = Observer()
    script("request_route {" + TRACED + "}", observer=observer)(OPTIONS)
    first = BASE.count("\n") + 2  # the line of request_route
    assert [(line - first, name) for _, _, line, name in observer.seen] == [
        (1, "setflag"),
        (4, "assign"),
        (6, "is_method"),
        (12, "if"),
        (9, "setflag"),
        (16, "block"),
        (15, "setflag"),
        (20, "while"),
        (23, "return"),
    ]


def test_without_an_observer_nothing_of_it_is_in_the_code():
    assert "observe" not in python('setflag(1); if (is_method("BYE")) exit;')


def test_a_watched_script_does_the_same(script):
    lines = (
        "request_route { $var(i) = 0; while ($var(i) < 3) { $var(i) = $var(i) + 1; route(R); } "
        'switch ($var(i)) { case 3: xlog("three"); break; default: drop; } '
        '$avp(b) = { return 7; }; if (is_method("INVITE")) exit; else if ($rU == "alice") return -5; }',
        'route[R] { xlog("$var(i)"); }',
    )
    plain, watched = script(*lines), script(*lines, observer=Observer())
    for message in (OPTIONS, INVITE):
        one, two = plain(message), watched(message)
        assert (one.outcome, one.code, one.log) == (two.outcome, two.code, two.log)
        assert one["avp(b)"] == two["avp(b)"] == 7


# The stock file

FEATURES = """
AUTH MYSQL PRESENCE NAT RTPENGINE PSTN ALIASDB SPEEDDIAL MULTIDOMAIN TLS JSONRPC ANTIFLOOD BLOCK3XX
BLOCK401407 VOICEMAIL ACCDB DEBUG USRLOCDB IPAUTH MSGREBUILD NATSIPPING
""".split()  # noqa: SIM905
NEEDS_MYSQL = {"AUTH", "PRESENCE", "ALIASDB", "SPEEDDIAL", "MULTIDOMAIN", "ACCDB", "USRLOCDB", "IPAUTH"}
GRAMMAR = ("KT10", "KT11")


@pytest.mark.skipif(not STOCK.exists(), reason="kamailio is not installed")
@pytest.mark.parametrize("features", [(), *((f,) for f in FEATURES), tuple(FEATURES)], ids=" ".join)
def test_the_stock_file_parses_with_any_feature(features):
    defines = {f"WITH_{feature}": None for feature in features}
    if NEEDS_MYSQL & set(features):
        defines["WITH_MYSQL"] = None
    report = language.check(STOCK, defines=defines)
    missing = [e for e in report.errors if e.code == "KT1200"]
    wrong = [e for e in report.errors if e.code.startswith(GRAMMAR) and (not missing or e.code < "KT1130")]
    assert wrong == []


@pytest.mark.skipif(not STOCK.exists(), reason="kamailio is not installed")
def test_pairs_of_features_parse():
    for pair in product(["NAT", "PSTN", "VOICEMAIL"], ["RTPENGINE", "ANTIFLOOD", "JSONRPC"]):
        report = language.check(STOCK, defines={f"WITH_{feature}": None for feature in pair})
        assert [e for e in report.errors if e.code < "KT1130"] == []


def test_exit_is_raised_afresh_each_time(script):
    run = script("request_route { exit; }")

    async def one():
        with pytest.raises(Exit) as caught:
            await run.program.request_route(run.context())
        return caught.value

    assert asyncio.run(one()) is not asyncio.run(one())


def test_checks_that_are_known_beforehand_are_a_test_of_the_kernel():
    head = BASE + 'loadmodule "sl.so"\nloadmodule "sanity.so"\n'
    assert "= 1 if module_sanity.is_plain(ctx.msg, " in python('sanity_check("17895", "7");', head=head)
    for given in ("$var(a), 7", '"17895"', '"17895", "15"', '"21991", "7"'):
        assert "is_plain" not in python(f"sanity_check({given});", head=head)


def test_what_arms_a_route_stands_in_the_code():
    head, routes = BASE + 'loadmodule "tm.so"\n', "failure_route[F] { exit; }"
    assert "ctx.on_failure = 'F'" in python('t_on_failure("F");', routes, head)
    assert "ctx.on_failure = ''" in python('t_on_failure("0");', routes, head)
    assert "f_t_on_failure(ctx, " in python('t_on_failure("$var(a)");', routes, head)
