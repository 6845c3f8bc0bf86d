"""`kamtool stress conn` against both servers: TLS connections, as many released at once as are opened.

Others, open all the while, are asked in turn: none of them may be lost. It is a row of
`python -m tests.bench tls`.
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.bench.secure import Clients, secured
from tests.bench.servers import Unavailable

STRESS = [sys.executable, "-m", "kamtool.cli.main", "stress"]
OTHERS = 50
EVERY = 0.02
"""Seconds between two requests on the connections that live on."""


class Others:
    """Connections that live on beside the load; each is asked now and then."""

    def __init__(self, clients: Clients, stack: contextlib.ExitStack) -> None:
        self.clients = clients
        self.open = [stack.enter_context(clients.open()) for _ in range(OTHERS)]
        self.asked = self.lost = 0
        self.worst = 0.0

    def ask(self) -> None:
        """One request on the next of them."""
        began = time.perf_counter()
        try:
            self.clients.ask(self.open[self.asked % OTHERS])
        except (OSError, Unavailable):
            self.lost += 1
        self.worst, self.asked = max(self.worst, time.perf_counter() - began), self.asked + 1


def behind() -> None:
    """Under `chrt -f` the load gives way to who asks, else that one would wait for its own turn."""
    if os.sched_getscheduler(0) == os.SCHED_FIFO:
        priority = os.sched_getparam(0).sched_priority
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(max(1, priority - 1)))


def conn(name: str, count: int, environment: dict[str, str]) -> dict[str, Any]:
    """`count` connections opened, held for half a second, released while as many are opened, and so on."""
    seconds = 2.0 + count / 400
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-conn-")))
        subject, clients = stack.enter_context(secured(name, environment))
        others = Others(clients, stack)
        cpu = subject.cpu()
        load = subprocess.Popen(
            [*STRESS, "conn", f"tls:127.0.0.1:{clients.port}", "--connections", str(count), "--hold", "500ms",
             "-t", f"{seconds}s", "--no-panel", "--json", str(folder / "report.json")],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, preexec_fn=behind,
        )  # fmt: skip
        deadline = time.monotonic() + 10 * seconds + 60
        while load.poll() is None:
            if time.monotonic() > deadline:
                load.kill()
                load.communicate()
                raise Unavailable("the load did not end")
            others.ask()
            time.sleep(EVERY)
        asked = others.asked
        cpu = subject.cpu() - cpu
        said = load.communicate()[1]
        if not (folder / "report.json").exists():
            raise Unavailable(said[-300:])
        for _ in range(OTHERS):  # every one of them is alive
            others.ask()
        made = json.loads((folder / "report.json").read_text())
    calls, opened = made["calls"], made["measures"].get("open", {}).get("response", {})
    row = {
        "what": "conn", "count": count, "rounds": calls["started"] // count, "seconds": made["seconds"],
        "opened": calls["succeeded"], "failed": made["reasons"], "invalid": made["invalid"],
        "cpu_us": cpu / max(1, calls["succeeded"]) * 1e6, "rate": made["rate"],
        "p50_ms": opened.get("p50"), "p99_ms": opened.get("p99"),
        "asked": asked, "lost": others.lost, "worst_ms": others.worst * 1e3,
        "met": not (calls["failed"] or others.lost or made["invalid"]) and calls["started"] >= 2 * count,
    }  # fmt: skip
    return {**row, "said": _said(row)}


def _said(row: dict[str, Any]) -> str:
    """The row, for people."""
    doubts = "; ".join([*row["invalid"], *(f"{count} x {reason}" for reason, count in row["failed"].items())])
    told = [
        f"conn: {row['count']} at a time, released while as many open, {row['rounds']} rounds",
        f"in {row['seconds']:.1f} s: {row['opened']} opened",
        f"({row['rate']:.0f}/s, p99 {row['p99_ms'] or 0:.0f} ms),",
        f"{row['cpu_us']:.0f} us of CPU each; of {OTHERS} others, asked {row['asked']} times meanwhile and",
        f"once each after, {row['lost']} lost, the slowest {row['worst_ms']:.0f} ms",
    ]
    return " ".join(told) + (f"; {doubts}" if doubts else "")
