"""`kamtool user`, `ul` and `db`: what they change, what they print where, and how they leave."""

import asyncio
import io
import json
import sqlite3
import threading
import time

import pytest

from kamtool.cli.main import main
from kamtool.modules.usrloc.contact import Contact
from kamtool.server.control import ControlSocket
from kamtool.server.rpc import RpcTable
from kamtool.sip.digest import ha1
from kamtool.store.migrate import migrations
from tests.support.host import Host
from tests.support.until import SOON


@pytest.fixture
def kamtool(tmp_path, monkeypatch, capsys):
    """Run a command on a database of its own: exit code, stdout, stderr."""
    monkeypatch.setenv("KAMTOOL_DB", str(tmp_path / "k.db"))
    monkeypatch.setenv("KAMTOOL_SOCKET", str(tmp_path / "control.sock"))
    for name in ("KAMTOOL_DOMAIN", "KAMTOOL_REALM", "KAMTOOL_OUTPUT"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments, stdin=""):
        monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        with pytest.raises(SystemExit) as left:
            main(list(arguments))
        told = capsys.readouterr()
        return left.value.code or 0, told.out, told.err

    return run


def rows(tmp_path, sql, *arguments):
    with sqlite3.connect(tmp_path / "k.db") as file:
        return file.execute(sql, arguments).fetchall()


def add(kamtool, user="alice", *options, password="secret"):
    return kamtool("user", "add", user, "--password-stdin", *options, stdin=password + "\n")


# ----- user


def test_user_add_stores_hashes_and_never_the_password(kamtool, tmp_path):
    code, out, err = add(kamtool)
    assert (code, out) == (0, "")
    assert "added alice@kamtool" in err
    assert rows(tmp_path, "SELECT username, domain, password, ha1, ha1b FROM subscriber") == [
        ("alice", "kamtool", "", ha1("alice", "kamtool", "secret"), ha1("alice@kamtool", "kamtool", "secret"))
    ]
    assert b"secret" not in (tmp_path / "k.db").read_bytes()
    assert (tmp_path / "k.db").stat().st_mode & 0o077 == 0


def test_user_add_stores_sha_256_beside(kamtool, tmp_path):
    add(kamtool)
    assert rows(tmp_path, "SELECT algorithm, ha1 FROM subscriber_ha1") == [
        ("SHA-256", ha1("alice", "kamtool", "secret", "SHA-256"))
    ]


def test_the_realm_is_the_domain_unless_it_is_said(kamtool, tmp_path):
    add(kamtool, "bob@example.com")
    add(kamtool, "carol", "--domain", "example.com", "--realm", "other")
    assert rows(tmp_path, "SELECT username, domain, ha1 FROM subscriber ORDER BY username") == [
        ("bob", "example.com", ha1("bob", "example.com", "secret")),
        ("carol", "example.com", ha1("carol", "other", "secret")),
    ]


def test_plaintext_is_stored_when_asked_for_and_kept_by_passwd(kamtool, tmp_path):
    add(kamtool, "alice", "--store-plaintext")
    assert rows(tmp_path, "SELECT password FROM subscriber") == [("secret",)]
    kamtool("user", "passwd", "alice", "--password-stdin", stdin="changed\n")
    assert rows(tmp_path, "SELECT password, ha1 FROM subscriber") == [
        ("changed", ha1("alice", "kamtool", "changed"))
    ]


def test_a_second_account_of_the_same_name_leaves_the_first(kamtool, tmp_path):
    add(kamtool)
    code, _, err = add(kamtool, password="other")
    assert code == 4
    assert "exists already" in err
    assert rows(tmp_path, "SELECT ha1 FROM subscriber") == [(ha1("alice", "kamtool", "secret"),)]
    assert add(kamtool, "alice@elsewhere")[0] == 0


def test_generate_prints_the_password_once_and_it_works(kamtool, tmp_path):
    code, out, err = kamtool("user", "add", "alice", "--generate")
    password = out.strip()
    assert code == 0
    assert len(password) == 20
    assert password not in err
    assert rows(tmp_path, "SELECT ha1 FROM subscriber") == [(ha1("alice", "kamtool", password),)]
    told = json.loads(kamtool("user", "passwd", "alice", "--generate", "-o", "json")[1])[0]
    assert rows(tmp_path, "SELECT ha1 FROM subscriber") == [(ha1("alice", "kamtool", told["password"]),)]


def test_a_password_may_come_from_a_file(kamtool, tmp_path):
    (tmp_path / "pw").write_text("from a file\nmore\n")
    assert kamtool("user", "add", "alice", "--password-file", str(tmp_path / "pw"))[0] == 0
    assert rows(tmp_path, "SELECT ha1 FROM subscriber") == [(ha1("alice", "kamtool", "from a file"),)]
    assert kamtool("user", "passwd", "alice", "--password-file", str(tmp_path / "absent"))[0] == 2


