"""`kamtool init`, `kamtool modules`: what a newcomer tries first."""

import json
import sqlite3

import pytest
from click.testing import CliRunner

from kamtool.cli.init import command as init
from kamtool.cli.modules import command as modules
from kamtool.errors import UsageError


def run(command, *arguments):
    return CliRunner().invoke(command, list(map(str, arguments)), catch_exceptions=True)


def test_init_writes_a_cfg_and_its_database_and_says_what_is_next(tmp_path):
    folder = tmp_path / "a pbx"
    done = run(init, folder)
    assert done.exit_code == 0, done.output
    assert f"kamtool serve -f '{folder}/kamailio.cfg'" in done.output
    assert "kamtool user add alice" in done.output
    cfg = (folder / "kamailio.cfg").read_text()
    assert f'#!trydef DBURL "sqlite:///{folder}/kamtool.db"' in cfg
    assert "# kamailio.cfg: " in cfg
    with sqlite3.connect(folder / "kamtool.db") as database:
        assert database.execute("SELECT count(*) FROM subscriber").fetchone() == (0,)
    database.close()


def test_init_overwrites_nothing_unasked_and_never_a_database(tmp_path):
    assert run(init, tmp_path).exit_code == 0
    with sqlite3.connect(tmp_path / "kamtool.db") as database:
        database.execute("INSERT INTO subscriber (username, domain, password) VALUES ('a', 'b', '')")
    database.close()
    (tmp_path / "kamailio.cfg").write_text("precious")
    refused = run(init, tmp_path)
    assert isinstance(refused.exception, UsageError)
    assert refused.exception.exit_code == 4
    assert (tmp_path / "kamailio.cfg").read_text() == "precious"
    assert run(init, tmp_path, "--force").exit_code == 0
    assert (tmp_path / "kamailio.cfg").read_text() != "precious"
    with sqlite3.connect(tmp_path / "kamtool.db") as database:
        assert database.execute("SELECT username FROM subscriber").fetchall() == [("a",)]
    database.close()


def test_a_dry_run_writes_nothing(tmp_path):
    done = run(init, tmp_path / "x", "--dry-run")
    assert done.exit_code == 0
    assert "would write" in done.output
    assert not (tmp_path / "x").exists()


def test_a_cfg_that_init_wrote_runs(served, tmp_path):
    assert run(init, tmp_path / "pbx").exit_code == 0
    server = served().start("-f", tmp_path / "pbx/kamailio.cfg")
    assert server.end() == 0


def test_modules_are_listed_and_shown_from_their_declarations():
    rows = json.loads(run(modules, "list", "-o", "json").output)
    assert {"tm", "sl", "registrar", "usrloc", "auth_db"} <= {row["module"] for row in rows}
    assert all(row["about"] for row in rows)
    facts = json.loads(run(modules, "show", "maxfwd", "-o", "json").output)
    assert "is_maxfwd_lt(limit)" in {function["usage"] for function in facts["functions"]}
    text = run(modules, "show", "maxfwd.so").output
    assert "mf_process_maxfwd_header" in text
    assert text.startswith("NAME\n    maxfwd - ")


@pytest.mark.parametrize(("name", "near"), [("maxfw", "maxfwd"), ("nothing-like-it", "")])
def test_a_module_that_is_not_there_is_not_found(name, near):
    error = run(modules, "show", name).exception
    assert isinstance(error, UsageError)
    assert error.exit_code == 3
    assert near in error.hint
