"""`kamtool fmt`."""

import os

import pytest
from click.testing import CliRunner

from kamtool.cli.fmt import command
from kamtool.errors import UsageError

UGLY = "request_route{\nif(a()){b();c();}\nexit;}\n"
NICE = "request_route {\n\tif (a()) {\n\t\tb();\n\t\tc();\n\t}\n\texit;\n}\n"


def run(*arguments, text=None):
    left = CliRunner().invoke(command, [str(argument) for argument in arguments], input=text)
    assert left.exception is None or isinstance(left.exception, SystemExit | UsageError), left.exception
    return left


@pytest.fixture
def ugly(tmp_path):
    file = tmp_path / "ugly.cfg"
    file.write_text(UGLY)
    return file


def test_files_are_formatted_in_place_and_named_once(ugly):
    left = run(ugly)
    assert (left.exit_code, left.stdout, ugly.read_text()) == (0, f"{ugly}\n", NICE)
    assert run(ugly).stdout == ""


def test_mode_and_links_stay(ugly, tmp_path):
    ugly.chmod(0o640)
    link = tmp_path / "link.cfg"
    link.symlink_to(ugly)
    assert run(link).exit_code == 0
    assert link.is_symlink()
    assert (ugly.read_text(), ugly.stat().st_mode & 0o777) == (NICE, 0o640)
    assert sorted(os.listdir(tmp_path)) == ["link.cfg", "ugly.cfg"]


def test_check_changes_nothing_and_leaves_with_10(ugly, tmp_path):
    nice = tmp_path / "nice.cfg"
    nice.write_text(NICE)
    left = run("--check", ugly, nice)
    assert (left.exit_code, left.stdout, ugly.read_text()) == (10, f"{ugly}\n", UGLY)
    assert run("--check", nice).exit_code == 0


def test_diff_shows_and_changes_nothing(ugly):
    left = run("--diff", ugly)
    assert left.exit_code == 0
    assert "-request_route{\n" in left.stdout
    assert "+\t\tb();\n" in left.stdout
    assert ugly.read_text() == UGLY


def test_a_dash_is_standard_input(tmp_path):
    assert run("-", text=UGLY).stdout == NICE
    (tmp_path / "part.cfg").write_text("debug=1\n")
    text = f'include_file "part.cfg"\n{UGLY}'
    assert run("-", text=text).exit_code == 7
    assert (
        run("--stdin-path", tmp_path / "main.cfg", "-", text=text).stdout
        == f'include_file "part.cfg"\n{NICE}'
    )


def test_a_file_with_errors_is_shown_and_left_alone_and_the_others_are_done(ugly, tmp_path):
    bad = tmp_path / "bad.cfg"
    bad.write_text("request_route {\n  a(;\n}\n")
    left = run(bad, ugly)
    assert left.exit_code == 7
    assert f"{bad}:2:5: error:" in left.stderr
    assert f"{bad}: left alone (1 error)\n" in left.stderr
    assert bad.read_text() == "request_route {\n  a(;\n}\n"
    assert ugly.read_text() == NICE


def test_octets_that_are_no_utf8_survive(tmp_path):
    file = tmp_path / "latin.cfg"
    file.write_bytes(UGLY.encode() + b"# caf\xe9\n")
    assert run(file).exit_code == 0
    assert file.read_bytes() == NICE.encode() + b"# caf\xe9\n"


def test_defines_decide_what_is_formatted(ugly):
    ugly.write_text("request_route {\n#!ifdef X\nb( );\n#!endif\n\texit;\n}\n")
    assert run("--check", ugly).exit_code == 0
    assert run("--check", "-A", "X", ugly).exit_code == 10


def test_a_file_that_is_not_there_is_code_3(tmp_path):
    left = CliRunner().invoke(command, [str(tmp_path / "none.cfg")])
    assert isinstance(left.exception, UsageError)
    assert left.exception.exit_code == 3
