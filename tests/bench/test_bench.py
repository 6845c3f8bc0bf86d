"""The benchmark runs, and tells the truth about a run that went wrong. No test looks at how long it took."""

import json
import shutil
import types

import pytest

from kamtool import script as language
from tests.bench import __main__ as command
from tests.bench import (
    checking,
    enumeration,
    flood,
    generator,
    hiding,
    live,
    matrix,
    replay,
    scale,
    scripts,
    secure,
    servers,
    sockets,
    table,
    turns,
    workers,
)
from tests.bench import secure_registers as registers
from tests.bench.generator import Run
from tests.bench.live import Counts


@pytest.fixture(autouse=True)
def a_busy_machine(monkeypatch):
    """It repeats messages, and is late: then a run has no figures, but nothing went wrong with it."""
    monkeypatch.setattr(Run, "valid", Run.whole)
    monkeypatch.setattr(generator, "PATIENCE", 30.0)


SMALL = Counts(paced=20, saturated=20, rate=200, runs=1, settle=0.1)


@pytest.mark.interop
@pytest.mark.parametrize("server", ["kamtool", "kamailio"])
@pytest.mark.parametrize("case", ["options", "register", "register-db", "call", "call-digest", "call-stock"])
def test_a_live_case_runs_without_an_error(server, case):
    if not shutil.which(server) and server == "kamailio":
        pytest.skip("kamailio is not installed")
    said = []
    rows = live.compare(case, SMALL, [server], said.append, {})
    assert [row["regime"] for row in rows] == ["paced", "saturated"], said
    assert all(row["valid_runs"] == 1 and row["cpu_us"] > 0 for row in rows), said
    json.dumps(rows)


@pytest.mark.interop
@pytest.mark.parametrize("server", ["kamtool", "kamailio"])
@pytest.mark.parametrize("name", ["register-1k", "storm", "lookup-1", "lookup-10", "memory", "start"])
def test_a_row_of_the_location_table_is_measured_without_an_error(server, name):
    if not shutil.which(server) and server == "kamailio":
        pytest.skip("kamailio is not installed")
    said = []
    amounts = scale.Amounts(operations=50, runs=1, phones=20, contacts=(50,), rows=200)
    (row,) = scale.figures([name], [server], amounts, said.append, {})
    assert "unavailable" not in row, said
    assert row.get("valid_runs", 1) == 1, said
    json.dumps(row)


@pytest.mark.interop
@pytest.mark.parametrize("server", ["kamtool", "kamailio"])
def test_phones_on_tls_refresh_without_an_error(server):
    if not shutil.which(server) and server == "kamailio":
        pytest.skip("kamailio is not installed")
    said = []
    (row,) = registers.figures([server], 5, 2, said.append, {})
    assert "unavailable" not in row, said
    assert row["lost"] == 0
    json.dumps(row)


def measured(case, server, cost, regime="saturated"):
    return {"case": case, "server": server, "regime": regime, "cpu_us": cost, "rate": 1.0, "p50_ms": 1.0}


def test_the_table_says_what_is_met_what_is_missed_and_why():
    result = {
        "live": [
            measured("call", "kamailio", 100.0), measured("call", "kamtool", 50.0),
            measured("options", "kamailio", 10.0), measured("options", "kamtool", 11.0),
            measured("options", "kamailio", 10.0, "paced"), measured("options", "kamtool", 20.0, "paced"),
            measured("unheard", "kamailio", 10.0), measured("unheard", "kamtool", 11.0),
            {"case": "call-stock", "server": "kamtool", "regime": "-", "unavailable": "not installed"},
        ],
        "tls": [
            {"what": "idle TLS connection", "server": name, "bytes": size}
            for name, size in (("kamtool", 10.0), ("kamailio", 40.0))
        ],
    }  # fmt: skip
    rows = {(row["what"], row["regime"]): row for row in table.table(result)}
    assert rows["call", "saturated"]["met"]
    assert rows["idle TLS connection", ""]["ratio"] == 0.25
    missed = rows["options", "saturated"]
    assert not missed["met"]
    assert "interpreter" in missed["why"]
    assert rows["unheard", "saturated"]["why"].startswith("not profiled")
    assert "wake-ups" in rows["options", "paced"]["why"]
    assert rows["call-stock", "-"]["met"] is None
    text = "\n".join(table.lines(list(rows.values())))
    assert "ratio 0.50, goal 0.50: met" in text
    assert "NOT MET: not profiled" in text
    assert "not measured: not installed" in text


def test_flash_mode_is_measured_without_an_error():
    (row,) = scale.figures(["flash"], ["kamtool"], scale.Amounts(flash_phones=3), print, {})
    assert row["met"]


