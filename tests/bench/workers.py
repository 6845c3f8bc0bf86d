"""Calls with one worker and with several: `python -m tests.bench.workers [--sizes 1 2] [--calls 8000]`.

With `--work N` the script counts to N at each INVITE: a call whose cost is the script's leaves the generator
little to do, so that two workers have two cores where there are but two.

The server may use every core but the generator's, and that one too where there are only two: then the
generator takes from what a second worker could give, and the figure to look at is the CPU of a call, not the
rate. A rate counts where `idle` cores are left: cores - generator >= workers.
"""

import argparse
import contextlib
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.bench.cases import Call, Register
from tests.bench.generator import Generator
from tests.bench.servers import PROXY_CFG, Setup, Subject, running

WORK = """
	if (is_method("INVITE")) {
		$var(i) = 0;
		while ($var(i) < WORK) $var(i) = $var(i) + 1;
	}
"""
DISPATCHES = ("call-id", "source")


def working(folder: Path, work: int) -> Path:
    """proxy.cfg, whose script does `work` rounds more for each INVITE."""
    text = PROXY_CFG.read_text().replace("request_route {", "request_route {" + WORK, 1)
    path = folder / "working.cfg"
    path.write_text(
        text.replace("WORK)", f"{work})").replace("debug=0", "debug=0\nmax_while_loops=1000000", 1)
    )
    return path


def measure(size: int, dispatch: str, calls: int, runs: int, cfg: Path = PROXY_CFG) -> dict[str, Any]:
    """Saturated calls a second, and CPU a call, of one size."""
    setup = Setup(
        cfg=cfg,
        options=(
            "--workers",
            str(size),
            "--dispatch",
            dispatch,
            "--overload-late",
            "0",
            "--overload-queue",
            "0",
        ),
        cores=frozenset(os.sched_getaffinity(0)),
    )
    rates, costs, lost = [], [], 0
    with running("kamtool", setup) as subject, contextlib.closing(Generator(subject.port)) as generator:
        generator.drive(generator.case(Register, Call.callees))
        generator.drive(generator.case(Call, min(calls, 1000)))
        for _ in range(runs):
            before = subject.cpu()
            run = generator.drive(generator.case(Call, calls))
            settle(subject)
            rates.append(run.rate)
            costs.append((subject.cpu() - before) / max(1, run.completed) * 1e6)
            lost += run.operations - run.completed
    return {
        "workers": size, "dispatch": dispatch if size > 1 else "-", "rate": statistics.median(rates),
        "cpu_us": statistics.median(costs), "lost": lost,
    }  # fmt: skip


def settle(subject: Subject) -> None:
    """Wait until the transactions of the run have ended: 5 s after their last message."""
    time.sleep(6.5)
    subject.cpu()


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.workers", description="Calls by workers.")
    parser.add_argument("--sizes", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--calls", type=int, default=8000)
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--work", type=int, default=0, metavar="N", help="rounds of a loop for each INVITE")
    options = parser.parse_args(words)
    print(f"cores={os.cpu_count()} load={os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as folder:
        cfg = working(Path(folder), options.work) if options.work else PROXY_CFG
        for size in options.sizes:
            for dispatch in DISPATCHES if size > 1 else DISPATCHES[:1]:
                row = measure(size, dispatch, options.calls, options.runs, cfg)
                print(
                    f"workers {row['workers']} dispatch {row['dispatch']:<8} {row['rate']:7.0f} calls/s "
                    f"{row['cpu_us']:7.1f} us CPU a call, lost {row['lost']}"
                )
    return 0


if __name__ == "__main__":
    sys.exit(main())
