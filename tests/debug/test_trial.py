# ruff: noqa: E501
"""`kamtool test`: unit tests of a routing script."""

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from click.testing import CliRunner

from kamtool.cli.test import command
from kamtool.debug.trial import forks, suite
from kamtool.debug.trial.case import read
from kamtool.debug.trial.mutants import mutants, survivors
from kamtool.errors import UsageError
from kamtool.script import load

pytest_plugins = ["kamtool.debug.trial.fixtures"]
EXAMPLES = sorted((Path(__file__).parents[2] / "cfg" / "tests").glob("*.toml"))
CFG = """#!KAMAILIO
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "textops.so"
loadmodule "siputils.so"
loadmodule "htable.so"
modparam("htable", "htable", "seen=>size=4;autoexpire=60")
request_route {
  if ($sht(seen=>$fU) != $null) { sl_send_reply("403", "Again"); exit; }
  $sht(seen=>$fU) = 1;
  $var(x) = $rU + "!";
  if (is_method("OPTIONS")) { append_to_reply("X: $TS\\r\\n"); sl_send_reply("200", "OK"); exit; }
  if (!t_relay()) sl_reply_error();
}
"""


@pytest.fixture
def files(tmp_path):
    """A cfg and tests for it: `files('[[case]] …')` gives the tests' path."""
    (tmp_path / "edge.cfg").write_text(CFG)

    def write(text, head='cfg = "edge.cfg"\n'):
        path = tmp_path / "edge.toml"
        path.write_text(head + text)
        return path

    return write


def ran(path):
    return {each.name: each.wrong for each in suite.run(read(path))}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_the_examples_pass(path):
    results = ran(path)
    assert len(results) >= 10
    assert {name: wrong for name, wrong in results.items() if wrong} == {}


def test_cases_know_nothing_of_each_other_and_the_clock_is_fixed(files):
    path = files(
        "now = 2026-01-01T12:00:00Z\n"
        + "".join(
            f'[[case]]\nname = "{n}"\nsend = "OPTIONS sip:a@192.0.2.1"\n'
            'expect = [{ status = 200, headers = { X = "1767268800" } }]\nvariables = { "$var(x)" = "a!" }\n'
            for n in range(5)
        )
    )
    assert ran(path) == {str(n): [] for n in range(5)}


@pytest.mark.parametrize(
    ("case", "wrong"),
    [
        ('expect = ["404"]', "SIP/2.0 200 OK was sent instead of 404"),
        ('expect = ["200 Fine"]', "SIP/2.0 200 OK was sent instead of 200 Fine"),
        ("expect = []", "SIP/2.0 200 OK was sent to udp:192.0.2.10:5060 as well"),
        ('expect = ["200", "INVITE"]', "INVITE was not sent"),
        (
            'expect = ["200 -> 192.0.2.11"]',
            "SIP/2.0 200 OK went to udp:192.0.2.10:5060 instead of 192.0.2.11",
        ),
        ("expect = [{ status = 200, headers = { X = false } }]", "X: 1700000000 should not be there"),
        ("expect = [{ status = 200, headers = { Y = true } }]", "there is no Y"),
        ('expect = [{ status = 200, headers = { X = "2*" } }]', "X is 1700000000 instead of 2*"),
        ('variables = { "$var(x)" = "b" }', "$var(x) is 'a!' instead of 'b'"),
    ],
)
def test_what_is_wrong_is_said(files, case, wrong):
    (found,) = ran(files(f'[[case]]\nname = "one"\nsend = "OPTIONS sip:a@192.0.2.1"\n{case}\n')).values()
    assert found == [wrong]


