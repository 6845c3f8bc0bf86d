"""avpops: what Kamailio 5.6.3 did with the same AVPs, requests and rows."""

import pytest

from kamtool.modules.avpops.parts import holds, operation_of
from tests.support.script import OPTIONS

BEFORE = (
    '$avp(a)="one"; $avp(a)="two"; $avp(n)=5; $avp(n)=12; $avp(u)="sip:alice@example.org"; $avp(uu)="u1";'
)
MESSAGE = OPTIONS.replace("sip:bob@biloxi.example.org", "sip:alice@example.org").replace(";transport=udp", "")


@pytest.fixture
def run(script, rows):
    for uuid, user, domain, attribute, kind, value in [
        ("u1", "alice", "example.org", "foo", 0, "v1"), ("u1", "alice", "example.org", "foo", 0, "v2"),
        ("", "alice", "example.org", "num", 1, "42"), ("", "bob", "example.org", "bar", 0, "b"),
        ("", "alice", "zz", "foo", 0, "other"), ("", "alice", "example.org", "12", 3, "7"),
    ]:  # fmt: skip
        rows.add(
            "usr_preferences",
            uuid=uuid,
            username=user,
            domain=domain,
            attribute=attribute,
            type=kind,
            value=value,
        )

    def make(call, *lines):
        return script(*rows.lines("avpops"), *lines, f"request_route {{ {BEFORE} {call} $avp(rc) = $rc; }}")(
            MESSAGE
        )

    return make


def shown(found, *names):
    return tuple(found[f"(avp({name})[*])"] for name in names)


@pytest.mark.parametrize(
    ("name", "code"),
    [("a", 1), ("a)/n", -1), ("n)/n", 1), ("a)/s", 1), ("zz", -1), ("a)/e", -1)],
)
def test_whether_an_avp_is_set(run, name, code):
    text = name if ")" in name else f"{name})"
    assert run(f'is_avp_set("$avp({text}");')["avp(rc)"] == code


@pytest.mark.parametrize(
    ("call", "code", "a", "b"),
    [
        ('avp_delete("$avp(a)");', 1, "one", None), ('avp_delete("$avp(a)/g");', 1, None, None),
        ('avp_delete("$avp(zz)");', -1, "two, one", None),
        ('avp_copy("$avp(a)", "$avp(b)");', 1, "two, one", "two"),
        ('avp_copy("$avp(a)", "$avp(b)/g");', 1, "two, one", "one, two"),
        ('avp_copy("$avp(a)", "$avp(b)/d");', 1, "one", "two"),
        ('avp_copy("$avp(a)", "$avp(b)/gd");', 1, None, "one, two"),
        ('avp_copy("$avp(n)", "$avp(b)/s");', 1, "two, one", "12"),
        ('avp_copy("$avp(zz)", "$avp(b)");', -1, "two, one", None),
        ('avp_subst("$avp(a)", "/t(.)/X\\1/");', 1, "Xwo", None),
        ('avp_subst("$avp(a)/$avp(b)", "/t(.)/X\\1/");', 1, "two, one", "Xwo"),
        ('avp_subst("$avp(a)/$avp(b)/g", "/o/X/g");', 1, "two, one", "Xne, twX"),
        ('avp_subst("$avp(a)", "/nomatch/X/");', -1, "two, one", None),
        ('avp_subst("$avp(a)/$avp(b)/d", "/t/X/");', 1, "one", "Xwo"),
        ('avp_op("$avp(n)/$avp(b)", "mul/i:3");', 1, "two, one", "15, 36"),
        ('avp_op("$avp(n)/$avp(b)/g", "add/i:1");', 1, "two, one", "6, 13"),
        ('avp_op("$avp(a)", "add/i:4");', -1, "two, one", None),
    ],
)  # fmt: skip
def test_avps_are_copied_changed_and_deleted(run, call, code, a, b):
    found = run(call)
    assert (found["avp(rc)"], *shown(found, "a", "b")) == (code, a, b)


@pytest.mark.parametrize(
    ("operation", "numbers"),
    [
        ("add/i:3", "8, 15, 12, 5"), ("sub/i:3", "2, 9, 12, 5"), ("div/i:5", "1, 2, 12, 5"),
        ("mod/i:5", "0, 2, 12, 5"), ("and/i:4", "4, 4, 12, 5"),
    ],
)  # fmt: skip
def test_results_are_pushed_onto_the_avp_itself(run, operation, numbers):
    assert shown(run(f'avp_op("$avp(n)", "{operation}");'), "n") == (numbers,)


def test_a_division_by_zero_and_an_unknown_operator_end_the_statement(run):
    for operation in ("div/i:0", "foo/i:1"):
        assert shown(run(f'avp_op("$avp(n)", "{operation}");'), "n") == ("12, 5",)


@pytest.mark.parametrize(
    ("name", "test", "code"),
    [
        ("a", "eq/s:two", 1), ("a", "eq/s:one", -1), ("a", "eq/s:one/g", 1), ("n", "gt/i:6", 1),
        ("n", "lt/i:6/g", 1), ("a", "fm/t*", 1), ("a", "re/^t", 1), ("a", "eq/s:TWO/i", 1),
        ("a", "ne/s:two", -1), ("a", "eq/$avp(a)", 1), ("n", "eq/s:12", -1),
    ],
)  # fmt: skip
def test_values_are_compared(run, name, test, code):
    assert run(f'avp_check("$avp({name})", "{test}");')["avp(rc)"] == code


