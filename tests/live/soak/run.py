"""One soak: the server, two generators beside it, samples, and the verdict."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.bench import proc
from tests.live.soak.memory import Sample, allowed, growth

KAMTOOL = [sys.executable, "-m", "kamtool.cli.main"]
CFG = Path(__file__).with_name("soak.cfg")
EVERY = 2.0
HOLD = "1s"
SETTLES = 60.0
"""Seconds in which the last transaction and dialog must have ended (64*T1 is 32 s) and been swept."""


@dataclass(frozen=True, slots=True)
class Load:
    """Calls of one second, and REGISTERs of phones that nobody calls."""

    seconds: float
    rate: float
    registrations: float
    workers: int = 1

    @property
    def phones(self) -> int:
        """So many that each has registered in the first ten seconds."""
        return max(10, int(self.registrations * 10))

    @property
    def warm(self) -> float:
        """Seconds after which everything has been used: calls of 1 s, transactions of 5 to 32 s, caches."""
        return min(self.seconds * 0.5, 120.0)


@dataclass(slots=True)
class Found:
    """What the run showed."""

    load: Load
    samples: list[Sample] = field(default_factory=list)
    calls: dict[str, Any] = field(default_factory=dict)
    registers: dict[str, Any] = field(default_factory=dict)
    left: dict[str, int] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    """Lines of the server's log."""
    cpu_us: float = 0.0

    def amiss(self) -> list[str]:
        """What is not as it should be, in words; empty when all is well."""
        wrong = []
        for name, report in (("call", self.calls), ("REGISTER", self.registers)):
            count = report["calls"]
            if count["failed"] or count["started"] != count["succeeded"]:
                wrong.append(f"of {count['started']} {name}s {count['failed']} failed: {report['reasons']}")
            if count["started"] < 0.9 * count["due"]:
                wrong.append(f"only {count['started']} of {count['due']} {name}s were begun")
        grown, seconds = growth(self.samples, self.load.warm)
        if grown > allowed(seconds, self.load.rate):
            per_call = grown / max(1.0, seconds * self.load.rate)
            wrong.append(f"it grew by {grown / 1e6:.1f} MB in {seconds:.0f} s: {per_call:.0f} bytes a call")
        wrong += [f"{name}: {count} are left" for name, count in self.left.items() if count]
        return wrong + [f"the log says: {line}" for line in self.errors[:5]]

    def told(self) -> str:
        """The figures."""
        grown, seconds = growth(self.samples, self.load.warm)
        calls, registers = self.calls["calls"], self.registers["calls"]
        at = {mark: self.resident(mark) for mark in (60, 300, 600, 1200, 1800) if mark <= self.load.seconds}
        return (
            f"calls {calls['started']} failed {calls['failed']} (repeated messages "
            f"{self.calls['messages']['repeated']}), REGISTERs {registers['started']} failed"
            f" {registers['failed']}\nRSS "
            + ", ".join(f"{size / 1e6:.1f} MB at {mark} s" for mark, size in at.items())
            + f"; grew by {grown / 1e6:.2f} MB in {seconds:.0f} s after the warm-up (allowed"
            f" {allowed(seconds, self.load.rate) / 1e6:.1f})\nleft {self.left}\n"
            f"{self.cpu_us:.0f} us of CPU a call, registrations included"
        )

    def resident(self, at: float) -> int:
        """Resident bytes at about that time."""
        return min(self.samples, key=lambda sample: abs(sample.at - at)).bytes


def soak(load: Load, folder: Path, report: Callable[[str], None] = lambda line: None) -> Found:
    """Run it; the server and the generators keep their files in `folder`."""
    found = Found(load)
    with _served(load, folder) as (server, port):
        generators = [
            _stress(folder, "invite", port, load, load.rate, "calls.test", "--hold", HOLD, "--users", 200),
            _stress(
                folder, "register", port, load, load.registrations, "phones.test", "--users", load.phones
            ),
        ]
        began, cpu, told_at = time.monotonic(), proc.cpu_seconds(server.pid), 0.0
        try:
            while any(generator.poll() is None for generator in generators):
                at = time.monotonic() - began
                assert at < load.seconds + 120, "a generator does not end"
                assert server.poll() is None, f"the server has ended with {server.returncode}"
                if at <= load.seconds:
                    size = sum(proc.resident_bytes(pid) for pid in proc.tree(server.pid))
                    found.samples.append(Sample(at, size))
                    if at >= told_at:
                        report(f"{at:6.0f} s {size / 1e6:7.2f} MB")
                        told_at += 60.0
                time.sleep(EVERY)
        finally:
            for generator in generators:
                if generator.poll() is None:
                    generator.kill()
                    generator.wait()
        found.calls, found.registers = (_report(folder, name) for name in ("invite", "register"))
        found.left = _left(folder)
        found.cpu_us = (proc.cpu_seconds(server.pid) - cpu) / max(1, found.calls["calls"]["started"]) * 1e6
    found.errors = [line for line in _log(folder).splitlines() if "ERROR" in line or "Traceback" in line]
    return found


