"""`kamtool reload` and SIGHUP, with a server as a process of its own."""

import json
import signal
import socket
import time

import pytest

from tests.support.until import SOON

pytestmark = pytest.mark.live

CFG = """loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "maxfwd.so"
request_route { sl_send_reply("200", "%s"); }
"""
OPTIONS = (
    "OPTIONS sip:127.0.0.1:{port} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bKa;rport\r\n"
    "Max-Forwards: 70\r\nFrom: <sip:a@127.0.0.1>;tag=1\r\nTo: <sip:127.0.0.1>\r\n"
    "Call-ID: a\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
)


def answer(server):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.settimeout(SOON)
        peer.connect(("127.0.0.1", server.port))
        peer.sendall(OPTIONS.format(port=server.port).encode())
        return peer.recv(4096).partition(b"\r\n")[0].decode()


@pytest.fixture
def server(served):
    made = served()
    made.cfg = made.folder / "my.cfg"
    made.cfg.write_text(CFG % "old")
    return made.start("-f", made.cfg)


def test_the_server_takes_over_the_new_cfg(server):
    server.cfg.write_text(CFG % "new" + 'modparam("maxfwd", "max_limit", 5)\n')
    assert server.cli("reload", "--check").returncode == 0
    assert answer(server) == "SIP/2.0 200 old"
    done = server.cli("reload")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("reloaded (")
    assert done.stdout.endswith(" ms)\n  maxfwd.max_limit: 70 -> 5\n")
    assert answer(server) == "SIP/2.0 200 new"
    told = json.loads(server.cli("reload", "-o", "json").stdout)
    assert (told["reloaded"], told["reloads"], told["changes"]) == (1, 2, [])


def test_a_bad_cfg_is_shown_here_and_the_old_one_stays(server):
    server.cfg.write_text((CFG % "new").replace("sl_send_reply", "sl_sent_reply"))
    done = server.cli("reload")
    assert (done.returncode, done.stdout) == (7, "")
    assert f"{server.cfg}:4:17: error: no function `sl_sent_reply`" in done.stderr
    assert '    4 | request_route { sl_sent_reply("200", "new"); }\n' in done.stderr
    assert "hint: module sl has `sl_send_reply(" in done.stderr
    assert done.stderr.endswith("not reloaded: the server goes on with the cfg it has\n")
    assert answer(server) == "SIP/2.0 200 old"


def test_what_needs_a_restart_is_named_and_refused(server):
    server.cfg.write_text("listen=udp:127.0.0.1:5099\nmhomed=1\n" + CFG % "new" + 'loadmodule "kex.so"\n')
    done = server.cli("reload")
    assert done.returncode == 7
    for text in ("`listen` lines cannot change", "`mhomed` cannot change", "module `kex` cannot be loaded"):
        assert text in done.stderr
    assert done.stderr.count("[KT1210]") == 3
    assert answer(server) == "SIP/2.0 200 old"


def wait_for(claim, server, limit=SOON):
    end = time.monotonic() + limit
    while not claim():
        assert time.monotonic() < end, server.log()
        time.sleep(0.05)


def test_hangup_reloads_and_the_log_says_what_became_of_it(server):
    server.cfg.write_text(CFG % "new")
    server.process.send_signal(signal.SIGHUP)
    wait_for(lambda: "reloaded in " in server.log(), server)
    assert answer(server) == "SIP/2.0 200 new"
    server.cfg.write_text("request_route {")
    server.process.send_signal(signal.SIGHUP)
    wait_for(lambda: "the cfg was not reloaded" in server.log(), server)
    assert "`}` is missing" in server.log()
    server.cfg.unlink()
    server.process.send_signal(signal.SIGHUP)
    wait_for(lambda: "the old one goes on: no cfg" in server.log(), server)
    assert answer(server) == "SIP/2.0 200 new"


def test_without_a_server_or_a_cfg_the_code_says_so(server):
    server.cfg.unlink()
    done = server.cli("reload")
    assert (done.returncode, done.stderr) == (3, f"kamtool: no cfg {server.cfg}\n")
    server.end()
    assert server.cli("reload").returncode == 5
