"""A call's six messages through a whole server, without sockets: CPU, profile, instructions per call.

The server is a real one: cfg/default.cfg, a SQLite file with two accounts, a UDP socket that nobody writes
to. Only `speed.send_batch` is replaced, by a list; messages enter at `Server.receive`. The kind `stock` runs
Kamailio's own kamailio.cfg instead, and logs what that logs, into nothing.
"""

import asyncio
import gc
import json
import logging
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from kamtool import script, speed
from kamtool.server import log
from kamtool.server.options import Options
from kamtool.server.server import Server
from kamtool.sip.flow import Address, Flow, Socket
from kamtool.store.migrate import migrate
from tests.bench.calls import CALLEE, CALLER, DOMAIN, Phones, answer, ha1_of, nonce_of
from tests.bench.cases import SDP
from tests.bench.servers import stock_cfg

ROOT = Path(__file__).parents[2]
BUDGET_US = 35.0
CHUNK = 50
"""Calls that are under way together: what a busy server takes from its socket at once."""
KINDS = ("inbound", "caller", "stock")
"""A stranger's calls, a subscriber's, and a stranger's on Kamailio's own kamailio.cfg."""
STEPS = ("INVITE", "180", "200", "ACK", "BYE", "200 of the BYE")

Sent = tuple[bytes, tuple[str, int]]

ringing = partial(answer, status="180 Ringing")
accepted = partial(answer, status="200 OK", body=SDP)
finished = partial(answer, status="200 OK")


