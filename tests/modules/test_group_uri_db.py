"""group and uri_db: the codes that Kamailio 5.6.3 gave for the same rows and requests."""

import asyncio
import re

import pytest

from kamtool.errors import RpcError, StoreError
from tests.support.digest import authorization
from tests.support.script import OPTIONS

ROUTE = """request_route {
    if ($hdr(X-A) == "y") www_authenticate("example.org", "subscriber");
    $avp(u) = $hdr(X-U);
    check_from(); $avp(from) = $rc;
    check_to(); $avp(to) = $rc;
    check_uri("$hdr(X-U)"); $avp(uri) = $rc;
    does_uri_exist(); $avp(exist) = $rc;
    is_user_in("From", "ld"); $avp(f) = $rc;
    is_user_in("Credentials", "ld"); $avp(c) = $rc;
    is_user_in("Request-URI", "ld"); $avp(r) = $rc;
    is_user_in("$avp(u)", "ld"); $avp(a) = $rc;
    get_user_group("From", "$avp(g)"); $avp(n) = $rc;
}"""
MESSAGES = [
    ("sip:alice@example.org", "sip:bob@example.com", "sip:bob@example.com", "sip:alice@example.org"),
    ("sip:alias1@example.org", "sip:alice@other", "sip:alice@other", "sip:alias1@zzz"),
    ("sip:eve@example.org", "sip:alice@example.org", "sip:nobody@example.com", "garbage"),
    ("sip:example.org", "sip:carol@x", "sip:example.com", ""),
]


@pytest.fixture
def load(script, rows):
    for user, domain, password in [("alice", "example.org", "secret"), ("bob", "example.com", "x")]:
        rows.add("subscriber", username=user, domain=domain, password=password)
    for user in ("alias1", "alice"):
        rows.add("uri", username="alice", domain="example.org", uri_user=user)
    for user, domain, group in [("alice", "example.org", "ld"), ("bob", "zzz", "ld"), ("carol", "x", "int")]:
        rows.add("grp", username=user, domain=domain, grp=group)
    for expression, number in [("^sip:alice@.*", 1), ("alice", 2), ("^sip:BOB", 3), (".", 4)]:
        rows.add("re_grp", reg_exp=expression, group_id=number)

    def make(use_uri_table=0, *lines):
        table = "uri" if use_uri_table else "subscriber"
        return script(
            'loadmodule "auth.so"', *rows.lines("auth_db", "uri_db", "group"),
            'modparam("auth_db", "calculate_ha1", 1)', 'modparam("auth_db", "password_column", "password")',
            f'modparam("uri_db", "use_uri_table", {use_uri_table})',
            f'modparam("uri_db", "db_table", "{table}")', 'modparam("group", "re_table", "re_grp")', *lines,
            ROUTE,
        )  # fmt: skip

    return make


DOMAINS = ('modparam("uri_db|group", "use_domain", 1)', 'modparam("group", "multiple_gid", 0)')


def ask(run, message, *, known):
    from_uri, to_uri, ruri, other = message
    text = OPTIONS.replace("sip:alice@example.com;transport=udp", ruri).replace(
        "sip:bob@biloxi.example.org", from_uri
    )
    text = text.replace("<sip:alice@example.com>", f"<{to_uri}>").replace("X-Num: 42", f"X-U: {other}")
    if known:
        auth = run.host.modules["auth"]
        (line, *_) = auth.challenge_headers(
            run.context(OPTIONS), "WWW-Authenticate", "example.org", "", False
        )
        nonce = re.search(r'nonce="([^"]+)"', line)[1]
        value = authorization(nonce, realm="example.org", method="OPTIONS", uri=ruri, qop="")
        text = text.replace("X-U:", f"X-A: y\nAuthorization: {value}\nX-U:")
    return run(text)


def codes(found, names):
    return [found[f"avp({name})"] for name in names.split()]


URIS = [  # use_uri_table, use_domain: for each message from, to, uri and exist, unknown and then known
    (0, 0, [-2, -2, -2, 1], [1, -10, 1, 1], [-2, -2, -2, 1], [-10, 1, -10, 1], [-2, -2, -1, -5],
     [-10, 1, -1, -5], [-4, -2, -1, -5], [-4, -10, -1, -5]),
    (0, 1, [-2, -2, -2, 1], [1, -10, 1, 1], [-2, -2, -2, -5], [-10, 1, -10, -5], [-2, -2, -1, -5],
     [-10, 1, -1, -5], [-4, -2, -1, -5], [-4, -10, -1, -5]),
    (1, 0, [-2, -2, -2, -5], [1, -9, 1, -5], [-2, -2, -2, 1], [1, 1, 1, 1], [-2, -2, -1, -5], [-9, 1, -1, -5],
     [-4, -2, -1, -5], [-4, -9, -1, -5]),
]  # fmt: skip


@pytest.mark.parametrize(("table", "domain", "expected"), [(one[0], one[1], one[2:]) for one in URIS])
def test_a_uri_belongs_to_who_authenticated(load, table, domain, expected):
    run = load(table, *(DOMAINS if domain else ()))
    outcomes = [
        codes(ask(run, message, known=known), "from to uri exist")
        for message in MESSAGES
        for known in (False, True)
    ]
    assert outcomes == list(expected)


def test_members_are_found_by_name(load):
    run = load()
    outcomes = [codes(ask(run, message, known=True), "f c r a n") for message in MESSAGES]
    assert outcomes == [[1, 1, 1, 1, 3], [-6, 1, 1, -6, 1], [-6, 1, -6, -1, 1], [-1, 1, -1, -1, -1]]
    assert ask(run, MESSAGES[0], known=False)["avp(c)"] == -1


def test_members_are_found_by_name_and_domain(load):
    run = load(0, *DOMAINS)
    outcomes = [codes(ask(run, message, known=True), "f c r a n") for message in MESSAGES]
    assert outcomes == [[1, 1, -6, 1, 1], [-6, 1, -6, -6, 1], [-6, 1, -6, -1, 1], [-1, 1, -1, -1, -1]]


def test_expressions_give_all_groups_or_one(load):
    assert ask(load(), MESSAGES[0], known=False)["(avp(g)[*])"] == "1, 2, 4"
    assert ask(load(0, *DOMAINS), MESSAGES[0], known=False)["(avp(g)[*])"] == "4"


def test_a_bad_expression_is_refused_at_start_and_at_reload_leaves_the_old(load, rows):
    run = load()
    group = run.host.modules["group"]
    rows.add("re_grp", reg_exp="eve", group_id=9)
    asyncio.run(group.rpc_reload())
    assert ask(run, MESSAGES[2], known=False)["(avp(g)[*])"] == "4, 9"
    rows.add("re_grp", reg_exp="[", group_id=9)
    with pytest.raises(RpcError, match="re_grp row 6"):
        asyncio.run(group.rpc_reload())
    assert len(group.expressions) == 5
    with pytest.raises(StoreError, match="re_grp row 6"):
        load()
