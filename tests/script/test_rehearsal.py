# ruff: noqa: E501
"""What modules would refuse at their start is found by a check, at the modparam or call that is to blame."""

import pytest

from kamtool import script as language
from kamtool.module import available

HEAD = "#!KAMAILIO\n" + "".join(
    f'loadmodule "{name}.so"\n'
    for name in "pv xlog htable counters statistics rtimer regex benchmark sqlops corex db_sqlite".split()  # noqa: SIM905
)
ACC = 'loadmodule "tm.so"\nloadmodule "acc.so"\n'
CASES = [
    ('modparam("htable", "htable", «"ban=>size"»)', "", "KT1201"),
    ('modparam("htable", "htable", "a=>size=4;")\nmodparam("htable", "htable", «"a=>size=4;"»)', "", "KT1201"),
    ('modparam("rtimer", "exec", «"timer=ta;route=A"»)', "", "KT1201"),
    ('modparam("rtimer", "timer", "name=ta;interval=9")\nmodparam("rtimer", "exec", «"timer=ta;route=B"»)', "", "KT1201"),
    ('modparam("statistics", "variable", «"calls/often"»)', "", "KT1201"),
    ('modparam("statistics", "variable", "calls")', 'update_stat("calls", "+1"); update_stat(«"call"», "+1");', "KT1211"),
    ('modparam("counters", "script_counter", "calls")', 'cnt_inc("calls"); cnt_inc(«"call"»);', "KT1211"),
    ('modparam("regex", "file", «"/nowhere/at/all"»)', "", "KT1202"),
    ('modparam("benchmark", "granularity", «0»)', "", "KT1201"),
    ('modparam("sqlops", "sqlcon", «"ca"»)', "", "KT1201"),
    ('modparam("sqlops", "sqlcon", "ca=>sqlite:///x.db")', 'sql_query(«"cb"», "select 1");', "KT1201"),
    ('modparam("corex", "alias_subdomains", «"udp:/"»)', "", "KT1201"),
    ('modparam("xlog", "log_facility", «"LOG_NOPE"»)', "", "KT1201"),
    ('modparam("htable", "htable", "a=>size=4;")', '$sht(a=>x) = 1; if («$sht(b=>x)» == 1) drop;', "KT1201"),
    ("", 'xlog(«"$sht(none=>$rU)"»);', "KT1201"),
    ('modparam("pv", "shvset", «"a=5"»)', "", "KT1201"),
    ('loadmodule "cfgutils.so"\nmodparam("cfgutils", "initial_probability", «101»)', "", "KT1201"),
    ('loadmodule "ctl.so"\nmodparam("ctl", "binrpc", «"tcp:localhost"»)', "", "KT1201"),
    (ACC + 'modparam("acc", "time_mode", «9»)', "", "KT1201"),
    (ACC + 'modparam("acc", "failed_filter", «"4xx"»)', "", "KT1201"),
    (ACC + 'modparam("acc", "log_facility", «"LOG_NOPE"»)', "", "KT1201"),
    (ACC + 'modparam("acc", "log_extra", «"a=$nope"»)', "", "KT1130"),
    ('loadmodule "sl.so"\nloadmodule "auth.so"\nmodparam("auth", "algorithm", «"SHA-1"»)', "", "KT1201"),
    ('loadmodule "sl.so"\nloadmodule "auth.so"\nmodparam("auth", "qop", «"int"»)', "", "KT1201"),
    ("", 'xlog(«"LOG_NOPE"», "L_INFO", "x");', "KT1151"),
]  # fmt: skip


@pytest.mark.parametrize(("params", "statements", "code"), CASES, ids=[f"{row[0]}{row[1]}" for row in CASES])
def test_what_a_module_refuses_is_found_where_it_stands(params, statements, code):
    text = f"{HEAD}{params}\nrequest_route {{\n{statements}\nexit;\n}}\n"
    before = text.partition("«")[0]
    report = language.check(text.replace("«", "").replace("»", ""), name="t.cfg")
    found = [(finding.code, finding.span.line, finding.span.column) for finding in report.findings]
    assert found == [(code, before.count("\n") + 1, len(before) - before.rfind("\n"))]


def test_every_module_can_be_rehearsed():
    order = ["tm", "sl", "pv", "rr", "usrloc", "xhttp"]
    names = order + [name for name in available() if name not in (*order, "core")]
    text = "".join(f'loadmodule "{name}.so"\n' for name in names) + "request_route { exit; }\n"
    assert [str(e) for e in language.check(text).errors if e.code not in ("KT1201", "KT1205")] == []
