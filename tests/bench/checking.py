"""What `kamtool check` of a 1,300-line cfg takes, from its start to its exit."""

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

LINES = 1300
ALLOWED_MS = 300
MODULES = (
    "pv xlog tm tmx sl rr maxfwd textops textopsx siputils sanity usrloc registrar auth htable kex corex"
)
ROUTE = """
route[PART{n}] {{
    # what a site does with its calls, once more
    if (is_method("INVITE") && $rU =~ "^\\+?{n}[0-9]+$") {{
        $avp(part) = $(rU{{s.substr,1,0}}) + "-{n}";
        if ($sht(seen=>$fU::{n}) == $null) $sht(seen=>$fU::{n}) = $Ts;
        xlog("L_INFO", "part {n}: $ci from $fu to $ru ($avp(part))\\n");
        append_hf("X-Part: {n}\\r\\n");
        t_on_failure("FAILED");
        if (!t_relay()) sl_reply_error();
        exit;
    }}
    route(PART{next});
}}
"""
END = """
route[PART%d] { sl_send_reply("404", "Not Found"); }
failure_route[FAILED] { if (t_is_canceled()) exit; }
"""


def cfg() -> str:
    """A cfg of LINES lines and so many modules, with nothing wrong in it."""
    head = "#!KAMAILIO\n" + "".join(f'loadmodule "{name}.so"\n' for name in MODULES.split())
    head += 'modparam("htable", "htable", "seen=>size=8;autoexpire=60;")\nrequest_route { route(PART1); }\n'
    count = (LINES - head.count("\n") - 3) // ROUTE.count("\n")
    routes = "".join(ROUTE.format(n=n, next=n + 1) for n in range(1, count + 1))
    text = head + routes + END % (count + 1)
    return text + "# the end\n" * (LINES - text.count("\n"))


def once(path: Path, environment: dict[str, str]) -> tuple[float, float]:
    """Milliseconds of the clock and of the CPU, for one process."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    words = [sys.executable, "-m", "kamtool.cli.main", "check", str(path)]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
    wall = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert "config file ok" in done.stdout, done.stdout + done.stderr
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall * 1000, cpu * 1000


def figures(runs: int, report: Callable[[str], None]) -> dict[str, Any]:
    """Medians, with the byte code that an install has and without any."""
    result: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="bench-check-") as folder:
        path = Path(folder) / "big.cfg"
        path.write_text(cfg())
        plain = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        kept = {**plain, "PYTHONPYCACHEPREFIX": f"{folder}/kept"}
        none = {**plain, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPYCACHEPREFIX": f"{folder}/none"}
        once(path, kept)
        for name, environment in (("byte code", kept), ("none", none)):
            walls, cpus = zip(*(once(path, environment) for _ in range(runs)), strict=True)
            wall, cpu = statistics.median(walls), statistics.median(cpus)
            result[name] = {"wall_ms": wall, "cpu_ms": cpu, "met": wall <= ALLOWED_MS}
            report(
                f"check        {LINES} lines  {name:<10} {wall:4.0f} ms, CPU {cpu:4.0f} ms"
                f"  {'met' if wall <= ALLOWED_MS else 'NOT MET'}"
            )
    return result
