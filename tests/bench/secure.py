"""TLS, measured: memory of idle connections, CPU of a handshake, and a storm beside connections that live on.

The same for Kamailio, started as an expert does, with the same certificate (P-256) and the same client.
"""

import contextlib
import resource
import selectors
import socket
import ssl
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kamtool.tools.tls_authority import Authority
from tests.bench import proc
from tests.bench.servers import GENERATOR_CORE, Setup, Subject, Unavailable, free_port, running

IDLE_LIMIT_BYTES = 24 * 1024
LONGEST = 120.0
"""Seconds that a storm may take."""
CFG = """#!KAMAILIO
debug=1
log_stderror=yes
children=2
tcp_children=2
enable_tls=yes
tcp_max_connections=20000
tls_max_connections=20000
tcp_connection_lifetime=3600
listen=tls:127.0.0.1:{port}
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "tls.so"
modparam("tls", "config", "{folder}/tls.cfg")
modparam("tls", "connection_timeout", 3600)
request_route {{ sl_send_reply("200", "OK"); }}
"""
TLS_CFG = """[server:default]
method = TLSv1.2+
certificate = {certificate}
private_key = {key}
[client:default]
verify_certificate = no
"""
REQUEST = (
    "OPTIONS sip:bench.test SIP/2.0\r\nVia: SIP/2.0/TLS 127.0.0.1:9;branch=z9hG4bKt{i};rport\r\n"
    "From: <sip:probe@bench.test>;tag=t{i}\r\nTo: <sip:bench.test>\r\nCall-ID: t{i}\r\n"
    "CSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
)


Measure = Callable[[str, int, dict[str, str]], dict[str, Any]]
"""What is measured of a server, with so many connections."""


class Clients:
    """TLS connections to one server, each a blocking socket."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.context.check_hostname = False
        self.context.verify_mode = ssl.CERT_NONE
        self.number = 0

    def open(self) -> ssl.SSLSocket:
        plain = socket.create_connection(("127.0.0.1", self.port), 30)
        return self.context.wrap_socket(plain)

    def ask(self, secure: ssl.SSLSocket) -> None:
        """One OPTIONS and its 200."""
        self.number += 1
        secure.sendall(REQUEST.format(i=self.number).encode())
        answer = secure.recv(4096)
        if not answer.startswith(b"SIP/2.0 200 ") or f"Call-ID: t{self.number}\r\n".encode() not in answer:
            raise Unavailable(f"no answer to request {self.number}: {answer[:60]!r}")


@contextmanager
def secured(name: str, environment: dict[str, str], cfg: str = CFG) -> Iterator[tuple[Subject, Clients]]:
    """A server with a TLS socket. Everything it needs is in a folder that goes with it."""
    with tempfile.TemporaryDirectory(prefix="bench-tls-") as directory, many_files():
        folder, port = Path(directory), free_port()
        made = Authority.create(folder / "ca", "bench").issue(["127.0.0.1"])
        (folder / "tls.cfg").write_text(TLS_CFG.format(certificate=made.certificate, key=made.key))
        (folder / "bench.cfg").write_text(cfg.format(port=port, folder=folder))
        with running(name, Setup(cfg=folder / "bench.cfg", environment=environment)) as subject:
            clients = Clients(port)
            with proc.pinned(GENERATOR_CORE):
                for _ in range(20):  # what is loaded or made once is no part of a connection
                    with clients.open() as secure:
                        clients.ask(secure)
                time.sleep(0.3)
                yield subject, clients


@contextmanager
def many_files() -> Iterator[int]:
    """As many open files as this machine allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        yield hard
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def idle(name: str, count: int, environment: dict[str, str]) -> dict[str, Any]:
    """Bytes per TLS connection that has carried one request and is idle."""
    held: list[ssl.SSLSocket] = []
    with contextlib.ExitStack() as stack:
        subject, clients = stack.enter_context(secured(name, environment))
        before = subject.pss()
        for _ in range(count):
            held.append(stack.enter_context(clients.open()))
            clients.ask(held[-1])
        time.sleep(1.0)
        after = subject.pss()
        for secure in (held[0], held[-1]):
            clients.ask(secure)
    each = (after - before) / count
    return {"what": "TLS connection, idle", "count": count, "before": before, "after": after, "bytes": each,
            "met": each <= IDLE_LIMIT_BYTES}  # fmt: skip


def handshakes(name: str, count: int, environment: dict[str, str]) -> dict[str, Any]:
    """CPU of a connection that is opened, asked once and closed; and of the request alone, on an open one."""
    with secured(name, environment) as (subject, clients):
        with clients.open() as secure:
            begin = subject.cpu()
            for _ in range(count):
                clients.ask(secure)
            request = (subject.cpu() - begin) / count
        begin, started = subject.cpu(), time.perf_counter()
        for _ in range(count):
            with clients.open() as secure:
                clients.ask(secure)
        took = time.perf_counter() - started
        each = (subject.cpu() - begin) / count
    return {"what": "TLS handshake", "count": count, "cpu_us": (each - request) * 1e6, "rate": count / took,
            "request_us": request * 1e6, "per_core": 1 / max(each - request, 1e-9)}  # fmt: skip


