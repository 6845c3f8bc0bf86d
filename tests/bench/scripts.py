"""What a script costs per message: plain, watched and nothing asked for, watched at each statement.

A message goes from its bytes through a new Context and the request_route, the route stepped as the server
steps it. `bare` is the same with a route that only exits: the rest is the script's.
"""

import gc
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import CodeType
from typing import Any

from kamtool import speed
from kamtool.script.context import Context
from kamtool.sip.message import Request
from tests.bench.replay import ROOT, Replay, run, with_server

HERE = Path(__file__).parent
BARE = "request_route { exit; }\n"
TURNS = 3
ALLOWED = 1.02
"""How much slower the plain build may be where the debugger's code is loaded."""
OPTIONS = (
    b"OPTIONS sip:127.0.0.1:%d SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:5999;branch=z9hG4bK-bench;rport\r\n"
    b"Max-Forwards: 70\r\nFrom: <sip:alice@example.com>;tag=a\r\nTo: <sip:127.0.0.1>\r\n"
    b"Call-ID: bench@127.0.0.1\r\nCSeq: 7 OPTIONS\r\nUser-Agent: bench\r\nContent-Length: 0\r\n\r\n"
)


class Nothing:
    """Watches, and does nothing with what it sees but count."""

    visits = False

    def __init__(self, everything: bool) -> None:
        self.everything, self.seen = everything, 0

    def wants(self, action: Any) -> bool:
        return self.everything

    def at(self, action: Any, ctx: Context) -> None:
        self.seen += 1

    def failed(self, ctx: Context, error: Exception) -> None:
        pass

    def replied(self, ctx: Context, status: int) -> None:
        pass

    def relinked(self) -> None:
        pass


def messages(replay: Replay, count: int) -> float:
    """µs of CPU per message, for `count` of them."""
    server, flow, data = replay.server, replay.caller, OPTIONS % replay.port
    program, request = server.program, server.running.request
    start = time.thread_time_ns()
    for _ in range(count):
        request(program, Context(server, Request(data), flow))
    spent = time.thread_time_ns() - start
    replay.sent.clear()
    return spent / count / 1e3


async def watched(replay: Replay, count: int, runs: int, everything: bool) -> tuple[float, int]:
    """The best of some runs with an observer attached, and how many statements a message ran."""
    observer: Any = Nothing(everything)
    await replay.server.observers.add(observer)
    try:
        messages(replay, 200)
        observer.seen = 0
        messages(replay, 1)
        statements = observer.seen
        return min(messages(replay, count) for _ in range(runs)), statements
    finally:
        replay.server.observers.remove(observer)


async def measure(name: str, cfg: Path, count: int, runs: int) -> dict[str, Any]:
    """One script: each way of running it, in turns, the best of each."""

    async def work(replay: Replay) -> dict[str, Any]:
        messages(replay, 500)
        gc.collect()
        plain = [messages(replay, count) for _ in range(runs)]
        idle, _ = await watched(replay, count, runs, False)
        traced, statements = await watched(replay, count, runs, True)
        plain += [messages(replay, count) for _ in range(runs)]
        return {
            "script": name, "native": speed.NATIVE, "statements": statements, "messages": count,
            "plain_us": min(plain), "plain_median_us": statistics.median(plain), "attached_us": idle,
            "traced_us": traced,
        }  # fmt: skip

    return await with_server(work, cfg)


# The plain code is the same, debugger or not ---------------------------------------------------------------


def anatomy(code: CodeType) -> list[Any]:
    """All that a code object holds, as data that two processes can compare."""
    constants = [anatomy(each) if isinstance(each, CodeType) else repr(each) for each in code.co_consts]
    return [
        code.co_code.hex(), constants, code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars,
        code.co_flags, code.co_stacksize, code.co_argcount, code.co_filename, code.co_name,
        code.co_linetable.hex(), code.co_exceptiontable.hex(),
    ]  # fmt: skip


def code_of(program: Any) -> dict[str, list[Any]]:
    """The code of every route of a program."""
    routes = {
        "request_route": program.request_route, "reply_route": program.reply_route,
        "onsend_route": program.onsend_route,
    }  # fmt: skip
    for kind in ("routes", "failure_routes", "branch_routes", "onreply_routes", "event_routes"):
        routes.update((f"{kind}[{name}]", route) for name, route in getattr(program, kind).items())
    return {name: anatomy(_compiled(route).__code__) for name, route in routes.items() if route}