def test_operators_and_flags_are_read():
    asked = operation_of("re/^sip:(a|b)/gi")
    assert (asked.operator, asked.operand, asked.flags) == ("re", "^sip:(a|b)", "gi")
    assert holds("a/b", "eq", "a/b", fold=False)
    assert holds(6, "and", 2, fold=False)


@pytest.mark.parametrize(
    ("call", "code", "variable", "value"),
    [
        ('avp_pushto("$ru", "$avp(u)");', 1, "ru", "sip:alice@example.org"),
        ('avp_pushto("$du", "$avp(u)");', 1, "du", "sip:alice@example.org"),
        ('avp_pushto("$ru/username", "$avp(a)");', 1, "ru", "sip:two@example.com"),
        ('avp_pushto("$ru/domain", "$avp(a)");', 1, "ru", "sip:alice@two"),
        ('avp_pushto("$ru", "$avp(zz)");', -1, "ru", "sip:alice@example.com"),
    ],
)
def test_values_are_pushed_to_the_request(run, call, code, variable, value):
    found = run(call)
    assert (found["avp(rc)"], found[variable]) == (code, value)


def test_values_become_branches(run):
    assert [branch.uri for branch in run('avp_pushto("$br", "$avp(u)");').ctx.branches] == [
        "sip:alice@example.org"
    ]


@pytest.mark.parametrize(
    ("call", "code", "foo", "number", "bar"),
    [
        ('avp_db_load("$fu", "$avp(s:foo)");', 1, "other, v2, v1", None, None),
        ('avp_db_load("$fu/username", "*");', 1, "other, v2, v1", 42, None),
        ('avp_db_load("$fu/domain", "*");', 1, "v2, v1", 42, "b"),
        ('avp_db_load("$avp(uu)", "*");', 1, "v2, v1", None, None),
        ('avp_db_load("$avp(zz)", "$avp(foo)");', -1, None, None, None),
        ('avp_db_load("$fu", "$avp(zzz)");', -1, None, None, None),
    ],
)
def test_avps_are_loaded_by_user(run, call, code, foo, number, bar):
    found = run(call)
    assert (found["avp(rc)"], *shown(found, "foo"), found["avp(num)"], found["avp(bar)"]) == (
        code,
        foo,
        number,
        bar,
    )


def test_a_numbered_avp_and_the_users_domain(run):
    found = run('avp_db_load("$fu", "*");', 'modparam("avpops", "use_domain", 1)')
    assert (*shown(found, "foo"), found["avp(i:12)"]) == ("v2, v1", 7)


def test_avps_are_stored_and_deleted(run, rows):
    assert run('avp_db_store("$fu", "$avp(a)");')["avp(rc)"] == 1
    columns = "username, domain, attribute, type, value"
    stored = rows.run(f"SELECT {columns} FROM usr_preferences WHERE attribute = 'a' ORDER BY id")
    assert stored == [("alice", "example.org", "a", 0, "one"), ("alice", "example.org", "a", 0, "two")]
    assert shown(run('$avp(a) = $null; $avp(a) = $null; avp_db_load("$fu", "$avp(a)");'), "a") == (
        "two, one",
    )
    assert run('avp_db_store("$fu", "$avp(zz)");')["avp(rc)"] == -1
    run('avp_db_delete("$fu", "$avp(a)");')
    assert rows.run("SELECT count(*) FROM usr_preferences WHERE attribute = 'a'") == [(0,)]
    run('avp_db_delete("$fu/username", "*");')
    assert rows.run("SELECT username FROM usr_preferences") == [("bob",)]


@pytest.mark.parametrize(
    ("call", "code", "first", "second"),
    [
        ("\"select username, value from usr_preferences where attribute='foo'\", \"$avp(q);$avp(p)\"",
         1, "alice, alice, alice", "v1, v2, other"),
        ("\"select value from usr_preferences where attribute='nosuch'\", \"$avp(q)\"", -2, None, None),
        ('"bad sql", "$avp(q)"', -1, None, None),
        ("\"delete from usr_preferences where attribute='bar'\"", -2, None, None),
        ('"select type from usr_preferences where type=1", "$avp(q)"', 1, "1", None),
    ],
)  # fmt: skip
def test_a_query_fills_avps_the_first_row_on_top(run, call, code, first, second):
    found = run(f"avp_db_query({call});")
    assert (found["avp(rc)"], *shown(found, "q", "p")) == (code, first, second)


def test_a_query_without_avps_fills_numbered_ones(run):
    found = run('avp_db_query("select value, id from usr_preferences where id < 3 order by id");')
    assert shown(found, "i:1", "i:2") == ("v1, v2", "1, 2")


def test_without_a_database_only_the_table_fails(script):
    run = script('loadmodule "avpops.so"', 'request_route { avp_db_load("$fu", "*"); $avp(rc) = $rc; }')
    assert run(MESSAGE)["avp(rc)"] == -1
