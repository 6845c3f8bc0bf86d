"""A small certificate authority in a folder: for SIP servers, phones and tests (`kamtool tls`).

ca.pem ca.key        the authority; the key is 0600, as are all keys here
crl.pem              what was revoked
issued.json          what was issued, by serial number
NAME.pem NAME.key    a certificate with its key
"""

from __future__ import annotations

import json
import os
import re
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from kamtool.errors import UsageError

CA_DAYS, LEAF_DAYS, CRL_DAYS = 3650, 90, 30
BACKDATE = timedelta(hours=1)
"""Clocks differ: what is issued is valid from a little before now."""
SIP_DOMAIN = x509.ObjectIdentifier("1.3.6.1.5.5.7.3.20")
"""id-kp-sipDomain (RFC 5924)."""
NOT_FOUND, EXISTS, FAILED = 3, 4, 1

_HOST = re.compile(r"^(?=.{1,253}$)(?:\*\.)?[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
                   r"(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)*$")  # fmt: skip


@dataclass(slots=True)
class Issued:
    """One certificate that the authority made. Dates are seconds since the epoch."""

    serial: str
    names: list[str]
    kind: str
    """`server` or `client`."""
    certificate: str
    key: str
    not_after_epoch: int
    days: int
    user: str = ""
    revoked_epoch: int = 0

    def left(self, now: datetime | None = None) -> timedelta:
        """How long it is still valid; negative when it is not."""
        return datetime.fromtimestamp(self.not_after_epoch, UTC) - (now or datetime.now(UTC))