@pytest.mark.parametrize(
    ("options", "stdin"),
    [
        ((), ""),
        (("--password-stdin",), "\n"),
        (("--password-stdin",), ""),
        (("--password-stdin", "--generate"), "x\n"),
    ],
)
def test_without_a_password_nothing_is_made(kamtool, tmp_path, options, stdin):
    assert kamtool("user", "add", "alice", *options, stdin=stdin)[0] == 2
    assert not (tmp_path / "k.db").exists()


@pytest.mark.parametrize("name", ["", "a b", "a:b", "a\nb", "@x", "a@", "a" * 65, 'a"b', "a@b@c"])
def test_a_name_that_no_phone_could_say_is_refused(kamtool, name):
    assert add(kamtool, name)[0] == 2


def test_dry_run_changes_nothing(kamtool, tmp_path):
    code, _, err = kamtool("user", "add", "alice", "--dry-run")
    assert (code, (tmp_path / "k.db").exists()) == (0, False)
    assert "would add alice@kamtool" in err
    add(kamtool)
    before = rows(tmp_path, "SELECT * FROM subscriber")
    kamtool("user", "passwd", "alice", "--dry-run")
    kamtool("user", "rm", "alice", "--dry-run")
    assert rows(tmp_path, "SELECT * FROM subscriber") == before


def test_passwd_changes_every_hash(kamtool, tmp_path):
    add(kamtool, "bob@example.com")
    assert kamtool("user", "passwd", "bob", "--password-stdin", stdin="new\n")[0] == 0
    assert rows(tmp_path, "SELECT ha1, ha1b FROM subscriber") == [
        (ha1("bob", "example.com", "new"), ha1("bob@example.com", "example.com", "new"))
    ]
    assert rows(tmp_path, "SELECT ha1 FROM subscriber_ha1") == [
        (ha1("bob", "example.com", "new", "SHA-256"),)
    ]


def test_who_is_not_there_is_3_and_a_doubtful_name_2(kamtool):
    add(kamtool)
    for words in (("show", "bob"), ("passwd", "bob", "--generate"), ("rm", "bob", "--yes")):
        assert kamtool("user", *words)[0] == 3
    add(kamtool, "alice@elsewhere")
    code, _, err = kamtool("user", "show", "alice")
    assert code == 2
    assert "alice@elsewhere" in err
    assert kamtool("user", "show", "alice@elsewhere")[0] == 0


def test_rm_asks_first_and_takes_the_registrations_along(kamtool, tmp_path):
    add(kamtool)
    kamtool("ul", "add", "alice", "sip:alice@10.0.0.1")
    kamtool("ul", "add", "bob", "sip:bob@10.0.0.1")
    assert kamtool("user", "rm", "alice")[0] == 2
    assert kamtool("user", "rm", "alice", "--yes")[0] == 0
    assert rows(tmp_path, "SELECT count(*) FROM subscriber") == [(0,)]
    assert rows(tmp_path, "SELECT count(*) FROM subscriber_ha1") == [(0,)]
    assert rows(tmp_path, "SELECT username FROM location") == [("bob",)]


def test_list_and_show_print_no_secret(kamtool, tmp_path):
    add(kamtool, "alice", "--store-plaintext")
    add(kamtool, "bob@example.com")
    listed = json.loads(kamtool("user", "list", "-o", "json")[1])
    assert listed == [
        {"username": "alice", "domain": "kamtool", "password": "hash+plaintext"},
        {"username": "bob", "domain": "example.com", "password": "hash"},
    ]
    assert json.loads(kamtool("user", "list", "--domain", "example.com", "-o", "json")[1]) == listed[1:]
    kamtool("ul", "add", "alice", "sip:alice@10.0.0.1")
    shown = kamtool("user", "show", "alice", "-o", "json")[1]
    assert json.loads(shown)[0]["contacts"] == "sip:alice@10.0.0.1"
    for secret in ("secret", ha1("alice", "kamtool", "secret")):
        assert secret not in shown


def test_without_a_database_the_error_names_the_remedy(kamtool):
    code, _, err = kamtool("user", "list")
    assert code == 1
    assert "kamtool db init" in err


# ----- db


def test_db_init_migrate_and_status(kamtool, tmp_path):
    assert kamtool("db", "init", "--dry-run")[0] == 0
    assert not (tmp_path / "k.db").exists()
    assert kamtool("db", "init")[0] == 0
    assert kamtool("db", "init")[0] == 4
    assert kamtool("db", "migrate")[1] == ""
    code, out, err = kamtool("db", "status", "-o", "json")
    assert code == 0
    assert {"table": "location", "version": 9} in json.loads(out)
    assert "made by kamtool, 0 migrations pending" in err


def test_db_status_says_what_a_foreign_file_lacks_and_migrate_adds_it(kamtool, tmp_path):
    with sqlite3.connect(tmp_path / "k.db") as file:
        file.executescript(migrations()[0].path.read_text())
    code, _, err = kamtool("db", "status")
    assert code == 10
    assert "another tool" in err
    pending = json.loads(kamtool("db", "migrate", "--dry-run", "-o", "json")[1])
    applied = json.loads(kamtool("db", "migrate", "-o", "json")[1])
    assert [row["migration"] for row in pending] == [row["migration"] for row in applied]
    assert kamtool("db", "status")[0] == 0


