"""`kamtool user import`, `export`, `enable`, `disable`, `alias` and `group`."""

import csv
import io
import json

import pytest

from kamtool.sip.digest import ha1
from tests.cli.test_user_ul_db import add, kamtool, rows  # noqa: F401

SUBSCRIBERS = "SELECT username, domain, password, ha1, ha1b FROM subscriber ORDER BY username"


@pytest.fixture
def users(tmp_path):
    path = tmp_path / "users.csv"
    path.write_text(
        "username,domain,password,aliases,groups\n"
        "alice,example.com,secret,4711 info@example.org,staff\nbob,Example.COM,hidden,,staff lines\n"
    )
    return path


def test_a_csv_is_imported_with_hashes_names_and_groups(kamtool, tmp_path, users):  # noqa: F811
    code, out, err = kamtool("user", "import", str(users))
    assert (code, out) == (0, "")
    assert "2 accounts added" in err
    assert rows(tmp_path, SUBSCRIBERS)[0] == (
        "alice", "example.com", "", ha1("alice", "example.com", "secret"),
        ha1("alice@example.com", "example.com", "secret"),
    )  # fmt: skip
    assert rows(tmp_path, "SELECT alias_username, alias_domain, username FROM dbaliases") == [
        ("4711", "example.com", "alice"), ("info", "example.org", "alice"),
    ]  # fmt: skip
    assert rows(tmp_path, "SELECT username, grp FROM grp") == [
        ("alice", "staff"), ("bob", "staff"), ("bob", "lines"),
    ]  # fmt: skip


@pytest.mark.parametrize("kind", ["csv", "json", "jsonl"])
def test_what_is_exported_is_imported_again(kamtool, tmp_path, users, kind):  # noqa: F811
    kamtool("user", "import", str(users), "--store-plaintext")
    before = rows(tmp_path, SUBSCRIBERS)
    more = rows(tmp_path, "SELECT username, ha1 FROM subscriber_ha1 ORDER BY username")
    copy = tmp_path / f"copy.{kind}"
    assert kamtool("user", "export", str(copy))[0] == 0
    assert copy.stat().st_mode & 0o077 == 0
    for name in ("alice", "bob"):
        assert kamtool("user", "rm", name, "--yes")[0] == 0
    assert rows(tmp_path, SUBSCRIBERS) == []
    assert rows(tmp_path, "SELECT * FROM dbaliases") == rows(tmp_path, "SELECT * FROM grp") == []
    assert kamtool("user", "import", str(copy), "--store-plaintext")[0] == 0
    assert rows(tmp_path, SUBSCRIBERS) == before
    assert rows(tmp_path, "SELECT username, ha1 FROM subscriber_ha1 ORDER BY username") == more
    assert len(rows(tmp_path, "SELECT * FROM dbaliases")) == 2


def test_an_export_of_hashes_alone_is_enough(kamtool, tmp_path, users):  # noqa: F811
    kamtool("user", "import", str(users))
    before = rows(tmp_path, SUBSCRIBERS)
    code, out, err = kamtool("user", "export")
    assert code == 0
    assert "2 accounts exported" in err
    kamtool("user", "rm", "alice", "--yes")
    code, _, err = kamtool("user", "import", "-", stdin=out)
    assert "1 accounts added; 1 exist already" in err
    assert rows(tmp_path, SUBSCRIBERS) == before


def test_a_file_with_mistakes_names_their_lines_and_changes_nothing(kamtool, tmp_path):  # noqa: F811
    path = tmp_path / "bad.csv"
    path.write_text("username,password,ha1\nalice,secret,\nbob,,\nal ice,x,\ncarl,,nothex\nalice,other,\n")
    code, _, err = kamtool("user", "import", str(path))
    assert code == 2
    for line in (
        "line 3: neither password nor ha1",
        "line 4: 'al ice'",
        "line 5: ha1 is no hash",
        "line 6: alice",
    ):
        assert line in err
    assert rows(tmp_path, SUBSCRIBERS) == []


