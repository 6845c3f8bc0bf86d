"""A registration's two messages through a whole server, without sockets: REGISTER → 401, with digest → 200.

Three kinds, each with the cfg of the live comparison: `memory` (the password is the cfg's own), `db` (from
SQLite), and `refresh`, where a phone that is registered comes again with credentials: one message.
"""

import gc
import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from kamtool import speed
from kamtool.sip.flow import Flow
from tests.bench.cases import Register
from tests.bench.replay import CHUNK, Replay, run, with_server
from tests.bench.servers import PROXY_CFG, subscribers

KINDS = ("memory", "db", "refresh")
USERS = 10_000


class Phones:
    """The phones of the live comparison, `total` of them, without a socket."""

    def __init__(self, port: int, total: int) -> None:
        self.case = Register(port, 15060, 15062, total, "000")

    def answers(self, first: int, challenges: list[bytes], cseq: int = 2) -> list[bytes]:
        made = [self.case.answer(first + i, challenge) for i, challenge in enumerate(challenges)]
        if cseq == 2:
            return made
        return [data.replace(b"CSeq: 2 ", b"CSeq: %d " % cseq) for data in made]


async def registrations(replay: Replay, phones: Phones, flow: Flow, first: int, count: int) -> float:
    """µs of CPU for one registration: both messages."""
    replay.ns = [0] * len(replay.ns)
    for start in range(first, first + count, CHUNK):
        some = range(start, min(start + CHUNK, first + count))
        asked = replay.made(phones.case.begin, some)
        challenges = [data for data, _ in await replay.timed(0, asked, flow, len(some))]
        for _ in range(replay.phone_work):
            answers = phones.answers(start, challenges)
        sent = await replay.timed(1, answers, flow, len(some))
        assert all(data.startswith(b"SIP/2.0 200 ") for data, _ in sent), sent[0][0]
    return sum(replay.ns) / count / 1e3


async def refreshes(replay: Replay, phones: Phones, flow: Flow, first: int, count: int) -> float:
    """µs of CPU for one refresh: each phone in turn, with the nonce it has."""
    replay.ns = [0] * len(replay.ns)
    if not hasattr(phones, "nonces"):
        phones.nonces = []
        for start in range(0, 1000, CHUNK):
            some = range(start, start + CHUNK)
            asked = [phones.case.begin(i) for i in some]
            phones.nonces += [data for data, _ in await replay.exchange(asked, flow, CHUNK)]
        phones.cseq = 2
    for start in range(0, count, CHUNK):
        begin = start % 1000
        if not begin:
            phones.cseq += 1
        for _ in range(replay.phone_work):
            answers = phones.answers(begin, phones.nonces[begin : begin + CHUNK], phones.cseq)
        sent = await replay.timed(0, answers, flow, len(answers))
        assert all(data.startswith(b"SIP/2.0 200 ") for data, _ in sent), sent[0][0]
    return sum(replay.ns) / count / 1e3


async def with_phones(kind: str, work: Any) -> Any:
    """Run `work(replay, phones, drive)` on a server with the cfg of the live comparison."""

    async def inner(replay: Replay) -> Any:
        phones = Phones(replay.port, 10_000_000)
        drive = refreshes if kind == "refresh" else registrations
        return await work(
            replay, phones, lambda first, count: drive(replay, phones, replay.callee, first, count)
        )

    if kind == "memory":
        return await with_server(inner, PROXY_CFG)
    with tempfile.TemporaryDirectory(prefix="bench-registering-") as folder:
        subscribers(Path(folder, "users.db"), USERS)
        return await with_server(
            inner, PROXY_CFG, {"WITH_DB": "1", "DBURL": f'"sqlite:///{folder}/users.db"'}
        )


async def measure(kind: str, count: int, runs: int, phone_work: int = 1) -> dict[str, Any]:
    """Median and range of `runs` runs."""

    async def work(replay: Replay, phones: Phones, drive: Any) -> dict[str, Any]:
        replay.phone_work = phone_work
        await drive(0, count)
        gc.collect()
        costs = [await drive((count * (run + 1)) % (USERS - count), count) for run in range(runs)]
        return {
            "case": kind, "native": speed.NATIVE, "count": count, "runs": runs,
            "us": statistics.median(costs), "range": [min(costs), max(costs)],
            "steps": [ns / count / 1e3 for ns in replay.ns[:2]],
        }  # fmt: skip

    return await with_phones(kind, work)


def profile(kind: str, count: int) -> None:
    """cProfile of the server's part alone: read it for counts and ranks."""
    import cProfile
    import pstats

    async def work(replay: Replay, phones: Phones, drive: Any) -> None:
        await drive(0, 1000)
        watch, timed = cProfile.Profile(), replay.timed

        async def watched(*given: Any) -> Any:
            watch.enable()
            try:
                return await timed(*given)
            finally:
                watch.disable()

        replay.timed = watched  # type: ignore[method-assign]
        await drive(2000, count)
        pstats.Stats(watch).sort_stats("tottime").print_stats(60)

    run(with_phones(kind, work))


if __name__ == "__main__":
    if sys.argv[1] == "profile":
        profile(sys.argv[2], int(sys.argv[3]))
    else:
        print(json.dumps(run(measure(sys.argv[1], *map(int, sys.argv[2:])))))
