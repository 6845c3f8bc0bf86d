# ruff: noqa: E501
"""Thirty small cfgs with one mistake each: found where it stands, by its code, and nothing else is said.

The text between « and » is what the caret must point at.
"""

import pytest

from kamtool import script as language

HEAD = "#!KAMAILIO\n" + "".join(
    f'loadmodule "{name}.so"\n'
    for name in "sl pv xlog tm rr textops siputils maxfwd".split()  # noqa: SIM905
)


def inside(statements, routes=""):
    """A cfg whose request_route does this, among ordinary things."""
    return f"""{HEAD}{routes}
request_route {{
    if (!mf_process_maxfwd_header("10")) {{
        sl_send_reply("483", "Too Many Hops");
        exit;
    }}
    {statements}
    t_relay();
}}
"""


SEEDED = [
    # routes
    ("a misspelt route", "KT1153", inside("route(«RELAI»);", "route[RELAY] { t_relay(); }\nroute[X] { route(RELAY); }")
        .replace("t_relay();\n}\n", "route(X);\n}\n")),
    ("a route of the wrong case", "KT1153", inside('route(«"relay"»); route(RELAY);', "route[RELAY] { exit; }")),
    ("a failure_route that is not there", "KT1310", inside('t_on_failure(«"MANAGE_FAILUR"»); t_on_failure("MANAGE_FAILURE");',
        "failure_route[MANAGE_FAILURE] { exit; }")),
    ("a branch_route that is not there", "KT1310", inside("t_on_branch(«\"MANAGE_BRANCH\"»);")),
    ("an onreply_route that is not there", "KT1310", inside("t_on_reply(«\"NAT\"»);")),
    ("a route that nothing calls", "KT1311", inside("", "route[«OLD_NAT»] { exit; }")),
    ("two routes of one name", "KT1155", inside("route(A);", "route[A] { exit; }\nroute[«A»] { drop; }")),
    ("a function in the wrong route", "KT1156", inside('t_on_failure("F");', "failure_route[F] { «loose_route»(); }")),
    # names
    ("a misspelt function", "KT1150", inside("«sl_send_replay»(\"404\", \"No\");")),
    ("a function whose module is not loaded", "KT1150", inside("«sanity_check»(\"1511\", \"7\");")),
    ("too few arguments", "KT1150", inside("«sl_send_reply»(\"404\");")),
    ("a misspelt variable", "KT1130", inside("$var(x) = «$rUser»;")),
    ("an unknown variable in a string", "KT1130", inside("xlog(«\"from $fromuser\"»);")),
    ("a full stop behind a variable", "KT1130", inside("xlog(\"L_INFO\", «\"call for $rU.\"»);")),
    ("a misspelt transformation", "KT1132", inside("$var(x) = «$(rU{s.lenght})»;")),
    ("a misspelt modparam", "KT1203", HEAD + 'modparam("tm", «"fr_timeer"», 5000)\nrequest_route { exit; }'),
    ("a misspelt module", "KT1200", HEAD + 'loadmodule «"siputil.so"»\nrequest_route { exit; }'),
    ("a misspelt global parameter", "KT1121", "«childern»=4\n" + HEAD + "request_route { exit; }"),
    ("a misspelt method", "KT1159", inside("if (is_method(«\"REGISTR\"»)) exit;")),
    ("a socket that is left out", "KT1322", "listen=udp:127.0.0.1\nlisten=«sctp:127.0.0.1»\n" + HEAD + "request_route { exit; }"),
    ("a WebSocket's socket", "KT1124", "listen=«ws:127.0.0.1:80»\n" + HEAD + "request_route { exit; }"),
    ("a misspelt define", "KT1303", "#!define WITH_NAT\n«#!ifdef» WITH_NATT\n#!endif\n#!ifdef WITH_NAT\n#!endif\n" + HEAD
        + "request_route { exit; }"),
    # grammar
    ("a missing semicolon", "KT1104", inside("setflag(1)\n    «setflag»(2);")),
    ("a missing brace", "KT1103", HEAD + "request_route «{»\n    if (is_method(\"ACK\")) {\n        exit;\n}\n"),
    ("a comment behind #!endif", "KT1013", "«#!ifdef» WITH_NAT\ndebug=3\n#!endif # WITH_NAT\n" + HEAD
        + "request_route { exit; }\n"),
    ("an unclosed string", "KT1004", inside("xlog(«\"»hello);").replace('"Too Many Hops"', "'Too Many Hops'")
        .replace('"10"', "'10'").replace('"483"', "'483'")),
    # values and conditions
    ("a read-only variable", "KT1154", inside("«$si» = \"10.0.0.1\";")),
    ("a string in an int comparison", "KT1160", inside("if ($var(n) > «\"5\"») exit;")),
    ("an assignment in a condition", "KT1315", inside("if («($var(x) = 1)») exit;")),
    ("a condition that is always true", "KT1314", inside("if («1») exit;")),
    ("a text as a condition", "KT1316", inside("if («$rU») exit;")),
    ("code behind exit", "KT1312", inside("if ($si == \"10.0.0.1\") { exit; «xlog(\"x\")»; }")),
    ("a bad regular expression", "KT1400", inside("if ($rU =~ «\"^[0-9+$\"») exit;")),
    ("a type that modparam does not take", "KT1204", HEAD + 'modparam("tm", "fr_timer", «"5000"»)\nrequest_route { exit; }'),
    ("modparam above its loadmodule", "KT1207", '«modparam("tm", "fr_timer", 5000)»\n' + HEAD + "request_route { exit; }"),
    ("a variable where it stays text", "KT1319", inside("rewriteuser(«\"$var(u)\"»);")),
    ("a flag that is not declared", "KT1152", inside("setflag(«ACCT»);")),
    ("a define that is there already", "KT1011", '#!define DBURL "a"\n«#!define» DBURL "b"\n' + HEAD
        + "request_route { exit; }"),
    ("a call inside arguments", "KT1157", inside("xlog(\"L_INFO\", «is_method(\"INVITE\")»);")),
    ("a case that is never reached", "KT1307", inside('switch ($rU) { case "a": break; «case "a":» exit; }')),
]  # fmt: skip


@pytest.mark.parametrize(("what", "code", "text"), SEEDED, ids=[row[0] for row in SEEDED])
def test_a_seeded_mistake_is_found_where_it_stands_and_nothing_else_is(what, code, text):
    before, rest = text.split("«")
    marked = rest.partition("»")[0]
    report = language.check(before + rest.replace("»", ""), name="seeded.cfg")
    found = [
        (finding.code, finding.span.line, finding.span.column, under(report, finding))
        for finding in report.findings
    ]
    line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
    assert found == [(code, line, column, marked)]


def under(report, finding):
    """What the caret points at."""
    line = report.text.line(finding.span.file, finding.span.line)
    end = finding.span.end_column - 1 if finding.span.end_line == finding.span.line else len(line)
    return line[finding.span.column - 1 : end]


def test_there_are_thirty_of_them():
    assert len({row[0] for row in SEEDED}) >= 30