@contextmanager
def _served(load: Load, folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    defined = f'#!define DBURL "sqlite:///{folder}/soak.db"\n'
    cfg = folder / "soak.cfg"
    cfg.write_text(CFG.read_text().replace("#!KAMAILIO\n", f"#!KAMAILIO\n{defined}", 1))
    with (folder / "serve.log").open("wb") as log:
        server = subprocess.Popen(
            [
                *KAMTOOL, "serve", "-f", str(cfg), "-l", f"udp:127.0.0.1:{port}",
                "--workers", str(load.workers),
                # A test machine that is busy with something else is no overload: late, but nothing refused.
                "--overload-late", "0", "--overload-queue", "0",
            ],
            env=_environment(folder), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        end = time.monotonic() + 60
        while _rpc(folder, "core.uptime") is None:
            assert server.poll() is None, f"it has ended:\n{_log(folder)}"
            assert time.monotonic() < end, f"it does not start:\n{_log(folder)}"
            time.sleep(0.2)
        yield server, port
    finally:
        if server.poll() is None:
            server.terminate()
            try:
                server.wait(30)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def _stress(
    folder: Path, kind: str, port: int, load: Load, rate: float, domain: str, *more: Any
) -> subprocess.Popen[bytes]:
    secret = folder / f"{kind}.password"
    secret.write_text("pw-{user}\n")
    secret.chmod(0o600)
    words = [
        "stress", kind, f"127.0.0.1:{port}", "--rate", f"{rate:g}/s", "--duration", f"{load.seconds:g}s",
        "--domain", domain, "--password-file", secret, "--no-panel", "--json", folder / f"{kind}.json",
        "--seed", 7, *more,
    ]  # fmt: skip
    with (folder / f"{kind}.log").open("wb") as log:
        return subprocess.Popen(
            [*KAMTOOL, *map(str, words)],
            env=_environment(folder), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip


def _report(folder: Path, kind: str) -> dict[str, Any]:
    path = folder / f"{kind}.json"
    assert path.exists(), (folder / f"{kind}.log").read_text(errors="replace")
    found: dict[str, Any] = json.loads(path.read_text())
    return {key: found[key] for key in ("calls", "messages", "reasons", "measures", "rate", "invalid")}


def _left(folder: Path) -> dict[str, int]:
    """What the server still holds once everything has had the time to end."""
    end = time.monotonic() + SETTLES
    while True:
        rows = _rpc(folder, "tm.hash_stats") or {"tm.hash_stats": -1}
        dialogs = _rpc(folder, "dlg.stats_active") or {}
        left = {**rows, **{f"dialogs {name}": count for name, count in dialogs.items()}}
        table = _rpc(folder, "htable.stats") or []
        left["htable entries"] = sum(row.get("all", 0) for row in table)
        if not any(left.values()) or time.monotonic() > end:
            return left
        time.sleep(1.0)


def _rpc(folder: Path, method: str) -> Any:
    done = subprocess.run(
        [*KAMTOOL, "rpc", "-o", "json", method],
        env=_environment(folder), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    return json.loads(done.stdout) if done.returncode == 0 else None


def _environment(folder: Path) -> dict[str, str]:
    return {
        **os.environ, "NO_COLOR": "1", "KAMTOOL_DB": str(folder / "kamtool.db"),
        "KAMTOOL_SOCKET": str(folder / "control.sock"),
        "PYTHONPATH": str(Path(__file__).parents[3]),
    }  # fmt: skip


def _log(folder: Path) -> str:
    return (folder / "serve.log").read_text(errors="replace")