class Authority:
    """The authority in `folder`. Raises UsageError for what cannot be done there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.certificate_file, self.key_file = folder / "ca.pem", folder / "ca.key"
        if not self.certificate_file.is_file():
            raise UsageError(
                f"no authority in {folder}", exit_code=NOT_FOUND, hint="`kamtool tls init` makes one"
            )
        self.certificate = x509.load_pem_x509_certificate(self.certificate_file.read_bytes())

    @classmethod
    def create(
        cls, folder: Path, name: str, *, days: int = CA_DAYS, only_for: Sequence[str] = ()
    ) -> Authority:
        """A new authority. `only_for` limits it to these domains and networks (name constraints)."""
        if (folder / "ca.pem").exists() or (folder / "ca.key").exists():
            raise UsageError(f"{folder} has an authority already", exit_code=EXISTS)
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder().subject_name(subject).issuer_name(subject)
            .public_key(key.public_key()).serial_number(x509.random_serial_number())
            .not_valid_before(now - BACKDATE).not_valid_after(now + timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_ca_usage(), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        )  # fmt: skip
        if only_for:
            permitted = [_constraint(each) for each in only_for]
            builder = builder.add_extension(x509.NameConstraints(permitted, None), critical=True)
        write(folder / "ca.key", _key_text(key), secret=True)
        write(folder / "ca.pem", _pem(builder.sign(key, hashes.SHA256())))
        made = cls(folder)
        made.write_crl()
        return made

    # What was issued

    def issued(self) -> list[Issued]:
        """Everything that was issued, the oldest first."""
        try:
            rows = json.loads((self.folder / "issued.json").read_text())
            return [Issued(**row) for row in rows]
        except FileNotFoundError:
            return []
        except (ValueError, TypeError) as error:
            raise UsageError(
                f"{self.folder / 'issued.json'} is damaged: {error}", exit_code=FAILED
            ) from error

    def _keep(self, rows: list[Issued]) -> None:
        write(self.folder / "issued.json", json.dumps([asdict(row) for row in rows], indent=1).encode())

    def current(self) -> Iterator[Issued]:
        """What is neither revoked nor replaced."""
        latest = {row.certificate: row for row in self.issued()}
        return (row for row in latest.values() if not row.revoked_epoch)

    def find(self, name: str) -> Issued:
        """The certificate in use of this name, file or serial number."""
        for row in self.current():
            if name in (row.serial, row.certificate, Path(row.certificate).stem, row.user, *row.names):
                return row
        known = ", ".join(sorted(Path(row.certificate).stem for row in self.current())) or "nothing yet"
        raise UsageError(f"no certificate {name!r}", exit_code=NOT_FOUND, hint=f"issued: {known}")

    # Issuing

    def issue(
        self, names: Sequence[str], *, client: bool = False, user: str = "", days: int = LEAF_DAYS,
        stem: str = "", key: ec.EllipticCurvePrivateKey | None = None, replace: bool = False,
        only_sip: bool = False,
    ) -> Issued:  # fmt: skip
        """A certificate for DNS names, addresses and, with `user`, `sip:user@domain` (RFC 5922).

        For a server each DNS name is also there as `sip:name`. `only_sip` says that it is for nothing but SIP
        (RFC 5924). An existing file is replaced only with `replace`.
        """
        if not names:
            raise UsageError("a certificate needs at least one name")
        if days < 1:
            raise UsageError("a certificate must be valid for at least a day")
        alternatives = [_name(name) for name in names]
        domains = [each.value for each in alternatives if isinstance(each, x509.DNSName)]
        if user:
            alternatives += [_uri(f"sip:{user}@{domain}") for domain in domains]
        elif not client:
            alternatives += [_uri(f"sip:{domain}") for domain in domains if "*" not in domain]
        stem = stem or (f"{user}@{names[0]}" if user else str(names[0])).replace("*", "_").replace(":", "_")
        certificate_file, key_file = self.folder / f"{stem}.pem", self.folder / f"{stem}.key"
        if stem in ("ca", "crl") or (certificate_file.exists() and not replace):
            raise UsageError(
                f"{certificate_file} exists", exit_code=EXISTS, hint=f"`kamtool tls renew {stem}` renews it"
            )
        key = key or ec.generate_private_key(ec.SECP256R1())
        certificate = self._sign(key, user or str(names[0]), alternatives, client, days, only_sip)
        write(key_file, _key_text(key), secret=True)
        write(certificate_file, _pem(certificate))
        made = Issued(
            f"{certificate.serial_number:x}", list(names), "client" if client else "server",
            str(certificate_file), str(key_file), int(certificate.not_valid_after_utc.timestamp()), days,
            user,
        )  # fmt: skip
        self._keep([*self.issued(), made])
        return made

    def _sign(
        self, key: ec.EllipticCurvePrivateKey, common_name: str, names: Sequence[x509.GeneralName],
        client: bool, days: int, only_sip: bool,
    ) -> x509.Certificate:  # fmt: skip
        ca_key, now = self._ca_key(), datetime.now(UTC)
        # A SIP server is also a client of other servers (RFC 5922 §7.1 asks for neither; OpenSSL for both).
        usages = [ExtendedKeyUsageOID.CLIENT_AUTH]
        if not client:
            usages.insert(0, ExtendedKeyUsageOID.SERVER_AUTH)
        if only_sip:
            usages.append(SIP_DOMAIN)
        end = min(now + timedelta(days=days), self.certificate.not_valid_after_utc)
        public = self.certificate.public_key()
        assert isinstance(public, ec.EllipticCurvePublicKey)
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name[:64])]))
            .issuer_name(self.certificate.subject).public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - BACKDATE).not_valid_after(end)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_leaf_usage(), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(public), critical=False)
        )  # fmt: skip
        return builder.sign(ca_key, hashes.SHA256())

    def _ca_key(self) -> ec.EllipticCurvePrivateKey:
        try:
            key = serialization.load_pem_private_key(self.key_file.read_bytes(), None)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise UsageError(f"the authority's key {self.key_file}: {reason}", exit_code=6) from error
        except (ValueError, TypeError) as error:
            raise UsageError(f"the authority's key {self.key_file}: {error}", exit_code=FAILED) from error
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise UsageError(f"{self.key_file} is no elliptic curve key", exit_code=FAILED)
        return key

    def renew(self, row: Issued, *, days: int = 0, new_key: bool = False) -> Issued:
        """The same certificate with new dates; the key stays, so that the two files never part.

        With `new_key` a reader may meet the old key beside the new certificate for a moment.
        """
        key = None
        if not new_key:
            loaded = serialization.load_pem_private_key(Path(row.key).read_bytes(), None)
            key = loaded if isinstance(loaded, ec.EllipticCurvePrivateKey) else None
        return self.issue(
            row.names, client=row.kind == "client", user=row.user, days=days or row.days,
            stem=Path(row.certificate).stem, key=key, replace=True,
        )  # fmt: skip

    # Revoking

    def revoke(self, row: Issued) -> None:
        """Take a certificate back, and write it into crl.pem."""
        rows = self.issued()
        for each in rows:
            if each.serial == row.serial:
                each.revoked_epoch = int(datetime.now(UTC).timestamp())
        self._keep(rows)
        self.write_crl()

    def write_crl(self) -> Path:
        """crl.pem: every certificate that was revoked, valid for CRL_DAYS."""
        now = datetime.now(UTC)
        builder = (
            x509.CertificateRevocationListBuilder().issuer_name(self.certificate.subject)
            .last_update(now - BACKDATE).next_update(now + timedelta(days=CRL_DAYS))
        )  # fmt: skip
        for row in self.issued():
            if row.revoked_epoch:
                builder = builder.add_revoked_certificate(
                    x509.RevokedCertificateBuilder().serial_number(int(row.serial, 16))
                    .revocation_date(datetime.fromtimestamp(row.revoked_epoch, UTC)).build()
                )  # fmt: skip
        path = self.folder / "crl.pem"
        crl = builder.sign(self._ca_key(), hashes.SHA256())
        write(path, crl.public_bytes(serialization.Encoding.PEM))
        return path

    # Handing out

    def bundle(self, row: Issued, password: str = "") -> bytes:
        """Certificate, key and authority in one: PKCS#12 with a password, else PEM."""
        from cryptography.hazmat.primitives.serialization import pkcs12

        certificate = x509.load_pem_x509_certificate(Path(row.certificate).read_bytes())
        key = serialization.load_pem_private_key(Path(row.key).read_bytes(), None)
        if not password:
            return Path(row.key).read_bytes() + _pem(certificate) + _pem(self.certificate)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        return pkcs12.serialize_key_and_certificates(
            (row.user or row.names[0]).encode(), key, certificate, [self.certificate],
            serialization.BestAvailableEncryption(password.encode()),
        )  # fmt: skip


