"""A certificate from an authority that speaks ACME (RFC 8555), proved by http-01."""

from __future__ import annotations

import base64
import json
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.x509.oid import NameOID

from kamtool.errors import UsageError
from kamtool.tools.tls_authority import write

WELL_KNOWN = "/.well-known/acme-challenge/"
LARGEST_ANSWER = 1 << 20
BAD_NONCE = "urn:ietf:params:acme:error:badNonce"
PATIENCE = 120.0

Say = Callable[[str], None]


class Client:
    """An account with one authority. Raises UsageError with what the authority says."""

    def __init__(self, directory: str, key: ec.EllipticCurvePrivateKey, roots: Path | None = None) -> None:
        if not directory.startswith("https://") and not directory.startswith("http://127."):
            raise UsageError(f"{directory!r} is no https: URL of a directory")
        self._context = ssl.create_default_context(cafile=str(roots) if roots else None)
        self._key, self._account, self._nonce = key, "", ""
        self.directory: dict[str, Any] = json.loads(self._fetch(urllib.request.Request(directory))[0])

    # The wire

    def _fetch(self, request: urllib.request.Request) -> tuple[bytes, Any]:
        try:
            with urllib.request.urlopen(request, timeout=30, context=self._context) as answer:
                self._nonce = answer.headers.get("Replay-Nonce", self._nonce)
                return answer.read(LARGEST_ANSWER), answer.headers
        except urllib.error.HTTPError as error:
            self._nonce = error.headers.get("Replay-Nonce", self._nonce)
            raise _refusal(error.read(LARGEST_ANSWER), error.code, request.full_url) from error
        except OSError as error:
            reason = getattr(error, "reason", error)
            raise UsageError(f"{request.full_url}: {reason}", exit_code=5) from error

    def post(self, url: str, payload: Any) -> tuple[bytes, Any]:
        """One signed request (§6.2); a payload of None asks for what is at `url` (§6.3)."""
        for attempt in range(3):
            if not self._nonce:
                self._fetch(urllib.request.Request(self.directory["newNonce"], method="HEAD"))
            body = json.dumps(self._signed(url, payload)).encode()
            self._nonce = ""
            request = urllib.request.Request(url, body, {"Content-Type": "application/jose+json"})
            try:
                return self._fetch(request)
            except Refused as error:
                if error.kind != BAD_NONCE or attempt == 2:
                    raise
        raise AssertionError("unreachable")

    def ask(self, url: str, payload: Any = None) -> dict[str, Any]:
        """`post` for an answer in JSON."""
        found: dict[str, Any] = json.loads(self.post(url, payload)[0])
        return found

    def _signed(self, url: str, payload: Any) -> dict[str, str]:
        head: dict[str, Any] = {"alg": "ES256", "nonce": self._nonce, "url": url}
        head |= {"kid": self._account} if self._account else {"jwk": self._jwk()}
        protected = _b64(json.dumps(head).encode())
        body = "" if payload is None else _b64(json.dumps(payload).encode())
        signature = self._key.sign(f"{protected}.{body}".encode(), ec.ECDSA(hashes.SHA256()))
        r, s = decode_dss_signature(signature)
        return {
            "protected": protected, "payload": body,
            "signature": _b64(r.to_bytes(32, "big") + s.to_bytes(32, "big")),
        }  # fmt: skip

    def _jwk(self) -> dict[str, str]:
        numbers = self._key.public_key().public_numbers()
        x, y = (_b64(value.to_bytes(32, "big")) for value in (numbers.x, numbers.y))
        return {"crv": "P-256", "kty": "EC", "x": x, "y": y}

    def proof(self, token: str) -> str:
        """The key authorization (§8.1)."""
        digest = hashes.Hash(hashes.SHA256())
        digest.update(json.dumps(self._jwk(), sort_keys=True, separators=(",", ":")).encode())
        return f"{token}.{_b64(digest.finalize())}"

    # The course of an order

    def register(self, contacts: Sequence[str]) -> None:
        """Make or find the account (§7.3)."""
        payload: dict[str, Any] = {"termsOfServiceAgreed": True}
        if contacts:
            payload["contact"] = [f"mailto:{each}" for each in contacts]
        _, headers = self.post(self.directory["newAccount"], payload)
        self._account = headers["Location"]

    def order(
        self, names: Sequence[str], key: ec.EllipticCurvePrivateKey, answers: dict[str, str], say: Say
    ) -> bytes:
        """The chain for `names` (PEM). What http-01 must answer is put into `answers`, by path."""
        identifiers = [{"type": "dns", "value": name} for name in names]
        body, headers = self.post(self.directory["newOrder"], {"identifiers": identifiers})
        order: dict[str, Any] = json.loads(body)
        place = headers["Location"]
        for url in order["authorizations"]:
            self._authorize(url, answers, say)
        self.post(order["finalize"], {"csr": _b64(_request(names, key))})
        done = self._wait(place, "valid", "the order")
        return self.post(done["certificate"], None)[0]

    def _authorize(self, url: str, answers: dict[str, str], say: Say) -> None:
        found = self.ask(url)
        name = found["identifier"]["value"]
        if found["status"] == "valid":
            return
        challenge = next((each for each in found["challenges"] if each["type"] == "http-01"), None)
        if challenge is None:
            raise UsageError(f"{name}: the authority does not offer http-01", exit_code=1)
        answers[WELL_KNOWN + challenge["token"]] = self.proof(challenge["token"])
        say(f"proving {name} at http://{name}{WELL_KNOWN}…")
        self.post(challenge["url"], {})
        self._wait(url, "valid", name)

    def _wait(self, url: str, wanted: str, what: str) -> dict[str, Any]:
        end, pause = time.monotonic() + PATIENCE, 0.1
        while True:
            found = self.ask(url)
            if found["status"] == wanted:
                return found
            if found["status"] == "invalid":
                errors = [each["error"] for each in found.get("challenges", ()) if "error" in each]
                detail = errors[0].get("detail", "") if errors else ""
                raise UsageError(f"{what}: refused. {detail}".rstrip(" ."), exit_code=1)
            if time.monotonic() > end:
                raise UsageError(f"{what}: the authority did not decide in time", exit_code=8)
            time.sleep(pause)
            pause = min(pause * 2, 5.0)


