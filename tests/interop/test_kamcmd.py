"""Kamailio's clients against our control plane: kamcmd over binrpc, JSON-RPC over FIFO and datagrams."""

import json
import os
import shutil
import socket
import subprocess
import threading

import pytest

from tests.support.until import SOON

pytestmark = pytest.mark.interop

CFG = """
debug=2
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "kex.so"
loadmodule "corex.so"
loadmodule "jsonrpcs.so"
loadmodule "ctl.so"
modparam("ctl", "binrpc", "unix:{folder}/ctl")
modparam("ctl", "binrpc", "tcp:127.0.0.1:{port}")
modparam("ctl", "binrpc", "udp:127.0.0.1:{port}")
modparam("jsonrpcs", "fifo_name", "{folder}/rpc.fifo")
modparam("jsonrpcs", "fifo_reply_dir", "{folder}")
modparam("jsonrpcs", "dgram_socket", "{folder}/rpc.sock")
modparam("jsonrpcs", "pretty_format", 0)
request_route {{
    jsonrpc_exec('{{"jsonrpc":"2.0","method":"core.echo","params":["$rm"],"id":1}}');
    sl_send_reply("200", "$jsonrpl(code) $(jsonrpl(body){{s.len}})");
}}
"""


@pytest.fixture
def server(served, free_port):
    """A server with both modules; `binrpc_port` is where it answers kamcmd over TCP and UDP."""
    made = served()
    made.binrpc_port = free_port()
    cfg = made.folder / "rpc.cfg"
    cfg.write_text(CFG.format(folder=made.folder, port=made.binrpc_port))
    return made.start("-f", cfg)


@pytest.fixture(params=["unix", "tcp", "udp"])
def kamcmd(request, server):
    """Runs kamcmd against the server, by each way it knows."""
    if not shutil.which("kamcmd"):
        pytest.skip("kamcmd is not installed (Debian: kamailio)")
    tcp = f"{request.param}:127.0.0.1:{server.binrpc_port}"
    where = f"unix:{server.folder}/ctl" if request.param == "unix" else tcp

    def run(*words):
        done = subprocess.run(
            ["kamcmd", "-s", where, *words], capture_output=True, text=True, timeout=SOON, check=False
        )
        return (done.stdout + done.stderr).strip()

    return run


def test_kamcmd_lists_and_calls(kamcmd):
    assert {"core.uptime", "system.listMethods", "ctl.listen"} <= set(kamcmd("system.listMethods").split())
    assert kamcmd("core.echo", "a", "5", "s:6").split() == ["a", "5", "6"]
    uptime = kamcmd("core.uptime")
    assert [line.split(":")[0].strip() for line in uptime.splitlines()[1:-1]] == ["now", "up_since", "uptime"]
    assert kamcmd("core.psx").startswith("{\n\tIDX: 0\n\tPID: ")
    assert "no method" in kamcmd("nosuch.method")
    assert "kamtool" in kamcmd("core.version")


def test_a_datagram_client_is_answered(server):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
        client.settimeout(SOON)
        client.bind(str(server.folder / "client"))
        client.sendto(
            b'{"jsonrpc":"2.0","method":"core.echo","params":["a"],"id":1}', str(server.folder / "rpc.sock")
        )
        assert json.loads(client.recv(65_536)) == {"jsonrpc": "2.0", "result": ["a"], "id": 1}


def test_a_fifo_client_is_answered_in_its_own_fifo(server):
    """As kamctl does: make a FIFO, write a request of many lines that names it, read the answer."""
    reply = server.folder / "reply"
    os.mkfifo(reply)
    answers = []
    reader = threading.Thread(target=lambda: answers.append(reply.read_text()))
    reader.start()
    request = {"jsonrpc": "2.0", "method": "core.echo", "reply_name": "reply", "params": ["a"], "id": 7}
    with open(server.folder / "rpc.fifo", "w") as fifo:
        fifo.write(json.dumps(request, indent=1) + "\n")
    reader.join(20)
    assert json.loads(answers[0]) == {"jsonrpc": "2.0", "result": ["a"], "id": 7}


def test_a_fifo_client_cannot_make_us_write_elsewhere(server, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("precious")
    for name in (f"../{secret.name}", str(secret), "..", ""):
        with open(server.folder / "rpc.fifo", "w") as fifo:
            fifo.write(
                json.dumps({"jsonrpc": "2.0", "method": "core.version", "reply_name": name, "id": 1}) + "\n"
            )
    test_a_datagram_client_is_answered(server)
    assert secret.read_text() == "precious"


def test_the_script_calls_rpc(server):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(SOON)
        client.connect(("127.0.0.1", server.port))
        client.sendall(
            b"OPTIONS sip:127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bKa;rport\r\n"
            b"From: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\nCall-ID: a\r\nCSeq: 1 OPTIONS\r\n"
            b"Content-Length: 0\r\n\r\n"
        )
        body = b'{"jsonrpc": "2.0", "result": ["OPTIONS"], "id": 1}'
        assert client.recv(4096).startswith(b"SIP/2.0 200 200 %d\r\n" % len(body))


def test_nothing_is_left_behind(server):
    assert server.end() == 0
    assert [name for name in ("ctl", "rpc.fifo", "rpc.sock") if (server.folder / name).exists()] == []
