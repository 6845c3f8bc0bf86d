"""What a check finds beyond grammar: names, arguments, types, flow."""

import pytest

from kamtool import script as language
from kamtool.script import render
from tests.support.script import BASE

HEAD = "#!KAMAILIO\n" + BASE + 'loadmodule "tm.so"\nloadmodule "sl.so"\nloadmodule "rr.so"\n'


def check(body, routes="", head=HEAD):
    return language.check(f"{head}{routes}\nrequest_route {{\n{body}\n}}\n", name="t.cfg")


def errors(body, routes=""):
    """Code and the text under the caret of each error."""
    report = check(body, routes)
    return [(e.code, under(report, e)) for e in report.errors]


def warnings(body, routes=""):
    report = check(body, routes)
    assert report.errors == ()
    return [(w.code, under(report, w)) for w in report.warnings]


def under(report, finding):
    """What the caret points at."""
    line = report.text.line(finding.span.file, finding.span.line)
    end = finding.span.end_column - 1 if finding.span.end_line == finding.span.line else len(line)
    return line[finding.span.column - 1 : end]


REFUSED = [
    # names
    ("nosuchfunc();", "KT1150", "nosuchfunc"),
    ('sl_send_reply("200");', "KT1150", "sl_send_reply"),
    ("$nosuch(a) = 1;", "KT1130", "$nosuch(a)"),
    ("$var(a) = $nosuch;", "KT1130", "$nosuch"),
    ('xlog("$nosuch");', "KT1130", '"$nosuch"'),
    ('xlog("call $rU.");', "KT1130", '"call $rU."'),
    ('xlog("call $rUx");', "KT1130", '"call $rUx"'),
    ('xlog("$ 5");', "KT1130", '"$ 5"'),
    ('xlog("$(rU{s.nosuch})");', "KT1132", '"$(rU{s.nosuch})"'),
    ("$var(a) = $(rU{s.substr,1});", "KT1132", "$(rU{s.substr,1})"),
    ("$var = 1;", "KT1131", "$var"),
    ("$var(a) = @nosuch.x;", "KT1133", "@nosuch.x"),
    ("route(NOWHERE);", "KT1153", "NOWHERE"),
    ('route("$var(n)");', "KT1153", '"$var(n)"'),
    # assignments
    ("$si = 1;", "KT1154", "$si"),
    ("$(rU{s.len}) = 1;", "KT1154", "$(rU{s.len})"),
    ('$rP = "tcp";', "KT1154", "$rP"),
    # arguments
    ('is_present_hf("$var(h)");', "KT1158", '"$var(h)"'),
    ("setflag(32);", "KT1152", "32"),
    ("setflag(NOFLAG);", "KT1152", "NOFLAG"),
    ("xlog($rU);", "KT1158", "$rU"),
    ('sl_send_reply("404", "Not " + $rU);', "KT1158", '"Not " + $rU'),
    ("xlog(hello);", "KT1158", "hello"),
    ('xlog("a", is_method("BYE"));', "KT1157", 'is_method("BYE")'),
    ('is_method("INVIT");', "KT1159", '"INVIT"'),
    ('search("([");', "KT1400", '"(["'),
    ('subst("/a/b");', "KT1021", '"/a/b"'),
    ('strip("x");', "KT1151", '"x"'),
    # patterns
    ('if ($rU =~ "([") exit;', "KT1400", '"(["'),
    ('switch ($rU) { case /"([": exit; }', "KT1400", '"(["'),
    ("if (src_ip == 10.0.0.0/99) exit;", "KT1141", "10.0.0.0/99"),
    # statements
    ('return "a";', "KT1161", '"a"'),
    ("switch ($rU) { case $var(x): exit; }", "KT1162", "$var(x)"),
    (
        'switch ($rU) { case 1: exit; case "a": exit; }',
        "KT1162",
        'switch ($rU) { case 1: exit; case "a": exit; }',
    ),
    ("switch ($rU) { default: exit; default: exit; }", "KT1162", "default:"),
]


