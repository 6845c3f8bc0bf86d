"""What a certificate says of itself: subject, issuer, dates, names.

The standard library shows only certificates that were verified, and the server process goes without a
cryptography library; so here is a reader of the few fields that are needed (RFC 5280 §4.1). It verifies
nothing: OpenSSL does.
"""

from __future__ import annotations

import re
import ssl
from calendar import timegm
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from ipaddress import ip_address
from time import strptime

SEQUENCE, SET, INTEGER, BIT_STRING, OCTET_STRING, OID, BOOLEAN = 0x30, 0x31, 2, 3, 4, 6, 1
UTC_TIME, GENERALIZED_TIME, BMP_STRING, UNIVERSAL_STRING = 0x17, 0x18, 0x1E, 0x1C
VERSION, EXTENSIONS = 0xA0, 0xA3

NAMES = {
    "2.5.4.3": "CN", "2.5.4.6": "C", "2.5.4.7": "L", "2.5.4.8": "ST", "2.5.4.10": "O", "2.5.4.11": "OU",
    "0.9.2342.19200300.100.1.1": "UID", "1.2.840.113549.1.9.1": "emailAddress", "2.5.4.5": "serialNumber",
    "0.9.2342.19200300.100.1.25": "DC",
}  # fmt: skip
SUBJECT_ALT_NAME, BASIC_CONSTRAINTS, EXTENDED_KEY_USAGE = "2.5.29.17", "2.5.29.19", "2.5.29.37"
AUTHORITY_INFORMATION, ISSUERS = "1.3.6.1.5.5.7.1.1", "1.3.6.1.5.5.7.48.2"
SIP_DOMAIN_USAGE, ANY_USAGE = "1.3.6.1.5.5.7.3.20", "2.5.29.37.0"
ALT_NAMES = {0x81: "email", 0x82: "dns", 0x86: "uri", 0x87: "ip"}

_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


class BadCertificate(ValueError):
    """Bytes that are no certificate."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """One certificate. Dates are seconds since the epoch; names are pairs such as ("CN", "example.com")."""

    der: bytes
    version: int
    serial: int
    subject: tuple[tuple[str, str], ...]
    issuer: tuple[tuple[str, str], ...]
    not_before_epoch: int
    not_after_epoch: int
    is_ca: bool = False
    usages: frozenset[str] = frozenset()
    alt_names: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """By kind: email, dns, uri, ip."""
    issuer_at: str = ""
    """Where its issuer's certificate is to be had (RFC 5280 §4.2.2.1), as public issuers write it."""

    def part(self, name: str, *, issuer: bool = False) -> str:
        """The last value of CN, O … in the subject or issuer, "" when there is none."""
        pairs = self.issuer if issuer else self.subject
        return next((value for key, value in reversed(pairs) if key == name), "")

    @property
    def is_self_issued(self) -> bool:
        return self.subject == self.issuer

    def pem(self) -> str:
        return ssl.DER_cert_to_PEM_cert(self.der)


def one_line(pairs: tuple[tuple[str, str], ...]) -> str:
    """A name as OpenSSL's one-line form, e.g. `/C=DE/CN=example.com`."""
    return "".join(f"/{key}={value}" for key, value in pairs)


def shown_date(epoch: int) -> str:
    """A date as OpenSSL prints it, e.g. `Nov 23 03:26:43 2026 GMT`."""
    moment = datetime.fromtimestamp(epoch, UTC)
    return f"{moment:%b} {moment.day:2} {moment:%H:%M:%S %Y} GMT"


def read_pem(data: bytes) -> list[Certificate]:
    """The certificates in the text of a PEM file, in order. Raises BadCertificate."""
    found = []
    for block in _PEM.findall(data):
        try:
            der = ssl.PEM_cert_to_DER_cert(block.decode("ascii"))
        except ValueError as error:
            raise BadCertificate(f"damaged: {error}") from error
        found.append(read_der(der))
    return found


@lru_cache(1024)
def read_der(der: bytes) -> Certificate:
    """A certificate taken apart. Raises BadCertificate."""
    try:
        return _certificate(der)
    except BadCertificate:
        raise
    except (IndexError, ValueError, OverflowError, OSError, StopIteration) as error:
        raise BadCertificate(f"damaged: {error}") from error


