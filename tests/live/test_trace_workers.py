"""`kamtool trace` of a server with several workers: one trace, every message once, in order of time."""

import json
import socket
from collections import Counter

import pytest

from tests.support.until import SOON

pytestmark = pytest.mark.live
CFG = """#!KAMAILIO
loadmodule "tm.so"
loadmodule "sl.so"
request_route { sl_send_reply("200", "OK"); }
"""


def message(call_id, transport, port):
    return (
        f"MESSAGE sip:127.0.0.1:{port} SIP/2.0\r\n"
        f"Via: SIP/2.0/{transport} 127.0.0.1:{port};rport;branch=z9hG4bK{call_id}\r\n"
        f"From: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: {call_id}\r\nCSeq: 1 MESSAGE\r\n"
        "Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
    ).encode()


def test_every_message_of_all_workers_is_there_once_and_in_order(served, tmp_path):
    """A response over a connection of another worker passes two of them: it is shown by one."""
    cfg = tmp_path / "k.cfg"
    cfg.write_text(CFG)
    server = served().start("-f", cfg, "--workers", "2", "--flight-recorder", "1M")
    with socket.create_connection((server.address, server.port), timeout=SOON) as tcp:
        for number in range(12):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
                udp.settimeout(SOON)
                udp.sendto(message(f"u{number}", "UDP", server.port), (server.address, server.port))
                assert udp.recv(65_536).startswith(b"SIP/2.0 200")
            tcp.sendall(message(f"t{number}", "TCP", server.port))
            got = b""
            while not got.endswith(b"\r\n\r\n"):
                got += tcp.recv(65_536)
            assert got.startswith(b"SIP/2.0 200")
    hopped = server.cli("rpc", "stats.get_statistics", "workers:")
    done = server.cli("trace", "--before", "60s", "--for", "0s", "--format", "jsonl")
    assert done.returncode == 0, done.stderr
    seen = [json.loads(line) for line in done.stdout.splitlines()]
    assert Counter(each["call_id"] for each in seen) == {
        f"{kind}{number}": 2 for number in range(12) for kind in "ut"
    }, hopped.stdout
    assert [each["time"] for each in seen] == sorted(each["time"] for each in seen)
    alone = server.cli("trace", "-s", server.folder / "control.sock.1", "--before", "60s", "--for", "0s",
                       "--format", "jsonl")  # fmt: skip
    assert 0 < len(alone.stdout.splitlines()) < 48
    assert server.end() == 0
