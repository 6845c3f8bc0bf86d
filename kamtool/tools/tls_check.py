"""What a TLS server, a certificate file or a tls.cfg is worth: findings, the worst of which decides."""

from __future__ import annotations

import socket as sockets
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from kamtool.errors import ConfigError, ConfigErrors, UsageError
from kamtool.transport.x509 import (
    BadCertificate,
    Certificate,
    one_line,
    read_der,
    read_pem,
    sip_identities,
    speaks_for,
)

Verdict = Literal["ok", "attention", "failed"]
DAY = 86_400
SOON_DAYS = 30
MIN_RSA_BITS = 2048


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at: what, how it is, and what was found."""

    what: str
    verdict: Verdict
    found: str


def worst(findings: list[Finding]) -> Verdict:
    """The verdict on all."""
    verdicts = {each.verdict for each in findings}
    return "failed" if "failed" in verdicts else "attention" if "attention" in verdicts else "ok"


# A server ------------------------------------------------------------------------------------------------


def check_server(host: str, port: int, name: str, authorities: Path | None, timeout: float) -> list[Finding]:
    """Connect and look. `name` is what the certificate should be for; `authorities` a PEM file of roots."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with _connect(context, host, port, name, timeout) as secure:
            version, cipher = secure.version() or "", secure.cipher() or ("", "", 0)
            chain = _chain(secure)
    except ssl.SSLError as error:
        return [Finding("handshake", "failed", (error.reason or str(error)).lower().replace("_", " "))]
    except OSError as error:
        raise UsageError(f"{host}:{port}: {(error.strerror or str(error)).lower()}", exit_code=5) from error
    findings = [
        Finding("protocol", "ok" if version in ("TLSv1.2", "TLSv1.3") else "attention", version),
        Finding("cipher", "ok" if cipher[2] >= 128 else "attention", f"{cipher[0]}, {cipher[2]} bits"),
    ]
    findings.append(_verified(host, port, name, authorities, timeout))
    if not chain:
        return [*findings, Finding("certificate", "failed", "the server showed none")]
    return [*findings, *_certificate(chain[0], name), Finding("sent", "ok", _sent(chain))]


def _connect(context: ssl.SSLContext, host: str, port: int, name: str, timeout: float) -> ssl.SSLSocket:
    plain = sockets.create_connection((host, port), timeout)
    try:
        return context.wrap_socket(plain, server_hostname=name)
    except BaseException:
        plain.close()
        raise


def _chain(secure: ssl.SSLSocket) -> list[Certificate]:
    inner: Any = getattr(secure, "_sslobj", None)
    found: list[bytes] = []
    if hasattr(secure, "get_unverified_chain"):  # Python 3.13
        found = secure.get_unverified_chain()
    elif hasattr(inner, "get_unverified_chain"):
        found = [ssl.PEM_cert_to_DER_cert(each.public_bytes()) for each in inner.get_unverified_chain() or ()]
    else:
        leaf = secure.getpeercert(binary_form=True)
        found = [leaf] if leaf else []
    return [read_der(each) for each in found]


def _sent(chain: list[Certificate]) -> str:
    return " <- ".join(each.part("CN") or one_line(each.subject) for each in chain)


def _verified(host: str, port: int, name: str, authorities: Path | None, timeout: float) -> Finding:
    """Whether the chain leads to an authority that is trusted. The name is looked at apart from it."""
    try:
        context = ssl.create_default_context(cafile=str(authorities) if authorities else None)
    except (OSError, ssl.SSLError) as error:
        raise UsageError(f"{authorities}: no authorities to trust: {error}") from error
    context.check_hostname = False
    trusted = f"trusted by {authorities or 'the system'}"
    try:
        with _connect(context, host, port, name, timeout):
            return Finding("chain", "ok", trusted)
    except ssl.SSLCertVerificationError as error:
        return Finding("chain", "failed", f"not {trusted}: {error.verify_message}")
    except ssl.SSLError as error:
        return Finding("chain", "failed", (error.reason or str(error)).lower().replace("_", " "))
    except OSError as error:
        return Finding("chain", "failed", (error.strerror or str(error)).lower())


# A certificate -------------------------------------------------------------------------------------------


def _certificate(certificate: Certificate, name: str) -> Iterator[Finding]:
    identities = sip_identities(certificate)
    shown = ", ".join(dict.fromkeys([*identities, *certificate.alt_names.get("dns", ())])) or "nobody"
    if not name:
        yield Finding("name", "ok", shown)
    elif speaks_for(certificate, name):
        yield Finding("name", "ok", f"for {name} (RFC 5922); it names {shown}")
    else:
        yield Finding("name", "failed", f"not for {name}: it names {shown}")
    yield _dates(certificate)
    yield _key(certificate)


