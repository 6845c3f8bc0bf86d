"""Third-party call control: two scenarios that command each other, among ourselves and with SIPp's own."""

import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kamtool.errors import TransportError, UsageError
from kamtool.sip.flow import Address
from kamtool.tools.stress.twin import Twins, read_peers
from tests.tools.stress.standin import StandIn

pytestmark = pytest.mark.live


def stress(*words):
    """The exit code and what was said."""
    process = beside(*words)
    said = process.communicate(timeout=90)[0]
    return process.returncode, said


def ports(count):
    socks = [socket.socket() for _ in range(count)]
    for sock in socks:
        sock.bind(("127.0.0.1", 0))
    found = [sock.getsockname()[1] for sock in socks]
    for sock in socks:
        sock.close()
    return found


def beside(*words):
    """`kamtool stress` in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "kamtool.cli.main", "stress", *words, "--no-panel"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


A = """<scenario name="a">
<send retrans="500"><![CDATA[
OPTIONS sip:a@[remote_ip]:[remote_port] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
From: <sip:a@x>;tag=[call_number]
To: <sip:a@x>
Call-ID: [call_id]
CSeq: 1 OPTIONS
Content-Length: 0

]]></send>
<recv response="200"><action>
  <ereg regexp="tag=(x)" search_in="hdr" header="To:" assign_to="all,tag"/></action></recv>
<sendCmd dest="b"><![CDATA[
Call-ID: [call_id]
From: a
X-Tag: [$tag]
]]></sendCmd>
<recvCmd src="b"><action>
  <ereg regexp="X-Back: (x) x" search_in="msg" check_it="true" assign_to="whole,back"/>
