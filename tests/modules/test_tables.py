"""alias_db and speeddial: what Kamailio 5.6.3 answered for the same rows and requests."""

import pytest

from kamtool.errors import ConfigError, StoreError
from tests.support.script import OPTIONS


def asked(ruri, from_uri="sip:alice@example.org"):
    text = OPTIONS.replace("sip:alice@example.com;transport=udp", ruri)
    return text.replace("sip:bob@biloxi.example.org", from_uri)


def outcome(run, ruri, **kw):
    found = run(asked(ruri, **kw))
    return found["rc"], found["ru"]


@pytest.fixture
def aliases(rows):
    for alias, alias_domain, user, domain in [
        ("sales", "example.com", "bob", "example.com"), ("sales", "example.com", "carol", "other.org"),
        ("info", "", "dave", "x.org"), ("up", "example.com", "Bob", "Ex.com"), ("e", "example.com", "", ""),
    ]:  # fmt: skip
        rows.add("dbaliases", alias_username=alias, alias_domain=alias_domain, username=user, domain=domain)
    return rows


def lookup(script, rows, arguments='"dbaliases"', *lines):
    return script(
        *rows.lines("alias_db"), *lines,
        f"request_route {{ alias_db_lookup({arguments}); $avp(rc) = $rc; }}",
    )  # fmt: skip


def tried(run, ruri):
    found = run(asked(ruri))
    return found["avp(rc)"], found["ru"], [branch.uri for branch in found.ctx.branches]


@pytest.mark.parametrize(
    ("ruri", "expected"),
    [
        ("sip:sales@example.com", (1, "sip:bob@example.com", ["sip:carol@other.org"])),
        ("sip:sales@elsewhere.com", (1, "sip:bob@example.com", ["sip:carol@other.org"])),
        ("sip:sales@sip.example.com:5070;x=y", (1, "sip:bob@example.com", ["sip:carol@other.org"])),
        ("sips:sales@example.com", (1, "sip:bob@example.com", ["sip:carol@other.org"])),
        ("sip:info@example.com", (1, "sip:dave@x.org", [])),
        ("sip:up@example.com", (1, "sip:Bob@Ex.com", [])),
        ("sip:SALES@example.com", (-1, "sip:SALES@example.com", [])),
        ("sip:example.com", (-1, "sip:example.com", [])),
        ("sip:nobody@example.com", (-1, "sip:nobody@example.com", [])),
        ("tel:123", (-1, "tel:123", [])),
    ],
)
def test_an_alias_is_resolved_as_in_kamailio(script, aliases, ruri, expected):
    run = lookup(
        script, aliases, '"dbaliases"', 'modparam("alias_db", "append_branches", 1)',
        'modparam("alias_db", "domain_prefix", "sip.")',
    )  # fmt: skip
    assert tried(run, ruri) == expected


@pytest.mark.parametrize(
    ("flags", "ruri", "expected"),
    [
        ("d", "sip:sales@elsewhere.com", "sip:bob@example.com"),
        ("u", "sip:sales@elsewhere.com", None),
        ("u", "sip:sales@example.com", "sip:bob@example.com"),
        ("u", "sip:sales@EXAMPLE.com", "sip:bob@example.com"),
        ("r", "sip:bob@example.com", "sip:sales@example.com"),
        ("r", "sip:bob@nowhere.com", "sip:sales@example.com"),
        ("ru", "sip:bob@nowhere.com", None),
        ("rd", "sip:sales@elsewhere.com", None),
    ],
)
def test_flags_choose_the_direction_and_the_domain(script, aliases, flags, ruri, expected):
    code, uri, branches = tried(lookup(script, aliases, f'"dbaliases", "{flags}"'), ruri)
    assert (code, uri) == ((1, expected) if expected else (-1, ruri))
    assert branches == [], "append_branches is 0"


def test_use_domain_asks_for_the_domain_too(script, aliases):
    run = lookup(script, aliases, '"dbaliases"', 'modparam("alias_db", "use_domain", 1)')
    assert tried(run, "sip:sales@elsewhere.com")[0] == -1
    assert tried(run, "sip:sales@example.com")[0] == 1


def test_a_row_without_a_user_is_passed_over(script, aliases):
    assert tried(lookup(script, aliases), "sip:e@example.com")[:2] == (-1, "sip:e@example.com")


def test_a_table_that_is_not_there_or_is_no_name_finds_nothing(script, aliases):
    assert tried(lookup(script, aliases, '"nosuch"'), "sip:sales@example.com")[0] == -1
    hostile = lookup(script, aliases, '"dbaliases; DROP TABLE dbaliases"')
    assert tried(hostile, "sip:sales@example.com")[0] == -1
    assert aliases.run("SELECT count(*) FROM dbaliases") == [(5,)]


