"""SIPp's built-in caller and callee through kamtool."""

import shutil
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.interop

ROOT = Path(__file__).parents[2]


@pytest.fixture
def sipp(tmp_path):
    """Starts SIPp: `sipp("-sn", "uas", …)`; those still running at the end are stopped."""
    if not shutil.which("sipp"):
        pytest.skip("SIPp is not installed (Debian: sip-tester)")
    running = []

    def start(*arguments):
        log = (tmp_path / f"sipp{len(running)}.log").open("w+")
        command = ["sipp", *map(str, arguments), "-i", "127.0.0.1", "-nostdin", "-trace_err"]
        process = subprocess.Popen(command, cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        process.said = lambda: Path(log.name).read_text(errors="replace")[-3000:]
        running.append((process, log))
        return process

    yield start
    for process, log in running:
        if process.poll() is None:
            process.kill()
            process.wait()
        log.close()


@pytest.mark.parametrize("mode", ["u1", "t1"], ids=["udp", "tcp"])
def test_calls_through_a_relay_all_succeed(served, sipp, free_port, mode):
    far = free_port()
    transport = "tcp" if mode == "t1" else "udp"
    server = served()
    server.start("-f", ROOT / "cfg/relay.cfg", "-A", f'NEXT_HOP="sip:127.0.0.1:{far};transport={transport}"')
    callee = sipp("-sn", "uas", "-p", far, "-t", mode, "-mp", free_port(4))
    caller = sipp(
        "-sn", "uac", f"127.0.0.1:{server.port}", "-p", free_port(), "-t", mode, "-mp", free_port(4),
        "-m", 50, "-r", 25, "-d", 100, "-timeout", 60, "-timeout_error",
    )  # fmt: skip
    assert caller.wait(90) == 0, f"{caller.said()}\n{server.log()}"
    assert callee.poll() is None, callee.said()
    stats = server.cli("rpc", "-o", "json", "stats.fetchn", "core:rcv_requests", "core:fwd_requests").stdout
    assert stats.count('"') >= 4, stats
    assert " ERROR" not in server.log(), server.log()
