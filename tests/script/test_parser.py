"""Grammar and its mistakes: cfglang §4 and §17. Positions are those of the token that is wrong."""

import pytest

from kamtool import script as language
from kamtool.script.nodes import If, Leave, Listen
from tests.support.script import BASE

HEAD = "#!KAMAILIO\n" + BASE
FIRST = HEAD.count("\n") + 2
"""The line of the first statement in `route_with`."""


def findings(text):
    return [(e.code, e.span.line, e.span.column) for e in language.check(text, name="t.cfg").errors]


def in_route(statements):
    """Errors of statements in a request_route, lines counted from its first statement."""
    found = language.check(HEAD + "request_route {\n" + statements + "\n}\n", name="t.cfg").errors
    return [(e.code, e.span.line - FIRST + 1, e.span.column) for e in found]


STATEMENTS = [
    ('xlog("a")\nxlog("b");', [("KT1104", 2, 1)]),
    ("$var(a) = 1\n$var(b) = 2;", [("KT1104", 2, 1)]),
    ("$var(a) 1;", [("KT1104", 1, 9)]),
    ("$var(a)++;", [("KT1104", 1, 8)]),
    ("$var(a) = $var(b) = 3;", [("KT1108", 1, 19)]),
    ("$var(a) = 5 % 2;", [("KT1104", 1, 13)]),
    ("$var(a) = +5;", [("KT1108", 1, 11)]),
    ("$var(a) = 'x' 'y';", [("KT1109", 1, 15)]),
    ("if (1) { }", [("KT1103", 1, 8)]),
    ("{ exit; }", [("KT1103", 1, 1)]),
    ('switch ($rU) { case "a": { exit; } break; }', [("KT1103", 1, 26)]),
    ("else exit;", [("KT1103", 1, 1)]),
    ("if ($var(a) = 1 && 2) $var(b) = 1 = 2;", [("KT1108", 1, 35)]),
    ("if $var(a) = 1 exit;", [("KT1108", 1, 12)]),
    ("route(A-B);", [("KT1108", 1, 7)]),
    ("xlog;", [("KT1108", 1, 1)]),
    ("route[log] { exit; }", [("KT1103", 0, 15), ("KT1102", 1, 7)]),
    ('$rm == "INVITE";', [("KT1104", 1, 5)]),
    ("if ($rm == INVITE) exit;", [("KT1108", 1, 12)]),
    ("if ($rd == myself) exit;", [("KT1108", 1, 12)]),
    ("while (1 exit;", [("KT1104", 1, 10)]),
]


@pytest.mark.parametrize(("statements", "expected"), STATEMENTS, ids=[row[0] for row in STATEMENTS])
def test_a_mistake_is_reported_at_its_token(statements, expected):
    assert in_route(statements) == expected


FINE = [
    'if $rU=="a" { exit; }',
    "if (1 == 1) ;",
    "while $var(x) { break; }",
    "force_rport; exit;",
    'if (not is_method("INVITE") and 1 > 0) exit;',
    "switch ($rU) { }",
    "switch (1) { case 1: case 2: exit; default: }",
    '$var(a) = { xlog("x"); return 7; };',
    "if (1 > 0) { exit; };",
    "if (1 > 0) { ; }",
    "if (($var(a) = 3)) exit;",
    "return(-2);",
    "exit();",
    '$var(a) = "a" "b"\n"c";',
    'rewriteuser("a"); setu("b"); sethp("c:1"); prefix("9"); strip(1);',
    "setflag(1); resetflag(2); if (isflagset(1)) exit;",
    "forward(10.0.0.1, 5060); exit;",
    "forward(example.com); exit;",
    "force_send_socket(udp:10.0.0.1:5060); set_advertised_address(1.2.3.4); set_advertised_port(5060);",
    "if (uri == myself || myself == from_uri) exit;",
    "if (src_ip == 10.0.0.0/8 || src_ip == 192.168.0.0/255.255.0.0 || src_ip == ::1) exit;",
    'if (method == INVITE || method =~ "INV|ACK") exit;',
    "if (msg:len >= 2048) exit;",
    "if (proto == tcp && af == INET6 && dst_port == 5060) exit;",
    "$var(a) = @via[1].host; $var(b) = @hf_value.event;",
    '$var(a) = selval($rU == "a", 1, "x");',
    'log(1, "text");',
]


