"""Digest authentication against the table `subscriber`."""

import sqlite3
import sys
from collections import Counter

import pytest

from kamtool.errors import ConfigError, StoreError
from kamtool.sip.digest import ha1
from kamtool.store import subscribers
from kamtool.store.migrate import migrate
from kamtool.store.url import database_url
from tests.modules.test_auth import request
from tests.support.digest import authorization, nonce_of
from tests.support.host import Host
from tests.support.until import until


@pytest.fixture
def file(tmp_path):
    migrate(tmp_path / "k.db")
    return tmp_path / "k.db"


@pytest.fixture
async def host():
    host = Host()
    yield host
    await host.stop()


def sql(file, statement, *arguments):
    with sqlite3.connect(file) as database:
        return database.execute(statement, arguments).fetchall()


def add(file, user="alice", domain="kamtool", password="secret", plain="", realm=None):
    realm = domain if realm is None else realm
    sql(
        file,
        "INSERT INTO subscriber (username, domain, password, ha1, ha1b) VALUES (?, ?, ?, ?, ?)",
        user, domain, plain, ha1(user, realm, password), ha1(f"{user}@{domain}", realm, password),
    )  # fmt: skip


async def auth_db(host, file, auth=(), **params):
    await host.load("db_sqlite")
    await host.load("auth", **dict(auth))
    return await host.load("auth_db", db_url=database_url(file), **params)


def check(host, module, realm="kamtool", header="Authorization", about=(), **credentials):
    host.modules["auth"].www_challenge(request(host), realm, 1)
    value = authorization(nonce_of(host.replies[-1]), realm=realm, **credentials)
    ctx = request(host, f"{header}: {value}", **dict(about))
    host.clock += 1
    return module.www_authenticate(ctx, realm, "subscriber"), ctx


async def test_the_codes_are_kamailios(host, file):
    add(file)
    module = await auth_db(host, file)
    assert check(host, module)[0] == 1
    assert check(host, module, password="wrong")[0] == -2
    assert check(host, module, username="nobody")[0] == -3
    assert module.www_authenticate(request(host), "kamtool", "subscriber") == -5


async def test_a_user_name_with_a_domain_uses_ha1b(host, file):
    add(file)
    module = await auth_db(host, file)
    assert check(host, module, username="alice@kamtool")[0] == 1
    assert check(host, module, username="alice@elsewhere")[0] == -2


async def test_passwords_in_clear_text_work_with_calculate_ha1(host, file):
    add(file, password="unused", plain="secret", domain="example.com")
    module = await auth_db(host, file, calculate_ha1=1, password_column="password")
    assert check(host, module)[0] == 1
    assert check(host, module, username="alice@anything")[0] == 1
    assert check(host, module, password="unused")[0] == -2


async def test_an_empty_password_lets_nobody_in(host, file):
    """With calculate_ha1 Kamailio would hash the empty text."""
    add(file, plain="")
    module = await auth_db(host, file, calculate_ha1=1, password_column="password")
    assert check(host, module, password="")[0] == -2
    assert check(host, module, password="secret")[0] == 1  # the stored hash stands in
    sql(file, "UPDATE subscriber SET ha1 = '', ha1b = ''")
    assert check(host, module, password="")[0] < 0
    assert check(host, module, password="secret")[0] < 0


async def test_a_new_password_counts_on_the_next_request(host, file):
    add(file)
    module = await auth_db(host, file)
    assert check(host, module)[0] == 1
    sql(file, "UPDATE subscriber SET ha1 = ?", ha1("alice", "kamtool", "changed"))
    assert check(host, module)[0] == -2
    assert check(host, module, password="changed")[0] == 1
    sql(file, "DELETE FROM subscriber")
    assert check(host, module, password="changed")[0] == -3
    add(file)
    assert check(host, module)[0] == 1


async def test_forgetting_makes_it_so_without_any_delay(host, file):
    add(file)
    module = await auth_db(host, file)
    assert check(host, module)[0] == 1
    sql(file, "DELETE FROM subscriber")
    host.clock -= 1  # within the few milliseconds between two looks at the file
    await module.auth_db_forget()
    assert check(host, module)[0] == -3


async def test_an_unchanged_row_is_read_once(host, file):
    add(file)
    module = await auth_db(host, file)
    assert check(host, module)[0] == 1
    statements = []
    module.database._watch.set_trace_callback(statements.append)
    assert check(host, module)[0] == 1
    assert not any("FROM subscriber" in statement for statement in statements)


async def test_use_domain_tells_users_of_two_domains_apart(host, file):
    add(file, domain="a.example", password="one")
    add(file, domain="b.example", password="two")
    module = await auth_db(host, file, use_domain=1)
    assert check(host, module, realm="a.example", password="one")[0] == 1
    assert check(host, module, realm="b.example", password="two")[0] == 1
    assert check(host, module, realm="b.example", password="one")[0] == -2
    assert check(host, module, realm="c.example", password="one")[0] == -3


