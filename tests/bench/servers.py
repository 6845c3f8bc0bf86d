"""The two servers under test, each a process on its own core, with the same cfg and the same users."""

import contextlib
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import md5
from pathlib import Path

from kamtool.store.migrate import migrate
from tests.bench import proc
from tests.support.ports import OURS

HERE = Path(__file__).parent
PROXY_CFG = HERE / "proxy.cfg"
SERVER_CORE, GENERATOR_CORE = {0}, {1}
START_LIMIT = 300.0
DB_USERS = 20_000


class Unavailable(Exception):
    """The server cannot be started here; the message says why."""


@dataclass
class Subject:
    """A running server: what it is, where it listens, what it has used."""

    name: str
    process: subprocess.Popen[bytes]
    port: int
    log: Path

    def cpu(self) -> float:
        return proc.cpu_seconds(self.process.pid)

    def pss(self) -> int:
        return proc.rss_bytes(self.process.pid)

    def rss(self) -> int:
        return proc.resident_bytes(self.process.pid)

    def drops(self) -> int:
        return proc.drops(self.port)


@dataclass
class Setup:
    """How to start the servers: the cfg, `-A` definitions, further options of kamtool, its environment."""

    cfg: Path = PROXY_CFG
    defines: Sequence[str] = ()
    environment: dict[str, str] = field(default_factory=dict)
    options: Sequence[str] = ()
    cores: frozenset[int] = frozenset(SERVER_CORE)
    memory_mb: int = 1024
    """What Kamailio may share among its processes; it takes of it what it needs."""
    tls: bool = False
    """Whether it also listens for TLS, one port higher."""
    private_mb: int = 32
    """What each of them may take for itself: to load a table, all its rows at once."""


def free_port() -> int:
    """A port, and the next one: free for UDP and TCP, and given to nobody else."""
    return int(OURS.choose(2))


def kamailio_command(setup: Setup, port: int, scratch: Path) -> list[str]:
    """Kamailio as an expert starts it for throughput: the fast allocator, much memory."""
    binary = shutil.which("kamailio")
    if binary is None:
        raise Unavailable(
            "kamailio is not installed (Debian: apt-get install kamailio kamailio-sqlite-modules)"
        )
    listen = f"udp:127.0.0.1:{port}"
    secure = ["-l", f"tls:127.0.0.1:{port + 1}"] if setup.tls else []
    options = [
        *secure,
        "-x",
        "fm",
        "-X",
        "fm",
        "-m",
        str(setup.memory_mb),
        "-M",
        str(setup.private_mb),
        "-DD",
        "-E",
        "-Y",
        str(scratch),
    ]
    return [binary, "-f", str(setup.cfg), "-l", listen, *defines(setup), *options]


def kamtool_command(setup: Setup, port: int, scratch: Path) -> list[str]:
    """`kamtool serve` from this checkout."""
    listen = ["-l", f"udp:127.0.0.1:{port}"]
    if "WITH_TCP" in setup.defines:
        listen += ["-l", f"tcp:127.0.0.1:{port}"]
    if setup.tls:
        listen += ["-l", f"tls:127.0.0.1:{port + 1}"]
    # A machine that does other things too makes every server late; none is to be refused an answer for that.
    serve = [
        sys.executable,
        "-m",
        "kamtool.cli.main",
        "serve",
        "--overload-late",
        "0",
        "--overload-queue",
        "0",
    ]
    ours = ["-s", str(scratch / "sock"), "-Y", str(scratch), *setup.options]
    return [*serve, "-f", str(setup.cfg), *listen, *defines(setup), *ours, "-DD", "-E"]


def defines(setup: Setup) -> list[str]:
    return [word for definition in setup.defines for word in ("-A", definition)]


COMMANDS = {"kamailio": kamailio_command, "kamtool": kamtool_command}