def _compiled(route: Any) -> Any:
    return getattr(route, "inner", getattr(route, "plain", route))


async def loaded(replay: Replay, with_debugger: bool) -> None:
    """With the debugger: its package imported, somebody attached and gone again."""
    if with_debugger:
        import kamtool.debug.attach
        import kamtool.debug.session  # noqa: F401

        await watched(replay, 10, 1, True)


async def plain_code(with_debugger: bool) -> dict[str, list[Any]]:
    """The plain program's code."""

    async def work(replay: Replay) -> dict[str, list[Any]]:
        await loaded(replay, with_debugger)
        return code_of(replay.server.program)

    return await with_server(work)


async def plain_cost(cfg: Path, count: int, runs: int, with_debugger: bool) -> float:
    """µs per message of the plain program."""

    async def work(replay: Replay) -> float:
        await loaded(replay, with_debugger)
        messages(replay, 500)
        gc.collect()
        return min(messages(replay, count) for _ in range(runs))

    found: float = await with_server(work, cfg)
    return found


def alone(*words: str) -> Any:
    """A part of this in a process of its own: what it prints last."""
    # One seed for all: the order of a set's members is no part of the code.
    # And a buffer: without, Python loses the rest of a line of which a full pipe has taken a part.
    environment = {**os.environ, "PYTHONHASHSEED": "0", "PYTHONUNBUFFERED": ""}
    command = [sys.executable, "-m", "tests.bench.scripts", *words]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return json.loads(done.stdout.splitlines()[-1])


def is_same_code() -> bool:
    """Whether the plain program is the same to the byte, the debugger's package imported or not."""
    without, with_it = alone("code", ""), alone("code", "debugger")
    return bool(without) and without == with_it


def figures(count: int, runs: int, report: Callable[[str], None]) -> dict[str, Any]:
    """The table, and what it stands for."""
    rows = []
    with tempfile.TemporaryDirectory(prefix="bench-script-") as folder:
        bare = Path(folder) / "bare.cfg"
        bare.write_text(BARE)
        scripts = {
            "bare": bare,
            "default": ROOT / "cfg" / "default.cfg",
            "62 statements": HERE / "sixty-two.cfg",
        }
        for name, cfg in scripts.items():
            rows.append(alone("measure", name, str(cfg), str(count), str(runs)))
            report(line(rows[-1]))
    found = beside(HERE / "sixty-two.cfg", count, runs)
    report(
        f"script       62 statements, plain, debugger loaded: {found['loaded_us']:.2f} us against"
        f" {found['alone_us']:.2f}, ratio {found['ratio']:.3f} {'met' if found['met'] else 'NOT MET'}"
    )
    same = is_same_code()
    report(f"script       plain code with and without the debugger: {'identical' if same else 'DIFFERENT'}")
    return {"rows": rows, "beside": found, "same_code": same}


def beside(cfg: Path, count: int, runs: int) -> dict[str, Any]:
    """The plain program in processes without and with the debugger, in turns."""
    words = ("plain", str(cfg), str(count), str(runs))
    pairs = [(alone(*words, ""), alone(*words, "debugger")) for _ in range(TURNS)]
    without, with_it = (min(column) for column in zip(*pairs, strict=True))
    ratio = with_it / without
    return {"alone_us": without, "loaded_us": with_it, "ratio": ratio, "met": ratio <= ALLOWED}


def line(row: dict[str, Any]) -> str:
    return (
        f"script       {row['script']:<14} {row['statements']:3} statements  plain {row['plain_us']:6.2f} us"
        f"  attached {row['attached_us']:6.2f}  traced {row['traced_us']:6.2f}"
    )


def main(words: list[str]) -> None:
    if words[0] == "measure":
        found = run(measure(words[1], Path(words[2]), int(words[3]), int(words[4])))
    elif words[0] == "plain":
        found = run(plain_cost(Path(words[1]), int(words[2]), int(words[3]), bool(words[4])))
    else:
        found = run(plain_code(bool(words[1])))
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1:])
