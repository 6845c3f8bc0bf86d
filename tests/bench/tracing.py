"""What a trace costs the server: calls at one rate with nobody watching, with the recorder, with a trace.

    python -m tests.bench.tracing [rounds] [rate]
    python -m tests.bench.tracing turns [seconds] [rate]
    python -m tests.bench.tracing offline [rounds]

µs of CPU per call from /proc, the ways to be watched taking turns on one server; the tracer is a process of
its own and writes a capture file. Each round says how many messages it kept, and how many were dropped.
With `turns` the tap of one server under load is on and off by turns of a quarter of a second, see turns.py:
the surest figure on a machine whose speed swings. Offline, chunks of calls take turns in one process, without
the phones' sockets and without the wake-ups that a live server has.
"""

import contextlib
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

from kamtool.tools.trace import recorder
from kamtool.tools.trace.feed import Feed, Watch
from tests.bench import proc, servers
from tests.bench.cases import Call
from tests.bench.generator import Generator
from tests.bench.live import Counts, prepare
from tests.bench.replay import CHUNK, run, with_server
from tests.bench.servers import GENERATOR_CORE, Setup, running
from tests.bench.turns import MARK

CALLS = 4000
SETTLE = 6.5
TRACE = [sys.executable, "-m", "kamtool.cli.main", "trace"]


@contextlib.contextmanager
def nothing(scratch):
    yield lambda: ""


def beside_the_generator():
    """On its core, but never in its way, whatever priority the bench has: what is sent late comes in bunches,
    and those cost the server less.
    """
    proc.pin(GENERATOR_CORE)
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


@contextlib.contextmanager
def trace(scratch, *options):
    """A tracer that is attached; what it yields ends it and tells what it said."""
    command = [*TRACE, "-s", str(scratch / "sock"), "-w", str(scratch / "x.pcapng"), *options]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, preexec_fn=beside_the_generator)
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
        driven = generator.drive(generator.case(Call, CALLS), rate)
        used = subject.cpu() - cpu
        cpu = subject.cpu()
        time.sleep(SETTLE)
        used += max(0.0, subject.cpu() - cpu - idle * SETTLE)
        said = end()
    return used / CALLS * 1e6, driven.valid, said


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


def by_turns(seconds=45, rate=1000.0):
    """What the tap costs a call of one server whose tap is on and off all the time."""
    plain = servers.COMMANDS["kamtool"]

    def command(*given):
        words = plain(*given)
        return [*words[:2], "tests.bench.turns", *words[3:]]

    servers.COMMANDS["kamtool"] = command
    try:
        with contextlib.ExitStack() as stack:
            stack.enter_context(proc.pinned(GENERATOR_CORE))
            subject = stack.enter_context(running("kamtool", Setup()))
            with contextlib.closing(Generator(subject.port)) as generator:
                prepare(subject, generator, Call, Counts(saturated=2000), SETTLE, digest=True)
                with trace(subject.log.parent) as end:
                    generator.drive(generator.case(Call, int(seconds * rate)), rate)
                    print(end())
                log = subject.log.read_text
                for _ in range(100):
                    if MARK in log():
                        break
                    time.sleep(0.1)
                pairs, on, off, more, give = map(float, log().partition(MARK)[2].splitlines()[0].split())
    finally:
        servers.COMMANDS["kamtool"] = plain
    on, off, more, give = (each / rate * 1e6 for each in (on, off, more, give))
    print(
        f"{off:.1f} µs a call without, {on:.1f} with a trace: {more:+.1f} ± {give:.1f} µs, {more / off:+.1%},"
        f" of {pairs:.0f} pairs at {rate:g} calls/s"
    )
    return more, off


class Client:
    """A tracer's connection: a process of its own takes what comes and throws it away."""

    def __init__(self):
        self.socket, far = socket.socketpair()
        read = f"import os\nwhile os.read({far.fileno()}, 1 << 18): pass"
        self.process = subprocess.Popen([sys.executable, "-c", read], pass_fds=[far.fileno()])
        far.close()
        self.transport = self

    def is_closing(self):
        return False

    def get_write_buffer_size(self):
        return 0

    def write(self, data):
        self.socket.sendall(data)

    def close(self):
        self.socket.close()
        self.process.wait()


@contextlib.asynccontextmanager
async def watched_offline(server, way):
    """Lets a server be watched; what it yields is done once a chunk."""
    if way == "nobody":
        yield lambda: None
    elif way == "recorder":
        kept = recorder.start(server, 16 << 20)
        yield lambda: None
        server.tap.remove(kept.ring)
    else:
        client = Client()
        feed = Feed(client)
        watch = Watch(feed)
        if way == "trace --cfg":
            await server.observers.add(watch)
        server.tap.add(feed.tape)
        yield feed.flush
        server.tap.remove(feed.tape)
        if way == "trace --cfg":
            server.observers.remove(watch)
        client.close()


async def offline(rounds, work):
    """µs of CPU a call, the ways taking turns; the first chunk of each turn only warms up."""
    server, number = work.server, 1000
    phones = await work.phones("inbound")
    await work.calls(phones, 0, 500)
    found = {way: [] for way in ("nobody", "recorder", "trace", "trace --cfg")}
    for _ in range(rounds):
        for way, costs in found.items():
            async with watched_offline(server, way) as flush:
                server.receive = server.transports.udp_sockets[0].receive
                for turn in range(3):
                    work.ns = [0] * len(work.ns)
                    await work.chunk(phones, range(number, number + CHUNK))
                    number += CHUNK
                    start = time.thread_time_ns()
                    flush()
                    spent = sum(work.ns) + time.thread_time_ns() - start
                    if turn:
                        costs.append(spent / CHUNK / 1e3)
            server.transactions.sweep(server.now() + 10_000.0)
    for way, costs in found.items():
        more = statistics.median(a - b for a, b in zip(costs, found["nobody"], strict=True))
        print(f"{way:<12} median {statistics.median(costs):6.1f} µs a call offline, {more:+.1f} by pairs")


if __name__ == "__main__":
    os.chdir(Path(__file__).parent.parent.parent)
    if sys.argv[1:2] == ["offline"]:
        run(with_server(partial(offline, int((sys.argv[2:3] or ["40"])[0]))))
        sys.exit()
    if sys.argv[1:2] == ["turns"]:
        by_turns(*map(float, sys.argv[2:4]))
        sys.exit()
    main(*(int(word) for word in sys.argv[1:2]), *(float(word) for word in sys.argv[2:3]))
