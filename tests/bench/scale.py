"""The location table with many users, beside Kamailio: see the package's docstring for its rows."""

import contextlib
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from kamtool.store.migrate import migrate
from kamtool.store.times import to_julian
from tests.bench import live, memory, proc
from tests.bench.cases import Register
from tests.bench.generator import Generator
from tests.bench.location_cases import Bindings, Lookup, Refresh
from tests.bench.servers import GENERATOR_CORE, HERE, Setup, Unavailable, running, subscribers

NAMES = (
    "register-1k", "register-100k", "storm", "lookup-1", "lookup-10", "memory", "start", "flash",
)  # fmt: skip
CFG = HERE / "location.cfg"
CONTACT_LIMIT_BYTES, FLASH_LIMIT_MB = 1024, 50
SHARED_MB = 4096
"""For a million contacts Kamailio takes more than its usual share."""

Row = dict[str, Any]
Report = Callable[[str], None]


@dataclass(frozen=True)
class Amounts:
    """How many of each thing."""

    operations: int = 20_000
    runs: int = 3
    phones: int = 10_000
    contacts: tuple[int, ...] = (10_000, 100_000, 1_000_000)
    rows: int = 1_000_000
    flash_phones: int = 10_000


QUICK = Amounts(4000, 2, 2000, (10_000, 100_000), 100_000, 10_000)


def figures(
    rows: Sequence[str], names: Sequence[str], amounts: Amounts, report: Report, environment: dict[str, str]
) -> list[Row]:
    """The named rows of both servers, and for each pair which one needs less."""
    found: list[Row] = []
    unknown = set(rows) - set(NAMES)
    if unknown:
        raise SystemExit(f"scale has no {' '.join(sorted(unknown))}; it has {' '.join(NAMES)}")
    setup = partial(Setup, cfg=CFG, environment=environment, memory_mb=SHARED_MB)
    for row in rows:
        head = row.partition("-")[0]
        made = MAKERS[head](row, names, amounts, report, setup)
        for entry in made:
            report(line(entry))
        found += made
    for entry in ratios(found):
        report(
            f"ratio        {entry['what']:<24} {entry['ratio']:.2f}  {'met' if entry['met'] else 'NOT MET'}"
        )
    return found


# ----- CPU for each operation


def registering(row: str, names: Sequence[str], amounts: Amounts, report: Report, setup: Any) -> list[Row]:
    """REGISTER, 401, REGISTER with digest, 200; so many accounts, one after the other."""
    users = int(row.partition("-")[2].removesuffix("k")) * 1000
    with tempfile.TemporaryDirectory(prefix="bench-scale-") as folder:
        subscribers(Path(folder, "users.db"), users)
        made = setup(defines=(f'DBURL="sqlite:///{folder}/users.db"',))

        def ready(generator: Generator) -> None:
            # Every account once, so that no server meets one for the first time while it is measured.
            generator.drive(generator.case(Register, users, users=users))

        def case(generator: Generator, _: None, run: int) -> Register:
            start = run * amounts.operations % users
            return generator.case(Register, amounts.operations, start=start, users=users)

        return compare(row, names, made, ready, case, amounts.runs, report)


def storm(row: str, names: Sequence[str], amounts: Amounts, report: Report, setup: Any) -> list[Row]:
    """Every phone refreshes, all at the same time: one message each, and its 200."""
    with tempfile.TemporaryDirectory(prefix="bench-scale-") as folder:
        subscribers(Path(folder, "users.db"), amounts.phones)
        made = setup(defines=(f'DBURL="sqlite:///{folder}/users.db"',))

        def ready(generator: Generator) -> Refresh:
            first = generator.case(Refresh, amounts.phones)
            first.is_first = True
            if not generator.drive(first).valid:
                raise Unavailable("not every phone could register")
            return first

        def case(generator: Generator, first: Refresh, run: int) -> Refresh:
            return generator.case(Refresh, amounts.phones).after(first, run)

        return compare(row, names, made, ready, case, amounts.runs, report)


def finding(row: str, names: Sequence[str], amounts: Amounts, report: Report, setup: Any) -> list[Row]:
    """A MESSAGE whose user has so many contacts, answered once they are found."""
    each = int(row.partition("-")[2])

    def ready(generator: Generator) -> None:
        if not generator.drive(generator.case(Bindings, Lookup.users * each, each=each)).valid:
            raise Unavailable("not every contact could register")

    def case(generator: Generator, _: None, run: int) -> Lookup:
        return generator.case(Lookup, amounts.operations)

    return compare(row, names, setup(defines=("OPEN",)), ready, case, amounts.runs, report)


def compare(
    what: str, names: Sequence[str], setup: Setup, ready: Any, make: Any, runs: int, report: Report
) -> list[Row]:
    """Saturated runs of a case, the servers taking turns."""
    found: list[Row] = []
    with contextlib.ExitStack() as stack:
        stack.enter_context(proc.pinned(GENERATOR_CORE))
        subjects = []
        for name in names:
            try:
                subject = stack.enter_context(running(name, setup))
                generator = stack.enter_context(contextlib.closing(Generator(subject.port)))
                subjects.append((subject, generator, ready(generator), []))
            except Unavailable as reason:
                found.append({"what": what, "server": name, "unavailable": str(reason)})
        for run in range(1, runs + 1):
            for subject, generator, state, measured in subjects:
                case = make(generator, state, run)
                measured.append(live.measure(subject, generator, case, 0.0, 0.0, 0.0))
        for subject, _, _, measured in subjects:
            summary = live.summary(what, subject.name, "saturated", measured)
            found.append({"what": what, "unit": "us", "value": summary["cpu_us"], **summary})
    return found


