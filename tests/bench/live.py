"""Kamailio and kamtool under the same load, one after the other, run by run: CPU per operation from /proc."""

import contextlib
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tests.bench import proc
from tests.bench.cases import CASES, Call, Case, DigestCall, Register
from tests.bench.generator import Generator, Run
from tests.bench.servers import (
    DB_USERS,
    GENERATOR_CORE,
    Setup,
    Subject,
    Unavailable,
    running,
    stock_cfg,
    subscribers,
)

SATURATED_FROM = 0.9
"""A server that is busy for this share of the time is taken for saturated."""


@dataclass
class Counts:
    """How many operations a run has: enough to be measured, few enough to be repeated."""

    paced: int = 4000
    saturated: int = 15000
    rate: float = 1000
    runs: int = 3
    settle: float = 6.5
    """Seconds after a run of calls in which its transactions end (tm keeps them 5 s): its work too."""


def measure(
    subject: Subject, generator: Generator, case: Case, rate: float, settle: float, idle: float
) -> dict[str, Any]:
    """One run: the generator's view and the server's costs. `idle` is the CPU a second used unasked."""
    drops, cpu = subject.drops(), subject.cpu()
    run: Run = generator.drive(case, rate)
    used = subject.cpu() - cpu
    busy, rss = used / run.seconds, subject.pss()
    if settle:
        cpu = subject.cpu()
        time.sleep(settle)
        used += max(0.0, subject.cpu() - cpu - idle * settle)
    dropped = subject.drops() - drops
    return {
        **asdict(run),
        "cpu_us": used / max(1, run.completed) * 1e6,
        "busy": busy,
        "dropped": dropped,
        "valid": run.valid and not dropped,
        "rss": rss,
    }


def prepare(
    subject: Subject, generator: Generator, kind: type[Case], counts: Counts, settle: float, *, digest: bool
) -> float:
    """Register the callees, then let it work once as in the measured runs, so that memory has been touched.

    `digest` says whether a REGISTER is challenged. Gives the CPU a second that the server uses when idle.
    """
    if issubclass(kind, Call):
        run = generator.drive(generator.case(Register, Call.callees, with_digest=digest))
        if not run.valid:
            raise Unavailable(f"the callees could not register: {run}")
    generator.drive(generator.case(kind, counts.saturated))
    time.sleep(settle)
    cpu = subject.cpu()
    time.sleep(1.0)
    return subject.cpu() - cpu


def compare(
    case_name: str,
    counts: Counts,
    names: Sequence[str],
    report: Callable[[str], None],
    environment: dict[str, str],
) -> list[dict[str, Any]]:
    """All runs of one case, the servers taking turns. A row for each server and regime."""
    base = case_name.partition("-")[0]
    kind = DigestCall if case_name == DigestCall.name else CASES[base]
    settle = counts.settle if issubclass(kind, Call) else 0.0
    rows = []
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-db-")))
        setup = Setup(environment=environment)
        if case_name.endswith("-db"):
            subscribers(directory / "users.db")
            setup.defines = ("WITH_DB", f'DBURL="sqlite:///{directory}/users.db"')
        if kind is DigestCall:
            setup.defines = ("CALL_DIGEST",)
        is_stock = case_name.endswith("-stock")
        subjects = []
        stack.enter_context(proc.pinned(GENERATOR_CORE))
        for name in names:
            try:
                if is_stock:
                    setup.cfg = stock_cfg(directory, name)
                subject = stack.enter_context(running(name, setup))
                generator = stack.enter_context(contextlib.closing(Generator(subject.port)))
                idle = prepare(subject, generator, kind, counts, settle, digest=not is_stock)
                subjects.append((subject, generator, idle))
            except Unavailable as reason:
                report(f"{case_name}: {name}: {reason}")
                rows.append({"case": case_name, "server": name, "regime": "-", "unavailable": str(reason)})
        used = counts.saturated
        for regime, rate, total in (
            ("paced", counts.rate, counts.paced),
            ("saturated", 0.0, counts.saturated),
        ):
            measured: dict[str, list[dict[str, Any]]] = {subject.name: [] for subject, _, _ in subjects}
            for _ in range(counts.runs):
                make: Callable[..., Case] = kind
                if kind is Register:
                    start = used % max(1, DB_USERS - total) if case_name.endswith("-db") else used
                    make, used = partial(Register, start=start), used + total
                for subject, generator, idle in subjects:
                    case = generator.case(make, total)
                    measured[subject.name].append(measure(subject, generator, case, rate, settle, idle))
            rows += [summary(case_name, name, regime, runs) for name, runs in measured.items()]
            for row in rows[-len(measured) :]:
                report(line(row))
    return rows


def summary(case: str, server: str, regime: str, runs: list[dict[str, Any]]) -> dict[str, Any]:
    """The median of the valid runs, and what was wrong with the others."""
    valid = [run for run in runs if run["valid"]]
    row = {"case": case, "server": server, "regime": regime, "runs": len(runs), "valid_runs": len(valid)}
    for key in ("cpu_us", "busy", "rate", "generator_cpu", "worst_lag_ms", "p50_ms", "p99_ms", "rss"):
        row[key] = statistics.median(run[key] for run in valid) if valid else None
    row["spread"] = [min(r["cpu_us"] for r in valid), max(r["cpu_us"] for r in valid)] if valid else None
    row["saturated"] = bool(valid) and row["busy"] >= SATURATED_FROM
    row["lost"] = sum(run["operations"] - run["completed"] for run in runs)
    row["duplicates"] = sum(run["duplicates"] for run in runs)
    row["dropped"] = sum(run["dropped"] for run in runs)
    row["errors"] = {text: count for run in runs for text, count in run["errors"].items()}
    row["detail"] = runs
    return row


def line(row: dict[str, Any]) -> str:
    """A row as a line of the table."""
    head = f"{row['case']:<12} {row['regime']:<10} {row['server']:<9}"
    if row.get("unavailable"):
        return f"{head} could not run"
    wrong = f"lost {row['lost']} repeated {row['duplicates']} dropped {row['dropped']}"
    if row["errors"]:
        wrong += f" errors {row['errors']}"
    if row["cpu_us"] is None:
        return f"{head} INVALID: {wrong}"
    low, high = row["spread"]
    return (
        f"{head} {row['cpu_us']:8.1f} us/op [{low:.1f}..{high:.1f}] {row['rate']:7.0f}/s"
        f" busy {row['busy']:4.0%}"
        f" p50 {row['p50_ms']:.2f} p99 {row['p99_ms']:.2f} ms  rss {row['rss'] / 1e6:.0f} MB"
        f" generator {row['generator_cpu']:4.0%} valid {row['valid_runs']}/{row['runs']} {wrong}"
    )


def ratios(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """kamtool's CPU over Kamailio's, per case and regime: at most 1.0 is the goal."""
    cost = {(row["case"], row["regime"], row["server"]): row.get("cpu_us") for row in rows}
    found = []
    for case, regime, server in cost:
        if server == "kamtool" and cost[case, regime, server] and cost.get((case, regime, "kamailio")):
            ratio = cost[case, regime, server] / cost[case, regime, "kamailio"]
            found.append({"case": case, "regime": regime, "ratio": ratio, "met": ratio <= 1.0})
    return found