class Burst:
    """Connections that are opened all at once, ask once each, and are released all at once."""

    def __init__(self, clients: Clients, count: int) -> None:
        self.clients, self.count = clients, count
        self.selector = selectors.DefaultSelector()
        self.open: list[ssl.SSLSocket] = []
        self.opened = self.answered = 0
        self.failed: Counter[str] = Counter()

    @property
    def is_over(self) -> bool:
        return self.answered + self.failed.total() == self.count

    def step(self, most: int = 50) -> None:
        """Open up to `most` more, and take every handshake and answer as far as it has come."""
        for _ in range(min(most, self.count - self.opened)):
            plain = socket.socket()
            plain.setblocking(False)
            plain.connect_ex(("127.0.0.1", self.clients.port))
            secure = self.clients.context.wrap_socket(plain, do_handshake_on_connect=False)
            self.selector.register(secure, selectors.EVENT_WRITE, False)
            self.open.append(secure)
            self.opened += 1
        for key, _ in self.selector.select(0.001):
            secure = key.fileobj
            assert isinstance(secure, ssl.SSLSocket)
            try:
                self._go_on(secure, key.data)
            except ssl.SSLWantReadError:
                self.selector.modify(secure, selectors.EVENT_READ, key.data)
            except ssl.SSLWantWriteError:
                self.selector.modify(secure, selectors.EVENT_WRITE, key.data)
            except OSError as error:
                self.failed[str(error)[:60]] += 1
                self.selector.unregister(secure)

    def _go_on(self, secure: ssl.SSLSocket, has_asked: bool) -> None:
        if not has_asked:
            secure.do_handshake()
            self.clients.number += 1
            secure.sendall(REQUEST.format(i=self.clients.number).encode())
            self.selector.modify(secure, selectors.EVENT_READ, True)
            return
        if not secure.recv(4096).startswith(b"SIP/2.0 200 "):
            raise OSError("no answer")
        self.answered += 1
        self.selector.unregister(secure)

    def release(self) -> None:
        for secure in self.open:
            secure.close()
        self.selector.close()


def storm(name: str, count: int, environment: dict[str, str]) -> dict[str, Any]:
    """`count` connections are opened and released at once; as many others are open, and ask all the while."""
    with contextlib.ExitStack() as stack:
        subject, clients = stack.enter_context(secured(name, environment))
        others = [stack.enter_context(clients.open()) for _ in range(count)]
        worst, asked, lost = 0.0, 0, 0

        def ask() -> None:
            nonlocal worst, asked, lost
            at = time.perf_counter()
            try:
                clients.ask(others[asked % count])
            except (OSError, Unavailable):
                lost += 1
            worst, asked = max(worst, time.perf_counter() - at), asked + 1

        burst = Burst(clients, count)
        begin, started = subject.cpu(), time.perf_counter()
        while not burst.is_over and time.perf_counter() - started < LONGEST:
            burst.step()
            ask()
        took = time.perf_counter() - started
        burst.release()
        asked_during = asked
        for _ in range(count):  # every one of the others is alive
            ask()
        cpu = subject.cpu() - begin
    return {"what": "storm", "count": count, "seconds": took, "cpu_us": cpu / count * 1e6,
            "asked": asked_during, "lost": lost, "answered": burst.answered, "failed": dict(burst.failed),
            "worst_ms": worst * 1e3, "met": not lost and burst.answered == count}  # fmt: skip


def figures(
    names: list[str], count: int, report: Callable[[str], None], environment: dict[str, str],
    more: tuple[Measure, ...] = (),
) -> list[dict[str, Any]]:  # fmt: skip
    """Every figure for every server, `more` than those here as well; what cannot be measured says why."""
    rows = []
    for name in names:
        for measure in (idle, handshakes, storm, *more):
            try:
                row = {"server": name, **measure(name, count, environment)}
            except (Unavailable, OSError) as reason:
                row = {"server": name, "what": measure.__name__, "unavailable": str(reason)}
            rows.append(row)
            report(line(row))
    return rows


def line(row: dict[str, Any]) -> str:
    head = f"{'tls':<12} {row['server']:<9}"
    if "unavailable" in row:
        return f"{head} {row['what']}: could not be measured: {row['unavailable']}"
    if "said" in row:
        return f"{head} {row['said']}"
    if "bytes" in row:
        each = f"{row['bytes']:.0f} bytes each at {row['count']}"
        return f"{head} {row['what']}: {each} (limit {IDLE_LIMIT_BYTES})"
    if "per_core" in row:
        return (
            f"{head} {row['what']}: {row['cpu_us']:.0f} us of CPU, "
            f"{row['per_core']:.0f} per second and core; a request on an open connection "
            f"{row['request_us']:.0f} us"
        )
    return (
        f"{head} {row['count']} opened and released at once in {row['seconds']:.1f} s, "
        f"{row['answered']} answered; "
        f"of {row['count']} others, asked {row['asked']} times meanwhile and once each after, "
        f"{row['lost']} lost, the slowest {row['worst_ms']:.0f} ms"
    )