# ----- ul


def test_ul_works_on_the_database_when_no_server_runs(kamtool, tmp_path):
    kamtool("db", "init")
    code, _, err = kamtool("ul", "add", "alice", "sip:alice@10.0.0.1", "--expires", "100", "--q", "0.5")
    assert code == 0
    assert "note: no server runs" in err
    kamtool("ul", "add", "alice@example.com", "sip:b@h")
    kamtool("ul", "add", "alice", "sip:alice@10.0.0.1", "--expires", "200")
    shown = json.loads(kamtool("ul", "show", "-o", "json")[1])
    assert [(row["aor"], row["contact"], row["expires"]) for row in shown] == [
        ("alice", "sip:alice@10.0.0.1", 200),
        ("alice@example.com", "sip:b@h", "permanent"),
    ]
    assert kamtool("ul", "show", "nobody")[0] == 3
    assert kamtool("ul", "show", "--table", "absent")[0] == 1
    assert kamtool("ul", "rm", "alice", "sip:other@h")[0] == 3
    assert kamtool("ul", "rm", "alice", "--dry-run")[0] == 0
    assert kamtool("ul", "rm", "alice")[0] == 0
    assert rows(tmp_path, "SELECT contact FROM location") == [("sip:b@h",)]


def test_what_ul_writes_the_server_reads(kamtool, tmp_path):
    kamtool("db", "init")
    kamtool("ul", "add", "alice", "sip:alice@10.0.0.1", "--expires", "100")

    async def load():
        host = Host()
        await host.load("db_sqlite")
        module = await host.load("usrloc", db_url=f"sqlite:///{tmp_path}/k.db", db_mode=2)
        (found,) = module.locations["location"].get("alice")
        left = found.remaining(host.now())
        await host.stop()
        return left

    assert 90 < asyncio.run(load()) <= 100


@pytest.fixture
def server(tmp_path):
    """A control socket with a location table behind it, on a thread of its own."""
    started, finished = threading.Event(), asyncio.Event()
    shared = {}

    async def serve():
        host = Host()
        module = await host.load("usrloc")
        table = RpcTable()
        for name in ("dump", "lookup", "rm", "rm_contact", "add", "watch"):
            table.register(f"ul.{name}", getattr(module, f"ul_{name}"))
        control = ControlSocket(table, tmp_path / "control.sock")
        await control.start()
        shared.update(module=module, loop=asyncio.get_running_loop())
        started.set()
        await finished.wait()
        await control.stop()
        await host.stop()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert started.wait(SOON)
    yield shared["module"]
    shared["loop"].call_soon_threadsafe(finished.set)
    thread.join()


def test_ul_asks_the_running_server(kamtool, server):
    server.locations["location"].insert(
        Contact("bob", "sip:bob@h", "r1", expires_at=1100.0, user_agent="phone")
    )
    assert kamtool("ul", "add", "alice", "sip:alice@10.0.0.1", "--expires", "60", "--q", "0.5")[0] == 0
    code, out, err = kamtool("ul", "show", "-o", "json")
    assert (code, err) == (0, "")
    assert [(row["aor"], row["contact"], row["expires"], row["q"]) for row in json.loads(out)] == [
        ("bob", "sip:bob@h", 100, ""),
        ("alice", "sip:alice@10.0.0.1", 60, 0.5),
    ]
    assert json.loads(kamtool("ul", "show", "bob", "-o", "json")[1])[0]["user_agent"] == "phone"
    assert kamtool("ul", "rm", "bob", "sip:bob@h")[0] == 0
    assert kamtool("ul", "rm", "bob")[0] == 3
    assert kamtool("ul", "show", "bob")[0] == 3
    assert kamtool("ul", "add", "alice", "no uri")[0] == 1
    assert list(server.locations["location"].table.records) == ["alice"]


def test_ul_watch_tells_what_happens(kamtool, server):
    location = server.locations["location"]

    def happen():
        entry = Contact("bob", "sip:bob@h", "r1", expires_at=1100.0, user_agent="phone")
        other = Contact("alice", "sip:alice@h", "r2", expires_at=1100.0)
        while not location.table.listeners:
            time.sleep(0.01)
        location.insert(entry)
        location.insert(other)
        location.update(entry)
        location.delete(entry)

    phones = threading.Thread(target=happen)
    phones.start()
    code, out, err = kamtool("ul", "watch", "bob", "-n", "3", "--json", "--interval", "0.05")
    phones.join()
    assert code == 0
    assert "0 contacts in location" in err
    told = [json.loads(line) for line in out.splitlines()]
    assert [(line["event"], line["contact"]) for line in told] == [
        ("inserted", "sip:bob@h"),
        ("updated", "sip:bob@h"),
        ("deleted", "sip:bob@h"),
    ]


def test_ul_watch_without_a_server_says_so(kamtool):
    assert kamtool("ul", "watch")[0] == 5