@pytest.mark.parametrize(
    ("name", "text", "wanted"),
    [("x.csv", "user,pass\n", "user"), ("x.json", "{}", "list"), ("x.json", "[1]", "entry 1"),
     ("x.json", "[", "no json"), ("x.csv", "username,password\nalice\n", "line 2"), ("x.xml", "", "csv"),
     ("x.json", '[{"username": "a", "x": 1}]', "x")],
)  # fmt: skip
def test_a_file_that_is_none_is_refused(kamtool, tmp_path, name, text, wanted):  # noqa: F811
    (tmp_path / name).write_text(text)
    code, _, err = kamtool("user", "import", str(tmp_path / name))
    assert code == 2
    assert wanted in err


def test_import_leaves_what_is_there_or_replaces_it(kamtool, tmp_path, users):  # noqa: F811
    add(kamtool, "alice@example.com", password="old")
    kamtool("user", "import", str(users))
    assert rows(tmp_path, SUBSCRIBERS)[0][3] == ha1("alice", "example.com", "old")
    _, _, err = kamtool("user", "import", str(users), "--replace", "--dry-run")
    assert "2 would have been changed" in err
    assert rows(tmp_path, SUBSCRIBERS)[0][3] == ha1("alice", "example.com", "old")
    kamtool("user", "import", str(users), "--replace")
    assert rows(tmp_path, SUBSCRIBERS)[0][3] == ha1("alice", "example.com", "secret")


def test_twenty_thousand_accounts_go_in_and_out(kamtool, tmp_path):  # noqa: F811
    path = tmp_path / "many.jsonl"
    digest = ha1("x", "y", "z")
    path.write_text("".join(json.dumps({"username": f"u{n}", "ha1": digest}) + "\n" for n in range(20_000)))
    assert kamtool("user", "import", str(path))[0] == 0
    _, out, _ = kamtool("user", "export")
    assert len(list(csv.DictReader(io.StringIO(out)))) == 20_000


def test_a_disabled_account_has_no_password_that_works_and_no_contacts(kamtool, tmp_path):  # noqa: F811
    add(kamtool, "alice", "--store-plaintext")
    add(kamtool, "bob")
    before, more = rows(tmp_path, SUBSCRIBERS), rows(tmp_path, "SELECT * FROM subscriber_ha1")
    kamtool("ul", "add", "alice", "sip:alice@10.0.0.1")
    code, _, err = kamtool("user", "disable", "alice")
    assert (code, "disabled alice@kamtool" in err) == (0, True)
    (off, other) = rows(tmp_path, SUBSCRIBERS)
    assert other == before[1]
    assert all(len(secret) == 32 for secret in off[2:])
    assert not set(off[2:]) & set(before[0][2:])
    assert rows(tmp_path, "SELECT username FROM subscriber_ha1") == [("bob",)]
    assert rows(tmp_path, "SELECT * FROM location") == []
    assert kamtool("user", "disable", "alice")[0] == 4
    assert "disabled" in kamtool("user", "list")[1]
    assert kamtool("user", "passwd", "alice", "--password-stdin", stdin="x\n")[0] == 2
    assert "alice" not in kamtool("user", "export")[1]
    assert kamtool("user", "enable", "alice")[0] == 0
    assert rows(tmp_path, SUBSCRIBERS) == before
    assert sorted(row[1:] for row in rows(tmp_path, "SELECT * FROM subscriber_ha1")) == sorted(
        row[1:] for row in more
    )
    assert kamtool("user", "enable", "alice")[0] == 4
    assert kamtool("user", "disable", "nobody")[0] == 3


def test_names_and_groups_come_and_go(kamtool, tmp_path):  # noqa: F811
    add(kamtool)
    add(kamtool, "bob")
    assert kamtool("user", "alias", "alice", "4711")[0] == 0
    assert kamtool("user", "alias", "bob", "4711@kamtool")[0] == 4
    assert kamtool("user", "group", "alice", "staff")[0] == 0
    assert kamtool("user", "group", "alice", "staff")[0] == 4
    shown = json.loads(kamtool("user", "show", "alice", "-o", "json")[1])[0]
    assert (shown["aliases"], shown["groups"]) == ("4711@kamtool", "staff")
    assert kamtool("user", "alias", "alice", "4711", "--rm")[0] == 0
    assert kamtool("user", "alias", "alice", "4711", "--rm")[0] == 3
    assert kamtool("user", "group", "alice", "staff", "--rm")[0] == 0
    assert kamtool("user", "group", "alice", "staff", "--rm")[0] == 3