</action></recvCmd>
<Reference variables="all,whole,back"/>
</scenario>"""
B = """<scenario name="b">
<recvCmd src="a"><action><ereg regexp="X-Tag: (x)" search_in="msg" assign_to="all,tag"/></action></recvCmd>
<send retrans="500"><![CDATA[
OPTIONS sip:b@[remote_ip]:[remote_port] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
From: <sip:b@x>;tag=b[call_number]
To: <sip:b@x>
Call-ID: [call_id]
CSeq: 1 OPTIONS
Content-Length: 0

]]></send>
<recv response="200"/>
<sendCmd dest="a"><![CDATA[
Call-ID: [call_id]
From: b
X-Back: [$tag] x
]]></sendCmd>
<Reference variables="all"/>
</scenario>"""


@pytest.mark.parametrize("extended", [False, True])
def test_two_scenarios_command_each_other(tmp_path, extended):
    (tmp_path / "a.xml").write_text(A if extended else A.replace(' dest="b"', "").replace(' src="b"', ""))
    (tmp_path / "b.xml").write_text(B if extended else B.replace(' dest="a"', "").replace(' src="a"', ""))
    one, other = ports(2)
    (tmp_path / "twins").write_text(f"a;127.0.0.1:{one}\nb;127.0.0.1:{other}\n")
    names = {"a": ("--master", "a"), "b": ("--slave", "b")}
    more = {
        name: (*names[name], "--slave-cfg", str(tmp_path / "twins"))
        if extended
        else ("--3pcc", f"127.0.0.1:{one}")
        for name in "ab"
    }
    with StandIn() as server:
        target = f"127.0.0.1:{server.port}"
        twin = beside(target, "-f", str(tmp_path / "b.xml"), "-m", "10", "-t", "60s", *more["b"])
        try:
            code, out = stress(target, "-f", str(tmp_path / "a.xml"), "-m", "10", "-r", "50", *more["a"])
            said = twin.communicate(timeout=60)[0]
        finally:
            twin.kill()
            twin.wait()
    assert code in (0, 10), out  # 10: this machine was too busy for honest figures, and that was said
    assert "10 succeeded" in out
    assert "10 succeeded" in said, said
    assert len(server.requests) == 20


@pytest.mark.skipif(not shutil.which("sipp"), reason="SIPp is not installed (Debian: sip-tester)")
@pytest.mark.parametrize("ours", ["A", "B"])
def test_sipps_own_controllers_and_ours_command_each_other(tmp_path, ours):
    """SIPp's 3pcc-C-A and 3pcc-C-B, one run by SIPp, the other by us, to SIPp's 3pcc-A and 3pcc-B."""
    for side in "AB":
        text = subprocess.run(["sipp", "-sd", f"3pcc-C-{side}"], capture_output=True, check=False).stdout
        (tmp_path / f"{side}.xml").write_bytes(text[text.index(b"<?xml") :].replace(b'"1000"', b'"100"'))
    twin, uas_a, uas_b, own, media_a, media_b, media = ports(7)
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": tmp_path}
    running = [
        subprocess.Popen(
            [
                "sipp",
                "-sn",
                f"3pcc-{side}",
                "-i",
                "127.0.0.1",
                "-p",
                str(port),
                "-mp",
                str(where),
                "-nostdin",
            ],
            **quiet,
        )
        for side, port, where in (("A", uas_a, media_a), ("B", uas_b, media_b))
    ]
    theirs = "B" if ours == "A" else "A"
    place = {"A": f"127.0.0.1:{uas_a}", "B": f"127.0.0.1:{uas_b}"}
    sipp = [
        "sipp", "-sf", f"{theirs}.xml", place[theirs], "-3pcc", f"127.0.0.1:{twin}", "-i", "127.0.0.1",
        "-p", str(own), "-m", "5", "-mp", str(media), "-nostdin", "-timeout", "40",
    ]  # fmt: skip
    mine = (
        place[ours],
        "-f",
        str(tmp_path / f"{ours}.xml"),
        "--3pcc",
        f"127.0.0.1:{twin}",
        "-m",
        "5",
        "-t",
        "40s",
    )
    try:
        if ours == "A":
            running.append(subprocess.Popen(sipp, **quiet))
            wait_for_listener(twin)
            code, said = stress(*mine, "-r", "10")
        else:
            running.append(mine_too := beside(*mine))
            wait_for_listener(twin)
            running.append(subprocess.Popen(sipp, **quiet))
            said = mine_too.communicate(timeout=90)[0]
            code = mine_too.returncode
        assert code in (0, 10), said
        assert "5 succeeded" in said
        assert running[-1].wait(60) == 0
    finally:
        for process in running:
            process.kill()
            process.wait()


def wait_for_listener(port):
    """Look into the kernel's table: a connection would count as the twin's."""
    for _ in range(400):
        lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
        if any(line.split()[1].endswith(f":{port:04X}") and line.split()[3] == "0A" for line in lines):
            return
        time.sleep(0.05)
    raise AssertionError("nobody listens for commands")


def test_a_twin_that_is_not_there_ends_the_run_with_the_reason(tmp_path):
    (tmp_path / "a.xml").write_text(A)
    (gone,) = ports(1)
    code, said = stress(
        "127.0.0.1:9", "-f", str(tmp_path / "a.xml"), "--3pcc", f"127.0.0.1:{gone}", "--patience", "1s"
    )
    assert code == 5
    assert f"127.0.0.1:{gone}: Connection refused" in said


def test_commands_are_cut_from_the_stream():
    (port,) = ports(1)
    there = Twins({}, Address("127.0.0.1", port))
    here = Twins({"": Address("127.0.0.1", port)})
    try:
        here.connect()
        assert there.receive(there.files[0]) == []
        here.send("", b"one")
        here.send("", b"two\x1bthree")
        got = []
        while len(got) < 3:
            got += there.receive(there.files[1])
        assert got == [b"one", b"two", b"three"]
        with pytest.raises(TransportError, match="no twin 'x' is known"):
            here.send("x", b"")
    finally:
        here.close()
        there.close()


def test_the_addresses_of_twins_are_read(tmp_path):
    path = tmp_path / "slaves"
    path.write_text("# all\nm;127.0.0.1:8080\ns1;[::1]:8081\n")
    assert read_peers(path) == {"m": Address("127.0.0.1", 8080), "s1": Address("::1", 8081)}
    path.write_text("m,127.0.0.1:8080\n")
    with pytest.raises(UsageError, match="slaves:1: no twin"):
        read_peers(path)
