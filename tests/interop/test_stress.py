"""`kamtool stress` as a command: against SIPp both ways, against Kamailio and kamtool, and against nobody."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.until import SOON
from tests.tools.stress.standin import StandIn, answer

pytestmark = pytest.mark.interop

ROOT = Path(__file__).parents[2]
STRESS = [sys.executable, "-m", "kamtool.cli.main", "stress"]


@pytest.fixture
def started(tmp_path):
    """Starts programs whose output goes to a file; those still running at the end are killed."""
    running = []

    def start(*command):
        log = (tmp_path / f"out{len(running)}").open("w+")
        process = subprocess.Popen(
            [str(word) for word in command], cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            # A shell starts what runs in the background deaf to Ctrl-C, and children inherit that.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )  # fmt: skip
        process.said = lambda: Path(log.name).read_text(errors="replace")[-4000:]
        running.append((process, log))
        return process

    yield start
    for process, log in running:
        if process.poll() is None:
            process.kill()
            process.wait()
        log.close()


@pytest.fixture
def stress(tmp_path):
    """Runs `kamtool stress …` to its end; exit code, report, and what it printed."""

    def run(*words, limit=90):
        report = tmp_path / "report.json"
        done = subprocess.run(
            [*STRESS, *map(str, words), "--json", str(report)],
            cwd=tmp_path, capture_output=True, text=True, timeout=limit, check=False,
            env={**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1"},
        )  # fmt: skip
        assert "Traceback" not in done.stderr, done.stderr
        found = json.loads(report.read_text()) if report.exists() else {}
        return done.returncode, found, done.stdout + done.stderr

    return run


@pytest.fixture
def sipp():
    if not shutil.which("sipp"):
        pytest.skip("SIPp is not installed (Debian: sip-tester)")
    return "sipp"


def bound(port, kind="udp", limit=SOON):
    """Wait until somebody listens on the port."""
    end = time.monotonic() + limit
    while time.monotonic() < end:
        for table in (kind, f"{kind}6"):
            lines = Path(f"/proc/net/{table}").read_text().splitlines()[1:]
            if any(int(line.split()[1].rpartition(":")[2], 16) == port for line in lines):
                return
        time.sleep(0.05)
    raise AssertionError(f"nobody listens on {kind} port {port}")


@pytest.mark.parametrize("mode", ["u1", "t1"], ids=["udp", "tcp"])
def test_sipp_answers_our_calls(started, stress, sipp, free_port, mode):
    port, kind = free_port(), "tcp" if mode == "t1" else "udp"
    callee = started(
        sipp, "-sn", "uas", "-i", "127.0.0.1", "-p", port, "-t", mode, "-nostdin", "-mp", free_port(4)
    )
    bound(port, kind)
    code, report, said = stress("uac", f"{kind}:127.0.0.1:{port}", "--rate", "100/s", "--calls", 100)
    assert report["calls"]["succeeded"] == 100, said + callee.said()
    assert code in (0, 10), said  # 10: this machine was too busy for honest figures, and that was said
    assert report["measures"]["invite"]["response"]["count"] == 100


@pytest.mark.parametrize("mode", ["u1", "t1"], ids=["udp", "tcp"])
def test_we_answer_the_calls_of_sipp(started, tmp_path, sipp, free_port, mode):
    port, kind = free_port(), "tcp" if mode == "t1" else "udp"
    callee = started(
        *STRESS,
        "uas",
        "-l",
        f"127.0.0.1:{port}",
        "--transport",
        kind,
        "-m",
        100,
        "--json",
        tmp_path / "uas.json",
    )
    bound(port, kind)
    caller = started(
        sipp, "-sn", "uac", f"127.0.0.1:{port}", "-i", "127.0.0.1", "-p", free_port(), "-t", mode, "-r", 50,
        "-m", 100,
        "-d", 20, "-nostdin", "-mp", free_port(4), "-timeout", 60, "-timeout_error",
    )  # fmt: skip
    assert caller.wait(80) == 0, caller.said() + callee.said()
    assert callee.wait(40) == 0, callee.said()
    assert json.loads((tmp_path / "uas.json").read_text())["calls"]["succeeded"] == 100


REGISTER = """\
<?xml version="1.0" encoding="UTF-8"?>
<scenario name="register">
  <send retrans="500"><![CDATA[
    REGISTER sip:[remote_ip]:[remote_port] SIP/2.0
    Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
    From: <sip:[field0]@127.0.0.1:[remote_port]>;tag=[call_number]
    To: <sip:[field0]@127.0.0.1:[remote_port]>
    Call-ID: [call_id]
    CSeq: 1 REGISTER
    Contact: <sip:[field0]@[local_ip]:[local_port]>
    Max-Forwards: 70
    Expires: 60
    Content-Length: 0
  ]]></send>
  <recv response="100" optional="true"/>
  <recv response="401" auth="true"/>
  <send retrans="500"><![CDATA[
    REGISTER sip:[remote_ip]:[remote_port] SIP/2.0
    Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
    From: <sip:[field0]@127.0.0.1:[remote_port]>;tag=[call_number]
    To: <sip:[field0]@127.0.0.1:[remote_port]>
    Call-ID: [call_id]
    CSeq: 2 REGISTER
    Contact: <sip:[field0]@[local_ip]:[local_port]>
    [field1]
    Max-Forwards: 70
    Expires: 60
    Content-Length: 0
  ]]></send>
  <recv response="100" optional="true"/>
  <recv response="200"/>
