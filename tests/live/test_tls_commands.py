"""`kamtool tls connections`, `kick`, `renew --reload`, `trust`, `untrust`: typed beside a running server."""

import json
import os
import shutil
import socket
import ssl
import subprocess

import pytest

from tests.support.process import KAMTOOL, Served

pytestmark = pytest.mark.live

CFG = """#!KAMAILIO
enable_tls=yes
listen=tls:127.0.0.1:{port}
loadmodule "tls.so"
loadmodule "sl.so"
modparam("tls", "config", "{folder}/tls.cfg")
request_route {{ sl_send_reply("200", "OK"); }}
"""
OPTIONS = (
    b"OPTIONS sip:here SIP/2.0\r\nVia: SIP/2.0/TLS x;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\n"
    b"To: <sip:a@b>\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
)


@pytest.fixture
def served(tmp_path, free_port):
    server, port = Served(tmp_path, free_port()), free_port()
    folder = tmp_path / "tls"
    assert server.cli("tls", "init", "--dir", folder, "sip.example.com").returncode == 0
    (tmp_path / "kamailio.cfg").write_text(CFG.format(port=port, folder=folder))
    server.start("-f", tmp_path / "kamailio.cfg", "--drain", 0)
    server.tls_port, server.tls_folder = port, folder
    yield server
    server.end()


def connect(server):
    plain = socket.create_connection(("127.0.0.1", server.tls_port), 20)
    context = ssl.create_default_context(cafile=server.tls_folder / "ca.pem")
    return context.wrap_socket(plain, server_hostname="sip.example.com")


def answers(connection):
    connection.sendall(OPTIONS)
    return connection.recv(4096).startswith(b"SIP/2.0 200 ")


def test_kick_closes_the_one_connection_it_names(served):
    with connect(served) as one, connect(served) as other:
        assert answers(one)
        assert answers(other)
        rows = json.loads(served.cli("tls", "connections", "-o", "json").stdout)
        number = {row["src_port"]: row["id"] for row in rows}
        assert set(number) == {one.getsockname()[1], other.getsockname()[1]}
        kicked = served.cli("tls", "kick", number[one.getsockname()[1]])
        assert (kicked.returncode, kicked.stdout) == (0, "")
        assert one.recv(1) == b""
        again = served.cli("tls", "kick", number[one.getsockname()[1]])
        assert again.returncode == 3, again.stderr
        assert "no TLS connection" in again.stderr
        before = other.getpeercert()["serialNumber"]
        assert served.cli("tls", "renew", "--dir", served.tls_folder, "--all", "--reload").returncode == 0
        assert answers(other)
        with connect(served) as new:
            assert new.getpeercert()["serialNumber"] != before


STORE = """set -e
mount --bind {folder}/ssl /etc/ssl; mount --bind {folder}/local /usr/local/share/ca-certificates
mount --bind {folder}/none /etc/ca-certificates.conf
umask 077
{kamtool} tls trust --dir {folder}/tls
openssl verify -CApath /etc/ssl/certs {folder}/tls/server.pem
test $(stat -c %a -L {folder}/local/*.crt) = 644
{kamtool} tls untrust --dir {folder}/tls
! openssl verify -CApath /etc/ssl/certs {folder}/tls/server.pem
! ls /etc/ssl/certs | grep kamtool
! {kamtool} tls untrust --dir {folder}/tls
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root changes the trust store")
@pytest.mark.skipif(shutil.which("update-ca-certificates") is None, reason="no update-ca-certificates")
@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl")
def test_the_machines_programs_trust_the_authority_and_no_longer(tmp_path):
    """The real store in a mount namespace, without the public authorities: they take seconds."""
    (tmp_path / "local").mkdir()
    (tmp_path / "none").touch()
    (tmp_path / "ssl/certs").mkdir(parents=True)
    init = [*KAMTOOL, "tls", "init", "--dir", tmp_path / "tls", "sip.example.com"]
    subprocess.run(init, check=True, capture_output=True)
    script = STORE.format(folder=tmp_path, kamtool=" ".join(KAMTOOL))
    try:
        done = subprocess.run(
            ["unshare", "-m", "bash", "-c", script],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
    except FileNotFoundError:
        pytest.skip("no unshare")
    if "unshare" in done.stderr or "mount:" in done.stderr:
        pytest.skip(f"no mount namespace here: {done.stderr[:200]}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "no longer trusted" in done.stderr
    assert "is not trusted" in done.stderr
