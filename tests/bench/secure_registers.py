"""REGISTER with digest over TLS connections that phones keep open: CPU of a refresh, p50 and p99, memory."""

import contextlib
import re
import ssl
import time
from collections.abc import Callable
from hashlib import md5
from typing import Any

from tests.bench.secure import secured
from tests.bench.servers import Unavailable

AT_ONCE = 32
"""Phones that refresh at the same moment."""
CFG = """#!KAMAILIO
debug=1
log_stderror=yes
children=2
tcp_children=2
enable_tls=yes
tcp_max_connections=20000
tls_max_connections=20000
tcp_connection_lifetime=3600
alias="bench.test"
listen=tls:127.0.0.1:{port}
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "textops.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
loadmodule "auth.so"
loadmodule "tls.so"
modparam("tls", "config", "{folder}/tls.cfg")
modparam("tls", "connection_timeout", 3600)
modparam("usrloc", "db_mode", 0)
modparam("auth", "nonce_expire", 3600)
request_route {{
	if (!is_method("REGISTER")) {{ sl_send_reply("200", "OK"); exit; }}
	if (!pv_www_authenticate("$fd", "pw-$fU", "0")) {{ www_challenge("$fd", "0"); exit; }}
	save("location");
}}
"""
NONCE = re.compile(rb'nonce="([^"]+)"')


class Phone:
    """One connection and its registration."""

    def __init__(self, number: int, wire: ssl.SSLSocket) -> None:
        self.user, self.wire, self.cseq, self.nonce = f"u{number:07d}", wire, 0, ""
        self.ha1 = md5(f"{self.user}:bench.test:pw-{self.user}".encode()).hexdigest()

    def ask(self) -> None:
        self.cseq += 1
        proof = ""
        if self.nonce:
            ha2 = md5(b"REGISTER:sip:bench.test").hexdigest()
            response = md5(f"{self.ha1}:{self.nonce}:{ha2}".encode()).hexdigest()
            proof = (
                f'Authorization: Digest username="{self.user}", realm="bench.test", nonce="{self.nonce}", '
                f'uri="sip:bench.test", response="{response}", algorithm=MD5\r\n'
            )
        address = f"sip:{self.user}@bench.test"
        self.wire.sendall(
            (
                f"REGISTER sip:bench.test SIP/2.0\r\n"
                f"Via: SIP/2.0/TLS 127.0.0.1:9;branch=z9hG4bK{self.user}{self.cseq};rport\r\n"
                f"From: <{address}>;tag={self.user}\r\nTo: <{address}>\r\nCall-ID: {self.user}\r\n"
                f"CSeq: {self.cseq} REGISTER\r\nContact: <sip:{self.user}@127.0.0.1:9;transport=tls>\r\n"
                f"Max-Forwards: 70\r\n{proof}Expires: 3600\r\nContent-Length: 0\r\n\r\n"
            ).encode()
        )

    def hear(self) -> int:
        data = self.wire.recv(4096)
        if f"CSeq: {self.cseq} ".encode() not in data:
            raise Unavailable(f"no answer for {self.user}: {data[:60]!r}")
        found = NONCE.search(data)
        if found is not None:
            self.nonce = found[1].decode()
        return int(data[8:11])


def refreshes(name: str, count: int, runs: int, environment: dict[str, str]) -> dict[str, Any]:
    """`count` phones on a connection each; every one refreshes `runs` times with the nonce it has."""
    with contextlib.ExitStack() as stack:
        subject, clients = stack.enter_context(secured(name, environment, CFG))
        before = subject.pss()
        phones = []
        for number in range(count):
            phone = Phone(number, stack.enter_context(clients.open()))
            phone.ask()
            if phone.hear() != 401:
                raise Unavailable("a REGISTER without credentials was not challenged")
            phone.ask()
            if phone.hear() != 200:
                raise Unavailable("a REGISTER with credentials was refused")
            phones.append(phone)
        memory = subject.pss() - before
        took, lost = [], 0
        cpu, started = subject.cpu(), time.perf_counter()
        for _ in range(runs):
            for at in range(0, count, AT_ONCE):
                group, begun = phones[at : at + AT_ONCE], time.perf_counter()
                for phone in group:
                    phone.ask()
                for phone in group:
                    lost += phone.hear() != 200
                    took.append(time.perf_counter() - begun)
        seconds = time.perf_counter() - started
        took.sort()
        return {
            "what": "tls-register", "server": name, "count": count, "lost": lost,
            "cpu_us": (subject.cpu() - cpu) / len(took) * 1e6, "rate": len(took) / seconds,
            "p50_ms": took[len(took) // 2] * 1e3, "p99_ms": took[int(len(took) * 0.99)] * 1e3,
            "bytes": memory / count,
        }  # fmt: skip


def figures(
    names: list[str], count: int, runs: int, report: Callable[[str], None], environment: dict[str, str]
) -> list[dict[str, Any]]:
    """The row of each server; what cannot be measured says why."""
    rows = []
    for name in names:
        try:
            row = refreshes(name, count, runs, environment)
        except (Unavailable, OSError) as reason:
            row = {"what": "tls-register", "server": name, "unavailable": str(reason)}
        rows.append(row)
        report(line(row))
    return rows


def line(row: dict[str, Any]) -> str:
    head = f"{row['what']:<12} {row['server']:<9}"
    if "unavailable" in row:
        return f"{head} could not be measured: {row['unavailable']}"
    return (
        f"{head} {row['cpu_us']:8.1f} us a refresh on one of {row['count']} connections {row['rate']:7.0f}/s "
        f"p50 {row['p50_ms']:.2f} p99 {row['p99_ms']:.2f} ms, {row['bytes']:.0f} bytes a phone,"
        f" lost {row['lost']}"
    )