@pytest.mark.parametrize(("body", "code", "text"), REFUSED, ids=[row[0] for row in REFUSED])
def test_an_error_says_what_and_where(body, code, text):
    assert (code, text) in errors(body)


TYPES = [
    # as `kamailio -c` of 5.6.3 answers: true when it refuses
    ('"abc" && 1', True), ('"3" > 2', True), ('5 ieq "5"', True), ('~"a"', True), ('5 + "a"', True),
    ('1 == "1"', True), ("(str)5 > 1", True), ("strlen(5)", True), ("@ruri.user > 1", True),
    ("5 == @ruri.user", True), ("!@ruri.user", True), ('(int)"5" == "5"', True), ('$var(x) > "5"', True),
    ('strempty("a") == "x"', True), ('is_method("BYE") == "a"', True), ('5 =~ "a"', True), ('5 eq "5"', True),
    ('"5" eq 5', False), ('"a" =~ 5', False), ('"a" + 5 == 5', False), ('5 | "1"', True),
    ('selval(1, "a", 2) + 1', False), ("1 + selval(1, 2, 3)", False), ('"1" || $var(x)', True),
    ('-"5"', True), ('(int)("a")', False), ("$rU == 5", False), ("5 == $rU", False), ('"a" == 5', False),
    ('$var(a) == "5" == 1', False),
    ('defined "a"', False), ("defined 5", True), ("strlen($var(x) + 1)", False),
    ("strlen(1 + $var(x))", True), ("strempty(5)", True), ('$rU - "1"', True), ('(5 > 3) == "1"', True),
    ('($var(x) + "a") * 2', False), ('("a" + $var(x)) * 2', True), ('"a" ieq "b"', True),
    ("$avp(x) =~ 5", False), ("(str)5 == 5", False),
]  # fmt: skip


@pytest.mark.parametrize(("expression", "refused"), TYPES, ids=[row[0] for row in TYPES])
def test_types_are_refused_exactly_where_kamailio_refuses_them(expression, refused):
    found = [code for code, _ in errors(f"$var(r) = {expression};")]
    assert (found == ["KT1160"]) if refused else (found == [])


EXPRESSIONS = [
    # recorded: what 5.6.3 starts with, and what it refuses because it is not constant
    ("append_branch($ru);", True), ("setbflag($var(x));", True), ("is_myself($ru);", True),
    ("setbflag($var(x) + 1);", True), ('t_check_status($var(x));', False), ("t_relay($rd, $rp);", False),
    ('append_hf($var(h));', False), ("is_method($rm);", False), ('t_on_failure($var(f));', False),
    ('sl_send_reply("4" + "04", "No");', True), ('xlog("a" + "b");', True),
]  # fmt: skip


@pytest.mark.parametrize(("call", "accepted"), EXPRESSIONS, ids=[row[0] for row in EXPRESSIONS])
def test_an_argument_may_be_an_expression_where_kamailio_takes_one(call, accepted):
    head = HEAD + 'loadmodule "corex.so"\nloadmodule "kex.so"\n'
    found = [e.code for e in check(call, head=head).errors]
    assert found == ([] if accepted else ["KT1158"] * len(found))
    assert bool(found) != accepted


WARNED = [
    ("if ($rU) exit;", "KT1316", "$rU"),
    ("if (!$fU) exit;", "KT1316", "$fU"),
    ('if (is_method("BYE") && $rU) exit;', "KT1316", "$rU"),
    ("if (1) exit;", "KT1314", "1"),
    ('if ("abc") exit;', "KT1314", '"abc"'),
    ("if (($var(a) = 1)) exit;", "KT1315", "($var(a) = 1)"),
    ("exit;\nsetflag(1);", "KT1312", "setflag(1)"),
    ("if ($rU == 1) { drop; $var(a) = 1; }", "KT1312", "$var(a) = 1"),
    ("break;", "KT1313", "break"),
    ("if ($var(a) == $null) exit;", "KT1317", "$var(a) == $null"),
    ('if ($sp == "a b") exit;', "KT1318", '"a b"'),
    ('t_on_failure("NOPE");', "KT1310", '"NOPE"'),
    ("switch ($rU) { }", "KT1308", "switch ($rU) { }"),
    ('switch ($rU) { case "a": exit; case "a": exit; }', "KT1307", 'case "a":'),
    ("if (method == FOO) exit;", "KT1305", "FOO"),
    ('remove_hf("$var(x)");', "KT1319", '"$var(x)"'),
]


