"""cfg/kamtool.service: a server serves below the very system call filter that the unit names."""

import ctypes
import os
import re
import shutil
import socket
import ssl
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from tests.live.test_privileges import KAMTOOL, REGISTER
from tests.support.process import PATIENT

pytestmark = pytest.mark.live

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "cfg" / "kamtool.service"
NUMBERS = next(Path("/usr/include").glob("**/asm/unistd_64.h"), None)
CFG = """#!KAMAILIO
enable_tls=yes
listen=udp:127.0.0.1:{port}
listen=tls:127.0.0.1:{port}
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "tm.so"
loadmodule "tls.so"
loadmodule "db_sqlite.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
loadmodule "ctl.so"
loadmodule "jsonrpcs.so"
modparam("tls", "certificate", "{certificate}")
modparam("tls", "private_key", "{key}")
modparam("usrloc", "db_url", "sqlite:///{folder}/kamtool.db")
modparam("usrloc", "db_mode", 1)
modparam("ctl", "binrpc", "unix:{folder}/ctl")
modparam("ctl", "group", "{group}")
modparam("jsonrpcs", "fifo_name", "{folder}/fifo")
modparam("jsonrpcs", "dgram_socket", "{folder}/dgram")
request_route {{
    if ($rm == "REGISTER") {{ save("location"); exit; }}
    if ($rU == "out") {{ $ru = "sip:x@no-such-name.invalid"; t_relay(); exit; }}
    sl_send_reply("200", "OK");
}}
"""
ALLOW, REFUSE = 0x7FFF0000, 0x00050001


def expanded(name):
    """The system calls of a set, as this systemd has it."""
    text = subprocess.run(
        ["systemd-analyze", "syscall-filter", name], capture_output=True, text=True, check=True
    ).stdout
    words = [line.strip() for line in text.splitlines()[1:] if line.strip() and "#" not in line]
    return {call for word in words for call in (expanded(word) if word[0] == "@" else {word})}


def allowed():
    """What the lines of the unit leave, read from the first to the last."""
    calls = set()
    for line in re.findall(r"^SystemCallFilter=(.*)", UNIT.read_text(), re.MULTILINE):
        for name in line.lstrip("~").split():
            calls = calls - expanded(name) if line[0] == "~" else calls | expanded(name)
    return calls


def program(calls):
    """A filter in the kernel's own language: those are allowed, all others answered with EPERM."""
    numbers = dict(re.findall(r"#define __NR_(\w+) (\d+)", NUMBERS.read_text()))
    rows = [(0x20, 0, 0, 0)]  # load the number of the system call
    for call in calls & numbers.keys():
        rows += [(0x15, 0, 1, int(numbers[call])), (0x06, 0, 0, ALLOW)]
    rows.append((0x06, 0, 0, REFUSE))

    class Row(ctypes.Structure):
        _fields_ = (
            ("c", ctypes.c_ushort),
            ("t", ctypes.c_ubyte),
            ("f", ctypes.c_ubyte),
            ("k", ctypes.c_uint),
        )

    class Program(ctypes.Structure):
        _fields_ = (("size", ctypes.c_ushort), ("rows", ctypes.POINTER(Row)))

    return Program(len(rows), (Row * len(rows))(*rows))


def below(filter_):
    libc = ctypes.CDLL(None, use_errno=True)

    def enter():
        assert libc.prctl(38, 1, 0, 0, 0) == 0  # no new privileges
        assert libc.prctl(22, 2, ctypes.byref(filter_), 0, 0) == 0  # this filter from now on

    return enter


@pytest.fixture
def folder():
    if NUMBERS is None or not shutil.which("systemd-analyze"):
        pytest.skip("needs systemd-analyze and the kernel's headers (libc6-dev)")
    made = Path(tempfile.mkdtemp(prefix="kamtool-unit-", dir="/tmp"))
    yield made
    shutil.rmtree(made)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_server_serves_below_the_filter_of_the_unit(folder, free_port, authority, workers):
    issued = authority.issue(["localhost"], stem="unit", replace=True)
    for name in (issued.certificate, issued.key):
        shutil.copy(name, folder)
    port = free_port()
    cfg = folder / "kamailio.cfg"
    cfg.write_text(
        CFG.format(
            port=port, folder=folder, group=os.getgid(), certificate=folder / Path(issued.certificate).name,
            key=folder / Path(issued.key).name,
        )
    )  # fmt: skip
    control, log = folder / "run.sock", folder / "log"
    process = subprocess.Popen(
        [*KAMTOOL, "serve", *PATIENT, "-f", cfg, "-E", "-s", control, "--workers", str(workers)],
        cwd=ROOT, env={**os.environ, "HOME": str(folder)}, preexec_fn=below(program(allowed())),
        stdout=log.open("wb"), stderr=subprocess.STDOUT,
    )  # fmt: skip
    try:
        answers_everywhere(process, port, control, log)
    finally:
        process.terminate()
        assert process.wait(30) == 0, log.read_text()
    said = log.read_text()
    assert "Operation not permitted" not in said, said
    assert "Traceback" not in said, said


def answers_everywhere(process, port, control, log):
    context = ssl._create_unverified_context()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as phone:
        phone.settimeout(0.5)
        phone.connect(("127.0.0.1", port))
        end = time.monotonic() + 60
        answer = b""
        while not answer.startswith(b"SIP/2.0 200"):
            assert time.monotonic() < end, log.read_text()
            assert process.poll() is None, log.read_text()
            try:
                phone.send(REGISTER)
                answer = phone.recv(65535)
            except OSError:
                time.sleep(0.05)
        phone.settimeout(60)
        out = REGISTER.replace(b"REGISTER sip:x", b"OPTIONS sip:out@x").replace(b"1 REGISTER", b"1 OPTIONS")
        phone.send(out.replace(b"z9hG4bK1", b"z9hG4bK2"))
        while b"OPTIONS" not in answer:
            answer = phone.recv(65535)
        assert answer.startswith((b"SIP/2.0 4", b"SIP/2.0 5"))  # the resolver knew no such name
    with context.wrap_socket(socket.create_connection(("127.0.0.1", port), 30)) as secure:
        secure.settimeout(30)
        secure.sendall(REGISTER.replace(b"UDP", b"TLS").replace(b"z9hG4bK1", b"z9hG4bK3"))
        assert secure.recv(65535).startswith(b"SIP/2.0 200")
    for method in ("core.uptime", "tls.reload", "core.reload", "ul.dump"):
        done = subprocess.run(
            [*KAMTOOL, "rpc", "-s", control, method],
            cwd=ROOT, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, (method, done.stderr)