def write(path: Path, data: bytes, *, secret: bool = False) -> None:
    """Put a file in place at once: a reader sees the old one or the new one. A secret is never but 0600."""
    scratch = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if secret else 0o644)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(path)
    except BaseException:
        scratch.unlink(missing_ok=True)
        raise


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_text(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _usage(**given: bool) -> x509.KeyUsage:
    names = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment",
             "key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only")  # fmt: skip
    facts: dict[str, Any] = {name: given.get(name, False) for name in names}
    return x509.KeyUsage(**facts)


def _ca_usage() -> x509.KeyUsage:
    return _usage(digital_signature=True, key_cert_sign=True, crl_sign=True)


def _leaf_usage() -> x509.KeyUsage:
    return _usage(digital_signature=True, key_agreement=True)


def _name(text: str) -> x509.GeneralName:
    """A DNS name or an address. Raises UsageError."""
    text = text.strip("[]").rstrip(".")
    try:
        return x509.IPAddress(ip_address(text))
    except ValueError:
        pass
    name = text.lower()
    if not name.isascii():
        try:
            name = name.encode("idna").decode()
        except UnicodeError:
            name = ""
    if not _HOST.match(name):
        raise UsageError(f"{text!r} is neither a host name nor an address")
    return x509.DNSName(name)


def _uri(text: str) -> x509.GeneralName:
    try:
        return x509.UniformResourceIdentifier(text)
    except ValueError as error:
        raise UsageError(f"{text!r} cannot stand in a certificate: {error}") from error


def _constraint(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_network(text, strict=False))
    except ValueError:
        return _name(text)