def test_a_ratio_of_scale_is_of_one_row_of_both_servers():
    ours, theirs = ({"what": "start", "server": name, "value": 3.0} for name in ("kamtool", "kamailio"))
    assert scale.ratios([{**ours, "value": 6.0}, theirs]) == [{"what": "start", "ratio": 2.0, "met": False}]
    assert scale.ratios([{**ours, "value": 6.0, "met": True}, theirs])[0]["met"]
    assert scale.ratios([ours, {**theirs, "what": "storm"}]) == []


@pytest.mark.parametrize("kind", replay.KINDS)
def test_the_replay_gives_a_figure_for_each_of_the_six_messages(kind):
    if kind == "stock" and not servers.STOCK_CFG.exists():
        pytest.skip(f"{servers.STOCK_CFG} is not there")
    row = replay.run(replay.measure(kind, calls=4, runs=1))
    assert list(row["steps"]) == list(replay.STEPS)
    assert row["us"] > 0
    assert json.loads(json.dumps(row))["case"] == kind


RUN = {
    "operations": 10, "completed": 10, "duplicates": 0, "dropped": 0, "errors": {}, "valid": True,
    "cpu_us": 5.0, "busy": 0.5, "rate": 10.0, "generator_cpu": 0.1, "worst_lag_ms": 0.0, "p50_ms": 1.0,
    "p99_ms": 2.0, "rss": 1,
}  # fmt: skip


def test_a_run_that_lost_a_message_counts_for_nothing():
    lost = {**RUN, "completed": 9, "valid": False, "cpu_us": 1.0}
    row = live.summary("call", "kamtool", "paced", [RUN, lost])
    assert (row["cpu_us"], row["valid_runs"], row["lost"]) == (5.0, 1, 1)


def test_a_case_without_a_valid_run_says_so_and_has_no_ratio():
    bad = live.summary("call", "kamtool", "paced", [{**RUN, "valid": False, "errors": {"SIP/2.0 500 x": 2}}])
    good = live.summary("call", "kamailio", "paced", [RUN])
    assert "INVALID" in live.line(bad)
    assert "SIP/2.0 500" in live.line(bad)
    assert live.ratios([bad, good]) == []


def test_a_ratio_is_kamtool_over_kamailio():
    rows = [
        live.summary("call", "kamtool", "paced", [{**RUN, "cpu_us": 4.0}]),
        live.summary("call", "kamailio", "paced", [RUN]),
    ]
    assert live.ratios(rows) == [{"case": "call", "regime": "paced", "ratio": 0.8, "met": True}]


def test_the_command_knows_its_parts():
    options = command.arguments(["live", "call", "--quick", "--server", "kamtool"])
    assert (options.part, options.case, options.quick, options.server) == (
        "live",
        ["call"],
        True,
        ["kamtool"],
    )


def test_the_script_part_gives_a_figure_for_each_way_and_counts_the_statements():
    row = scripts.run(scripts.measure("62", scripts.HERE / "sixty-two.cfg", 5, 1))
    assert row["statements"] == 62
    assert min(row["plain_us"], row["attached_us"], row["traced_us"]) > 0
    json.dumps(row)


def test_the_plain_code_is_the_same_to_the_byte_whether_the_debugger_is_loaded_or_not():
    assert scripts.is_same_code()


def test_the_comparison_of_code_sees_one_changed_constant():
    one, other = (compile(f"def f(): return {value}", "x", "exec") for value in (1, 2))
    assert scripts.anatomy(one) != scripts.anatomy(other)
    assert scripts.anatomy(one) == scripts.anatomy(compile("def f(): return 1", "x", "exec"))


@pytest.mark.parametrize(
    ("measure", "count"),
    [
        (secure.idle, 100),  # a few find room in memory that the process has already
        (secure.handshakes, 8),
        (secure.storm, 8),
        (sockets.conn, 8),
    ],
)
def test_tls_is_measured_without_an_error(measure, count):
    row = {"server": "kamtool", **measure("kamtool", count, {})}
    assert row["count"] == count
    assert "could not" not in secure.line(row)
    (shown,) = table.table({"tls": [row, {**row, "server": "kamailio"}]})
    assert shown["ratio"] == 1.0
    json.dumps(row)


@pytest.mark.interop
@pytest.mark.parametrize("row", flood.ROWS)
def test_a_flood_bans_every_scanner_and_nobody_else_and_the_phones_go_on(row):
    if row == "kamailio" and not shutil.which(row):
        pytest.skip("kamailio is not installed")
    found = flood.measure(row, flood.SHORT)
    assert found["exact"], found
    if row != "kamailio":  # its receive queue is as small as the system's
        assert found["succeeded"] >= flood.WANTED, found
    json.dumps(found)