class Replay:
    """One server and two phones. Every method is to be called inside the running loop."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.sent: list[Sent] = []
        self.port = server.transports.sockets[0].address.port
        local = Address("127.0.0.1", self.port)
        self.caller, self.callee = (Flow("udp", local, Address(*phone)) for phone in (CALLER, CALLEE))
        self.ns = [0] * len(STEPS)
        self.turns = 0
        self.phone_work = 1
        """How often the phones do their work: twice, and the difference is what they cost under callgrind."""

    async def exchange(self, messages: list[bytes], flow: Flow, expected: int) -> list[Sent]:
        """Hand messages to the server and give what it sent once that is `expected` datagrams."""
        for message in messages:
            self.server.receive(message, flow)
        for _ in range(2000):
            await asyncio.sleep(0)
            if len(self.sent) >= expected:
                break
            await asyncio.sleep(0.001)
        sent, self.sent[:] = list(self.sent), []
        if len(sent) != expected:
            raise AssertionError(f"{len(sent)} datagrams instead of {expected}; the last: {sent[-1:]!r}")
        return sent

    async def timed(self, step: int, messages: list[bytes], flow: Flow, expected: int) -> list[Sent]:
        """The same with the clock running: everything up to the moment the datagrams are with the kernel."""
        receive, sent = self.server.receive, self.sent
        start = time.thread_time_ns()
        for message in messages:
            receive(message, flow)
        await asyncio.sleep(0)
        while len(sent) < expected:
            await self.again(expected)
        self.ns[step] += time.thread_time_ns() - start
        taken, sent[:] = list(sent), []
        assert len(taken) == expected, f"{STEPS[step]}: {len(taken)} datagrams instead of {expected}"
        return taken

    async def again(self, expected: int) -> None:
        """The server has not sent all yet: give it another turn, but not for ever."""
        self.turns += 1
        assert self.turns < 10_000, f"{len(self.sent)} datagrams instead of {expected}"
        await asyncio.sleep(0)

    async def challenge(self, request: bytes, flow: Flow) -> str:
        (reply, _) = (await self.exchange([request], flow, 1))[0]
        return nonce_of(reply)

    async def phones(self, kind: str) -> Phones:
        """Register bob; alice signs her INVITEs when she is of our domain and is asked to."""
        bob = Phones(self.port)
        if kind == "stock":
            (reply, _) = (await self.exchange([bob.register("bob")], self.callee, 1))[0]
            assert reply.startswith(b"SIP/2.0 200 "), reply
            return Phones(self.port, caller="sip:alice@elsewhere.test")
        nonce = await self.challenge(bob.register("bob"), self.callee)
        (reply, _) = (await self.exchange([bob.register("bob", nonce)], self.callee, 1))[0]
        assert reply.startswith(b"SIP/2.0 200 "), reply
        if kind == "inbound":
            return Phones(self.port, caller="sip:alice@elsewhere.test")
        return Phones(
            self.port, nonce=await self.challenge(Phones(self.port, tag="ask").invite(0), self.caller)
        )

    def made(self, make: Callable[..., bytes], *columns: Iterable[Any]) -> list[bytes]:
        """What the phones say: `make` of each row."""
        rows = list(zip(*columns, strict=True))
        for _ in range(self.phone_work - 1):
            for row in rows:
                make(*row)
        return [make(*row) for row in rows]

    async def chunk(self, phones: Phones, calls: range) -> None:
        """Some calls from INVITE to BYE, step by step."""
        count, made = len(calls), self.made
        if phones.nonce:  # a nonce counts its uses, and not to any number
            phones.first = calls.start
            ask = Phones(self.port, tag=f"ask{calls.start}").invite(0)
            phones.nonce = await self.challenge(ask, self.caller)
        # A provisional response of the server's own, and the INVITE as it goes on.
        sent = await self.timed(0, made(phones.invite, calls), self.caller, 2 * count)
        forwarded = [data for data, to in sent if to[1] == CALLEE[1]]
        assert len(forwarded) == count, sent[0]
        await self.timed(1, made(ringing, forwarded, calls), self.callee, count)
        sent = await self.timed(2, made(accepted, forwarded, calls), self.callee, count)
        answers = [data for data, _ in sent]
        await self.timed(3, made(phones.ack, calls, answers), self.caller, count)
        sent = await self.timed(4, made(phones.bye, calls, answers), self.caller, count)
        last = await self.timed(5, made(finished, [data for data, _ in sent], calls), self.callee, count)
        assert all(data.startswith(b"SIP/2.0 200 ") for data, _ in last), last[0]

    async def calls(self, phones: Phones, first: int, count: int) -> float:
        """µs of CPU per call for calls `first` to `first + count`."""
        self.ns = [0] * len(STEPS)
        for start in range(first, first + count, CHUNK):
            await self.chunk(phones, range(start, min(start + CHUNK, first + count)))
        return sum(self.ns) / count / 1e3


@contextmanager
def logging_as_served(script: Any) -> Iterator[None]:
    """What `kamtool serve` logs, in its form and at the level of the file, into nothing."""
    logger = logging.getLogger("kamtool")
    before = (
        logger.handlers[:],
        logger.propagate,
        logger.level,
        logging._srcfile,
        logging.getLogRecordFactory(),
    )
    with open(os.devnull, "w") as nothing:
        log.install(log.to_stream(nothing), script.settings.number("debug"))
        try:
            yield
        finally:
            logger.handlers[:], logger.propagate, level, logging._srcfile, factory = before
            logger.setLevel(level)
            logging.setLogRecordFactory(factory)


async def with_stock(work: Callable[[Replay], Any]) -> Any:
    """The same with Kamailio's own kamailio.cfg. Raises Unavailable where there is none."""
    with tempfile.TemporaryDirectory(prefix="bench-stock-") as folder, ExitStack() as stack:
        cfg = stock_cfg(Path(folder), "replay")
        stack.enter_context(logging_as_served(script.load(cfg)))
        return await with_server(work, cfg, {"DOMAIN": DOMAIN})


async def with_server(
    work: Callable[[Replay], Any], cfg: Path = ROOT / "cfg" / "default.cfg", more: Mapping[str, str] = {}
) -> Any:
    """Start a server on `cfg` with `more` definitions, run `work`, stop it."""
    with tempfile.TemporaryDirectory(prefix="bench-replay-") as folder:
        path = Path(folder) / "replay.db"
        migrate(path)
        with closing(sqlite3.connect(path)) as connection, connection:
            rows = [(user, DOMAIN, ha1_of(user)) for user in ("alice", "bob")]
            connection.executemany("INSERT INTO subscriber (username, domain, ha1) VALUES (?, ?, ?)", rows)
        url = f'"sqlite:///{path}"'
        defines = {
            "DBURL": url, "REALM": f'"{DOMAIN}"', "DOMAIN": f'"{DOMAIN}"', "ROUTEKEY": '"signed by a bench"',
            **more,
        }  # fmt: skip
        loaded = script.load(cfg, defines=defines)
        # T1 is long: under valgrind a chunk takes half a second, and retransmissions are no part of a call.
        options = Options(listens=[Socket("udp", Address("127.0.0.1", 0))], t1=30.0)
        server = Server(loaded, options=options)
        await server.start()
        real = speed.send_batch
        try:
            replay = Replay(server)
            if "htable" in server.modules:  # a stranger who calls a thousand times a second would be banned
                server.modules["htable"].htables["ban"].values[CALLER[0]] = "exempt"

            def keep(_fd: int, batch: list[Sent]) -> int:
                replay.sent.extend(batch)
                return len(batch)

            speed.send_batch = keep
            return await work(replay)
        finally:
            speed.send_batch = real
            await server.stop(drain=0)


