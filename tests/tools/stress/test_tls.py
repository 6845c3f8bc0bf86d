"""TLS connections of the load generator, to itself: one process calls, the other answers."""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kamtool.errors import TransportError
from kamtool.sip.flow import Address
from kamtool.tools.stress.plan import Plan
from kamtool.tools.stress.target import Target
from tests.support.until import SOON

pytestmark = pytest.mark.live

ROOT = Path(__file__).parents[3]
STRESS = [sys.executable, "-m", "kamtool.cli.main", "stress"]


@pytest.fixture
def certificate(tmp_path):
    """A certificate for 127.0.0.1 that signs itself: certificate and key."""
    import datetime
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False
        )
        .add_extension(x509.BasicConstraints(True, None), True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (tmp_path / "c.pem").write_bytes(made.public_bytes(pem))
    plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (tmp_path / "k.pem").write_bytes(key.private_bytes(pem, *plain))
    return tmp_path / "c.pem", tmp_path / "k.pem"


def listening(port):
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    return any(
        line.split()[3] == "0A" and int(line.split()[1].rpartition(":")[2], 16) == port for line in lines
    )


@pytest.mark.parametrize("transport", ["tls", "ws", "wss"])
def test_calls_and_sockets_over_connections(certificate, tmp_path, free_port, transport):
    cert, key = certificate
    port = free_port()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    callee = subprocess.Popen(
        [*STRESS, "uas", "-l", f"127.0.0.1:{port}", "--transport", transport, "-t", "60s",
         *(["--cert", cert, "--cert-key", key] if transport != "ws" else [])],
        cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip

    def stress(*words):
        report = tmp_path / "r.json"
        trusted = ["--ca", cert] if transport != "ws" else []
        subprocess.run(
            [*STRESS, words[0], f"{transport}:127.0.0.1:{port}", *map(str, words[1:]), *trusted,
             "--json", report], cwd=tmp_path, env=environment, capture_output=True, timeout=60, check=False,
        )  # fmt: skip
        return json.loads(report.read_text())

    try:
        end = time.monotonic() + SOON
        while not listening(port):
            assert callee.poll() is None, callee.stderr.read()
            assert time.monotonic() < end
            time.sleep(0.05)
        report = stress("uac", "-r", "50/s", "-m", 30, "--sources", 3)
        assert report["calls"]["succeeded"] == 30, report["reasons"]
        if transport != "tls":
            return
        report = stress("conn", "--connections", 100, "--hold", "100ms", "-t", "200ms")
        assert report["calls"]["failed"] == 0, report["reasons"]
        assert report["measures"]["handshake"]["response"]["count"] >= 100
    finally:
        callee.kill()
        callee.wait()
        callee.stderr.close()


@pytest.mark.live
@pytest.mark.parametrize(("transport", "missing"), [("tls", "TLS handshake"), ("ws", "WebSocket")])
def test_a_target_that_takes_the_connection_and_says_nothing_is_named_for_it(transport, missing):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        here = Address(*silent.getsockname())
        plan = Plan("options", Target(transport, here, here.host), transport=transport, patience=0.2)
        with pytest.raises(TransportError, match=f"no {missing} within 0.2 s"):
            plan.open(0)