async def test_without_use_domain_the_realms_own_row_is_preferred(host, file):
    add(file, domain="a.example", password="one")
    add(file, domain="b.example", password="two")
    module = await auth_db(host, file)
    assert check(host, module, realm="b.example", password="two")[0] == 1


async def test_load_credentials_fills_avps_on_success(host, file):
    add(file)
    module = await auth_db(host, file, load_credentials="$avp(dom)=domain;ha1b")
    _, ctx = check(host, module)
    assert ctx.scratch["$avp(dom)"] == "kamtool"
    assert len(ctx.scratch["$avp(ha1b)"]) == 32
    _, ctx = check(host, module, password="wrong")
    assert "$avp(dom)" not in ctx.scratch


async def test_force_generate_avps_fills_them_on_failure_too(host, file):
    add(file)
    module = await auth_db(host, file, load_credentials="domain", force_generate_avps=1)
    assert check(host, module, password="wrong")[1].scratch["$avp(domain)"] == "kamtool"


async def test_auth_check_compares_who_it_was(host, file):
    add(file)
    module = await auth_db(host, file)
    host.modules["auth"].www_challenge(request(host), "kamtool", 1)
    header = f"Authorization: {authorization(nonce_of(host.replies[-1]))}"
    assert module.auth_check(request(host, header), "kamtool", "subscriber", 1) == 1
    assert module.auth_check(request(host, header, user="bob"), "kamtool", "subscriber", 1) == -8
    assert module.auth_check(request(host, header, to="bob"), "kamtool", "subscriber", 1) == -8
    assert module.auth_check(request(host, header, to="bob"), "kamtool", "subscriber", 0) == 1
    invite = f"Proxy-Authorization: {authorization(nonce_of(host.replies[-1]), method='INVITE')}"
    about = {"method": "INVITE", "to": "bob"}
    assert module.auth_check(request(host, invite, **about), "kamtool", "subscriber", 1) == 1
    assert module.auth_check(request(host, invite, user="x", **about), "kamtool", "subscriber", 1) == -8
    assert module.auth_check(request(host, invite, user="x", **about), "kamtool", "subscriber", 3) == 1


async def test_is_subscriber(host, file):
    add(file, domain="example.com")
    module = await auth_db(host, file, load_credentials="domain")
    ctx = request(host)
    assert module.is_subscriber(ctx, "sip:alice@other", "subscriber", 2) is True
    assert "$avp(domain)" not in ctx.scratch
    assert module.is_subscriber(ctx, "sip:alice@other", "subscriber", 1) is False
    assert module.is_subscriber(ctx, "sip:alice@example.com", "subscriber", 1) is True
    assert ctx.scratch["$avp(domain)"] == "example.com"
    assert module.is_subscriber(ctx, "sip:bob@example.com", "subscriber", 0) is False
    assert module.is_subscriber(ctx, "no uri", "subscriber", 0) is False


async def test_sha_256_is_checked_against_its_own_hash(host, file):
    add(file)
    sql(
        file,
        "INSERT INTO subscriber_ha1 (username, domain, algorithm, ha1) "
        "VALUES ('alice', 'kamtool', 'SHA-256', ?)",
        ha1("alice", "kamtool", "secret", "SHA-256"),
    )
    module = await auth_db(host, file, {"algorithm": "SHA-256,MD5"})
    assert check(host, module, algorithm="SHA-256")[0] == 1
    assert check(host, module, algorithm="SHA-256", password="wrong")[0] == -2
    assert check(host, module, algorithm="MD5")[0] == 1
    sql(file, "DELETE FROM subscriber_ha1")
    assert check(host, module, algorithm="SHA-256")[0] < 0


async def test_sha_256_hashes_in_kamailios_own_column_work_too(host, file):
    sql(
        file,
        "INSERT INTO subscriber (username, domain, ha1) VALUES ('alice', 'kamtool', ?)",
        ha1("alice", "kamtool", "secret", "SHA-256"),
    )
    module = await auth_db(host, file, {"algorithm": "SHA-256"})
    assert check(host, module, algorithm="SHA-256")[0] == 1


@pytest.mark.parametrize("name", ["alice'; DROP TABLE subscriber; --", "", "%", "\udcff"])
async def test_a_hostile_user_name_is_only_a_name(host, file, name):
    add(file)
    module = await auth_db(host, file)
    value = authorization("n").replace("alice", name) if name.isascii() else authorization("n")
    assert module.www_authenticate(request(host, f"Authorization: {value}"), "kamtool", "subscriber") == -1
    assert module._table("subscriber").find(name, "kamtool", host.now()) is None
    assert sql(file, "SELECT count(*) FROM subscriber") == [(1,)]


