"""Statements and return codes, as Kamailio 5.6.3 answered: cfglang §7 and §8."""

import pytest

from tests.support.script import INVITE, OPTIONS

CODES = [
    # the code of a route is that of its last statement
    ("return;", 1),
    ("return -3;", -3),
    ("return(-2);", -2),
    ("return();", 1),
    ('is_method("INVITE");', -1),
    ("$var(a) = 1;", 1),
    ("setflag(1);", 1),
    ("isflagset(9);", -1),
    ('if ($rU == "zed") return 5;', 1),
    ('if ($rU == "alice") is_method("INVITE");', -1),
    ('if ($rU == "zed") setflag(1); else is_method("INVITE");', -1),
    ('switch ($rU) { case "alice": is_method("INVITE"); }', -1),
    ('switch ($rU) { case "alice": is_method("INVITE"); break; }', 0),
    ('switch ($rU) { case "zed": is_method("INVITE"); }', 1),
    ("break;", 0),
    ("while (0) { setflag(1); }", 1),
    ('while (1) { is_method("INVITE"); break; }', 0),
    ('$var(n) = 0; while ($var(n) < 2) { $var(n) = $var(n) + 1; is_method("INVITE"); }', -1),
    ("while (1) { $var(n) = 0; }", -1),
    ("$var(q) = 5 / $var(zero);", -1),
    ("route(SUB);", -7),
    ("return 5 > 3;", 1),
]


@pytest.mark.parametrize(("body", "code"), CODES, ids=[row[0] for row in CODES])
def test_a_route_returns_the_code_of_its_last_statement(script, body, code):
    run = script(
        f"request_route {{ $avp(code) = route(R); }} route[R] {{ {body} }} route[SUB] {{ return -7; }}",
    )
    assert run(OPTIONS)["avp(code)"] == code


ENDS = [
    ("exit;", "exit"),
    ("exit();", "exit"),
    ("drop;", "drop"),
    ("return 0;", "exit"),
    ('return ($rU == "zed");', "exit"),
    ('return is_method("INVITE");', "exit"),
    ('$var(s) = "abc"; return $var(s);', "exit"),
    ("while (1) { exit; }", "exit"),
    ("switch (1) { case 1: drop; }", "drop"),
    ("if (route(X)) setflag(1);", "exit"),
]


@pytest.mark.parametrize(("body", "outcome"), ENDS, ids=[row[0] for row in ENDS])
def test_what_ends_a_subroute_may_end_the_script(script, body, outcome):
    run = script(f"request_route {{ route(R); return 1; }} route[R] {{ {body} }} route[X] {{ exit; }}")
    assert run(OPTIONS).outcome == outcome


def logged(script, body, routes="", message=OPTIONS):
    return script("request_route { " + body + " } " + routes)(message).log


def test_while_runs_until_the_value_is_zero_also_from_below(script):
    body = "$var(i) = -3; $var(c) = 0; while ($var(i)) { $var(i) = $var(i) + 1; $var(c) = $var(c) + 1; }"
    left = script("request_route { " + body + " }")(OPTIONS)
    assert (left["var(i)"], left["var(c)"]) == (0, 3)


def test_a_loop_stops_after_max_while_loops_and_the_script_goes_on(script):
    body = '$var(c) = 0; while (1) { $var(c) = $var(c) + 1; } xlog("after $var(c)");'
    assert logged(script, body) == [
        "test.cfg:6: the loop was stopped after 100 rounds, max_while_loops"
        " (request_route, Call-ID options@case)",
        "after 100",
    ]


def test_a_loop_that_ends_by_itself_in_round_100_is_no_error(script):
    assert logged(
        script, '$var(c) = 0; while ($var(c) < 100) { $var(c) = $var(c) + 1; } xlog("$var(c)");'
    ) == ["100"]