# ----- bytes, seconds


def bytes_each(row: str, names: Sequence[str], amounts: Amounts, report: Report, setup: Any) -> list[Row]:
    """Growth of the server for each contact, usrloc in memory only."""
    found: list[Row] = []
    for count in amounts.contacts:
        for name in names:
            what = f"memory {count}"
            try:
                grown = memory.contacts(name, count, setup(defines=("OPEN",)))
            except (Unavailable, OSError) as reason:
                found.append({"what": what, "server": name, "unavailable": str(reason)})
                continue
            met = name != "kamtool" or grown["bytes"] <= CONTACT_LIMIT_BYTES
            found.append(
                {**grown, "what": what, "server": name, "unit": "B", "value": grown["bytes"], "met": met}
            )
    return found


def starting(row: str, names: Sequence[str], amounts: Amounts, report: Report, setup: Any) -> list[Row]:
    """CPU for each row of the location table from the start of the process to its first answer."""
    found: list[Row] = []
    for name in names:
        cost: list[tuple[float, float]] = []
        try:
            for count in (0, amounts.rows):
                with tempfile.TemporaryDirectory(prefix="bench-scale-") as folder:
                    stored(Path(folder, "l.db"), count)
                    url = f'DBURL="sqlite:///{folder}/l.db"'
                    made = setup(defines=("OPEN", "STORED", url), private_mb=SHARED_MB)
                    began = time.monotonic()
                    with running(name, made) as subject:
                        cost.append((subject.cpu(), time.monotonic() - began))
        except Unavailable as reason:
            found.append({"what": "start", "server": name, "unavailable": str(reason)})
            continue
        (empty, _), (cpu, seconds) = cost
        found.append({
            "what": f"start {amounts.rows}", "server": name, "unit": "us",
            "value": (cpu - empty) / amounts.rows * 1e6, "seconds": seconds, "cpu_seconds": cpu,
        })  # fmt: skip
    return found


def stored(path: Path, count: int) -> None:
    """A location table with `count` rows of phones that are registered for an hour."""
    migrate(path)
    ends, now = to_julian(time.time() + 36_000), to_julian(time.time())
    rows = (
        (f"uloc-5f000000-1a2b-{n:x}", f"u{n:07d}", f"sip:u{n:07d}@10.0.0.1:5060;ob", ends, -1.0,
         f"{n:08x}@10.0.0.1", now)
        for n in range(count)
    )  # fmt: skip
    with contextlib.closing(sqlite3.connect(path)) as file, file:
        file.executemany(
            "INSERT INTO location (ruid, username, contact, expires, q, callid, last_modified, cseq, "
            "user_agent, socket) VALUES (?, ?, ?, ?, ?, ?, ?, 1, 'phone/1.0', NULL)",
            rows,
        )


def writing(row: str, names: Sequence[str], amounts: Amounts, report: Report, setup: Any) -> list[Row]:
    """What flash mode writes in a simulated day; a process of its own, which counts what it has written."""
    if "kamtool" not in names:
        return []
    command = [sys.executable, "-m", "tests.bench.location", "flash", str(amounts.flash_phones)]
    done = subprocess.run(
        command, cwd=HERE.parents[1], env={**os.environ}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        return [{"what": "flash", "server": "kamtool", "unavailable": done.stderr[-1000:]}]
    told = json.loads(done.stdout.splitlines()[-1])
    value = told["mb_a_day"]
    return [
        {
            **told,
            "what": "flash",
            "server": "kamtool",
            "unit": "MB",
            "value": value,
            "met": value < FLASH_LIMIT_MB,
        }
    ]


MAKERS: dict[str, Callable[..., list[Row]]] = {
    "register": registering, "storm": storm, "lookup": finding, "memory": bytes_each, "start": starting,
    "flash": writing,
}  # fmt: skip


# ----- what is shown


def line(row: Row) -> str:
    head = f"{row['what']:<14} {row['server']:<9}"
    if "unavailable" in row:
        return f"{head} could not be measured: {row['unavailable']}"
    if "regime" in row:
        return live.line({**row, "case": row["what"]})
    if row["unit"] == "us":
        whole = f"{row['cpu_seconds']:.1f} s CPU, {row['seconds']:.1f} s in all"
        return f"{head} {row['value']:8.2f} us a row; {whole}"
    if row["unit"] == "B":
        return f"{head} {row['value']:8.0f} bytes each {'' if row['met'] else 'NOT MET'}"
    return f"{head} {row['value']:8.1f} MB a day {'met' if row['met'] else 'NOT MET'}"


def ratios(rows: Sequence[Row]) -> list[Row]:
    """kamtool over Kamailio: CPU is to be no more; of bytes there is a limit instead."""
    cost = {(row["what"], row["server"]): row for row in rows if row.get("value") is not None}
    found = []
    for (what, server), row in cost.items():
        other = cost.get((what, "kamailio"))
        if server == "kamtool" and other is not None and other["value"] > 0:
            ratio = row["value"] / other["value"]
            found.append({"what": what, "ratio": ratio, "met": row.get("met", ratio <= 1.0)})
    return found
