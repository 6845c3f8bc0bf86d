"""`kamtool check`, `kamtool explain` and `kamtool cfg`."""

import csv
import io
import json

import pytest
from click.testing import CliRunner

from kamtool.cli.cfg import command as cfg
from kamtool.cli.check import command as check
from kamtool.cli.explain import command as explain
from kamtool.cli.serve import command as serve
from kamtool.errors import ConfigErrors, UsageError

GOOD = (
    '#!KAMAILIO\nloadmodule "pv.so"\nloadmodule "xlog.so"\nrequest_route {\n  xlog("$rU");\n  route(A);\n}\n'
)
GOOD += """route[A] {
  if ($rU == 5)
    exit;
  else if ($rU == 6)
    drop;
  while ($var(x) > 1) { $var(x) = 1; }
}
"""


@pytest.fixture
def run():
    """Call a command; what it raises is part of the result."""

    def call(command, *arguments):
        return CliRunner().invoke(command, [str(argument) for argument in arguments])

    return call


@pytest.fixture
def good(tmp_path):
    file = tmp_path / "good.cfg"
    file.write_text(GOOD)
    return file


@pytest.fixture
def bad(tmp_path):
    file = tmp_path / "bad.cfg"
    file.write_text(GOOD + "route[B] {\n  nosuch();\n  $si = 1;\n}\n")
    return file


@pytest.fixture
def doubtful(tmp_path):
    file = tmp_path / "doubtful.cfg"
    file.write_text(GOOD + "route[UNUSED] { exit; }\n")
    return file


def test_a_good_file_is_ok(run, good):
    left = run(check, good)
    assert (left.exit_code, left.stdout) == (0, f"{good}: config file ok\n")


def test_errors_are_shown_and_end_in_7(run, bad):
    left = run(check, bad)
    assert left.exit_code == 7
    assert "error: no function `nosuch` [KT1150]" in left.stderr
    assert "    16 |   nosuch();\n       |   ^^^^^^\n" in left.stderr
    assert f"{bad}: bad config file (2 errors, 1 warning)\n" in left.stderr
    assert left.stdout == ""


def test_warnings_pass_unless_strict(run, doubtful):
    assert run(check, doubtful).exit_code == 0
    left = run(check, "--strict", doubtful)
    assert left.exit_code == 10
    assert "KT1311" in left.stderr
    assert "config file ok (1 warning)" in left.stdout


def test_quiet_keeps_warnings_to_itself(run, doubtful):
    left = run(check, "-q", doubtful)
    assert (left.stderr, left.stdout) == ("", f"{doubtful}: config file ok\n")


def test_several_files_are_checked_and_one_bad_one_decides(run, good, bad):
    left = run(check, good, bad)
    assert left.exit_code == 7
    assert "good.cfg: config file ok" in left.stdout


def test_findings_as_rows_for_programs(run, bad):
    left = run(check, "-o", "json", bad)
    rows = json.loads(left.stdout)
    assert [(row["code"], row["line"], row["column"], row["severity"]) for row in rows] == [
        ("KT1150", 16, 3, "error"), ("KT1154", 17, 3, "error"), ("KT1311", 15, 7, "warning"),
    ]  # fmt: skip
    table = list(csv.DictReader(io.StringIO(run(check, "-q", "-o", "csv", bad).stdout)))
    assert [row["code"] for row in table] == ["KT1150", "KT1154"]


def test_the_form_of_kamailio_is_read_by_what_reads_kamailio(run, bad):
    left = run(check, "-o", "kamailio", bad)
    assert left.exit_code == 255
    assert left.stderr.splitlines() == [
        f"CRITICAL: parse error in config file {bad}, line 16, column 10: no function `nosuch` [KT1150]",
        f"CRITICAL: parse error in config file {bad}, line 17, column 3-5: `$si` is read-only [KT1154]",
        f"WARNING: warning in config file {bad}, line 15, column 7: nothing calls route[B] [KT1311]",
        "ERROR: bad config file (2 errors)",
    ]