@pytest.mark.interop
@pytest.mark.parametrize("module", ["topoh", "topos"])
@pytest.mark.parametrize("server", ["kamtool", "kamailio"])
def test_the_cost_of_hiding_the_topology_is_measured_without_an_error(server, module, tmp_path):
    if server == "kamailio" and not shutil.which(server):
        pytest.skip("kamailio is not installed")
    row = hiding.compare(server, module, SMALL, tmp_path)
    if (server, module) != ("kamailio", "topos"):  # it waits for the disk with each message, and loses some
        assert row["valid"], row
    assert min(row["with"], row["without"]) > 0
    assert server in hiding.line(row)


@pytest.mark.interop
def test_answers_for_users_and_for_nobody_are_alike_and_their_costs_compared():
    row = enumeration.measure(20)
    assert row["answers alike"], row
    assert 0 <= row["cpu"]["area"] <= 1
    json.dumps(row)


def test_the_area_tells_what_can_be_told_apart():
    assert enumeration.area([1, 2, 3], [1, 2, 3]) == 0.5
    assert enumeration.area([4, 5], [1, 2]) == 1.0
    assert enumeration.area([1, 2], [4, 5]) == 0.0
    assert enumeration.needed(0.5) is None
    assert enumeration.needed(0.6) > enumeration.needed(0.9)


def test_the_cfg_that_is_checked_has_its_lines_and_nothing_wrong():
    text = checking.cfg()
    assert text.count("\n") == checking.LINES
    report = language.check(text)
    assert report.findings == ()


@pytest.mark.interop
@pytest.mark.parametrize("server", ["kamtool", "kamailio"])
def test_what_the_features_cost_is_measured_without_an_error(server):
    if server == "kamailio" and not shutil.which(server):
        pytest.skip("kamailio is not installed")
    row = matrix.measured(server, matrix.FEATURES, matrix.Load(rate=30, seconds=1, runs=1))
    assert row["cpu"] > 0
    assert (row["calls"], row["failed"]) == (30, 0)


def test_the_matrix_has_a_row_a_set_of_features_and_says_what_was_not_measured():
    rows = [
        {"server": "a", "features": [], "cpu": 0.05, "joules": None, "failed": 0},
        {"server": "b", "features": [], "cpu": None},
        {"server": "a", "features": ["NAT", "TLS"], "cpu": 0.075, "joules": 2.0, "failed": 3, "differs": 8},
    ]
    head, _, none, both = matrix.markdown(rows).splitlines()
    columns = "CPU s | more | joules | differs"
    assert head == f"| features | a, {columns} | b, {columns} |"
    assert none == "| none | 0.050 |  | no meter |  | not measured |  |  |  |"
    assert both == "| nat + tls | 0.075 (!) | +50% | 2.0 | 8 | not measured |  |  |  |"


async def test_turns_with_and_without_a_tap_are_told_apart():
    """By pairs, and a few turns in which the machine did something else do not count."""
    tap = types.SimpleNamespace(watchers=["w"], _rewire=lambda: None)
    ours = turns.Turns(tap, "w")
    for _ in range(4):
        ours.end()
    assert (tap.watchers, len(ours.costs[True]), len(ours.costs[False])) == (["w"], 2, 2)
    ours.costs = {True: [0.3] * 9 + [9.0, 0.3], False: [0.2] * 10}
    pairs, on, off, more, give = ours.said()
    assert (pairs, on, off) == (10, 0.3, 0.2)
    assert more == pytest.approx(0.1)
    assert give == pytest.approx(0.0)


@pytest.mark.interop
def test_workers_are_measured_beside_servers_apart():
    amounts = workers.Amounts(share=0.5, seconds=0.02, runs=1, sizes=(1, 2), lanes=4, window=8)
    said = []
    rows = workers.figures(amounts, said.append)
    if "unavailable" in rows[0]:  # no right to give quotas: then that is what the rows must say
        assert all(
            "CPU quota" in row["unavailable"] or "cpu controller" in row["unavailable"] for row in rows
        )
        assert all("could not be measured" in each for each in said)
        return
    assert [(row["workers"], row["dispatch"]) for row in rows] == [
        (1, "apart"),
        (2, "apart"),
        (2, "call-id"),
        (2, "source"),
    ]
    assert all(row["rate"] > 0 and row["cpu_us"] > 0 for row in rows), said
    json.dumps(rows)