def test_a_new_alias_counts_at_once(script, aliases):
    run = lookup(script, aliases)
    assert tried(run, "sip:new@example.com")[0] == -1
    aliases.add("dbaliases", alias_username="new", username="bob", domain="b.org")
    assert tried(run, "sip:new@example.com")[:2] == (1, "sip:bob@b.org")


def test_alias_db_find_assigns_each_and_leaves_the_request(script, aliases):
    run = script(
        *aliases.lines("alias_db"),
        'request_route { alias_db_find("dbaliases", "$hdr(X-Uri)", "$avp(o)"); $avp(rc) = $rc; }',
    )
    found = run(OPTIONS.replace("X-Num", "X-Uri: sip:sales@example.com\nX-Num"))
    assert (found["avp(rc)"], found["avp(o)"], found["ru"]) == (
        1, "sip:carol@other.org", "sip:alice@example.com;transport=udp",
    )  # fmt: skip
    for text in ("garbage", "sales", '"X" <sip:sales@example.com>'):
        assert run(OPTIONS.replace("X-Num", f"X-Uri: {text}\nX-Num"))["avp(rc)"] == -1


def test_alias_db_needs_its_database(script):
    with pytest.raises(ConfigError, match="db_url is not set"):
        script('loadmodule "alias_db.so"', 'request_route { alias_db_lookup("dbaliases"); }')


@pytest.fixture
def numbers(rows):
    for user, domain, short, short_domain, uri in [
        ("alice", "example.org", "12", "example.com", "sip:bob@example.com"),
        ("alice", "example.org", "14", "example.com", "sip:x@y:5070;transport=tcp"),
        ("alice", "other.org", "15", "z", "sip:q@w"), ("alice", "example.org", "16", "example.com", ""),
        ("alice", "example.org", "17", "example.com", "carol@example.com"),
    ]:  # fmt: skip
        rows.add(
            "speed_dial", username=user, domain=domain, sd_username=short, sd_domain=short_domain, new_uri=uri
        )
    return rows


def dial(script, rows, arguments='"speed_dial"', *lines):
    return script(
        *rows.lines("speeddial"), *lines, f"request_route {{ sd_lookup({arguments}); $avp(rc) = $rc; }}"
    )


@pytest.mark.parametrize(
    ("ruri", "from_uri", "expected"),
    [
        ("sip:12@example.com", "sip:alice@example.org", "sip:bob@example.com"),
        ("sip:12@other.com", "sip:alice@zzz.org", "sip:bob@example.com"),
        ("sip:14@example.com", "sip:alice@example.org", "sip:x@y:5070;transport=tcp"),
        ("sip:15@example.com", "sip:alice@example.org", "sip:q@w"),
        ("sip:17@example.com", "sip:alice@example.org", "sip:carol@example.com"),
        ("tel:12", "sip:alice@example.org", "sip:bob@example.com"),
        ("sip:99@example.com", "sip:alice@example.org", None),
        ("sip:16@example.com", "sip:alice@example.org", None),
        ("sip:example.com", "sip:alice@example.org", None),
        ("sip:12@example.com", "sip:bob@example.org", None),
        ("sip:12@example.com", "sip:example.org", None),
    ],
)
def test_a_short_number_means_what_its_owner_said(script, numbers, ruri, from_uri, expected):
    found = dial(script, numbers)(asked(ruri, from_uri))
    assert (found["avp(rc)"], found["ru"]) == ((1, expected) if expected else (-1, ruri))


def test_another_owner_may_be_named(script, numbers):
    run = dial(script, numbers, '"speed_dial", "$hdr(X-Owner)"')
    for owner, code in [("sip:alice@other.org", 1), ("garbage", -1), ("sip:bob@other.org", -1)]:
        text = asked("sip:15@example.com", "sip:nobody@x").replace("X-Num", f"X-Owner: {owner}\nX-Num")
        assert run(text)["avp(rc)"] == code, owner


def test_domains_count_with_use_domain(script, numbers):
    run = dial(
        script, numbers, '"speed_dial"', 'modparam("speeddial", "use_domain", 1)',
        'modparam("speeddial", "domain_prefix", "sip.")',
    )  # fmt: skip
    assert run(asked("sip:12@sip.example.com"))["avp(rc)"] == 1
    assert run(asked("sip:12@other.com"))["avp(rc)"] == -1
    assert run(asked("sip:12@example.com", "sip:alice@zzz.org"))["avp(rc)"] == -1


def test_a_table_of_another_version_is_refused(script, numbers):
    numbers.run("UPDATE version SET table_version = 1 WHERE table_name = 'speed_dial'")
    with pytest.raises(StoreError, match="version 1, older than the 2"):
        dial(script, numbers)
