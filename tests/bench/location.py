"""The location table at scale: memory for each contact, start-up, lookups, and what flash mode writes.

    python -m tests.bench.location memory 1000000     bytes for each contact, one an address-of-record
    python -m tests.bench.location start 1000000      seconds and memory to load so many rows from SQLite
    python -m tests.bench.location lookup 10          µs for a lookup() that finds so many contacts
    python -m tests.bench.location flash 10000        bytes written in a simulated day of 5-minute refreshes
    python -m tests.bench.location expire 1000000     the longest stall of the loop while so many expire

Each is a process of its own and prints JSON. usrloc and registrar are real; there are no sockets.
"""

import asyncio
import gc
import json
import os
import sqlite3
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from kamtool.modules.usrloc.contact import Contact
from kamtool.store.migrate import migrate
from kamtool.store.times import to_julian
from kamtool.store.url import database_url
from tests.bench.proc import resident_bytes
from tests.support.host import Host

DAY, REFRESH, BACKUP = 86_400, 300, 14_400


def contact(host: Host, usrloc: Any, number: int, aor: str = "", **more: Any) -> Contact:
    """What a phone's REGISTER leaves: texts of its own, as they come from a message."""
    user = aor or f"u{number:07d}"
    host_part = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
    return Contact(
        user, f"sip:{user}@{host_part}:5060;ob",
        usrloc.ruids.next(), host.now() + more.pop("expires", 3600.0), host.now(),
        call_id=f"{number:08x}-{number * 7919 & 0xFFFFFFFF:08x}@10.0.0.1", cseq=2,
        user_agent=sys.intern("phone/1.0"), socket=sys.intern("udp:127.0.0.1:5060"), **more,
    )  # fmt: skip


async def started(**params: Any) -> tuple[Host, Any]:
    host = Host()
    await host.load("db_sqlite")
    return host, await host.load("usrloc", **params)


async def memory(amount: int) -> dict[str, Any]:
    host, usrloc = await started(db_mode=0)
    location = usrloc.locations["location"]
    gc.collect()
    before = resident_bytes(os.getpid())
    for number in range(amount):
        location.insert(contact(host, usrloc, number))
    gc.collect()
    return {"contacts": amount, "bytes_per_contact": round((resident_bytes(os.getpid()) - before) / amount)}


async def start(amount: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="bench-location-") as folder:
        path = Path(folder, "l.db")
        migrate(path)
        ends, now = to_julian(time.time() + 3600), to_julian(time.time())
        rows = (
            (f"r{n}", f"u{n:07d}", f"sip:u{n:07d}@10.0.0.1:5060;ob", ends, f"{n:08x}@10.0.0.1", now)
            for n in range(amount)
        )
        with sqlite3.connect(path) as file:
            file.executemany(
                "INSERT INTO location (ruid, username, contact, expires, callid, last_modified, cseq, "
                "user_agent, socket) VALUES (?, ?, ?, ?, ?, ?, 1, 'phone/1.0', 'udp:127.0.0.1:5060')",
                rows,
            )
        before, began, cpu = resident_bytes(os.getpid()), time.perf_counter(), time.process_time()
        host, usrloc = await started(db_mode=2, db_url=database_url(path), fetch_rows=20_000)
        taken = {"seconds": time.perf_counter() - began, "cpu_seconds": time.process_time() - cpu}
        loaded = usrloc.locations["location"].table.count
        assert loaded == amount, loaded
        grown = resident_bytes(os.getpid()) - before
        await host.stop()
    return {"rows": amount, **taken, "bytes_per_contact": round(grown / amount)}


async def lookup(amount: int) -> dict[str, Any]:
    host, usrloc = await started(db_mode=0)
    registrar = await host.load("registrar")
    location = usrloc.locations["location"]
    for number in range(amount):
        location.insert(contact(host, usrloc, number, "alice", q=100 * (number % 10)))
    request = (
        "INVITE sip:alice@example.com SIP/2.0\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\nFrom: <sip:b@h>;tag=1\n"
        "To: <sip:alice@example.com>\nCall-ID: c\nCSeq: 1 INVITE\n"
    )
    contexts = [host.context(request) for _ in range(2000)]
    runs = []
    for _ in range(5):
        began = time.thread_time_ns()
        for ctx in contexts:
            ctx.branches, ctx.new_uri = (), None
            assert await registrar.lookup(ctx, "location") == 1
        runs.append((time.thread_time_ns() - began) / len(contexts) / 1e3)
    return {"contacts": amount, "us": statistics.median(runs), "branches": len(contexts[0].branches)}


async def flash(phones: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="bench-location-", dir=os.environ.get("TMPDIR")) as folder:
        path = Path(folder, "l.db")
        host, usrloc = await started(db_mode=2, db_url=database_url(path), flash=BACKUP)
        location = usrloc.locations["location"]
        for number in range(phones):
            location.insert(contact(host, usrloc, number))
        written = 0
        for _ in range(DAY // REFRESH):
            host.clock += REFRESH
            for entry in location.table:
                entry.expires_at, entry.modified_at = host.now() + 600.0, host.now()
                entry.cseq += 1
                location.update(entry)
            before = io_written()
            await usrloc.tick()
            written += io_written() - before
        before = io_written()
        await host.stop()
        written += io_written() - before
        file = os.stat(path).st_size
    return {"phones": phones, "backup_s": BACKUP, "mb_a_day": written / 1e6, "file_mb": file / 1e6}


def io_written() -> int:
    """What this process has written with write() so far: what a journal and its checkpoints cost."""
    for row in Path("/proc/self/io").read_text().splitlines():
        if row.startswith("wchar:"):
            return int(row.split()[1])
    return 0


async def expire(amount: int) -> dict[str, Any]:
    host, usrloc = await started(db_mode=0)
    location = usrloc.locations["location"]
    for number in range(amount):
        location.insert(contact(host, usrloc, number, expires=60.0 + number % 10))
    gc.collect()
    gc.freeze()
    host.clock += 100
    longest, last = 0.0, time.perf_counter()

    async def watch() -> None:
        nonlocal longest, last
        while True:
            await asyncio.sleep(0)
            now = time.perf_counter()
            longest, last = max(longest, now - last), now

    watching = asyncio.create_task(watch())
    began = time.perf_counter()
    await usrloc.tick()
    seconds = time.perf_counter() - began
    watching.cancel()
    assert location.table.count == 0
    return {"contacts": amount, "seconds": seconds, "longest_stall_ms": longest * 1e3}


KINDS = {"memory": memory, "start": start, "lookup": lookup, "flash": flash, "expire": expire}

if __name__ == "__main__":
    result = asyncio.run(KINDS[sys.argv[1]](int(sys.argv[2])))
    print(json.dumps({"what": sys.argv[1], **result}))
