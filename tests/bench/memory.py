"""What kamtool keeps in memory: idle, and for each contact, transaction and idle TCP connection.

Each figure is the growth of the private and shared pages of a fresh server (PSS), divided by the number of
things that made it grow. Allocators round up: below some thousands of things a figure says little.
"""

import contextlib
import gc
import resource
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kamtool.store.migrate import migrate
from tests.bench.cases import INVITE, RINGING, TRYING, Call, Register
from tests.bench.generator import Generator
from tests.bench.servers import PROXY_CFG, Setup, Subject, Unavailable, running

IDLE_LIMIT_BYTES = 45_000_000


@dataclass
class Amounts:
    """How many of each thing are made."""

    contacts: int = 100_000
    transactions: int = 4_000
    connections: int = 5_000


class Ringing(Call):
    """A call that stays at 180: its INVITE transaction lives on the server, with one branch."""

    name = "ringing"
    complete = TRYING | RINGING | INVITE

    def server(self, data: bytes) -> None:
        super().server(data)
        if data.startswith(b"INVITE "):
            self.to_callee.pop()  # the 200


def idle(environment: dict[str, str]) -> dict[str, Any]:
    """Resident memory of `kamtool serve` on default.cfg and an empty database, as `ps` would show it."""
    default = PROXY_CFG.parents[2] / "cfg" / "default.cfg"
    with tempfile.TemporaryDirectory(prefix="bench-idle-") as folder:
        define = f'DBURL="sqlite:///{folder}/idle.db"'
        setup = Setup(cfg=default, defines=(define,), environment=environment)
        migrate(Path(folder) / "idle.db")
        with running("kamtool", setup) as subject:
            time.sleep(1.0)
            return {
                "what": "idle, default.cfg",
                "rss": subject.rss(),
                "met": subject.rss() < IDLE_LIMIT_BYTES,
            }


@contextmanager
def fresh(name: str, setup: Setup) -> Iterator[tuple[Subject, Generator]]:
    with running(name, setup) as subject, contextlib.closing(Generator(subject.port)) as generator:
        # Some work first: what is loaded or cached once is no part of a contact or a call.
        generator.drive(generator.case(Register, 200, with_digest=False))
        time.sleep(0.5)
        yield subject, generator


def grown(what: str, count: int, subject: Subject, work: Callable[[], None]) -> dict[str, Any]:
    before = subject.pss()
    work()
    after = subject.pss()
    return {
        "what": what,
        "count": count,
        "before": before,
        "after": after,
        "bytes": (after - before) / max(1, count),
    }


def contacts(name: str, count: int, setup: Setup) -> dict[str, Any]:
    """Bytes per registered contact, usrloc in memory only."""
    with fresh(name, setup) as (subject, generator):

        def work() -> None:
            case = generator.case(Register, count, start=1_000_000, with_digest=False)
            run = generator.drive(case)
            if not run.valid:
                raise Unavailable(f"not every contact was registered: {run}")

        return grown("contact", count, subject, work)


def transactions(name: str, count: int, setup: Setup) -> dict[str, Any]:
    """Bytes per INVITE transaction with one branch, while the phone rings."""
    with fresh(name, setup) as (subject, generator):
        generator.drive(generator.case(Register, Ringing.callees, with_digest=False))
        generator.drive(generator.case(Call, 100))

        def work() -> None:
            run = generator.drive(generator.case(Ringing, count))
            if run.completed != count:
                raise Unavailable(f"not every call rings: {run}")

        return grown("transaction (ringing INVITE, one branch)", count, subject, work)


def connections(name: str, count: int, setup: Setup) -> dict[str, Any]:
    """Bytes per TCP connection that has carried one request and is idle. Kernel buffers are not in it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    count = min(count, hard - 200)
    request = (
        "OPTIONS sip:bench.test SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1:9;branch=z9hG4bKt{i};rport\r\n"
        "From: <sip:probe@bench.test>;tag=t{i}\r\nTo: <sip:bench.test>\r\nCall-ID: t{i}\r\n"
        "CSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
    )
    held: list[socket.socket] = []
    try:
        with fresh(name, setup) as (subject, _):

            def work() -> None:
                for i in range(count):
                    held.append(socket.create_connection(("127.0.0.1", subject.port), 10))
                    held[-1].sendall(request.format(i=i).encode())
                for connection in held:
                    if not connection.recv(4096):
                        raise Unavailable("a connection got no answer")

            return grown("TCP connection, idle", count, subject, work)
    finally:
        for connection in held:
            connection.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def figures(
    names: list[str], amounts: Amounts, report: Callable[[str], None], environment: dict[str, str]
) -> list[dict[str, Any]]:
    """Every figure, kamtool's and beside it Kamailio's where both have one."""
    rows = []
    open_setup = Setup(defines=("OPEN",), environment=environment)
    tcp_setup = Setup(defines=("OPEN", "WITH_TCP"), environment=environment)
    jobs: list[tuple[str, Callable[[], dict[str, Any]]]] = []
    for name in names:
        if name == "kamtool":
            jobs.append((name, lambda: idle(environment)))
        jobs += [
            (name, lambda name=name: contacts(name, amounts.contacts, open_setup)),
            (name, lambda name=name: transactions(name, amounts.transactions, open_setup)),
        ]
        if name == "kamtool":
            jobs.append((name, lambda: connections("kamtool", amounts.connections, tcp_setup)))
    for name, job in jobs:
        gc.collect()
        try:
            row = {"server": name, **job()}
        except (Unavailable, OSError) as reason:
            row = {"server": name, "what": getattr(job, "__name__", ""), "unavailable": str(reason)}
        rows.append(row)
        report(line(row))
    return rows


def line(row: dict[str, Any]) -> str:
    head = f"{'memory':<12} {row['server']:<9}"
    if "unavailable" in row:
        return f"{head} could not be measured: {row['unavailable']}"
    if "rss" in row:
        return f"{head} {row['what']}: {row['rss'] / 1e6:.1f} MB RSS (limit {IDLE_LIMIT_BYTES / 1e6:.0f})"
    growth = f"{row['before'] / 1e6:.1f} -> {row['after'] / 1e6:.1f} MB"
    return f"{head} {row['what']}: {row['bytes']:.0f} bytes each ({row['count']} of them, {growth})"
