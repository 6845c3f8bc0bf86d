"""What a trace costs the server: calls at one rate with nobody watching, with the recorder, with a trace.

    python -m tests.bench.tracing [rounds] [rate]

µs of CPU per call from /proc, the ways to be watched taking turns on one server; the tracer is a process of
its own and writes a capture file. Each round says how many messages it kept, and how many were dropped.
"""

import contextlib
import os
import re
import signal
import statistics
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

from tests.bench import proc
from tests.bench.cases import Call
from tests.bench.generator import Generator
from tests.bench.live import Counts, prepare
from tests.bench.servers import GENERATOR_CORE, Setup, running

CALLS = 4000
SETTLE = 6.5
TRACE = [sys.executable, "-m", "kamtool.cli.main", "trace"]


@contextlib.contextmanager
def nothing(scratch):
    yield lambda: ""


@contextlib.contextmanager
def trace(scratch, *options):
    """A tracer that is attached; what it yields ends it and tells what it said."""
    command = [*TRACE, "-s", str(scratch / "sock"), "-w", str(scratch / "x.pcapng"), *options]
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, preexec_fn=lambda: proc.pin(GENERATOR_CORE)
    )
    log = scratch / "log"
    attached = log.read_text(errors="replace").count("a trace is attached")
    while not (scratch / "x.pcapng").exists() or (attached and process.poll() is not None):
        time.sleep(0.05)
    time.sleep(0.5)

    def end():
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        return " ".join(process.communicate(timeout=60)[1].split())

    yield end
    end() if process.poll() is None else None
    (scratch / "x.pcapng").unlink(missing_ok=True)


def ways(scratch):
    return {
        "nobody": lambda: nothing(scratch),
        "trace": lambda: trace(scratch),
        "trace --cfg": lambda: trace(scratch, "--cfg"),
    }


def measure(subject, generator, rate, idle, watched):
    """µs of CPU a call, whether the run was valid, and what the tracer said."""
    with watched() as end:
        cpu = subject.cpu()
        run = generator.drive(generator.case(Call, CALLS), rate)
        used = subject.cpu() - cpu
        cpu = subject.cpu()
        time.sleep(SETTLE)
        used += max(0.0, subject.cpu() - cpu - idle * SETTLE)
        said = end()
    return used / CALLS * 1e6, run.valid, said


def main(rounds=3, rate=1000.0):
    for name, options in (("plain", ()), ("--flight-recorder", ("--flight-recorder",))):
        with proc.pinned(GENERATOR_CORE), running("kamtool", Setup(options=options)) as subject:
            scratch = subject.log.parent
            with contextlib.closing(Generator(subject.port)) as generator:
                idle = prepare(subject, generator, Call, Counts(saturated=2000), SETTLE, digest=True)
                found = {}
                chosen = ways(scratch) if name == "plain" else {"recorder": partial(nothing, scratch)}
                for number in range(rounds):
                    for way, watched in chosen.items():
                        micro, valid, said = measure(subject, generator, rate, idle, watched)
                        found.setdefault(way, []).append(micro)
                        kept = re.match(r"(\d+) messages", said)
                        lost = re.search(r"(\d+) +dropped", said)
                        print(
                            f"{number + 1} {way:<12} {micro:6.1f} µs a call{'' if valid else ', not valid'}"
                            + (
                                f", {kept[1]} messages kept, {lost[1] if lost else 0} dropped" if kept else ""
                            ),
                            flush=True,
                        )
                for way, values in found.items():
                    print(f"{way:<12} median {statistics.median(values):6.1f} µs a call at {rate:g} calls/s")


if __name__ == "__main__":
    os.chdir(Path(__file__).parent.parent.parent)
    main(*(int(word) for word in sys.argv[1:2]), *(float(word) for word in sys.argv[2:3]))