def test_a_good_file_ends_as_kamailio_says_it(run, good):
    left = run(check, "-o", "kamailio", good)
    assert (left.exit_code, left.stderr) == (0, "config file ok, exiting...\n")


def test_serve_with_c_says_the_same(run, bad, good, tmp_path):
    left = run(serve, "-c", "-f", bad)
    assert (left.exit_code, left.stderr) == (255, run(check, "-o", "kamailio", bad).stderr)
    assert run(serve, "-c", "-f", good).exit_code == 0
    missing = run(serve, "-c", "-f", tmp_path / "nope.cfg")
    assert missing.exit_code == 255
    assert missing.stderr.startswith(f"ERROR: loading config file({tmp_path / 'nope.cfg'}): No such file")


def test_sarif_has_a_rule_and_a_place_for_each_finding(run, bad):
    left = run(check, "-o", "sarif", bad)
    assert left.exit_code == 7
    log = json.loads(left.stdout)
    (sarif,) = log["runs"]
    rules = [rule["id"] for rule in sarif["tool"]["driver"]["rules"]]
    assert (log["version"], rules) == ("2.1.0", ["KT1150", "KT1154", "KT1311"])
    assert all(rules[result["ruleIndex"]] == result["ruleId"] for result in sarif["results"])
    first = sarif["results"][0]
    assert (first["level"], first["ruleId"]) == ("error", "KT1150")
    place = first["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == bad.as_uri()
    assert place["region"] == {"startLine": 16, "startColumn": 3, "endLine": 16, "endColumn": 9}


def test_sarif_of_a_good_file_has_no_results(run, good):
    (sarif,) = json.loads(run(check, "-o", "sarif", good).stdout)["runs"]
    assert sarif["results"] == []


def test_defines_come_from_the_command_line(run, tmp_path):
    file = tmp_path / "d.cfg"
    file.write_text("#!ifdef WITH_X\nnosuch = VALUE\n#!endif\nrequest_route { exit; }\n")
    assert run(check, file).exit_code == 0
    assert run(check, "-A", "WITH_X", "-A", "VALUE=5", file).exit_code == 7


def test_a_missing_file_is_a_usage_error(run, tmp_path):
    left = run(check, tmp_path / "nope.cfg")
    assert isinstance(left.exception, UsageError)
    assert left.exception.exit_code == 3


@pytest.mark.parametrize("code", ["KT1130", "kt1130", "1130"])
def test_explain_says_what_a_code_means(run, code):
    left = run(explain, code)
    assert left.stdout.startswith("KT1130: An unknown pseudo-variable\n\nNo module loaded above has it.")


def test_explain_lists_all_codes(run):
    rows = json.loads(run(explain, "-o", "json").stdout)
    assert {"code": "KT1130", "about": "An unknown pseudo-variable"} in rows


def test_explain_of_an_unknown_code_is_not_found(run):
    left = run(explain, "KT9999")
    assert isinstance(left.exception, UsageError)
    assert left.exception.exit_code == 3


def test_the_generated_python_shows_the_lines_of_the_cfg(run, good):
    left = run(cfg, "python", good)
    assert left.exit_code == 0
    assert f"# {good}:4\ndef request_route_0(ctx):\n    try:    # 5\n" in left.stdout
    only = run(cfg, "python", "--route", "A", good).stdout
    assert "request_route_0" not in only
    compile(only, "generated", "exec")


def test_a_dump_lists_the_parts(run, good):
    lines = run(cfg, "dump", good).stdout.splitlines()
    assert [line.split("\t")[1:] for line in lines] == [
        ["module", "pv"], ["module", "xlog"], ["request_route", ""], ["request_route", "A"],
    ]  # fmt: skip


def test_a_bad_file_has_no_python(run, bad):
    assert isinstance(run(cfg, "python", bad).exception, ConfigErrors)