@contextmanager
def running(name: str, setup: Setup) -> Iterator[Subject]:
    """Start server `name`, wait until it answers, stop it at the end. Raises Unavailable with its log."""
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        scratch = Path(directory)
        port = free_port()
        command = COMMANDS[name](setup, port, scratch)
        environment = {**os.environ, "XDG_RUNTIME_DIR": directory, **setup.environment}
        environment.setdefault("KAMTOOL_DB", str(scratch / "kamtool.db"))
        log = scratch / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                command, stdout=output, stderr=output, stdin=subprocess.DEVNULL, env=environment,
                start_new_session=True, preexec_fn=lambda: proc.pin(set(setup.cores)),
            )  # fmt: skip
        subject = Subject(name, process, port, log)
        try:
            wait_for_answer(subject)
            yield subject
        finally:
            stop(process)


def wait_for_answer(subject: Subject) -> None:
    """Ask with OPTIONS until any response comes."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(0.1)
        own = sock.getsockname()[1]
        deadline = time.monotonic() + START_LIMIT
        for attempt in range(10_000):
            if subject.process.poll() is not None or time.monotonic() > deadline:
                break
            request = (
                f"OPTIONS sip:127.0.0.1:{subject.port} SIP/2.0\r\n"
                f"Via: SIP/2.0/UDP 127.0.0.1:{own};branch=z9hG4bKready{attempt};rport\r\n"
                f"From: <sip:probe@127.0.0.1>;tag=ready\r\nTo: <sip:127.0.0.1:{subject.port}>\r\n"
                f"Call-ID: ready{attempt}\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 10\r\nContent-Length: 0\r\n\r\n"
            )
            with contextlib.suppress(OSError):
                sock.sendto(request.encode(), ("127.0.0.1", subject.port))
                if sock.recv(65536).startswith(b"SIP/2.0 "):
                    return
    tail = subject.log.read_text(errors="replace")[-2000:]
    raise Unavailable(f"{subject.name} did not answer (exit code {subject.process.poll()}):\n{tail}")


def stop(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM, and SIGKILL to its process group if that does not do it."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
            return
        except subprocess.TimeoutExpired:
            pass
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


STOCK_CFG = Path("/etc/kamailio/kamailio.cfg")


def stock_cfg(folder: Path, name: str) -> Path:
    """Kamailio's own kamailio.cfg, with which every installation begins, for one of two servers side by side.

    `bench.test` is local, one worker has the one core, and the control sockets are its own.
    """
    if not STOCK_CFG.exists():
        raise Unavailable(f"{STOCK_CFG} is not there (Debian: apt-get install kamailio)")
    text = STOCK_CFG.read_text()
    own = "".join(
        f'modparam("{module}", "{param}", "{kind}{folder}/{name}.{param}")\n'
        for module, param, kind in (("jsonrpcs", "fifo_name", ""), ("jsonrpcs", "dgram_socket", ""),
                                    ("ctl", "binrpc", "unix:"))
    )  # fmt: skip
    for old, new in (
        ('# alias="sip.mydomain.com"\n', 'alias="bench.test"\n'),
        ("\nchildren=8\n", "\nchildren=1\n"),
        ("\nrequest_route {\n", f"\n{own}request_route {{\n"),
    ):
        if old not in text:
            raise Unavailable(f"{STOCK_CFG} is not the stock file: no {old.strip()!r}")
        text = text.replace(old, new, 1)
    path = folder / f"{name}.cfg"
    path.write_text(text)
    return path


def subscribers(path: Path, count: int = DB_USERS) -> None:
    """Make the SQLite file that both servers read, with `count` accounts `u0000000`, `u0000001` and so on."""
    migrate(path)
    users = ((f"u{i:07d}", "bench.test") for i in range(count))
    rows = ((u, d, md5(f"{u}:{d}:pw-{u}".encode()).hexdigest()) for u, d in users)
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.executemany("INSERT INTO subscriber (username, domain, ha1) VALUES (?, ?, ?)", rows)
