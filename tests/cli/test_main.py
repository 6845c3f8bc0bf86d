"""The command line as a whole: quick to start, clear when it refuses, the same everywhere."""

import json
import os
import subprocess
import sys

import click
import pytest

from kamtool.cli import output
from kamtool.cli.main import cli, main
from kamtool.errors import ConfigError, ConfigErrors, RpcError, Span, StoreError, UsageError

HEAVY = ["rich", "prompt_toolkit", "uvloop", "cryptography", "sqlite3", "ssl", "dns", "kamtool.server.server"]


def commands(group=cli, path="kamtool"):
    """Every command of the tree with its path."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        yield f"{path} {name}", command
        if isinstance(command, click.Group):
            yield from commands(command, f"{path} {name}")


def run(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "kamtool.cli.main", *arguments],
        env={**os.environ, **environment}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_version_says_which_kernel_runs():
    told = run("--version").stdout
    assert told.startswith("kamtool 0.1.0 (")
    assert "kernel" in told
    assert "pure Python kernel" in run("--version", KAMTOOL_PURE="1").stdout


def test_version_imports_nothing_heavy():
    code = f"""
import sys
from kamtool.cli.main import main
try:
    main(["--version"])
except SystemExit:
    pass
print([name for name in {HEAVY!r} if name in sys.modules])
"""
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.splitlines()[-1] == "[]"


@pytest.mark.parametrize(("path", "command"), [pytest.param(*entry, id=entry[0]) for entry in commands()])
def test_every_command_explains_itself(path, command):
    words = (command.help or "").split()
    assert words, f"{path} has no help"
    is_verb = words[0][0].isupper() and not words[0].endswith("s")
    assert is_verb, f"{path}: help begins with a verb, not {words[0]!r}"
    assert "Example: kamtool" in command.help, f"{path} has no example"
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{path} {parameter.opts[-1]} has no help"


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_both_spellings_of_help_work_everywhere(flag):
    assert run("modules", "list", flag).returncode == 0


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (UsageError("no user 'bob'", exit_code=3, hint="see `user list`"), 3, "hint: see"),
        (StoreError("/x.db is newer than this kamtool"), 1, "newer"),
        (RpcError(404, "no such contact"), 3, "no such contact"),
        (RpcError(500, "refused"), 1, "refused"),
        (click.Abort(), 130, "stopped"),
        (KeyboardInterrupt(), 130, "stopped"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)
def test_an_error_becomes_a_line_and_an_exit_code(monkeypatch, capsys, error, code, told):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(cli, "main", fail)
    with pytest.raises(SystemExit) as leaving:
        main(["anything"])
    shown = capsys.readouterr()
    assert leaving.value.code == code
    assert told in shown.err
    assert shown.out == ""
    assert "Traceback" not in shown.err


def test_all_errors_of_a_cfg_are_shown(monkeypatch, capsys, tmp_path):
    cfg = tmp_path / "a.cfg"
    cfg.write_text("one\ntwo\n")
    errors = [ConfigError("bad", Span(str(cfg), line, 1, line, 4), hint="good") for line in (1, 2)]

    def fail(*_, **__):
        raise ConfigErrors(errors)

    monkeypatch.setattr(cli, "main", fail)
    with pytest.raises(SystemExit) as leaving:
        main(["check"])
    shown = capsys.readouterr().err
    assert leaving.value.code == 7
    assert f"{cfg}:1:1" in shown
    assert f"{cfg}:2:1" in shown
    assert shown.count("hint") == 2
    with pytest.raises(SystemExit):
        main(["check", "-o", "json"])
    facts = [json.loads(line)["error"] for line in capsys.readouterr().err.splitlines()]
    assert [fact["where"]["line"] for fact in facts] == [1, 2]


def test_a_mistyped_command_gets_its_near_match():
    done = run("moduls")
    assert done.returncode == 2
    assert "did you mean `modules`?" in done.stderr


def test_an_unknown_option_is_a_matter_of_usage():
    done = run("modules", "list", "--nosuch")
    assert done.returncode == 2
    assert "--nosuch" in done.stderr
    assert json.loads(run("modules", "list", "-o", "json", "--nosuch").stderr)["error"]["code"] == 2


def test_a_reader_that_stops_reading_is_no_error_of_ours():
    shell = f"{sys.executable} -m kamtool.cli.main modules list -o jsonl | head -c 1"
    done = subprocess.run(shell, shell=True, capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr == ""


ROWS = [
    {"user": "alice", "contacts": 2, "note": None},
    {"user": 'bob "b"', "contacts": 0, "note": "a\x1b[2J,b"},
]


def shown(capsys, style, value=ROWS, **more):
    output.emit(value, style, **more)
    return capsys.readouterr().out


def test_a_table_in_a_pipe_is_tab_separated_and_moves_no_cursor(capsys):
    assert shown(capsys, "table") == 'user\tcontacts\tnote\nalice\t2\t\nbob "b"\t0\ta\\x1b[2J,b\n'


def test_json_jsonl_csv_and_yaml_hold_the_same_rows(capsys):
    assert json.loads(shown(capsys, "json")) == ROWS
    assert [json.loads(line) for line in shown(capsys, "jsonl").splitlines()] == ROWS
    assert shown(capsys, "csv").splitlines()[1] == "alice,2,"
    assert shown(capsys, "yaml").startswith('- user: alice\n  contacts: 2\n  note: null\n- user: bob "b"\n')


def test_columns_choose_and_order(capsys):
    assert shown(capsys, "csv", columns=("contacts", "user")).splitlines()[0] == "contacts,user"


def test_no_rows_are_an_empty_list_and_no_table(capsys):
    assert shown(capsys, "table", []) == ""
    assert json.loads(shown(capsys, "json", [])) == []


@pytest.mark.parametrize("value", ["yes", "5", "", " a", "a: b", "a #b", "-x", "ü\n", "null", "{", "1.5"])
def test_text_that_yaml_would_take_for_something_else_is_quoted(value):
    assert output.to_yaml(value).startswith('"')