@pytest.mark.parametrize(
    ("text", "head", "message"),
    [
        ("[[case]]\nname = 1\n", None, "has no name"),
        ('[[case]]\nname = "x"\nsned = "A b"\n', None, "nothing is called 'sned'"),
        ('[[case]]\nname = "x"\n', None, "does nothing"),
        ('[[case]]\nname = "x"\nwait = 1\n[[case]]\nname = "x"\nwait = 1\n', None, "two cases are called 'x'"),
        ("[[case", None, "edge.toml"),
        ("", "", "`cfg = \"FILE\"` is missing"),
        ('[[case]]\nname = "x"\nsend = "A sip:b"\nexpect = [{ sttaus = 1 }]\n', None, "nothing is called 'sttaus'"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_refused_in_one_line(files, text, head, message):
    with pytest.raises(UsageError, match=message):
        read(files(text) if head is None else files(text, head))


def test_steps_dns_refused_peers_and_rows_in_between(files):
    path = files(
        """
[dns."far.example"]
A = ["192.0.2.77"]
[[case]]
name = "by name"
send = "INVITE sip:x@far.example"
expect = ["100", "INVITE -> 192.0.2.77:5060"]
[[case]]
name = "by name that is not there"
send = "INVITE sip:x@none.example"
expect = ["478"]
[[case]]
name = "time passes"
[[case.steps]]
send = "OPTIONS sip:a@192.0.2.1"
[[case.steps]]
send = "OPTIONS sip:a@192.0.2.1"
expect = ["403 Again"]
[[case.steps]]
wait = 200
[[case.steps]]
send = "OPTIONS sip:a@192.0.2.1"
expect = ["200"]
[[case.steps]]
rpc = ["htable.get", "seen", "alice"]
result = { item = { name = "alice", value = 1, flags = 0 } }
"""
    )
    results = ran(path)
    assert results["by name"] == results["by name that is not there"] == []
    assert results["time passes"] == [] or results["time passes"][0].startswith("step 5: rpc htable.get")


def test_junit_tells_of_the_failure(files, tmp_path):
    path = files(
        '[[case]]\nname = "good"\nwait = 1\n[[case]]\nname = "bad <1>"\nsend = "A sip:b"\nexpect = ["299"]\n'
    )
    made = tmp_path / "out.xml"
    done = CliRunner().invoke(command, [str(path), "--junit", str(made)], standalone_mode=False)
    assert done.return_value == 1
    assert "1 of 2 passed" in done.output
    (one,) = ElementTree.parse(made).getroot()
    assert (one.get("tests"), one.get("failures")) == ("2", "1")
    assert one[1].get("name") == "bad <1>"
    assert "299" in one[1][0].get("message")


def test_mutants_that_nobody_notices_are_named(files):
    path = files('[[case]]\nname = "one"\nsend = "OPTIONS sip:a@192.0.2.1"\nexpect = ["200"]\n')
    tests = read(path)
    script = load(tests.cfg)
    assert len(list(mutants(script))) == 11
    found = {(each.span.line, each.what): each.killed_by for each in survivors(tests, script)}
    lines = CFG.split("\n")
    assert found[lines.index('  $var(x) = $rU + "!";') + 1, "left out"] == ""
    turned = next(n for n, line in enumerate(lines, 1) if 'is_method("OPTIONS")' in line)
    assert found[turned, "turned round"] == "one"


def test_a_process_that_dies_is_one_failure():
    import os

    assert list(forks.each([lambda: 1, lambda: os._exit(3), lambda: 2])) == [1, None, 2]


def test_tests_in_python_have_a_fixture(cfg, tmp_path):
    (tmp_path / "edge.cfg").write_text(CFG)
    server = cfg(tmp_path / "edge.cfg")
    assert [m.status for m in server.send("OPTIONS sip:a@192.0.2.1")] == [200]
    _, invite = server.send("INVITE sip:b@192.0.2.5", from_="bob@x")
    assert [m.status for m in server.answer("180 Ringing", invite)] == [180]
    assert server.rpc("htable.listTables")
    assert server.wait(1) == []


def test_a_process_does_many_works_and_one_that_dies_is_replaced():
    import os

    here = os.getpid()
    works = [os.getpid, os.getpid, lambda: os._exit(3), os.getpid, os.getpid]
    one, two, dead, *rest = forks.each(works, 1)
    assert (one == two, dead, rest[0] == rest[1]) == (True, None, True)
    assert len({here, one, rest[0]}) == 3


def test_a_script_for_many_servers_is_compiled_once_and_knows_the_modules_of_each(tmp_path):
    from dataclasses import replace

    from kamtool.debug.trial.run import Bench

    (tmp_path / "edge.cfg").write_text(CFG)
    (tmp_path / "edge.toml").write_text(
        'cfg = "edge.cfg"\n[[case]]\nname = "x"\nsend = "OPTIONS sip:a@192.0.2.1"\nexpect = ["200"]\n'
    )
    tests = read(tmp_path / "edge.toml")
    script = replace(load(tests.cfg), linked_often=True)
    benches = [Bench(tests, script) for _ in range(3)]
    routes = [each.offline.server.program.request_route.inner for each in benches]
    assert len({route.__code__ for route in routes}) == 1
    assert len({id(route.__globals__) for route in routes}) == 3
    # Each has a table of its own: the second time alice is seen, it is on the same server.
    assert [each.run(tests.cases[0]).wrong for each in benches] == [[], [], []]
    assert "403" in str(benches[0].run(tests.cases[0]).wrong)
    for each in benches:
        each.stop()