def _certificate(der: bytes) -> Certificate:
    (tag, body), *_ = _elements(der)
    if tag != SEQUENCE:
        raise BadCertificate("no certificate")
    signed = next(_elements(body))[1]
    rows = list(_elements(signed))
    version = int.from_bytes(next(_elements(rows.pop(0)[1]))[1], "big") if rows[0][0] == VERSION else 0
    serial, _, issuer, validity, subject = (value for _, value in rows[:5])
    before, after = (_epoch(kind, value) for kind, value in _elements(validity))
    facts: dict[str, bytes] = {}
    for kind, value in rows[5:]:
        if kind == EXTENSIONS:
            facts = dict(map(_extension, (each for _, each in _elements(next(_elements(value))[1]))))
    return Certificate(
        der, version, int.from_bytes(serial, "big", signed=True), _name(subject), _name(issuer),
        before, after, _is_ca(facts.get(BASIC_CONSTRAINTS)), _usages(facts.get(EXTENDED_KEY_USAGE)),
        _alt_names(facts.get(SUBJECT_ALT_NAME)), _issuer_at(facts.get(AUTHORITY_INFORMATION)),
    )  # fmt: skip


def _elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Each (tag, value) of a DER sequence's content."""
    at = 0
    while at < len(data):
        tag, size = data[at], data[at + 1]
        at += 2
        if size & 0x80:
            octets = size & 0x7F
            if not 1 <= octets <= 4:
                raise BadCertificate("a length that DER does not have")
            size = int.from_bytes(data[at : at + octets], "big")
            at += octets
        if at + size > len(data):
            raise BadCertificate("shorter than it says")
        yield tag, data[at : at + size]
        at += size


def _extension(body: bytes) -> tuple[str, bytes]:
    rows = list(_elements(body))
    return _oid(rows[0][1]), rows[-1][1]


def _oid(data: bytes) -> str:
    numbers, value = [data[0] // 40, data[0] % 40], 0
    for octet in data[1:]:
        value = value << 7 | octet & 0x7F
        if not octet & 0x80:
            numbers.append(value)
            value = 0
    return ".".join(map(str, numbers))


def _name(data: bytes) -> tuple[tuple[str, str], ...]:
    pairs = []
    for _, group in _elements(data):
        for _, pair in _elements(group):
            (_, kind), (tag, value) = _elements(pair)
            oid = _oid(kind)
            pairs.append((NAMES.get(oid, oid), _text(tag, value)))
    return tuple(pairs)


def _text(tag: int, value: bytes) -> str:
    codec = {BMP_STRING: "utf-16-be", UNIVERSAL_STRING: "utf-32-be"}.get(tag, "utf-8")
    return value.decode(codec, "replace")


def _epoch(tag: int, value: bytes) -> int:
    text = value.decode("ascii")
    if tag == UTC_TIME:
        text = ("19" if text[:2] >= "50" else "20") + text
    return timegm(strptime(text, "%Y%m%d%H%M%SZ"))


def _is_ca(data: bytes | None) -> bool:
    if not data:
        return False
    return any(tag == BOOLEAN and any(value) for tag, value in _elements(next(_elements(data))[1]))


def _usages(data: bytes | None) -> frozenset[str]:
    return frozenset(_oid(value) for _, value in _elements(next(_elements(data))[1])) if data else frozenset()


def _alt_names(data: bytes | None) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for tag, value in _elements(next(_elements(data))[1]) if data else ():
        kind = ALT_NAMES.get(tag)
        if kind == "ip":
            found[kind] = (*found.get(kind, ()), str(ip_address(value)))
        elif kind:
            found[kind] = (*found.get(kind, ()), value.decode("utf-8", "replace"))
    return found


def _issuer_at(data: bytes | None) -> str:
    for _, entry in _elements(next(_elements(data))[1]) if data else ():
        (_, kind), (tag, place) = list(_elements(entry))[:2]
        if _oid(kind) == ISSUERS and ALT_NAMES.get(tag) == "uri":
            return place.decode("utf-8", "replace")
    return ""


# Whom a certificate is for (RFC 5922 §7) -----------------------------------------------------------------


def sip_identities(certificate: Certificate) -> list[str]:
    """The domains and addresses that a certificate speaks for, in lower case.

    §7.1: the `sip:` URIs that name a whole domain; without any, the DNS names; without alternative names of
    either kind, the common name. The addresses are there beside them.
    """
    names = certificate.alt_names
    domains = [uri[4:] for uri in names.get("uri", ()) if uri[:4].lower() == "sip:" and "@" not in uri]
    domains = [domain for domain in domains if ";" not in domain and "?" not in domain]
    domains = domains or list(names.get("dns", ()))
    if not domains and not names.get("uri"):
        domains = [certificate.part("CN")] if certificate.part("CN") else []
    return [name.rstrip(".").lower() for name in (*domains, *names.get("ip", ()))]


def speaks_for(certificate: Certificate, host: str) -> bool:
    """Whether the certificate is good for `host` (§7.2: the whole name; a wildcard matches nothing).

    RFC 5922 lets the URIs decide alone when there are any; the DNS names are taken beside them here, as the
    public authorities issue no certificate with a `sip:` URI and all peers fill in both.
    """
    host = host.strip("[]").rstrip(".").lower()
    names = sip_identities(certificate)
    names += [name.lower().rstrip(".") for name in certificate.alt_names.get("dns", ())]
    return host in names
