"""What the debugger costs a message: plain, attached, with breakpoints that do not match, with history.

    python -m tests.bench.debugging [rounds]
    python -m tests.bench.debugging record [rounds]     what `serve --record` adds to a message

One process, no sockets: OPTIONS go in at `Server.receive` and their answers end in a list. µs of CPU each,
the best of the rounds, in turns so that a noisy machine troubles all alike. A recorder changes the clock of
its process: with and without it run in processes of their own.
"""

import asyncio
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from kamtool.debug.commands import Commands
from kamtool.debug.record.recorder import Recorder
from kamtool.debug.session import Session
from kamtool.script import load
from kamtool.server.options import Options
from kamtool.server.server import Server
from kamtool.sip.flow import Address, Flow, Socket

STATEMENTS = 30
LINES = "\n".join(f'if ($rU == "nobody{number}") $var(x) = {number};' for number in range(STATEMENTS // 2))
CFG = f"""#!KAMAILIO
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "textops.so"
request_route {{
{LINES}
route(A);
sl_send_reply("200", "OK");
}}
route[A] {{
{LINES}
append_to_reply("X: 1\\r\\n");
}}
"""
MESSAGES = 2000
UNMATCHED = (
    'route[A] if $rm == "INVITE" && $fU =~ "^1" && $si == "10.0.0.1"', 'fn:sl_send_reply if $rU == "x"',
    "10 if $rm == \"BYE\"", "assign $var(x)",
)  # fmt: skip


def options(number):
    return (
        f"OPTIONS sip:alice@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bK{number}\r\n"
        f"From: <sip:a@b>;tag=a\r\nTo: <sip:c@d>\r\nCall-ID: {number}\r\nCSeq: 1 OPTIONS\r\n"
        "Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
    ).encode()


async def cases(server, flow):
    """Each way to be watched: its name and µs a message."""

    async def measured(breakpoints, history):
        session = None
        if breakpoints is not None:
            session = Session(server, lambda name, facts: None)
            await session.attach()
            commands = Commands(session)
            await commands.run("options", {"history": history})
            for text in breakpoints:
                await commands.run("break", {"text": text})
        messages = [options(number) for number in range(MESSAGES)]
        began = time.process_time()
        for message in messages:
            server.receive(message, flow)
        spent = time.process_time() - began
        if session is not None:
            session.detach()
        return spent / MESSAGES * 1e6

    yield "plain", await measured(None, 0)
    yield "attached, nothing set", await measured((), 0)
    yield f"{len(UNMATCHED)} breakpoints that do not match", await measured(UNMATCHED, 0)
    yield "history of the last 32", await measured((), 32)


async def run(rounds):
    server = Server(
        load(CFG), options=Options(listens=[Socket("udp", Address("127.0.0.1", 0))], freeze=False)
    )
    await server.start()
    flow = Flow("udp", server.sockets[0].address, Address("127.0.0.1", 9))
    best = {}
    for _ in range(rounds):
        async for name, spent in cases(server, flow):
            best[name] = min(best.get(name, spent), spent)
        await asyncio.sleep(0.01)
    await server.stop()
    return best


async def recorded(path):
    """µs a message of a server that is recorded into `path`, or is not."""
    recorder = Recorder(path) if path else None
    settings = Options(
        clock=recorder.clock if recorder else None, listens=[Socket("udp", Address("127.0.0.1", 0))],
        freeze=False,
    )  # fmt: skip
    server = Server(load(CFG), options=settings)
    if recorder:
        recorder.attach(server, "bench.cfg", {})
    await server.start()
    flow, best = Flow("udp", server.sockets[0].address, Address("127.0.0.1", 9)), 1e9
    for turn in range(8):
        messages = [options(f"{turn}-{number}") for number in range(MESSAGES)]
        began = time.process_time()
        for message in messages:
            server.receive(message, flow)
        best = min(best, (time.process_time() - began) / MESSAGES * 1e6)
        await asyncio.sleep(0.1)  # the sweep hands it to the thread that writes
    await server.stop()
    if recorder:
        recorder.close()
    return best


def alternate(rounds):
    """Plain and recorded in turns: the least of each, in µs."""
    found = {"plain": [], "recorded": []}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(rounds):
            for name, path in (("plain", ""), ("recorded", f"{folder}/bench.rec")):
                done = subprocess.run(
                    [sys.executable, "-m", "tests.bench.debugging", "once", path], check=True,
                    capture_output=True, text=True,
                )  # fmt: skip
                found[name].append(float(done.stdout))
    return {name: min(each) for name, each in found.items()}


def main():
    what, *rest = sys.argv[1:] or [""]
    if what == "once":
        print(asyncio.run(recorded(Path(rest[0]) if rest[0] else None)))
        return
    if what == "record":
        best = alternate(int(rest[0]) if rest else 5)
        spent = best["recorded"] - best["plain"]
        print(f"a request and its answer: {spent:+.2f} µs, {spent / 10:.2f} % of a core at 1,000 a second")
        return
    best = asyncio.run(run(int(sys.argv[1]) if len(sys.argv) > 1 else 7))
    plain = best["plain"]
    print(f"{2 * STATEMENTS + 4} statements a message")
    for name, spent in best.items():
        print(f"{name:<36} {spent:7.2f} µs {spent - plain:+7.2f}")


if __name__ == "__main__":
    main()
