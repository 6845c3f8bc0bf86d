"""sipvicious finds no server, user or password behind the shipped cfgs; behind an open one it does."""

import json
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.process import Served

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(shutil.which("svmap") is None, reason="sipvicious is not installed"),
]

CFG = Path(__file__).parents[2] / "cfg"
OPEN = """#!KAMAILIO
auto_aliases=no
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "textops.so"
loadmodule "auth.so"
request_route {
    if (is_method("OPTIONS")) { sl_send_reply("200", "OK"); exit; }
    if (!is_method("REGISTER")) exit;
    if ($tU != "100") { sl_send_reply("404", "Not Found"); exit; }
    if (!pv_www_authenticate("open", "1234", "0")) { www_challenge("open", "1"); exit; }
    sl_send_reply("200", "OK");
}
"""


@pytest.fixture
def served_with(tmp_path, free_port):
    """A server on an address of its own: the tools come from 127.0.0.1, which is then a stranger's.

    svwar and svcrack take `-b`, and do not bind to it.
    """
    made = []

    def start(*options):
        port = free_port()
        server = Served(tmp_path, port, f"127.{port >> 8}.{port & 255}.42").start(*options)
        made.append(server)
        return server

    yield start
    for server in made:
        assert server.end() == 0
        assert "Traceback" not in server.log(), server.log()


DISGUISED = """
import sys
import sipvicious.libs.svhelper as helper
helper.makeRequest.__defaults__ = tuple(
    "Phone/1" if one == "friendly-scanner" else one for one in helper.makeRequest.__defaults__
)
import sipvicious.{tool} as tool
sys.argv[0] = "{tool}"
tool.main()
"""


def attack(tool, server, *options, seconds=20, disguised=False):
    """What a tool of sipvicious prints, to both streams. It has a port that nothing else is sent to."""
    home = server.folder / "home"
    home.mkdir(exist_ok=True)
    command = ["/usr/bin/python3", "-c", DISGUISED.format(tool=tool)] if disguised else [shutil.which(tool)]
    try:
        done = subprocess.run(
            [*command, "-P", str(unused_port()), "-p", str(server.port), *options, server.address],
            capture_output=True, text=True, timeout=seconds, check=False, stdin=subprocess.DEVNULL,
            env={"HOME": str(home), "PATH": "/usr/bin:/bin", "NO_COLOR": "1",
                 "PYTHONPATH": "/usr/share/sipvicious"},
        )  # fmt: skip
    except subprocess.TimeoutExpired as late:
        return ((late.stdout or b"") + (late.stderr or b"")).decode(errors="replace")
    return done.stdout + done.stderr


def unused_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("", 0))
        return probe.getsockname()[1]


def dictionary(tmp_path, *words):
    path = tmp_path / "words"
    path.write_text("".join(f"{word}\n" for word in words))
    return str(path)


def test_an_open_server_is_found_with_its_user_and_password(served_with, tmp_path):
    """The tools work."""
    (tmp_path / "open.cfg").write_text(OPEN)
    server = served_with("-f", tmp_path / "open.cfg")
    assert f"{server.address}:{server.port}" in attack("svmap", server)
    found = attack("svwar", server, "-e", "99-101", "-m", "REGISTER")
    assert "| 100 " in found, found
    found = attack("svcrack", server, "-u", "100", "-d", dictionary(tmp_path, "1111", "1234", "9999"))
    assert "| 1234" in found, found


def banned(server):
    """Who is banned, with the reason; afterwards nobody is."""
    rows = json.loads(server.cli("ban", "list", "-o", "json").stdout)
    server.cli("ban", "rm", "--all")
    return {row["address"]: row["reason"] for row in rows}


@pytest.mark.parametrize("name", ["default.cfg", "edge.cfg"])
def test_what_is_shipped_is_not_found_nor_its_users_nor_their_passwords(served_with, tmp_path, name):
    server = served_with(*(() if name == "default.cfg" else ("-f", CFG / name, "-A", 'INHOST="192.0.2.1"')))
    server.add_user("100", "1234")
    scanner = {"127.0.0.1": "scanner"}
    scanned = attack("svmap", server)
    assert f"{server.address}:{server.port}" not in scanned, scanned
    assert banned(server) == scanner
    for method in ("REGISTER", "INVITE", "OPTIONS"):
        found = attack("svwar", server, "-e", "99-101", "-m", method, seconds=6)
        assert "| 100 " not in found, found
        assert banned(server) == scanner
    # It waits ten seconds for an answer to its first request, which says what it is, and gives up.
    found = attack("svcrack", server, "-u", "100", "-d", dictionary(tmp_path, "1111", "1234", "9999"))
    assert "no server response" in found, found
    assert banned(server) == scanner


def test_svcrack_under_another_name_is_stopped_after_ten_guesses(served_with, tmp_path):
    """The password that stands behind the tenth in its list does not help it."""
    server = served_with()
    server.add_user("100", "1234")
    found = attack(
        "svcrack", server, "-u", "100", "-d", dictionary(tmp_path, "1", "2", "1234"), disguised=True
    )
    assert "| 1234" in found, found
    assert banned(server) == {}

    server.add_user("200", "4321")
    words = [f"w{number}" for number in range(20)]
    options = ("-u", "200", "-d", dictionary(tmp_path, *words, "4321"))
    found = attack("svcrack", server, *options, seconds=8, disguised=True)
    assert "| 4321" not in found, found
    failed = [line for line in server.log().splitlines() if "authentication failed: 200 from" in line]
    assert len(failed) == 10


def test_a_scanner_that_hides_its_name_is_told_of_no_user(served_with):
    """With another User-Agent svwar is answered, and all users are alike."""
    server = served_with()
    server.add_user("100", "1234")
    found = subprocess.run(
        [sys.executable, "-c", PROBE, server.address, str(server.port)],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    ).stdout.split()
    assert len(found) == 3
    assert len(set(found)) == 1, found


PROBE = """
import socket, sys
wire = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
wire.bind(("127.0.0.42", 0))
wire.settimeout(30)
for user in ("99", "100", "101"):
    wire.sendto(
        f"REGISTER sip:127.0.0.1 SIP/2.0\\r\\nVia: SIP/2.0/UDP 127.0.0.42;branch=z9hG4bK{user};rport\\r\\n"
        f"From: <sip:{user}@127.0.0.1>;tag=1\\r\\nTo: <sip:{user}@127.0.0.1>\\r\\nCall-ID: {user}\\r\\n"
        f"CSeq: 1 REGISTER\\r\\nMax-Forwards: 70\\r\\nContent-Length: 0\\r\\n\\r\\n".encode(),
        (sys.argv[1], int(sys.argv[2])),
    )
    print(wire.recv(65535).split(b" ")[1].decode())
"""