async def test_a_table_of_another_version_or_without_columns_is_refused(host, file):
    sql(file, "UPDATE version SET table_version = 8 WHERE table_name = 'subscriber'")
    with pytest.raises(StoreError, match="version 8"):
        await auth_db(host, file)
    host.modules.pop("auth_db", None)
    sql(file, "UPDATE version SET table_version = 7 WHERE table_name = 'subscriber'")
    module = await auth_db(host, file, password_column="absent")
    assert check(host, module)[0] == -1
    assert module.www_authenticate(request(host), "kamtool", "no such table") == -1


async def test_auth_db_needs_auth(host):
    with pytest.raises(ConfigError, match=r"auth\.so"):
        await host.load("auth_db")


async def test_subscribers_read_ahead_are_asked_for_again_when_the_file_has_changed(tmp_path):
    path = tmp_path / "k.db"
    migrate(path)
    with subscribers.opened(path, write=True) as connection:
        for number in range(1200):
            subscribers.add(connection, f"u{number}", "example.com", "example.com", "old", plaintext=False)
    host = Host()
    await host.load("db_sqlite")
    await host.load("auth")
    module = await host.load("auth_db", db_url=database_url(path))
    table = module._table("subscriber")
    await until(lambda: len(table._kept) == 1200)
    before = table.find("u7", "example.com", host.now())
    assert before.password == ha1("u7", "example.com", "old")
    with subscribers.opened(path, write=True) as connection:
        subscribers.set_password(connection, "u7", "example.com", "example.com", "new", plaintext=False)
    host.clock += 1
    assert table.find("u7", "example.com", host.now()).password == ha1("u7", "example.com", "new")
    assert table.find("nobody", "example.com", host.now()) is None
    await host.stop()


def work(host, module, **credentials):
    """How often each function was called to authenticate: Python's, the kernel's, SQLite's."""
    calls = Counter()

    def seen(frame, event, argument):
        if event == "call":
            calls[frame.f_code.co_qualname] += 1
        elif event == "c_call":
            calls[getattr(argument, "__qualname__", repr(argument))] += 1

    host.modules["auth"].www_challenge(request(host), "kamtool", 1)
    value = authorization(nonce_of(host.replies[-1]), realm="kamtool", **credentials)
    ctx = request(host, f"Authorization: {value}")
    host.clock += 1
    sys.setprofile(seen)
    try:
        code = module.www_authenticate(ctx, "kamtool", "subscriber")
    finally:
        sys.setprofile(None)
    del calls["setprofile"]
    return code, calls


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])
@pytest.mark.parametrize("calculates", [0, 1])
@pytest.mark.parametrize("is_first", [True, False], ids=["after a commit", "again"])
@pytest.mark.parametrize("is_filled", [True, False], ids=["read ahead", "not read ahead"])
async def test_an_unknown_user_costs_what_a_wrong_password_costs(
    host, file, algorithm, calculates, is_first, is_filled
):
    add(file, plain="secret")
    sql(
        file,
        "INSERT INTO subscriber_ha1 (username, domain, algorithm, ha1) "
        "VALUES ('alice', 'kamtool', 'SHA-256', ?)",
        ha1("alice", "kamtool", "secret", "SHA-256"),
    )
    column = {"calculate_ha1": 1, "password_column": "password"} if calculates else {}
    module = await auth_db(host, file, {"algorithm": "SHA-256,MD5"}, **column)
    check(host, module, username="somebody", algorithm=algorithm)  # opens the table
    if is_filled:
        table = module._tables["subscriber"]
        await until(lambda: table._whole >= 0)
    costs = []
    for name, code in (("alice", -2), ("nobody", -3)):
        if is_first:
            sql(file, "UPDATE version SET table_version = table_version")
        else:
            work(host, module, username=name, password="wrong", algorithm=algorithm)
        found, calls = work(host, module, username=name, password="wrong", algorithm=algorithm)
        assert found == code
        costs.append(calls)
    known, unknown = costs
    differ = {name: (known[name], unknown[name]) for name in known | unknown if known[name] != unknown[name]}
    assert {name for name in differ if not name.endswith(TINY)} == set(), differ


TINY = ("._secret", "._idle", "len", "lower", "strip", "pop", "get", ".find", "str.lower")
"""What may differ is below a microsecond: one of two short functions, and what looks at the row it found."""


async def test_names_that_are_nobodys_are_bounded_and_forgotten_with_the_next_commit(host, file, monkeypatch):
    from kamtool.modules.auth_db import credentials

    monkeypatch.setattr(credentials, "MOST_ABSENT", 5)
    module = await auth_db(host, file)
    check(host, module)
    sql(file, "UPDATE version SET table_version = table_version")
    for number in range(20):
        assert check(host, module, username=f"n{number}")[0] == -3
        assert check(host, module, username="x" * 65)[0] == -3
    table = module._tables["subscriber"]
    assert len(table._absent) == 5
    assert ("x" * 65, "") not in table._absent
    add(file, user="n19")
    assert check(host, module, username="n19")[0] == 1
