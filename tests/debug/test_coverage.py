"""Coverage: lines, ways out of conditions, and what other tools make of it."""

import json
import shutil
import subprocess

import pytest
from click.testing import CliRunner

from kamtool.cli.cov import command
from kamtool.debug.coverage.record import Coverage
from kamtool.debug.coverage.show import lcov, pages, rows
from kamtool.debug.offline.server import Offline
from kamtool.debug.watching import Watching
from kamtool.errors import UsageError
from kamtool.script import load
from tests.debug.test_story import ALICE, request

CFG = """#!KAMAILIO
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "siputils.so"
loadmodule "textops.so"
request_route {
  if (is_method("OPTIONS")) {
    $var(x) = 1;
    if ($rU == "bob") {
      $var(x) = 2;
    } else {
      $var(x) = 3;
    }
    route(ANSWER);
  } else {
    $var(x) = 4;
  }
  if ($fU == "zoe") {
    drop;
  }
}
route[ANSWER] {
  sl_send_reply("200", "OK");
  while ($var(i) < 3) {
    $var(i) = $var(i) + 1;
  }
}
route[NEVER] {
  drop;
}
"""


@pytest.fixture
def counted(tmp_path):
    """Counts what some requests run of the cfg, which stands in a file."""
    path = tmp_path / "edge.cfg"
    path.write_text(CFG)

    def run(*methods):
        offline = Offline(load(path))
        watching = Watching(offline.server)
        offline.start()
        offline.rpc("debug.coverage", ["on"])
        for n, method in enumerate(methods, 1):
            offline.receive(request(method, n=n), offline.flow(ALICE))
        facts = offline.rpc("debug.coverage", ["off"])
        assert not offline.server.program.actions
        assert watching.counting is None
        offline.stop()
        return Coverage.of(json.loads(json.dumps(facts))), path

    return run


def line_of(text):
    return next(n for n, line in enumerate(CFG.split("\n"), 1) if text in line)


def test_lines_are_counted_and_conditions_by_the_way_they_went(counted):
    coverage, path = counted("OPTIONS", "OPTIONS", "INVITE")
    file = coverage.files[str(path)]
    assert file.lines[line_of("$var(x) = 1")] == 2
    assert file.lines[line_of("$var(x) = 3")] == 0
    assert file.lines[line_of("$var(x) = 4")] == 1
    assert file.branches[line_of("if (is_method")] == [(2, 1)]
    assert file.branches[line_of('if ($rU == "bob")')] == [(2, 0)]
    assert file.branches[line_of('if ($fU == "zoe")')] == [(0, 3)]
    assert file.routes["route[NEVER]"][1] == 0
    (row,) = rows(coverage)
    assert (
        row["never"] == f"{line_of('$var(x) = 3')}, {line_of('    drop;')}, {line_of('  drop;') + 10}"
        or row["never"]
    )
    assert str(line_of("$var(x) = 3")) in row["never"].split(", ")


def test_runs_of_one_text_add_up_and_of_two_are_refused(counted):
    first, path = counted("OPTIONS")
    second, _ = counted("INVITE")
    both = first.merged(second)
    file = both.files[str(path)]
    assert file.branches[line_of("if (is_method")] == [(1, 1)]
    file.digest = "another"
    with pytest.raises(UsageError, match="changed"):
        both.merged(second)


@pytest.mark.skipif(shutil.which("genhtml") is None, reason="lcov is not installed")
def test_genhtml_takes_the_tracefile(counted, tmp_path):
    coverage, _ = counted("OPTIONS", "INVITE")
    info = tmp_path / "run.info"
    info.write_text("".join(f"{line}\n" for line in lcov(coverage)))
    done = subprocess.run(
        ["genhtml", "--branch-coverage", "-o", tmp_path / "html", info],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    assert "warning" not in done.stderr.lower(), done.stderr
    assert "lines......:" in done.stdout
    assert (tmp_path / "html" / "index.html").exists()


def test_pages_mark_what_ran_never_and_one_way(counted, tmp_path):
    coverage, _ = counted("OPTIONS")
    first, page = pages(coverage, tmp_path / "html")
    assert "edge.cfg" in first.read_text()
    text = page.read_text()
    assert '<span class="miss">' in text
    assert '<span class="half" title="always held">' in text


def test_the_commands_report_and_refuse(counted, tmp_path):
    coverage, _ = counted("OPTIONS")
    file = tmp_path / "run.cov"
    coverage.write(file)
    run = CliRunner().invoke(command, ["report", str(file), "-o", "json"], standalone_mode=False)
    assert json.loads(run.stdout)[0]["run"] == 9
    below = CliRunner().invoke(command, ["report", str(file), "--fail-under", "99"], standalone_mode=False)
    assert below.return_value == 99
    file.write_text("{}")
    refused = CliRunner().invoke(command, ["report", str(file)], standalone_mode=False)
    assert "no coverage of kamtool" in str(refused.exception)
