"""What `kamtool stress` does once it knows what was asked: plan, run, judge, print."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TextIO

import click
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from kamtool.cli.output import coloured, printable
from kamtool.errors import UsageError
from kamtool.sip.flow import Address
from kamtool.tools.sippxml.model import Scenario, SendCmd
from kamtool.tools.sippxml.scenario import read_scenario
from kamtool.tools.sippxml.users import Users, read_users
from kamtool.tools.stress import files, process, worker
from kamtool.tools.stress import report as reports
from kamtool.tools.stress.html import to_html
from kamtool.tools.stress.knee import Probe
from kamtool.tools.stress.knee import find_max as search
from kamtool.tools.stress.panel import LivePanel
from kamtool.tools.stress.plan import Plan, Tls, default_users
from kamtool.tools.stress.schedule import Load, parse_ramp, parse_rate, parse_time
from kamtool.tools.stress.target import PORTS, Target, parse_target, permit
from kamtool.tools.stress.threshold import Threshold, compare, parse_threshold
from kamtool.tools.stress.twin import read_peers

FAILED, UNREACHABLE, INVALID, CROSSED = 1, 5, 10, 99
HOUR = 3600.0
SEGMENTED_FROM = 5000.0
"""Calls a second from which datagrams leave in segments: few look at single ones in a capture then."""


def plan_of(name: str, target_text: str, given: Mapping[str, Any]) -> Plan:
    """The plan that the options describe. Raises UsageError and ConfigError before anything is sent."""
    keys = dict(given["key"])
    scenario = read_scenario(given["scenario"], keys) if given["scenario"] else None
    for warning in scenario.warnings if scenario else ():
        click.echo(f"warning: {warning}", err=True)
    is_server = name == "uas" or bool(scenario and scenario.is_server)
    local, hosts = _local(given["local"])
    transport = given["transport"] or ""
    if not target_text and not is_server:
        raise UsageError("no target given", hint=f"kamtool stress {name} 127.0.0.1:5060")
    if name in ("slow-loris", "fragments"):
        transport = transport or "tcp"
    target = parse_target(target_text or f"{local.host or '127.0.0.1'}:{local.port or 5060}", transport)
    if name == "replay":
        _check_replay(given)
    load = _load(given, is_server or name == "replay")
    permit(target, given["i_own_target"], load)
    twins, own_twin = _twins(scenario, given)
    password = _password(given["password_file"])
    return Plan(
        name,
        target,
        load,
        scenario=scenario,
        local=local,
        more_hosts=hosts,
        sources=given["sources"],
        transport=target.transport,
        users=_users(given["users"], password),
        files=[read_users(p) for p in given["inf"]],
        keys=keys,
        domain=given["domain"] or _domain(target),
        service=given["service"],
        password=password,
        callee=not given["no_callee"],
        hold=parse_time(given["hold"]),
        timeout=parse_time(given["timeout"]),
        patience=parse_time(given["patience"]),
        seed=given["seed"],
        workers=given["workers"],
        tls=Tls(str(given["cert"] or ""), str(given["cert_key"] or ""), str(given["ca"] or "")),
        commands=given["allow_commands"],
        connections=given["connections"],
        capture=str(given["capture"] or ""),
        speed=given["speed"],
        twins=twins,
        own_twin=own_twin,
        server=given["server"],
        tick=parse_time(given["tick"]) if given["tick"] else None,
        segment=(load.highest >= SEGMENTED_FROM or given["find_max"])
        if given["segment"] is None
        else given["segment"],
    )


def _twins(scenario: Scenario | None, given: Mapping[str, Any]) -> tuple[dict[str, Address], Address | None]:
    """The twins of a scenario with commands, and where we listen for them. Raises UsageError."""
    first = scenario.first_command if scenario is not None else None
    name = given["master"] or given["slave"]
    if first is None:
        if name or given["twin"]:
            raise UsageError("the scenario has no command for a twin", hint="<sendCmd> or <recvCmd>")
        return {}, None
    if given["workers"] > 1:
        raise UsageError("a scenario with twins is one process")
    if given["twin"]:
        host, colon, port = given["twin"].rpartition(":")
        if not colon or not port.isdigit():
            raise UsageError(f"no address: {given['twin']!r}", hint="--3pcc HOST:PORT")
        place = Address(host.strip("[]"), int(port))
        return ({"": place}, None) if first is SendCmd else ({}, place)
    if not name or not given["slave_cfg"]:
        raise UsageError(
            "who is the twin?", hint="--3pcc HOST:PORT, or --master/--slave NAME with --slave-cfg FILE"
        )
    peers = read_peers(given["slave_cfg"])
    if name not in peers:
        raise UsageError(f"{given['slave_cfg']} has no {name!r}", hint=", ".join(peers))
    return peers, peers[name]


def _check_replay(given: Mapping[str, Any]) -> None:
    if not given["capture"]:
        raise UsageError("no capture given", hint="kamtool stress replay FILE.pcapng 127.0.0.1:5060")
    if not 0 < given["speed"] <= 1000:
        raise UsageError(f"no speed: {given['speed']:g}", hint="more than 0, at most 1000")
    if given["workers"] > 1:
        raise UsageError("a replay is one process", hint="its calls meet at each other's sockets")


def _domain(target: Target) -> str:
    host = f"[{target.host}]" if ":" in target.host else target.host
    return host if target.address.port == PORTS[target.transport] else f"{host}:{target.address.port}"


def _local(given: tuple[str, ...]) -> tuple[Address, list[str]]:
    """The first own address with its port, and all hosts."""
    found = []
    for text in given:
        host, colon, port = text.rpartition(":") if text.count(":") == 1 else (text.strip("[]"), "", "")
        if colon and not port.isdigit():
            raise UsageError(f"no address: {text!r}", hint="HOST or HOST:PORT")
        found.append(Address(host, int(port or 0)))
    return (found[0] if found else Address("", 0)), [one.host for one in found]


def _load(given: Mapping[str, Any], is_server: bool) -> Load:
    open_ended = given["calls"] or is_server
    duration = parse_time(given["duration"]) if given["duration"] else HOUR if open_ended else 10.0
    rate, to_rate, ramp = parse_rate(given["rate"]), 0.0, 0.0
    if given["ramp"]:
        rate, to_rate, ramp = parse_ramp(given["ramp"])
    return Load(
        rate, duration, given["calls"] or 0, to_rate, ramp, given["poisson"], given["closed"] or 0,
        parse_time(given["think"]),
    )  # fmt: skip


def _password(path: Path | None) -> str:
    return path.read_text().split("\n", 1)[0].rstrip("\r") if path else ""


def _users(text: str, password: str) -> Users:
    if not text or text.isdigit():
        return default_users(int(text or 100), password)
    users = read_users(Path(text))
    for row in users.rows:
        row[1:2] = [(row[1] if len(row) > 1 else "") or password.replace("{user}", row[0])]
    return users


def limits_of(given: Mapping[str, Any]) -> list[Threshold]:
    """The limits of --fail-if, before anything is sent."""
    return [parse_threshold(text) for text in given["fail_if"]]


def run(plan: Plan, given: Mapping[str, Any], quiet: bool = False) -> reports.Report:
    """Run a plan, with the live panel on a terminal; the report with its cost."""
    assert plan.target is not None
    pid = given["target_pid"] or _local_process(plan)
    meter = reports.before(pid)
    began = time.time()
    console = Console(stderr=True, no_color=not coloured(sys.stderr))
    if sys.stderr.isatty() and not given["no_panel"] and not quiet and plan.name != "uas":
        with LivePanel(plan, console) as panel:
            outcome = worker.run(plan, panel.add)
    else:
        outcome = worker.run(plan)
    report = reports.make(plan, outcome)
    reports.cost(report, meter)
    report["began"] = began
    report["_outcome"] = outcome
    return report


def _local_process(plan: Plan) -> int:
    """The process of a target on this machine, when it can be seen."""
    assert plan.target is not None
    if plan.load.calls == 0 and plan.name == "uas":
        return 0
    if plan.target.address.host.startswith("127.") or plan.target.address.host == "::1":
        return process.listener(plan.target.address.port, "udp" if plan.transport == "udp" else "tcp")
    return 0


def judge(report: reports.Report, limits: list[Threshold], given: Mapping[str, Any]) -> int:
    """Hold the run against its limits; the exit code."""
    verdicts = [limit.verdict(report) for limit in limits]
    if given["baseline"]:
        try:
            earlier = json.loads(given["baseline"].read_text())
            verdicts += compare(report, earlier, float(given["tolerance"].rstrip("%")) / 100)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UsageError(f"{given['baseline']} is no report of kamtool stress: {error}") from None
    report["limits"] = verdicts
    calls = report["calls"]
    if report["error"] or (report["stopped"] and not report["messages"]["received"]):
        return UNREACHABLE
    if any(one["crossed"] for one in verdicts):
        return CROSSED
    if report["invalid"]:
        return INVALID
    if (
        (calls["failed"] and not verdicts)
        or not calls["succeeded"]
        or report["stopped"] not in ("", "stopped")
    ):
        return FAILED
    return 0


def write_files(report: reports.Report, given: Mapping[str, Any]) -> None:
    """The files that were asked for. Raises UsageError for one that cannot be written."""
    outcome: worker.Outcome = report.pop("_outcome")
    texts: dict[str, Callable[[], str]] = {
        "json_file": lambda: json.dumps(report, indent=1) + "\n",
        "csv_file": lambda: files.to_csv(report),
        "junit": lambda: files.to_junit(report),
        "hdr": lambda: files.to_hdr_log(outcome.seconds, report["began"]),
        "html": lambda: to_html(report, outcome.total),
    }
    for option, text in texts.items():
        if given[option]:
            try:
                given[option].write_text(text())
            except OSError as error:
                raise UsageError(f"{given[option]}: {error.strerror}", exit_code=FAILED) from None


def find_max(plan: Plan, given: Mapping[str, Any]) -> int:
    """Look for the knee and print every probe."""
    limit, step = parse_time(given["p99"]), parse_time(given["step"])
    say = Console(stderr=True, no_color=not coloured(sys.stderr))

    def probe(rate: float) -> Probe:
        report = run(plan.with_rate(rate, step), given, quiet=True)
        calls, measures = report["calls"], report["measures"]
        main = measures.get(plan.name) or measures.get("invite") or next(iter(measures.values()), None)
        p99 = main["response"]["p99"] / 1e3 if main else float("inf")
        if report["error"] or (
            report["stopped"] not in ("", "stopped") and not report["messages"]["received"]
        ):
            raise UsageError(
                f"{plan.target}: {report['error'] or report['stopped']}", exit_code=UNREACHABLE,
                hint="there is no highest rate of what does not answer",
            )  # fmt: skip
        reason = "; ".join(report["invalid"]) or report["stopped"]
        made = Probe(rate, p99, calls["failed"] / max(1, calls["started"]), not reason, reason)
        verdict = "[green]keeps[/green]" if made.keeps(limit) else "[red]breaks[/red]"
        say.print(
            f"{rate:>9,.0f}/s  p99 {p99 * 1e3:9.2f} ms  errors {made.errors:7.2%}  {verdict}  {reason}",
            highlight=False,
        )
        return made

    best, probes = search(probe, limit, plan.load.rate, 50_000)
    facts = {
        "rate": round(best, 1), "limit_ms": limit * 1e3, "target": str(plan.target), "scenario": plan.name,
        "bound": "" if not probes or probes[-1].valid else "the generator, not the target, was at its end",
    }  # fmt: skip
    if given["json_file"]:
        given["json_file"].write_text(
            json.dumps({**facts, "probes": [_probe(one) for one in probes]}, indent=1) + "\n"
        )
    if given["output"] == "table":
        click.echo(
            f"{best:,.0f} calls/s keep a p99 of {limit * 1e3:g} ms" if best else "no rate kept the limit"
        )
        broke = [one for one in probes if not one.valid]
        if broke:
            click.echo(f"above {min(one.rate for one in broke):,.0f}/s: {broke[-1].reason}", err=True)
    else:
        from kamtool.cli.output import emit_value

        emit_value({**facts, "probes": [_probe(one) for one in probes]}, given["output"])
    return 0 if best else FAILED


def _probe(one: Probe) -> dict[str, Any]:
    return {
        "rate": one.rate,
        "p99_ms": round(one.p99 * 1e3, 3),
        "errors": one.errors,
        "valid": one.valid,
        "reason": one.reason,
    }


def print_report(report: reports.Report, stream: TextIO) -> None:
    """The result for people."""
    console = Console(
        file=stream, no_color=not coloured(stream), highlight=False, soft_wrap=not stream.isatty()
    )
    calls = report["calls"]
    console.print(
        Text.assemble(
            (report["scenario"], "bold"),
            f" → {report['target']}, {report['seconds']:.1f} s, {report['loop']}",
        )
    )
    failed = f", {calls['failed']:,} failed" if calls["failed"] else ""
    console.print(
        f"{calls['started']:,} begun ({report['rate']:,.1f}/s), {calls['succeeded']:,} succeeded{failed}, "
        f"{report['messages']['repeated']:,} repeated messages"
    )
    if report["measures"]:
        console.print(_latencies(report))
    for reason, count in report["reasons"].items():
        console.print(Text(f"  {count:,} × {printable(reason)}", style="red"))
    for line in report["logs"][:10]:
        console.print(Text(f"  {printable(line)}"))
    _print_cost(console, report)
    for one in report["limits"]:
        style, word = ("bold red", "crossed") if one["crossed"] else ("green", "kept")
        console.print(Text(f"  {word}: {one['limit']}, it is {one['value']}", style=style))
    for reason in report["invalid"]:
        console.print(Text(f"NOT VALID: {reason}", style="bold red"))
    for text in (report["stopped"], report["error"]):
        if text and text != "stopped":
            console.print(Text(f"ended early: {printable(text)}", style="bold red"))


def _latencies(report: reports.Report) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    figures = ("p50", "p90", "p99", "p99.9", "max")
    for name in ("ms", "count", *figures, "service p99"):
        table.add_column(name, justify="left" if name == "ms" else "right")
    for name, one in report["measures"].items():
        response = one["response"]
        cells = [f"{response[figure]:,.2f}" for figure in figures]
        table.add_row(name, f"{response['count']:,}", *cells, f"{one['service']['p99']:,.2f}")
    return table


def _print_cost(console: Console, report: reports.Report) -> None:
    generator, cost = report["generator"], report.get("cost", {})
    console.print(
        f"generator: {generator['cpu_us_per_call']:g} µs of CPU a call, {generator['busy']:.0%} busy, "
        f"late by {report['lag']['p99']:.2f} ms (p99)", style="dim",
    )  # fmt: skip
    resolution = report["resolution"]
    if resolution["tick_ms"]:
        console.print(
            f"calls begin, and messages are answered, every {resolution['tick_ms']:g} ms; a message came "
            + ("when the kernel got it" if "kernel" in resolution["arrival"] else resolution["arrival"]),
            style="dim",
        )
    if resolution["segmented"]:
        console.print(
            "datagrams of one length left as one (UDP_SEGMENT): a capture on this host may show them whole",
            style="dim",
        )
    if "target" in cost:
        one = cost["target"]
        console.print(
            f"target (pid {one['pid']}): {one['cpu_us_per_call']:g} µs of CPU a call,"
            f" {one['busy']:.0%} busy, "
            f"{one['resident_bytes'] / 1e6:.0f} MB, open files {one['open_files'][0]} →"
            f" {one['open_files'][1]}",
            style="dim",
        )
    if "energy_unread" in cost:
        console.print(f"energy: {cost['energy_unread']}", style="dim")
    if "energy" in cost:
        console.print(f"machine: {cost['energy']['messages_per_joule']:g} messages a joule", style="dim")