@pytest.mark.parametrize("statements", FINE, ids=FINE)
def test_what_kamailio_accepts_is_accepted(statements):
    assert in_route(statements) == []


GLOBALS = [
    ("", [("KT1100", 1, 1)]),
    ("# c\n", [("KT1100", 1, 4)]),
    ("nosuch = 1\nrequest_route { exit; }", [("KT1121", 1, 1)]),
    ("debug = 1 + 1\nrequest_route { exit; }", [("KT1101", 1, 11)]),
    ('debug = "1"\nrequest_route { exit; }', [("KT1122", 1, 9)]),
    ("log_name = 5\nrequest_route { exit; }", [("KT1122", 1, 12)]),
    ('loadmodule("rr.so")\nrequest_route { exit; }', [("KT1110", 1, 11)]),
    ("sip.port = 5\nrequest_route { exit; }", [("KT1123", 1, 5)]),
    ("request_route { exit; }\n}\n", [("KT1101", 2, 1)]),
    ("request_route {\n if (1 > 0) {\n exit;\n}\n", [("KT1103", 1, 15)]),
    ("request_route { exit; }\nexit;\n", [("KT1101", 2, 1)]),
    ("event_route { exit; }", [("KT1102", 1, 13)]),
    ("route[E] { }\nrequest_route { exit; }", [("KT1103", 1, 10)]),
    ("a.b = 1\na.b = 2\nrequest_route { exit; }", [("KT1124", 2, 1)]),
    ("flags A:32\nrequest_route { exit; }", [("KT1126", 1, 7)]),
    ("flags exit\nrequest_route { exit; }", [("KT1120", 1, 7)]),
    ("reply_route[X] { exit; }", [("KT1102", 1, 13)]),
]


@pytest.mark.parametrize(("text", "expected"), GLOBALS, ids=[row[0] or "empty" for row in GLOBALS])
def test_a_mistake_between_routes_is_reported_at_its_token(text, expected):
    assert findings(text) == expected


def test_all_mistakes_of_a_file_are_reported_at_once():
    text = HEAD + (
        "nosuch = 1\n"
        'modparam("xlog", "nosuch", 1)\n'
        "request_route {\n"
        "  $var(a) = ;\n"
        "  nosuch();\n"
        "  if ($nosuch(x) == 1) { exit; }\n"
        "  route(NOWHERE);\n"
        "}\n"
        "route[A] { exit }\n"
        "route[A] { exit; }\n"
    )
    line = HEAD.count("\n")
    assert findings(text) == [
        ("KT1121", line + 1, 1),
        ("KT1203", line + 2, 18),
        ("KT1108", line + 4, 13),
        ("KT1150", line + 5, 3),
        ("KT1130", line + 6, 7),
        ("KT1153", line + 7, 9),
        ("KT1104", line + 9, 17),
        ("KT1155", line + 10, 7),
    ]


def test_a_missing_brace_points_at_the_block_and_where_it_was_missed():
    (error,) = language.check("request_route {\n  if (1 > 0) {\n  exit;\n}\nroute[X] { exit; }\n").errors
    assert (error.span.line, error.span.column) == (1, 15)
    assert (error.place.line, error.place.column) == (5, 1)


