"""`kamtool alias`, `speeddial`, `domain`, `group`, `address`, `trusted`, `dispatcher`: rows of a table."""

import csv
import json
import sqlite3

import pytest

from kamtool.cli.main import main


@pytest.fixture
def cli(tmp_path, monkeypatch, capsys):
    """Runs a command on a database of its own: its exit code, stdout and stderr."""
    monkeypatch.setenv("KAMTOOL_DB", str(tmp_path / "cli.db"))
    monkeypatch.setenv("KAMTOOL_SOCKET", str(tmp_path / "none.sock"))

    def run(*words):
        with pytest.raises(SystemExit) as end:
            main(words)
        said = capsys.readouterr()
        return end.value.code, said.out, said.err

    run.path = tmp_path / "cli.db"
    return run


ROWS = [
    (["alias"], ["sales@Example.com", "alice@example.com"], ["sales", "example.com", "alice", "example.com"]),
    (["speeddial"], ["alice@a.org", "12@a.org", "sip:b@c", "--description", "b"],
     ["alice", "a.org", "12", "a.org", "sip:b@c", "", "", "b"]),
    (["domain"], ["Example.COM"], ["example.com", ""]),
    (["group"], ["alice@a.org", "ld"], ["alice", "a.org", "ld"]),
    (["address"], ["1", "192.0.2.0/24", "--tag", "x"], ["1", "192.0.2.0", "24", "0", "x"]),
    (["address"], ["1", "2001:db8::1"], ["1", "2001:db8::1", "128", "0", ""]),
    (["trusted"], ["192.0.2.7", "udp", "--from", "^sip:x@"], ["192.0.2.7", "udp", "^sip:x@", "", "", "0"]),
    (["dispatcher"], ["1", "sip:192.0.2.7", "--attrs", "weight=5"],
     ["1", "sip:192.0.2.7", "0", "0", "weight=5", ""]),
]  # fmt: skip


@pytest.mark.parametrize(("family", "words", "row"), ROWS)
def test_a_row_is_added_listed_refused_twice_and_removed(cli, family, words, row):
    code, _, said = cli(*family, "add", *words)
    assert (code, "added" in said) == (0, True), said
    assert list(csv.reader(cli(*family, "list", "-o", "csv")[1].splitlines()))[1:] == [row]
    assert cli(*family, "add", *words)[0] == 4
    key = words[:2]
    assert cli(*family, "rm", *key, "--dry-run")[0] == 0
    assert len(cli(*family, "list", "-o", "jsonl")[1].splitlines()) == 1, "a dry run removes nothing"
    assert cli(*family, "rm", *key)[0] == 0
    assert cli(*family, "rm", *key)[0] == 3


@pytest.mark.parametrize(
    "words",
    [
        ["alias", "add", "a b@c", "d@e"], ["alias", "add", "a@", "d@e"], ["domain", "add", "a b"],
        ["address", "add", "0", "192.0.2.1"], ["address", "add", "1", "192.0.2.1/33"],
        ["address", "add", "x", "192.0.2.1"], ["trusted", "add", "192.0.2.1", "foo"],
        ["trusted", "add", "192.0.2.1", "udp", "--from", "[bad"], ["dispatcher", "add", "1", "sip:[bad"],
        ["dispatcher", "add", "1", "sip:a", "--attrs", "weight=101"],
    ],
)  # fmt: skip
def test_a_row_that_no_server_would_take_is_refused(cli, words):
    code, _, said = cli(*words)
    assert code == 2, said
    assert not cli.path.exists()


def test_a_dry_run_adds_nothing_and_shows_the_row_to_programs(cli):
    code, shown, said = cli("domain", "add", "a.org", "--dry-run", "-o", "json")
    assert (code, said) == (0, "would add domain a.org\n")
    assert json.loads(shown) == [{"domain": "a.org", "did": None}]
    assert not cli.path.exists()


def test_what_another_tool_wrote_is_listed_too(cli):
    cli("domain", "add", "a.org")
    with sqlite3.connect(cli.path) as connection:
        connection.execute("INSERT INTO domain (domain, did) VALUES ('Theirs.org', 'x')")
    assert "Theirs.org\tx" in cli("domain", "list")[1]


def test_a_running_server_reads_the_table_again(served, tmp_path):
    cfg = tmp_path / "domain.cfg"
    server = served()
    cfg.write_text(
        f"""#!KAMAILIO
        loadmodule "db_sqlite.so"
        loadmodule "ctl.so"
        loadmodule "domain.so"
        modparam("ctl", "binrpc", "unix:{server.folder}/ctl")
        modparam("domain", "db_url", "sqlite:///{server.folder}/kamtool.db")
        request_route {{ exit; }}
        """
    )
    server.start("-f", cfg)
    assert server.cli("domain", "add", "new.example.org").returncode == 0
    assert "new.example.org" in server.cli("rpc", "-o", "json", "domain.dump").stdout
    assert server.cli("domain", "reload").returncode == 0
