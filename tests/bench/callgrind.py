"""The offline replay counted in instructions: the same on every run of one machine, so CI may compare it."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from typing import Any

from tests.bench.replay import KINDS, ROOT


def callgrind(
    report: Callable[[str], None], few: int = 25, many: int = 125, kinds: Sequence[str] = KINDS
) -> dict[str, Any]:
    """Instructions per call: runs under valgrind that differ in the number of calls, less the phones."""
    if not shutil.which("valgrind"):
        report("callgrind    valgrind is not installed")
        return {"unavailable": "valgrind is not installed"}
    result: dict[str, Any] = {}
    for kind in kinds:
        try:
            base, more, twice = (instructions(kind, *how) for how in ((few, 1), (many, 1), (many, 2)))
        except RuntimeError as error:
            report(f"callgrind    {kind}: {error}")
            result[kind] = {"failed": str(error)}
            continue
        # `measure` warms up with as many calls as it measures: a call more is two calls more.
        phones = (twice - more) / (2 * many)
        result[kind] = round((more - base) / (2 * (many - few)) - phones)
        report(f"callgrind    {kind:<8} {result[kind]} instructions per call")
    return result


def instructions(kind: str, calls: int, phone_work: int) -> int:
    """All instructions of one process that measures `calls` calls. Raises RuntimeError."""
    with tempfile.TemporaryDirectory(prefix="bench-callgrind-") as folder:
        valgrind = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/out"]
        work = ["-m", "tests.bench.replay", kind, str(calls), "1", str(phone_work)]
        # A fixed seed: the number of collisions in dicts must not change from run to run.
        environment = {**os.environ, "PYTHONHASHSEED": "0"}
        done = subprocess.run(
            [*valgrind, sys.executable, *work],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
    found = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode or not found:
        raise RuntimeError(done.stderr[-1500:])
    return int(found[1])