def test_addresses_to_listen_on():
    text = (
        'listen=udp:127.0.0.1:5060\nlisten=tcp:[::1]:5070 advertise sip.example.com:5080 name "six" virtual\n'
        "listen=eth0\nlisten=(10.0.0.1, lo):5090 udp:my-host.example.com\nlisten=udp:::1:5061\n"
        'alias=example.com alias=udp:"example.org":5060 a.b-c.d:5070\nrequest_route { exit; }\n'
    )
    settings = language.load(text).settings
    assert [(x.protocol, x.hosts, x.port) for x in settings.listens][:4] == [
        ("udp", ("127.0.0.1",), 5060),
        ("tcp", ("[::1]",), 5070),
        ("", ("eth0",), 0),
        ("", ("10.0.0.1", "lo"), 5090),
    ]
    second: Listen = settings.listens[1]
    assert (second.advertised_host, second.advertised_port, second.name, second.virtual) == (
        "sip.example.com", 5080, "six", True,
    )  # fmt: skip
    assert [(a.protocol, a.host, a.port) for a in settings.aliases] == [
        ("", "example.com", 0), ("udp", "example.org", 5060), ("", "a.b-c.d", 5070),
    ]  # fmt: skip


def test_global_parameters_keep_kinds_and_synonyms():
    text = (
        "debug=-1\nlog_stderror=yes\ndisable_tls=yes\nlog_facility=LOG_LOCAL0\ntls_enable=on\nchildren=4\n"
        'server_header="Server: x"\nadvertised_address=10.1.2.3\nudp_mtu_try_proto=TCP\nuser="kt"\n'
        'pstn.gw = "h" desc "gateway"\npstn.gw_port = 5\nrequest_route { exit; }\n'
    )
    settings = language.load(text).settings
    assert settings["debug"] == -1
    assert settings["enable_tls"] == 1
    assert settings["log_facility"] == "LOG_LOCAL0"
    assert settings["advertised_address"] == "10.1.2.3"
    assert settings["max_while_loops"] == 100
    assert settings.custom == {"pstn": {"gw": "h", "gw_port": 5}}
    assert settings.described["pstn.gw"].description == "gateway"


def statements(text):
    """The statements of a request_route that begins on line 1."""
    script = language.load("request_route {\n" + text + "\n}\n")
    return script.routes[0].body.statements


def test_positions_of_statements_for_display_and_for_traces():
    """cfglang §20: Kamailio traces the line of the last token its parser had read."""
    text = (
        'setflag(1)\n;\n$var(a)=1\n;\nlog("x"\n)\n;\nif (1 > 2) {\n setflag(2);\n} else {\n'
        " setflag(3);\n}\n\n"
        "switch(1) {\n case 1: setflag(4);\n}\n\nwhile(0) {\n setflag(5);\n}\n\nif (2 > 1) exit;\n\nreturn\n;"
    )
    found = statements(text.replace("$var(a)=1", "resetflag(1)"))
    assert [(s.span.line - 1, s.line - 1) for s in found] == [
        (1, 1), (3, 3), (5, 6), (8, 12), (14, 16), (18, 20), (22, 24), (24, 25),
    ]  # fmt: skip


def test_an_assignments_line_is_that_of_its_semicolon():
    script = language.load('loadmodule "pv.so"\nrequest_route {\n$var(a) =\n1\n;\n}\n')
    assert script.routes[0].body.statements[0].line == 5


def test_an_if_without_else_ends_at_the_token_after_it():
    (first, second) = statements("if (1 > 2) setflag(1);\n\n\nexit;")
    assert isinstance(first, If)
    assert isinstance(second, Leave)
    assert (first.line, second.line) == (5, 5)


def test_deep_nesting_is_refused_not_crashed_on():
    deep = "(" * 10_000
    assert in_route(f"$var(a) = {deep}1;")[0][0] == "KT1107"
    assert in_route("if (1 > 0) " * 10_000 + "exit;")[0][0] == "KT1107"
    assert in_route("$var(a) = " + "!" * 10_000 + "1;")[0][0] == "KT1107"
    assert in_route("$var(a) = " + "1 - " * 10_000 + "1;")[0][0] == "KT1107"
    assert in_route("if (" + "$rU == 1 || " * 1_000 + "0 > 1) exit;") == []
