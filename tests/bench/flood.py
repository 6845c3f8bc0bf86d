"""A flood of scanners beside phones that ask politely: `python -m tests.bench.flood [seconds]`.

1,000 addresses send 2,000 scanner requests a second; 200 OPTIONS a second come from one other address and
each must be answered. It says how many were, which addresses are banned, and how much memory the server took.
"""

import json
import socket
import sys
import tempfile
import time
from pathlib import Path

from tests.support.process import Served

SOURCES, SCANS, ASKS = 1000, 2000, 200
TICK = 0.01


def text(method, host, port, target, branch, agent):
    return (
        f"{method} sip:{target} SIP/2.0\r\nVia: SIP/2.0/UDP {host}:{port};branch=z9hG4bK{branch};rport\r\n"
        f"From: <sip:a@{host}>;tag=1\r\nTo: <sip:b@{host}>\r\nCall-ID: {branch}\r\nCSeq: 1 {method}\r\n"
        f"Max-Forwards: 70\r\nUser-Agent: {agent}\r\nContent-Length: 0\r\n\r\n"
    ).encode()


def wire(host):
    one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    one.bind((host, 0))
    one.setblocking(False)
    return one


def resident_kib(pid):
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


def run(seconds):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        server = Served(Path(folder), port).start()
        hosts = [f"127.7.{number >> 8}.{number & 255}" for number in range(1, SOURCES + 1)]
        scanners, phone = [wire(host) for host in hosts], wire("127.8.0.1")
        phone.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        before, to = resident_kib(server.process.pid), ("127.0.0.1", port)
        sent, answered = 0, set()
        # The phone has called before: the owner trusts it, or a polite 200 a second would be a flood.
        server.cli("ban", "add", "127.8.0.1", "--exempt")
        start = time.monotonic()
        scans = 0
        while (now := time.monotonic() - start) < seconds:
            while scans < now * SCANS:
                number = scans % SOURCES
                scanners[number].sendto(
                    text("OPTIONS", hosts[number], 5060, "100@127.0.0.1", f"s{scans}", "friendly-scanner"), to
                )
                scans += 1
            while sent < now * ASKS:
                own = phone.getsockname()[1]
                phone.sendto(text("OPTIONS", "127.8.0.1", own, f"127.0.0.1:{port}", f"p{sent}", "phone"), to)
                sent += 1
            collect(phone, answered)
            time.sleep(TICK)
        time.sleep(1)
        collect(phone, answered)
        rows = json.loads(server.cli("ban", "list", "-o", "json").stdout)
        banned = {row["address"] for row in rows if row["reason"] == "scanner"}
        after = resident_kib(server.process.pid)
        for one in (*scanners, phone):
            one.close()
        server.end()
    return {
        "scans": scans, "asked": sent, "answered": len(answered),
        "banned": len(banned), "ban list exact": banned == set(hosts),
        "resident MiB before, after": [before // 1024, after // 1024],
    }  # fmt: skip


def collect(phone, answered):
    while True:
        try:
            data = phone.recv(65535)
        except BlockingIOError:
            return
        if data.startswith(b"SIP/2.0 200"):
            answered.add(data.split(b"Call-ID: ")[1].split(b"\r\n")[0])


if __name__ == "__main__":
    print(json.dumps(run(float(sys.argv[1]) if len(sys.argv) > 1 else 20)))
