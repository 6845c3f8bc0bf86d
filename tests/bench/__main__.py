"""The one command, `python -m tests.bench`. The package's docstring says how to read the figures."""

import argparse
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from kamtool import speed
from tests.bench import (
    checking,
    live,
    memory,
    replay,
    scale,
    scripts,
    secure,
    secure_registers,
    sockets,
    table,
    workers,
)
from tests.bench.callgrind import callgrind

PARTS = ("live", "replay", "memory", "scale", "tls", "registers", "script", "check", "workers")
TABLE = ("live", "scale", "tls", "registers")
TABLE_LIVE = ("options", "call", "call-digest", "call-stock")
TABLE_SCALE = ("register-1k", "register-100k", "memory", "start")
LIVE_CASES = ("options", "register", "register-db", "call", "call-digest", "call-stock")


def arguments(words: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="CPU and memory, measured.")
    parser.add_argument("part", nargs="?", choices=(*PARTS, "table", "all"), default="all")
    parser.add_argument(
        "case", nargs="*", help=f"of live: {' '.join(LIVE_CASES)}; of scale: {' '.join(scale.NAMES)}"
    )
    parser.add_argument("--quick", action="store_true", help="short runs")
    parser.add_argument("--server", action="append", choices=("kamailio", "kamtool"), help="only this one")
    parser.add_argument("--runs", type=int, help="runs of each measurement")
    parser.add_argument("--json", type=Path, default=Path("build/bench.json"), help="where the figures go")
    parser.add_argument(
        "--pure", action="store_true", help="also the pure Python kernel, in the live part too"
    )
    parser.add_argument("--profile", action="store_true", help="replay: a table of where the time goes")
    parser.add_argument(
        "--callgrind", action="store_true", help="replay: instructions per call under valgrind"
    )
    parser.add_argument("--calls", type=int, help="replay: calls in a run")
    return parser.parse_args(words)


def machine() -> dict[str, Any]:
    """What the figures depend on, so that two files can be compared."""
    model = ""
    for row in Path("/proc/cpuinfo").read_text().splitlines():
        if row.startswith("model name"):
            model = row.partition(":")[2].strip()
            break
    binary = shutil.which("kamailio")
    shown = (
        subprocess.run([binary, "-v"], capture_output=True, text=True, check=False).stdout if binary else ""
    )
    return {
        "cpu": model, "cores": os.cpu_count(), "kernel": platform.release(), "python": sys.version.split()[0],
        "native": speed.NATIVE, "kamailio": shown.partition("\n")[0], "load": os.getloadavg()[0],
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }  # fmt: skip


def run_live(options: argparse.Namespace, result: dict[str, Any]) -> None:
    counts = live.Counts(paced=2000, saturated=6000, runs=2) if options.quick else live.Counts()
    counts.runs = options.runs or counts.runs
    names = options.server or ["kamailio", "kamtool"]
    rows = []
    for case in options.case or (TABLE_LIVE if options.part == "table" else LIVE_CASES):
        rows += live.compare(case, counts, names, print, {})
        if options.pure and "kamtool" in names:
            for row in live.compare(case, counts, ["kamtool"], print, {"KAMTOOL_PURE": "1"}):
                rows.append({**row, "server": "kamtool (pure)"})
    result["live"], result["ratios"] = rows, live.ratios(rows)
    for found in result["ratios"]:
        verdict = "met" if found["met"] else "NOT MET"
        print(f"ratio        {found['case']:<12} {found['regime']:<10} {found['ratio']:.2f}  {verdict}")


def run_replay(options: argparse.Namespace, result: dict[str, Any]) -> None:
    calls = options.calls or (1000 if options.quick else 4000)
    result["replay"] = replay.figures(calls, options.runs or (3 if options.quick else 7), print)
    if options.profile:
        replay.profile(calls)
    if options.callgrind or (part_is_all(options) and not options.quick):
        result["callgrind"] = callgrind(print)


def run_memory(options: argparse.Namespace, result: dict[str, Any]) -> None:
    amounts = memory.Amounts(20_000, 1500, 1000) if options.quick else memory.Amounts()
    names = options.server or ["kamtool", "kamailio"]
    result["memory"] = memory.figures(names, amounts, print, {})


def run_scale(options: argparse.Namespace, result: dict[str, Any]) -> None:
    amounts = scale.QUICK if options.quick else scale.Amounts()
    amounts = replace(amounts, runs=options.runs or amounts.runs)
    names = options.server or ["kamailio", "kamtool"]
    result["scale"] = scale.figures(
        options.case or (TABLE_SCALE if options.part == "table" else scale.NAMES), names, amounts, print, {}
    )


def run_tls(options: argparse.Namespace, result: dict[str, Any]) -> None:
    names = options.server or ["kamtool", "kamailio"]
    result["tls"] = secure.figures(names, 500 if options.quick else 4000, print, {}, (sockets.conn,))


def run_registers(options: argparse.Namespace, result: dict[str, Any]) -> None:
    names, count = options.server or ["kamailio", "kamtool"], 500 if options.quick else 4000
    result["registers"] = secure_registers.figures(names, count, options.runs or 3, print, {})


def run_script(options: argparse.Namespace, result: dict[str, Any]) -> None:
    count, runs = (1000, 3) if options.quick else (5000, 9)
    result["script"] = scripts.figures(count, options.runs or runs, print)


def run_check(options: argparse.Namespace, result: dict[str, Any]) -> None:
    result["check"] = checking.figures(options.runs or (3 if options.quick else 9), print)


def run_workers(options: argparse.Namespace, result: dict[str, Any]) -> None:
    amounts = workers.Amounts(seconds=1.0, runs=3) if options.quick else workers.Amounts()
    result["workers"] = workers.figures(replace(amounts, runs=options.runs or amounts.runs), print)


def part_is_all(options: argparse.Namespace) -> bool:
    return bool(options.part == "all")


def end_in_good_order(*_: Any) -> None:
    """Told to stop, as `timeout` does: the servers under test end too."""
    raise SystemExit(143)


def main(words: list[str] | None = None) -> int:
    options = arguments(words)
    result: dict[str, Any] = {"machine": machine()}
    print(" ".join(f"{key}={value}" for key, value in result["machine"].items()))
    for name, part in (
        ("replay", run_replay),
        ("live", run_live),
        ("memory", run_memory),
        ("scale", run_scale),
        ("tls", run_tls),
        ("registers", run_registers),
        ("script", run_script),
        ("check", run_check),
        ("workers", run_workers),
    ):
        if options.part in (name, "all") or (options.part == "table" and name in TABLE):
            part(options, result)
            options.json.parent.mkdir(parents=True, exist_ok=True)
            options.json.write_text(json.dumps(result, indent=1) + "\n")
    if options.part in ("table", "all"):
        result["table"] = table.table(result)
        options.json.write_text(json.dumps(result, indent=1) + "\n")
        print(*table.lines(result["table"]), sep="\n")
    print(f"figures in {options.json}")
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, end_in_good_order)
    sys.exit(main())
