"""TLS, measured: memory of idle connections, CPU of a handshake, and a storm beside connections that live on.

The same for Kamailio, started as an expert does, with the same certificate (P-256) and the same client.
"""

import contextlib
import resource
import socket
import ssl
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kamtool.tools.tls_authority import Authority
from tests.bench import proc
from tests.bench.servers import GENERATOR_CORE, Setup, Subject, Unavailable, free_port, running

IDLE_LIMIT_BYTES = 24 * 1024
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
def secured(name: str, environment: dict[str, str]) -> Iterator[tuple[Subject, Clients]]:
    """A server with a TLS socket. Everything it needs is in a folder that goes with it."""
    with tempfile.TemporaryDirectory(prefix="bench-tls-") as directory, many_files():
        folder, port = Path(directory), free_port()
        made = Authority.create(folder / "ca", "bench").issue(["127.0.0.1"])
        (folder / "tls.cfg").write_text(TLS_CFG.format(certificate=made.certificate, key=made.key))
        (folder / "bench.cfg").write_text(CFG.format(port=port, folder=folder))
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


def storm(name: str, count: int, environment: dict[str, str]) -> dict[str, Any]:
    """`count` connections are closed while as many are opened; 100 others ask all the while."""
    with contextlib.ExitStack() as stack:
        subject, clients = stack.enter_context(secured(name, environment))
        steady = [stack.enter_context(clients.open()) for _ in range(100)]
        old = [clients.open() for _ in range(count)]
        new: list[ssl.SSLSocket] = []
        worst, asked = 0.0, 0
        begin, started = subject.cpu(), time.perf_counter()
        for number in range(count):
            old[number].close()
            new.append(stack.enter_context(clients.open()))
            if number % 4 == 0:
                at = time.perf_counter()
                clients.ask(steady[asked % len(steady)])
                worst, asked = max(worst, time.perf_counter() - at), asked + 1
        took, cpu = time.perf_counter() - started, subject.cpu() - begin
        for secure in new:  # every one of them is alive
            clients.ask(secure)
    return {"what": "storm", "count": count, "seconds": took, "cpu": cpu, "asked": asked, "lost": 0,
            "worst_ms": worst * 1e3}  # fmt: skip


def figures(
    names: list[str], count: int, report: Callable[[str], None], environment: dict[str, str]
) -> list[dict[str, Any]]:
    """Every figure for every server; what cannot be measured says why."""
    rows = []
    for name in names:
        for measure in (idle, handshakes, storm):
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
        f"{head} {row['count']} opened while {row['count']} closed: {row['seconds']:.1f} s, "
        f"{row['asked']} requests on others, none lost, the slowest {row['worst_ms']:.0f} ms"
    )
