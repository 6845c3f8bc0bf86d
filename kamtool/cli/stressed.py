"""What `kamtool stress` does once it knows what was asked: run, judge, print."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, TextIO

import click
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from kamtool.cli.output import coloured, printable
from kamtool.errors import UsageError
from kamtool.tools.stress import files, process, worker
from kamtool.tools.stress import report as reports
from kamtool.tools.stress.html import to_html
from kamtool.tools.stress.knee import Probe
from kamtool.tools.stress.knee import find_max as search
from kamtool.tools.stress.panel import LivePanel
from kamtool.tools.stress.plan import Plan
from kamtool.tools.stress.schedule import parse_time
from kamtool.tools.stress.threshold import Threshold, compare, parse_threshold

FAILED, UNREACHABLE, INVALID, CROSSED = 1, 5, 10, 99


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
    if sys.stderr.isatty() and not given["no_panel"] and not quiet and not plan.is_server:
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
    if plan.is_server:
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
    if calls["started"]:
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
        cells = [reports.shown(response[figure]) for figure in figures]
        table.add_row(name, f"{response['count']:,}", *cells, reports.shown(one["service"]["p99"]))
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