</scenario>
"""


@pytest.mark.parametrize("program", ["ours", "sipp"])
def test_one_scenario_registers_with_digest_by_us_and_by_sipp(
    served, started, stress, sipp, free_port, tmp_path, program
):
    server = served()
    server.start()
    for name in ("alice", "bob"):
        server.add_user(name, f"pw-{name}")
    (tmp_path / "register.xml").write_text(REGISTER)
    rows = [f"{n};[authentication username={n} password=pw-{n}]" for n in ("alice", "bob")]
    (tmp_path / "users.csv").write_text("\n".join(["SEQUENTIAL", *rows, ""]))
    target = f"127.0.0.1:{server.port}"
    if program == "ours":
        _, report, said = stress(
            "--scenario", "register.xml", target, "--inf", "users.csv", "-m", 20, "-r", "20/s"
        )
        assert report["calls"]["succeeded"] == 20, said + server.log()
        assert report["codes"] == {"200": 20, "401": 20}
    else:
        done = started(
            sipp, "-sf", "register.xml", target, "-inf", "users.csv", "-m", 20, "-r", 20, "-i", "127.0.0.1",
            "-p", free_port(), "-nostdin", "-timeout", 40, "-timeout_error",
        )  # fmt: skip
        assert done.wait(60) == 0, done.said() + server.log()
    assert "alice" in server.cli("ul", "show").stdout


def test_calls_go_through_a_proxy_to_our_own_callees(served, stress):
    server = served()
    server.start("-f", ROOT / "cfg/basic.cfg")
    words = ("--users", 5, "-m", 30, "-r", "30/s")
    code, report, said = stress("invite", f"127.0.0.1:{server.port}", *words)
    assert report["calls"]["succeeded"] == 30, said + server.log()
    assert any(step["what"] == "uas: BYE" and step["count"] == 30 for step in report["steps"])
    assert server.cli("ul", "show").stdout.strip() == "", "the callees have gone again"
    code, report, said = stress("mixed", f"127.0.0.1:{server.port}", *words, "-w", 2)
    assert report["calls"]["succeeded"] == 30, said + server.log()
    assert code in (0, 10), said


def test_every_form_of_the_report_is_written_and_a_crossed_limit_is_99(stress, tmp_path):
    forms = {"csv": "r.csv", "junit": "r.xml", "hdr": "r.hlog", "html": "r.html"}
    words = [word for option, name in forms.items() for word in (f"--{option}", name)]
    with StandIn() as server:
        code, report, said = stress(
            "options", f"127.0.0.1:{server.port}", "-m", 50, "-r", "100/s", *words,
            "--fail-if", "p99(options)>0ms", "--fail-if", "errors>0.1%",
        )  # fmt: skip
    assert code == 99, said
    assert [one["crossed"] for one in report["limits"]] == [True, False]
    texts = {option: (tmp_path / name).read_text() for option, name in forms.items()}
    assert texts["csv"].startswith("at,seconds,due,started,")
    assert 'name="p99(options)&gt;0ms"' in texts["junit"]
    assert texts["junit"].count("<failure") == 1 + bool(report["invalid"])
    assert "Tag=options-response," in texts["hdr"]
    assert "<svg" in texts["html"]
    assert "http" not in texts["html"], "the file needs nothing from elsewhere"


def test_a_worse_run_than_its_baseline_is_99(stress, tmp_path):
    with StandIn() as server:
        _, report, said = stress("options", f"127.0.0.1:{server.port}", "-m", 20, "-r", "100/s")
    (tmp_path / "before.json").write_text(json.dumps(report))

    def slow(data):
        time.sleep(0.02)
        return answer(data)

    with StandIn(react=slow) as server:
        code, report, said = stress(
            "options", f"127.0.0.1:{server.port}", "-m", 20, "-r", "20/s", "--baseline", "before.json"
        )
    assert code == 99, said


@pytest.mark.parametrize(
    "words", [("options",), ("conn", "--transport", "tcp"), ("invite",), ("options", "--transport", "tcp")]
)
def test_a_target_that_refuses_ends_in_a_report_with_the_reason(stress, free_port, words):
    patience = () if words[0] == "conn" else ("--patience", "3s")
    code, report, said = stress(words[0], f"127.0.0.1:{free_port()}", *words[1:], "-t", "20s", *patience)
    assert code == 5, said
    assert "refuse" in said.lower(), said
    assert report["calls"]["succeeded"] == 0


def test_a_target_that_never_answers_ends_in_a_report_with_the_reason(stress):
    with StandIn(react=lambda data: None) as server:
        code, report, said = stress("options", f"127.0.0.1:{server.port}", "-t", "20s", "--patience", "1s")
    assert code == 5, said
    assert "not one answer" in report["stopped"]


def test_connections_are_opened_and_let_go_without_one_left_over(served, stress):
    server = served()
    server.start("-f", ROOT / "cfg/basic.cfg")
    code, report, said = stress(
        "conn", f"tcp:127.0.0.1:{server.port}", "--connections", 100, "--hold", "100ms", "-t", "1s"
    )
    assert code in (0, 10), said
    assert report["calls"]["succeeded"] >= 100, said  # whole rounds: of more than one, if there was time
    assert report["calls"]["failed"] == 0, said
    before, after = report["cost"]["target"]["open_files"]
    assert after - before < 100, "the server holds connections that are gone"


@pytest.mark.parametrize("pack", ["torture", "fuzz", "storm", "brute-force", "fragments", "slow-loris"])
def test_our_server_answers_others_while_it_is_abused(served, stress, pack):
    server = served()
    server.start("-f", ROOT / "cfg/basic.cfg")
    code, report, said = stress(pack, f"127.0.0.1:{server.port}", "-t", "2s", "-r", "100/s")
    assert code in (0, 10), said + server.log()
    assert report["measures"]["probe"]["response"]["count"] >= 3, said
    assert server.process.poll() is None, server.log()


def test_another_machine_is_refused_and_a_wrong_scenario_is_named_before_the_run(stress, tmp_path):
    code, _, said = stress("options", "192.0.2.1")
    assert code == 6
    assert "--i-own-target 192.0.2.1" in said
    (tmp_path / "bad.xml").write_text(
        "<scenario>\n<send><![CDATA[\nOPTIONS sip:x SIP/2.0\n]]></send>\n<rtpCmd/>\n</scenario>"
    )
    code, _, said = stress("--scenario", "bad.xml", "127.0.0.1:9")
    assert code == 7
    assert "bad.xml:5:1: error: the element <rtpCmd> is not supported" in said


def test_ctrl_c_ends_the_run_with_its_report(started, tmp_path):
    with StandIn() as server:
        report = tmp_path / "r.json"
        run = started(*STRESS, "options", f"127.0.0.1:{server.port}", "-t", "60s", "--json", report)
        end = time.monotonic() + SOON
        while len(server.requests) < 5 and time.monotonic() < end:
            time.sleep(0.05)
        run.send_signal(signal.SIGINT)
        assert run.wait(30) == 0, run.said()
    with contextlib.closing(report.open()) as file:
        assert json.load(file)["calls"]["succeeded"] >= 5


WEBSOCKET = """
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "textops.so"
loadmodule "xhttp.so"
loadmodule "nathelper.so"
loadmodule "websocket.so"
tcp_accept_no_cl=yes
request_route { sl_send_reply("200", "Here"); }
event_route[xhttp:request] {
    if ($hdr(Upgrade) =~ "websocket") { ws_handle_handshake(); exit; }
}
"""


def test_requests_over_websocket(served, stress, tmp_path):
    (tmp_path / "ws.cfg").write_text(WEBSOCKET)
    server = served()
    server.start("-f", tmp_path / "ws.cfg")
    _, report, said = stress(
        "options", f"ws:127.0.0.1:{server.port}", "-m", 50, "-r", "100/s", "--sources", 3
    )
    assert report["calls"]["succeeded"] == 50, said + server.log()


def test_the_command_knows_the_loads_of_the_tools():
    from kamtool.cli.stress import NAMES
    from kamtool.tools.stress import builtin, worker

    assert set(NAMES) == {*builtin.NAMES, "mixed", *worker.LOADS}


def test_the_workers_end_with_their_parent(started, free_port):
    port = free_port()
    callee = started(*STRESS, "uas", "-l", f"127.0.0.1:{port}", "-t", "300s")
    bound(port)
    callee.kill()
    callee.wait()
    end = time.monotonic() + SOON
    while time.monotonic() < end:
        lines = Path("/proc/net/udp").read_text().splitlines()[1:]
        if not any(int(line.split()[1].rpartition(":")[2], 16) == port for line in lines):
            return
        time.sleep(0.1)
    raise AssertionError("the worker lives on")
