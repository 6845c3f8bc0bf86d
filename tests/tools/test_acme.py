"""ACME against a stand-in authority that checks what RFC 8555 tells it to check."""

import base64
import hashlib
import json
import stat
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from kamtool.cli.tls import command
from tests.support.until import SOON


def decode(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Stand:
    """The authority: one account, one order at a time. It looks for challenges on `challenge_port`."""

    def __init__(self, authority, challenge_port):
        self.authority, self.challenge_port = authority, challenge_port
        self.nonces, self.jwk, self.names, self.token = set(), None, [], "tok-en_1"
        self.status, self.chain, self.seen, self.spoil = "pending", b"", [], 1
        stand = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                self.answer(200, stand.directory())

            def do_HEAD(self):
                self.answer(200, {})

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                self.answer(*stand.take(self.path, body, self.headers["Content-Type"]))

            def answer(self, status, content, location=""):
                data = content if isinstance(content, bytes) else json.dumps(content).encode()
                self.send_response(status)
                nonce = f"nonce{len(stand.nonces)}-{len(stand.seen)}"
                stand.nonces.add(nonce)
                self.send_header("Replay-Nonce", nonce)
                if location:
                    self.send_header("Location", stand.url + location)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(data)

            def log_message(self, *words):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def directory(self):
        return {name: f"{self.url}/{name}" for name in ("newNonce", "newAccount", "newOrder")}

    def take(self, path, body, content_type):
        head, payload = json.loads(decode(body["protected"])), decode(body["payload"])
        assert content_type == "application/jose+json"
        assert head["url"] == self.url + path, "RFC 8555 6.4"
        if self.spoil or head["nonce"] not in self.nonces:
            self.spoil -= bool(self.spoil)
            return 400, {"type": "urn:ietf:params:acme:error:badNonce", "detail": "again"}
        self.nonces.discard(head["nonce"])
        self.jwk = head.get("jwk") or self.jwk
        assert ("jwk" in head) == (path == "/newAccount"), "RFC 8555 6.2"
        self.verify(body)
        self.seen.append(path)
        return getattr(self, path.strip("/").replace("-", "_"))(json.loads(payload) if payload else None)

    def verify(self, body):
        x, y = (int.from_bytes(decode(self.jwk[name]), "big") for name in "xy")
        key = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
        raw = decode(body["signature"])
        assert len(raw) == 64
        signature = encode_dss_signature(*(int.from_bytes(half, "big") for half in (raw[:32], raw[32:])))
        signed = f"{body['protected']}.{body['payload']}".encode()
        key.verify(signature, signed, ec.ECDSA(hashes.SHA256()))

    def newAccount(self, payload):  # noqa: N802
        assert payload["termsOfServiceAgreed"]
        return 201, {"status": "valid"}, "/account"

    def newOrder(self, payload):  # noqa: N802
        self.names = [each["value"] for each in payload["identifiers"]]
        return 201, self.order_text(), "/order"

    def order_text(self):
        return {
            "status": "valid" if self.chain else "pending", "authorizations": [f"{self.url}/authz"],
            "finalize": f"{self.url}/finalize", "certificate": f"{self.url}/certificate",
        }  # fmt: skip

    def order(self, payload):
        return 200, self.order_text()

    def authz(self, payload):
        challenge = {"type": "http-01", "url": f"{self.url}/challenge", "token": self.token}
        if self.status == "invalid":
            challenge["error"] = {"detail": "nobody answers there"}
        return 200, {
            "status": self.status, "identifier": {"type": "dns", "value": self.names[0]},
            "challenges": [{"type": "dns-01"}, challenge],
        }  # fmt: skip

    def challenge(self, payload):
        text = json.dumps(self.jwk, sort_keys=True, separators=(",", ":")).encode()
        thumbprint = base64.urlsafe_b64encode(hashlib.sha256(text).digest()).rstrip(b"=").decode()
        self.status = "invalid"
        try:
            place = f"http://127.0.0.1:{self.challenge_port}/.well-known/acme-challenge/{self.token}"
            with urllib.request.urlopen(place, timeout=SOON) as answer:
                if answer.read().decode() == f"{self.token}.{thumbprint}":
                    self.status = "valid"
        except OSError:
            pass
        return 200, {}

    def finalize(self, payload):
        assert self.status == "valid"
        request = x509.load_der_x509_csr(decode(payload["csr"]))
        assert request.is_signature_valid
        names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert names.get_values_for_type(x509.DNSName) == self.names
        self.chain = self.authority.sign_request(request)
        return 200, self.order_text()

    def certificate(self, payload):
        return 200, self.chain


class Signer:
    """Signs requests with the tests' authority."""

    def __init__(self, authority):
        self.authority = authority

    def sign_request(self, request):
        from datetime import UTC, datetime, timedelta

        from cryptography.hazmat.primitives import serialization

        names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        builder = (
            x509.CertificateBuilder().subject_name(request.subject)
            .issuer_name(self.authority.certificate.subject).public_key(request.public_key())
            .serial_number(x509.random_serial_number()).not_valid_before(datetime.now(UTC))
            .not_valid_after(datetime.now(UTC) + timedelta(days=60)).add_extension(names, critical=False)
        )  # fmt: skip
        key = serialization.load_pem_private_key(self.authority.key_file.read_bytes(), None)
        return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


@pytest.fixture
def stand(authority, free_port):
    made = Stand(Signer(authority), free_port())
    yield made
    made.server.shutdown()
    made.server.server_close()


def run(stand, folder, *words):
    return CliRunner().invoke(
        command,
        ["acme", "sip.example.com", "--agree", "--directory", stand.url, "--dir", str(folder), *words],
    )


def test_a_certificate_is_ordered_proved_and_kept(stand, tmp_path):
    done = run(stand, tmp_path, "--port", str(stand.challenge_port), "--mail", "me@example.com")
    assert done.exit_code == 0, (done.output, done.exception)
    certificate = x509.load_pem_x509_certificate((tmp_path / "sip.example.com.pem").read_bytes())
    assert "sip.example.com" in str(certificate.subject)
    keys = [tmp_path / "sip.example.com.key", tmp_path / "acme-account.key"]
    assert {stat.S_IMODE(key.stat().st_mode) for key in keys} == {0o600}
    assert CliRunner().invoke(command, ["check", str(tmp_path / "sip.example.com.pem")]).exit_code == 0
    before = list(stand.seen)
    assert "nothing to do" in run(stand, tmp_path, "--port", str(stand.challenge_port)).output
    assert stand.seen == before


def test_a_web_server_that_is_there_may_answer(stand, tmp_path):
    root = tmp_path / "www"
    from functools import partial
    from http.server import SimpleHTTPRequestHandler

    root.mkdir()
    web = ThreadingHTTPServer(
        ("127.0.0.1", stand.challenge_port), partial(SimpleHTTPRequestHandler, directory=root)
    )
    threading.Thread(target=web.serve_forever, daemon=True).start()
    done = run(stand, tmp_path, "--webroot", str(root))
    web.shutdown()
    web.server_close()
    assert done.exit_code == 0, (done.output, done.exception)
    assert not [path for path in Path(root).rglob("*") if path.is_file()], "the proof is taken away again"


def test_a_proof_that_cannot_be_seen_is_told_in_the_authoritys_words(stand, tmp_path, free_port):
    done = run(stand, tmp_path, "--port", str(free_port()))
    assert "nobody answers there" in str(done.exception)
    assert not (tmp_path / "sip.example.com.pem").exists()


def test_without_agreement_nothing_is_asked(stand, tmp_path):
    done = CliRunner().invoke(
        command, ["acme", "x.example.com", "--directory", stand.url, "--dir", str(tmp_path)]
    )
    assert done.exception.hint == "--agree"
    assert stand.seen == []
