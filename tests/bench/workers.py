"""Calls with one worker and with several: `python -m tests.bench.workers [--sizes 1 2] [--calls 8000]`.

With `--work N` the script counts to N at each INVITE: a call whose cost is the script's leaves the generator
little to do, so that two workers have two cores where there are but two.

`python -m tests.bench workers` gives each worker the same share of a core, by control group: then any machine
has room for several. One server with n workers is compared with n servers of one, run after run in turn: the
machine is as busy with both, and the difference is the cost of the way between workers.

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
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench import proc
from tests.bench.cases import Call, Register
from tests.bench.fleet import Fleet
from tests.bench.generator import Generator
from tests.bench.quota import quotas
from tests.bench.servers import PROXY_CFG, Setup, Subject, Unavailable, running

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


def setup(size: int, dispatch: str, cfg: Path) -> Setup:
    """Nothing is refused: overload is what is asked for."""
    return Setup(
        cfg=cfg,
        options=(
            "--workers", str(size), "--dispatch", dispatch, "--overload-late", "0", "--overload-queue", "0",
        ),
        cores=frozenset(os.sched_getaffinity(0)),
    )  # fmt: skip


def measure(size: int, dispatch: str, calls: int, runs: int, cfg: Path = PROXY_CFG) -> dict[str, Any]:
    """Saturated calls a second, and CPU a call, of one size."""
    rates, costs, lost = [], [], 0
    with (
        running("kamtool", setup(size, dispatch, cfg)) as subject,
        contextlib.closing(Generator(subject.port)) as generator,
    ):
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


# With a quota


@dataclass(frozen=True)
class Amounts:
    """`share` of a core for each worker, `seconds` of work in a run, as if a call took CALL_US."""

    share: float = 0.2
    seconds: float = 2.0
    runs: int = 7
    sizes: tuple[int, ...] = (1, 2, 3)
    lanes: int = 24
    window: int = 288
    """Calls at once for each worker: so many that chance, which gives one more than another, starves none."""


CALL_US = 80.0
GOAL = 0.9
"""Of as many servers apart."""
APART = "apart"


class Crew:
    """One server with several workers, or several with one, and the phones that load it."""

    def __init__(self, stack: contextlib.ExitStack, size: int, dispatch: str, amounts: Amounts) -> None:
        self.size, self.dispatch, self.amounts = size, dispatch, amounts
        count, each = (size, 1) if dispatch == APART else (1, size)
        servers = [
            stack.enter_context(
                running("kamtool", setup(each, DISPATCHES[0] if each == 1 else dispatch, PROXY_CFG))
            )
            for _ in range(count)
        ]
        self.workers = [
            pid
            for server in servers
            for pid in proc.tree(server.process.pid)
            if each == 1 or pid != server.process.pid
        ]
        if len(self.workers) != size:
            raise Unavailable(f"{size} workers are {len(self.workers)} processes")
        fleet = Fleet([server.port for server in servers], amounts.lanes)
        self.fleet = stack.enter_context(contextlib.closing(fleet))
        run = fleet.register()
        if not run.valid:
            raise Unavailable(f"of {run.operations} phones {run.completed} could register: {run.errors}")
        fleet.call(size * 500, size * 32)
        self.rates: list[float] = []
        self.costs: list[float] = []
        self.busy: list[float] = []
        self.wrong = 0

    def run(self) -> None:
        """One run; the workers' quotas are in force."""
        amounts = self.amounts
        before = [proc.cpu_seconds(pid) for pid in self.workers]
        total = round(self.size * amounts.share * amounts.seconds / CALL_US * 1e6)
        run = self.fleet.call(total, self.size * amounts.window)
        used = [proc.cpu_seconds(pid) - at for pid, at in zip(self.workers, before, strict=True)]
        self.rates.append(run.rate)
        self.costs.append(sum(used) / max(1, run.completed) * 1e6)
        self.busy.append(sum(used) / run.seconds / amounts.share / self.size)
        self.wrong += run.operations - run.completed + run.duplicates + sum(run.errors.values())

    def row(self) -> dict[str, Any]:
        return {
            "workers": self.size, "dispatch": self.dispatch, "share": self.amounts.share,
            "rate": statistics.median(self.rates), "cpu_us": statistics.median(self.costs),
            "busy": statistics.median(self.busy), "lost": self.wrong,
        }  # fmt: skip


def limited(size: int, amounts: Amounts) -> list[dict[str, Any]]:
    """A row for so many servers apart, and for one with so many workers; their runs take turns."""
    with contextlib.ExitStack() as stack:
        kinds = (APART, *DISPATCHES) if size > 1 else (APART,)
        crews = [Crew(stack, size, kind, amounts) for kind in kinds]
        stack.enter_context(quotas([pid for crew in crews for pid in crew.workers], amounts.share))
        for _ in range(amounts.runs):
            for crew in crews:
                crew.run()
        rows = [crew.row() for crew in crews]
    for row in rows:
        row["scaling"] = row["rate"] / rows[0]["rate"]
        row["met"] = row["scaling"] >= GOAL and not row["lost"]
    return rows


def figures(amounts: Amounts, report: Callable[[str], None]) -> list[dict[str, Any]]:
    """The rows of each size; what cannot be measured says why."""
    found: list[dict[str, Any]] = []
    for size in amounts.sizes:
        try:
            rows = limited(size, amounts)
        except (Unavailable, OSError) as reason:
            rows = [{"workers": size, "dispatch": "any", "unavailable": str(reason)}]
        found += rows
        for row in rows:
            report(line(row))
    return found


def line(row: dict[str, Any]) -> str:
    head = f"{'workers':<12} {row['workers']} {row['dispatch']:<8}"
    if "unavailable" in row:
        return f"{head} could not be measured: {row['unavailable']}"
    return (
        f"{head} {row['rate']:7.0f} calls/s with {row['share']:.0%} of a core each, "
        f"{row['cpu_us']:6.1f} us CPU a call, busy {row['busy']:.0%}, lost {row['lost']}; "
        f"{row['scaling']:.2f} of servers apart: {'met' if row['met'] else 'NOT MET'}"
    )


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