async def measure(kind: str, calls: int, runs: int, phone_work: int = 1) -> dict[str, Any]:
    """Median and range of `runs` runs, and the cost of the timers that end the transactions after each.

    So each run finds the memory of calls that are over, as in a server that has worked for a while.
    """

    async def work(replay: Replay) -> dict[str, Any]:
        phones = await replay.phones(kind)
        replay.phone_work = phone_work
        await replay.calls(phones, 0, calls)
        await let_go(replay, calls)
        gc.collect()
        costs, steps, ends = [], [], []
        for run in range(runs):
            costs.append(await replay.calls(phones, 1_000_000 + run * calls, calls))
            steps.append([ns / calls / 1e3 for ns in replay.ns])
            ends.append(await let_go(replay, calls))
        middle, letting_go = statistics.median(costs), statistics.median(ends)
        parts = [statistics.median(column) for column in zip(*steps, strict=True)]
        return {
            "case": kind, "native": speed.NATIVE, "calls": calls, "runs": runs, "us": middle,
            "range": [min(costs), max(costs)], "steps": dict(zip(STEPS, parts, strict=True)),
            "letting_go_us": letting_go, "budget_us": BUDGET_US, "met": middle <= BUDGET_US,
        }  # fmt: skip

    return await (with_stock if kind == "stock" else with_server)(work)


async def let_go(replay: Replay, calls: int) -> float:
    """µs per call to end its transactions, by sweeping the layer as if all their time had passed."""
    transactions = replay.server.transactions
    start = time.thread_time_ns()
    for _ in range(3):
        transactions.sweep(replay.server.now() + 10_000.0)
    spent = time.thread_time_ns() - start
    assert len(transactions) == 0, f"{len(transactions)} transactions never end"
    return spent / calls / 1e3


def run(main: Any) -> Any:
    """On uvloop where there is one: what `kamtool serve` does."""
    try:
        from uvloop import new_event_loop
    except ImportError:
        return asyncio.run(main)
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(main)


def figures(calls: int, runs: int, report: Callable[[str], None]) -> list[dict[str, Any]]:
    """Both kernels, both kinds of call; a process each, since the kernel is chosen at import."""
    rows = []
    for pure in ("", "1"):
        for kind in KINDS:
            command = [sys.executable, "-m", "tests.bench.replay", kind, str(calls), str(runs)]
            done = subprocess.run(
                command,
                cwd=ROOT,
                env={**os.environ, "KAMTOOL_PURE": pure},
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                report(f"replay       {kind}: failed:\n{done.stderr[-2000:]}")
                rows.append({"case": kind, "failed": done.stderr[-2000:]})
                continue
            rows.append(json.loads(done.stdout.splitlines()[-1]))
            report(line(rows[-1]))
    return rows


def line(row: dict[str, Any]) -> str:
    kernel = "native" if row["native"] else "pure"
    steps = " ".join(f"{name} {us:.1f}" for name, us in row["steps"].items())
    low, high = row["range"]
    verdict = "met" if row["met"] else "NOT MET"
    return (
        f"replay       {row['case']:<8} {kernel:<7} {row['us']:7.1f} us/call [{low:.1f}..{high:.1f}]"
        f" budget {row['budget_us']:.0f} {verdict if row['native'] else ''} | {steps}"
        f" | letting go {row['letting_go_us']:.1f}"
    )


def profile(calls: int, kind: str = "inbound") -> None:
    """cProfile of the calls alone, by own time. It inflates small functions: read it for counts and ranks."""
    import cProfile
    import pstats

    async def work(replay: Replay) -> None:
        phones = await replay.phones(kind)
        await replay.calls(phones, 0, 200)
        watch = cProfile.Profile()
        timed = replay.timed

        async def watched(*given: Any) -> list[Sent]:
            watch.enable()
            try:
                return await timed(*given)
            finally:
                watch.disable()

        replay.timed = watched  # type: ignore[method-assign]
        await replay.calls(phones, 1000, calls)
        pstats.Stats(watch).sort_stats("tottime").print_stats(45)

    run((with_stock if kind == "stock" else with_server)(work))


if __name__ == "__main__":
    print(json.dumps(run(measure(sys.argv[1], *map(int, sys.argv[2:])))))