def test_max_while_loops_can_be_lifted(script):
    run = script(
        "max_while_loops = 0",
        "request_route { $var(c) = 0; while ($var(c) < 500) { $var(c) = $var(c) + 1; } }",
    )
    left = run(OPTIONS)
    assert (left["var(c)"], left.log) == (500, [])


def test_break_leaves_the_loop_only(script):
    body = (
        "$var(i)=0; while($var(i)<5) { $var(i)=$var(i)+1; if ($var(i)==3) break; "
        'xlog("$var(i)"); } xlog("end");'
    )
    assert logged(script, body) == ["1", "2", "end"]


def test_a_break_in_a_switch_in_a_loop_leaves_the_switch(script):
    body = (
        "$var(i)=0; while($var(i)<3) { $var(i)=$var(i)+1; switch ($var(i)) { case 2: break; "
        'default: xlog("$var(i)"); } }'
    )
    assert logged(script, body) == ["1", "3"]


def test_cases_fall_through_until_break(script):
    body = 'switch (2) { case 1: xlog("1"); case 2: xlog("2"); case 3: xlog("3"); break; case 4: xlog("4"); }'
    assert logged(script, body) == ["2", "3"]


def test_default_may_stand_first_and_falls_through(script):
    body = '$var(x)=9; switch($var(x)) { default: xlog("d"); case 1: xlog("1"); break; case 2: xlog("2"); }'
    assert logged(script, body) == ["d", "1"]


def test_default_first_is_passed_over_when_a_case_matches(script):
    body = '$var(x)=2; switch($var(x)) { default: xlog("d"); case 1: xlog("1"); break; case 2: xlog("2"); }'
    assert logged(script, body) == ["2"]


def test_int_cases_compare_ints_and_string_cases_texts(script):
    body = (
        '$var(x)="2x"; switch($var(x)) { case 2: xlog("two"); break; case 0: xlog("zero"); break; } '
        'switch($avp(u)) { case "": xlog("empty"); }'
    )
    assert logged(script, body) == ["zero", "empty"]


def test_regex_cases_keep_case(script):
    body = (
        'switch($rU) { case /"^AL": xlog("upper"); break; case /"^al": xlog("lower"); break; '
        'default: xlog("none"); }'
    )
    assert logged(script, body) == ["lower"]


def test_a_case_may_be_a_constant_expression(script):
    assert logged(script, 'switch(3) { case 1+2: xlog("three"); }') == ["three"]


def test_a_switch_over_a_call_sees_one_or_zero(script):
    routes = "route[E] { return -3; }"
    assert logged(script, 'switch(route(E)) { case -3: xlog("m3"); break; case 0: xlog("0"); }', routes) == [
        "0"
    ]


def test_a_switch_over_rc_sees_the_code(script):
    routes = "route[E] { return -3; }"
    assert logged(script, 'route(E); switch($retcode) { case -3: xlog("m3"); break; }', routes) == ["m3"]


def test_else_belongs_to_the_nearest_if(script):
    body = '$var(x)=2; if ($var(x)==2) if ($var(x)==3) xlog("a"); else xlog("dangling");'
    assert logged(script, body) == ["dangling"]


def test_rc_is_stale_after_core_functions_and_assignments(script):
    body = 'is_method("INVITE"); setflag(1); $var(x) = 1; xlog("$rc $retcode $?");'
    assert logged(script, body) == ["-1 -1 -1"]


def test_rc_is_what_xlog_left(script):
    assert logged(script, 'is_method("INVITE"); xlog("a"); xlog("$rc");') == ["a", "1"]


def test_conditions_run_their_calls_in_order_and_only_as_far_as_needed(script):
    routes = (
        'route[A] { xlog("A"); return 1; } route[B] { xlog("B"); return -1; '
        '} route[C] { xlog("C"); return 1; }'
    )
    body = (
        'if (route(A) && route(B) && route(C)) xlog("yes"); else xlog("no"); '
        'if (route(B) || route(C)) xlog("or");'
    )
    assert logged(script, body, routes) == ["A", "B", "no", "B", "C", "or"]