class Refused(UsageError):
    """What the authority answered instead of what was asked for; `kind` is its problem's URN."""

    kind = ""


def _refusal(body: bytes, status: int, url: str) -> Refused:
    try:
        problem = json.loads(body)
        detail, kind = str(problem.get("detail", "")), str(problem.get("type", ""))
    except (ValueError, AttributeError):
        detail, kind = "", ""
    error = Refused(f"{url}: {status} {detail}".rstrip(), exit_code=1)
    error.kind = kind
    return error


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _request(names: Sequence[str], key: ec.EllipticCurvePrivateKey) -> bytes:
    alternatives = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])])
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    made = builder.add_extension(alternatives, critical=False).sign(key, hashes.SHA256())
    return made.public_bytes(serialization.Encoding.DER)


@contextmanager
def answering(port: int, answers: dict[str, str]) -> Iterator[int]:
    """A web server that answers the challenges and nothing else. Raises UsageError when the port is taken."""

    class Handler(BaseHTTPRequestHandler):
        timeout = 10

        def do_GET(self) -> None:
            text = answers.get(self.path)
            body = (text or "").encode()
            self.send_response(404 if text is None else 200)
            self.send_header("Content-Type", "application/octet-stream")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    try:
        server = ThreadingHTTPServer(("", port), Handler)
    except OSError as error:
        raise UsageError(
            f"port {port}: {(error.strerror or str(error)).lower()}", exit_code=1,
            hint="--webroot DIR lets the web server that is there answer",
        ) from error  # fmt: skip
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


class Webroot(dict[str, str]):
    """Answers as files below the folder of a web server that runs already."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder

    def __setitem__(self, path: str, text: str) -> None:
        if "/" in path.removeprefix(WELL_KNOWN) or path.endswith(".."):
            raise UsageError(f"the authority's token {path!r} is no file name", exit_code=1)
        file = self._folder / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        super().__setitem__(path, text)

    def remove(self) -> None:
        """Take the files away again."""
        for path in self:
            (self._folder / path.lstrip("/")).unlink(missing_ok=True)


def account_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """The key of the account, made when it is not there."""
    if not path.exists():
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        write(path, key_text(ec.generate_private_key(ec.SECP256R1())), secret=True)
    key = serialization.load_pem_private_key(path.read_bytes(), None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise UsageError(f"{path} is no key of an account", exit_code=1)
    return key


def key_text(key: ec.EllipticCurvePrivateKey) -> bytes:
    """A key as PEM."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