@pytest.mark.parametrize(("body", "code", "text"), WARNED, ids=[row[0] for row in WARNED])
def test_a_warning_says_what_and_where(body, code, text):
    assert (code, text) in warnings(body)


def test_a_route_that_nothing_calls_is_named():
    assert warnings("exit;", "route[A] { exit; }\nfailure_route[F] { exit; }") == [
        ("KT1311", "A"),
        ("KT1311", "F"),
    ]


def test_a_route_called_from_anywhere_is_used():
    routes = (
        "route[A] { exit; }\nfailure_route[F] { route(A); }\nonreply_route[R] { exit; "
        "}\nbranch_route[B] { exit; }"
    )
    assert warnings('t_on_failure("F"); t_on_reply("R"); t_on_branch("B");', routes) == []


def test_an_event_route_of_a_module_that_is_not_loaded_is_named():
    routes = "event_route[tm:local-request] { exit; }\nevent_route[core:worker-one-init] { exit; }\n"
    assert warnings("exit;", routes + "event_route[xhttp:request] { exit; }") == [("KT1320", "xhttp:request")]


def test_modparamx_reads_defines_and_the_environment(monkeypatch):
    monkeypatch.setenv("KT_PREFIX", "<kt>: ")
    size = '#!define SIZE 500\nmodparamx("xlog", "buf_size", $def(SIZE))\n'
    report = check("exit;", size + 'modparamx("xlog", "prefix", "$env(KT_PREFIX)")')
    assert report.errors == ()
    assert [(p.name, p.value) for p in report.script.modparams] == [("buf_size", 500), ("prefix", "<kt>: ")]


def test_a_dynamic_call_may_mean_any_route():
    assert warnings("route($rU);", "route[A] { exit; }") == []


def test_a_function_in_the_wrong_block_is_refused():
    report = language.check(
        HEAD + 'request_route { t_on_failure("F"); }\nfailure_route[F] { loose_route(); }'
    )
    (error,) = report.errors
    assert error.code == "KT1156"
    assert "failure_route" in error.message
    assert error.place.column == 32


def test_an_event_route_may_call_anything():
    """As Kamailio 5.6.3 has it."""
    routes = "request_route { exit; }\nevent_route[a:b] { loose_route(); t_relay(); force_rport(); drop; }"
    assert language.check(HEAD + routes).errors == ()


def test_what_stands_above_its_loadmodule_is_unknown():
    report = language.check('request_route { exit; }\nroute[A] { xlog("a"); }\nloadmodule "xlog.so"\n')
    assert [(e.code, e.span.line) for e in report.errors] == [("KT1150", 2)]


MODULES = [
    ('loadmodule "nosuch.so"', "KT1200"),
    ('loadmodule "pv.so"', "KT1206"),
    ('modparam("usrloc", "db_mode", 0)', "KT1207"),
    ('modparam("tm", "nosuch", 0)', "KT1203"),
    ('modparam("tm", "fr_timer", "5")', "KT1204"),
    ('modparam("xlog", "prefix", 5)', "KT1204"),
    ('loadmodule "registrar.so"', "KT1205"),
]


@pytest.mark.parametrize(("line", "code"), MODULES, ids=[row[0] for row in MODULES])
def test_modules_and_their_parameters_are_checked(line, code):
    assert code in [e.code for e in language.check(HEAD + line + "\nrequest_route { exit; }").errors]