def test_a_value_is_read_before_the_call_right_of_it(script):
    routes = "route[A] { $var(x) = 2; return 1; }"
    left = script("request_route { $var(x) = 1; $var(y) = $var(x) + route(A); } " + routes)(OPTIONS)
    assert left["var(y)"] == 2


def test_a_value_folded_from_a_call_still_runs_it(script):
    routes = 'route[A] { xlog("ran"); return 1; }'
    assert logged(script, "if (route(A) && 0) exit;", routes) == ["ran"]


def test_two_request_routes_run_one_after_the_other(script):
    run = script('request_route { xlog("one"); }', 'request_route { xlog("two"); }')
    assert run(OPTIONS).log == ["one", "two"]


def test_route_zero_is_the_main_block(script):
    body = '$var(k) = $var(k) + 1; xlog("in $var(k)"); if ($var(k) < 3) route(0); xlog("out");'
    assert logged(script, body) == ["in 1", "in 2", "in 3", "out", "out", "out"]


def test_a_route_is_found_by_a_name_made_at_run_time(script):
    routes = 'route[R1] { xlog("r1"); return 5; }'
    assert logged(script, '$var(n) = "R"; route($var(n) + "1"); xlog("$rc");', routes) == ["r1", "5"]


def test_an_unknown_dynamic_route_is_logged_and_gives_minus_one(script):
    body = '$var(n) = "NOPE"; is_method("OPTIONS"); $avp(c) = route($var(n)); xlog("$rc");'
    run = script("request_route { " + body + " }")
    left = run(OPTIONS)
    assert left["avp(c)"] == -1
    assert left.log[0] == "test.cfg:6: there is no route[NOPE] (request_route, Call-ID options@case)"


def test_route_names_keep_case(script):
    routes = 'route[ABC] { xlog("upper"); }'
    assert "there is no route[abc]" in logged(script, '$var(n) = "abc"; route($var(n));', routes)[0]


DEPTHS = [
    # the limit of 256 counts every block: the main route, each route call, each body of an if or while
    ("route(R);", "route(R);", 255),
    ("route(R);", "if ($var(n)) { route(R); }", 128),
    ("if ($var(n) == 0) { route(R); }", "route(R);", 254),
    ("route(R);", "while ($var(n)) { route(R); break; }", 128),
    ('$var(r) = "R"; route($var(r));', "route($var(r));", 255),
]


@pytest.mark.parametrize(("main", "body", "depth"), DEPTHS, ids=[f"{row[0]} {row[1]}" for row in DEPTHS])
def test_a_recursion_stops_at_max_recursive_level(script, main, body, depth):
    run = script(f"request_route {{ $var(n) = 0; {main} }} route[R] {{ $var(n) = $var(n) + 1; {body} }}")
    left = run(OPTIONS)
    assert left["var(n)"] == depth
    assert "max_recursive_level" in left.log[0]


def test_variables_outlive_the_message_and_avps_do_not(script):
    run = script('request_route { xlog("$var(k) $vn(k) $avp(k)"); $var(k) = 1; $vn(k) = 2; $avp(k) = 3; }')
    assert run(OPTIONS).log + run(OPTIONS).log == ["0 <null> <null>", "1 2 <null>"]


def test_a_method_test_takes_several_methods(script):
    run = script('request_route { if (is_method("INVITE|BYE")) drop; }')
    assert run(INVITE).outcome == "drop"
    assert run(OPTIONS).outcome == "return"


def test_named_flags_are_numbers(script):
    run = script("flags FIRST:3, SECOND", 'request_route { setflag(FIRST); setflag("SECOND"); }')
    assert run(OPTIONS).ctx.flags == 1 << 3 | 1 << 0


def test_flags_by_define_and_by_number_text(script):
    run = script("#!define FLT 5", "request_route { setflag(FLT); if (isflagset(5)) drop; }")
    assert run(OPTIONS).outcome == "drop"