def _dates(certificate: Certificate) -> Finding:
    left = (certificate.not_after_epoch - time.time()) / DAY
    until = datetime.fromtimestamp(certificate.not_after_epoch, UTC).strftime("%Y-%m-%d")
    if certificate.not_before_epoch > time.time():
        return Finding("dates", "failed", "not valid yet")
    if left < 0:
        return Finding("dates", "failed", f"expired on {until}")
    return Finding("dates", "attention" if left < SOON_DAYS else "ok", f"until {until}, {int(left)} days")


def _key(certificate: Certificate) -> Finding:
    loaded = x509.load_der_x509_certificate(certificate.der)
    key = loaded.public_key()
    digest = loaded.signature_hash_algorithm
    signed = f"signed with {digest.name.upper()}" if digest else "signed"
    weak = digest is not None and digest.name in ("md5", "sha1")
    if isinstance(key, rsa.RSAPublicKey):
        weak = weak or key.key_size < MIN_RSA_BITS
        return Finding("key", "attention" if weak else "ok", f"RSA, {key.key_size} bits, {signed}")
    if isinstance(key, ec.EllipticCurvePublicKey):
        return Finding("key", "attention" if weak else "ok", f"{key.curve.name}, {signed}")
    return Finding("key", "attention" if weak else "ok", f"{type(key).__name__}, {signed}")


def check_file(path: Path, key: Path | None, name: str) -> list[Finding]:
    """A certificate file with its key, or a tls.cfg."""
    if path.suffix == ".cfg":
        return check_cfg(path)
    try:
        data = path.read_bytes()
        chain = read_pem(data)
    except OSError as error:
        raise UsageError(f"{path}: {(error.strerror or str(error)).lower()}", exit_code=3) from error
    except BadCertificate as error:
        return [Finding("certificate", "failed", str(error))]
    if not chain:
        return [Finding("certificate", "failed", "the file holds none (PEM is wanted)")]
    findings = [Finding("certificate", "ok", one_line(chain[0].subject)), *_certificate(chain[0], name)]
    for below, above in pairwise(chain):
        if below.issuer != above.subject:
            findings.append(
                Finding("chain", "failed", f"{one_line(above.subject)} did not issue what is before it")
            )
    if len(chain) > 1 and findings[-1].what != "chain":
        findings.append(Finding("chain", "ok", _sent(chain)))
    own = key or (path.with_suffix(".key") if path.with_suffix(".key").is_file() else None)
    if own is None and b"PRIVATE KEY" in data:
        own = path
    if own is not None:
        findings.append(_match(chain[0], own))
    return findings


def _match(certificate: Certificate, path: Path) -> Finding:
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), None)
    except OSError as error:
        return Finding("key match", "failed", f"{path}: {(error.strerror or str(error)).lower()}")
    except TypeError:
        return Finding("key match", "attention", f"{path} is encrypted")
    except ValueError:
        return Finding("key match", "failed", f"{path} is no private key")
    form = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    theirs = x509.load_der_x509_certificate(certificate.der).public_key().public_bytes(*form)
    if key.public_key().public_bytes(*form) != theirs:
        return Finding("key match", "failed", f"{path} belongs to another certificate")
    mode = path.stat().st_mode & 0o077
    if mode:
        return Finding("key match", "attention", f"{path} matches, but others may read it: chmod 600")
    return Finding("key match", "ok", str(path))


def check_cfg(path: Path) -> list[Finding]:
    """Every section of a tls.cfg, as the server would load it."""
    from kamtool.modules.tls import config
    from kamtool.modules.tls.profiles import ProfileSet

    try:
        made = ProfileSet(config.read(path, path.resolve().parent))
    except ConfigErrors as several:
        return [_from_error(error) for error in several.errors]
    except ConfigError as error:
        return [_from_error(error)]
    findings = [_from_error(error) for error in made.warnings]
    for profile in made.profiles:
        title = f"[{profile.domain.title}]" + (
            f" {profile.domain.server_name}" if profile.domain.server_name else ""
        )
        if profile.chain:
            dates = _dates(profile.chain[0])
            findings.append(Finding(title, dates.verdict, f"{profile.domain.certificate}, {dates.found}"))
        else:
            findings.append(Finding(title, "ok", "no certificate of its own"))
    return findings


def _from_error(error: ConfigError) -> Finding:
    where = f"{error.span.file}:{error.span.line}" if error.span.file else "tls.cfg"
    text = error.message + (f" ({error.hint})" if error.hint else "")
    return Finding(where, "attention" if error.severity == "warning" else "failed", text)