def test_a_parameter_may_be_set_for_several_modules():
    assert check("exit;", 'modparam("nosuch|t.*", "fr_timer", 5)').errors == ()


def test_functions_of_a_missing_module_are_not_complained_about_too():
    report = language.check('loadmodule "nosuch.so"\nrequest_route { nosuch_do("a"); $nosuch(x) = 1; exit; }')
    assert [e.code for e in report.errors] == ["KT1200"]


HINTS = [
    ("t_rely();", "t_relay"),
    ('sl_send_reply("200");', "sl_send_reply(code, reason)"),
    ("maxfwd();", ""),
    ('mf_process_maxfwd_header("10");', 'loadmodule "maxfwd.so"'),
    ("route(WITHN);", "route[WITHIN]"),
    ('xlog("$rU.");', "$(rU)"),
    ('xlog("$(rU{s.lenn})");', "{s.len}"),
    ("xlog($rU);", '"$rU"'),
]


@pytest.mark.parametrize(("body", "hint"), HINTS, ids=[row[0] for row in HINTS])
def test_a_hint_names_the_remedy(body, hint):
    found = check(body, "route[WITHIN] { exit; }").errors
    assert hint in found[0].hint
    assert bool(found[0].hint) == bool(hint)


SLIPS = [
    ("WITH_NATT", True),
    ("WTIH_NAT", True),
    ("WITH_NAY", True),
    ("WITH_NA", True),
    ("WITH_NAT", False),
    ("WITH_TLS", False),
    ("FLAG_2", False),
]


@pytest.mark.parametrize(("name", "warned"), SLIPS, ids=[row[0] for row in SLIPS])
def test_a_define_asked_for_under_a_misspelt_name_is_warned_about(name, warned):
    text = f"#!define WITH_NAT\n#!define FLAG_1\n#!ifdef {name}\n#!endif\nrequest_route {{ exit; }}"
    assert [w.code for w in language.check(text).warnings] == (["KT1303"] if warned else [])


def test_unknown_names_are_attributes_only_without_the_marker():
    text = BASE + "request_route { $nosuch = 7; $avp(x) = $nosuch + 1; }"
    assert [w.code for w in language.check(text).warnings] == ["KT1304", "KT1304"]
    assert [e.code for e in language.check("#!KAMAILIO\n" + text).errors] == ["KT1130", "KT1130"]


# How findings look


def test_a_finding_shows_its_line_with_a_caret_and_a_hint():
    report = language.check(HEAD + "request_route {\n\tt_rely();\n}\n", name="edge.cfg")
    line = HEAD.count("\n") + 2
    assert render.render(report.errors[0], report.text) == (
        f"edge.cfg:{line}:2: error: no function `t_rely` [KT1150]\n"
        f"    {line} | \tt_rely();\n"
        f"       | \t^^^^^^\n"
        "   hint: module tm has `t_relay([host], [port])`"
    )


def test_a_very_long_line_is_cut_around_the_caret():
    report = language.check(
        "request_route { " + "setflag(1); " * 200 + "nosuch(); " + "setflag(1); " * 200 + "}"
    )
    shown = render.render(report.errors[0], report.text).split("\n")
    assert all(len(line) < 200 for line in shown)
    assert shown[1][shown[2].index("^") : shown[2].rindex("^") + 1] == "nosuch"


def test_the_form_of_kamailio_points_where_kamailio_points():
    report = language.check(
        HEAD + 'request_route {\nnosuchfunc("a");\n$si = 1;\nif (5 ==\n"a") exit;\n}\n', name="t.cfg"
    )
    line = HEAD.count("\n") + 2
    place = "CRITICAL: parse error in config file t.cfg"
    assert [render.kamailio(error).rpartition(": ")[0] for error in report.errors] == [
        f"{place}, line {line}, column 15",
        f"{place}, line {line + 1}, column 1-3",
        f"{place}, from line {line + 2}, column 5 to line {line + 3}, column 3",
    ]
