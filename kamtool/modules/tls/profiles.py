"""The sections of tls.cfg as OpenSSL contexts: made and tried whole, then used whole.

A set never changes once it is made. A reload makes another; connections keep the context they began with.
"""

from __future__ import annotations

import ssl
import time
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from kamtool.errors import ConfigError, ConfigErrors, Span
from kamtool.modules.tls.config import CLIENT, CODE, METHODS, MISSING, SERVER, Domain
from kamtool.sip.flow import Address
from kamtool.transport.tls_words import explain
from kamtool.transport.x509 import BadCertificate, Certificate, one_line, read_der, read_pem, speaks_for

SAFE_CIPHERS = (
    "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:DHE+CHACHA20:RSA+AESGCM:RSA+AES:ECDHE+AES:!aNULL:!eNULL"
)
LEGACY_CIPHERS = "ALL:!aNULL:!eNULL:@SECLEVEL=0"
OLD_VERSIONS = ("TLSv1", "TLSv1.1")
VERSIONS = {
    "TLSv1": ssl.TLSVersion.TLSv1, "TLSv1.1": ssl.TLSVersion.TLSv1_1, "TLSv1.2": ssl.TLSVersion.TLSv1_2,
    "TLSv1.3": ssl.TLSVersion.TLSv1_3,
}  # fmt: skip
DAY = 86_400
PEM = "it must be PEM, as `kamtool tls issue` writes it"


@dataclass(slots=True)
class Profile:
    """A section with its context and our certificate chain, the leaf first."""

    domain: Domain
    context: ssl.SSLContext
    chain: tuple[Certificate, ...] = ()

    verifies: bool = field(init=False)

    def __post_init__(self) -> None:
        self.verifies = self.context.verify_mode is not ssl.CERT_NONE

    def objection(self, secured: Any, name: str) -> str:
        """What OpenSSL does not look at: the depth of the chain, and RFC 5922's rules for the name."""
        der: bytes | None = secured.getpeercert(True) if self.verifies else None
        if der is None:
            return ""
        depth = len(_verified_chain(secured)) - 2
        if depth > self.domain.verify_depth:
            return f"the peer's chain has {depth} issuers between, verify_depth is {self.domain.verify_depth}"
        wanted = (self.domain.server_name or name) if self.domain.role == CLIENT else ""
        if wanted and not speaks_for(read_der(der), wanted):
            return f"the peer's certificate is not for {wanted}"
        return ""


def _verified_chain(secured: Any) -> list[Any]:
    # Public from Python 3.13 on; before, only the object beneath has it.
    inner: Any = secured
    if not hasattr(inner, "get_verified_chain"):
        inner = getattr(secured, "_sslobj", None)
    return list(inner.get_verified_chain() or ()) if hasattr(inner, "get_verified_chain") else []


class ProfileSet:
    """Every profile of one tls.cfg. Raises ConfigErrors when any cannot be used."""

    def __init__(self, domains: list[Domain], *, tickets: bool = True) -> None:
        self.warnings: list[ConfigError] = []
        self.profiles: list[Profile] = []
        errors: list[ConfigError] = []
        for domain in domains:
            try:
                self.profiles.append(self._make(domain, tickets))
            except ConfigErrors as several:
                errors += several.errors
            except ConfigError as error:
                errors.append(error)
        if errors:
            raise ConfigErrors(sorted(errors, key=lambda error: error.span.line))
        self._servers = [p for p in self.profiles if p.domain.role == SERVER]
        self._clients = [p for p in self.profiles if p.domain.role == CLIENT]
        self._unnamed: dict[Address, Profile | None] = {}
        """What `server` said of clients that ask for no name."""

    # Choosing

    def server(self, local: Address, server_name: str) -> Profile | None:
        """For a connection to `local`: by name, then the section without a name, `any`, the default."""
        if server_name:
            return self._server(local, server_name)
        if local not in self._unnamed:  # there are no more of them than we have sockets
            self._unnamed[local] = self._server(local, "")
        return self._unnamed[local]

    def _server(self, local: Address, server_name: str) -> Profile | None:
        here = [p for p in self._servers if p.domain.address == local]
        anywhere = [p for p in self._servers if p.domain.is_any]
        if server_name:
            for profile in (*here, *anywhere):
                if _is_named(profile.domain, server_name):
                    return profile
        for profile in here:
            if not profile.domain.server_name:
                return profile
        # A peer that names nobody, or somebody else, gets the first section of its address.
        return here[0] if here else _default(self._servers)

    def client(self, remote: Address, server_name: str, server_id: str) -> Profile | None:
        """For a connection to `remote`: by id, by address (and name), the default."""
        if server_id:
            return next((p for p in self._clients if p.domain.server_id == server_id), None)
        here = [p for p in self._clients if p.domain.address == remote]
        named = [p for p in here if p.domain.server_name and p.domain.server_name.lower() == server_name]
        unnamed = [p for p in here if not p.domain.server_name]
        found = (*named, *unnamed, *here)
        return found[0] if found else _default(self._clients)

    # Making

    def _make(self, domain: Domain, tickets: bool) -> Profile:
        is_server = domain.role == SERVER
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if is_server else ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False  # RFC 5922's rules are others than HTTP's: see `objection`
        context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
        if is_server:
            # One is enough: a phone has one connection. OpenSSL's two cost a tenth of the handshake more.
            context.num_tickets = 1 if tickets else 0
        if is_server and not tickets:
            context.options |= ssl.OP_NO_TICKET
        self._versions(domain, context)
        _ciphers(domain, context)
        chain = self._certificate(domain, context)
        self._verify(domain, context)
        return Profile(domain, context, chain)

    def _versions(self, domain: Domain, context: ssl.SSLContext) -> None:
        lowest, highest = METHODS[domain.method.lower()]
        if lowest in OLD_VERSIONS and not domain.legacy:
            self._warn(
                f"[{domain.title}] method {domain.method} is taken as TLSv1.2+", domain.at("method"),
                "older versions are not safe; `legacy = yes` in the section allows them",
            )  # fmt: skip
            lowest, highest = "TLSv1.2", ""
        import warnings

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # the cfg asked for it, with `legacy`
            context.minimum_version = VERSIONS[lowest]
            context.maximum_version = VERSIONS[highest] if highest else ssl.TLSVersion.MAXIMUM_SUPPORTED

    def _certificate(self, domain: Domain, context: ssl.SSLContext) -> tuple[Certificate, ...]:
        if not domain.certificate:
            if domain.role == SERVER:
                raise ConfigError(
                    f"[{domain.title}] has no certificate", domain.at(), code=CODE,
                    hint="`certificate = FILE` and `private_key = FILE`; `kamtool tls init` makes both",
                )  # fmt: skip
            return ()
        span = domain.at("certificate", "private_key")
        chain = _read(Path(domain.certificate), span)
        if not chain:
            raise ConfigError(
                f"{domain.certificate} holds no certificate", span, hint="PEM is wanted", code=CODE
            )
        _load_chain(domain, context)
        _dates(chain[0], domain.certificate, span)
        self._chain(chain, domain, span)
        return tuple(chain)

    def _chain(self, chain: list[Certificate], domain: Domain, span: Span) -> None:
        """Whether each certificate was issued by the next."""
        for below, above in pairwise(chain):
            if below.issuer != above.subject:
                raise ConfigError(
                    f"the chain in {domain.certificate} is broken: {one_line(below.issuer)} issued "
                    f"{one_line(below.subject)}, but {one_line(above.subject)} follows", span,
                    hint="the server's own certificate first, then each issuer's", code=CODE,
                )  # fmt: skip
            _dates(above, domain.certificate, span)
        last = chain[-1]
        if last.is_self_issued or domain.role == CLIENT:
            return
        known = {certificate.subject for certificate in _read(Path(domain.ca_list), span)} if (
            domain.ca_list and Path(domain.ca_list).is_file()
        ) else set()  # fmt: skip
        if last.issuer not in known and last.issuer not in _system_roots():
            if last.issuer_at and not last.is_ca:
                # Who makes an authority for himself writes no such address; who has one for all to see
                # issues from below his root, and no peer has what is between.
                raise ConfigError(
                    f"the chain in {domain.certificate} is incomplete: the certificate of "
                    f"{one_line(last.issuer)} is missing", span, code=CODE,
                    hint=f"append it to the file (in certbot's fullchain.pem); it is at {last.issuer_at}; "
                    "if all peers have it as their root, `ca_list = FILE` says so",
                )  # fmt: skip
            self._warn(
                f"the issuer of {domain.certificate} is not known here: {one_line(last.issuer)}",
                span,
                "unless all peers have it as their root, append the issuer's certificate to the file",
            )

    def _verify(self, domain: Domain, context: ssl.SSLContext) -> None:
        wanted = domain.verify_certificate or (domain.require_certificate and domain.role == SERVER)
        context.verify_mode = ssl.CERT_NONE
        if domain.ca_list or domain.ca_path:
            _load_authorities(domain, context)
        elif wanted:
            context.load_default_certs(
                ssl.Purpose.CLIENT_AUTH if domain.role == SERVER else ssl.Purpose.SERVER_AUTH
            )
        if not wanted:
            return
        must = domain.require_certificate or domain.role == CLIENT
        context.verify_mode = ssl.CERT_REQUIRED if must else ssl.CERT_OPTIONAL
        if domain.crl:
            try:
                context.load_verify_locations(domain.crl)
            except (OSError, ssl.SSLError) as error:
                raise _unusable("crl", domain.crl, error, domain.at("crl")) from error
            context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF

    def _warn(self, text: str, span: Span, hint: str) -> None:
        self.warnings.append(ConfigError(text, span, hint=hint, code=CODE, severity="warning"))


def _is_named(domain: Domain, name: str) -> bool:
    """`server_name_mode`: 0 the name itself, 1 also what is below it, 2 only what is below it."""
    wanted = domain.server_name.lower()
    if not wanted:
        return False
    below = name.endswith(f".{wanted}")
    return {0: name == wanted, 1: name == wanted or below, 2: below}.get(domain.server_name_mode, False)


def _default(profiles: list[Profile]) -> Profile | None:
    plain = (p for p in profiles if p.domain.address is None and not p.domain.is_any)
    return next(plain, None)


def _ciphers(domain: Domain, context: ssl.SSLContext) -> None:
    wanted = domain.cipher_list or (LEGACY_CIPHERS if domain.legacy else SAFE_CIPHERS)
    if domain.legacy and "SECLEVEL" not in wanted:
        wanted += ":@SECLEVEL=0"
    try:
        context.set_ciphers(wanted)
    except ssl.SSLError as error:
        raise ConfigError(
            f"cipher_list {wanted!r} names no cipher that OpenSSL has", domain.at("cipher_list"),
            hint="leave it out for a safe choice; `openssl ciphers -v` lists the words", code=CODE,
        ) from error  # fmt: skip


def _load_chain(domain: Domain, context: ssl.SSLContext) -> None:
    key = domain.private_key or domain.certificate
    span = domain.at("private_key", "certificate")
    if not Path(key).is_file():
        raise _unusable("private key", key, FileNotFoundError(2, "no such file"), span)

    def no_password() -> str:
        raise ConfigError(
            f"the private key {key} is encrypted", span, code=CODE,
            hint="a server must start alone: `openssl pkey -in KEY -out NEW`, mode 0600",
        )  # fmt: skip

    try:
        context.load_cert_chain(domain.certificate, key, no_password)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise ConfigError(
                f"the private key {key} does not belong to the certificate {domain.certificate}", span,
                hint="name the key it was made with, or make a new pair: `kamtool tls issue NAME`", code=CODE,
            ) from error  # fmt: skip
        if error.reason == "EE_KEY_TOO_SMALL":
            raise ConfigError(
                f"the key of {domain.certificate} is too short for OpenSSL's security level",
                domain.at("certificate"), hint="make a new one (P-256 or RSA 2048), or `legacy = yes`",
                code=CODE,
            ) from error  # fmt: skip
        raise _unusable("private key", key, error, span) from error
    except OSError as error:
        raise _unusable("private key", key, error, span) from error


def _load_authorities(domain: Domain, context: ssl.SSLContext) -> None:
    span = domain.at("ca_list", "ca_path")
    try:
        context.load_verify_locations(domain.ca_list or None, domain.ca_path or None)
    except (OSError, ssl.SSLError) as error:
        raise _unusable("ca_list", domain.ca_list or domain.ca_path, error, span) from error


def _read(path: Path, span: Span) -> list[Certificate]:
    try:
        return read_pem(path.read_bytes())
    except BadCertificate as error:
        raise ConfigError(f"{path}: {error}", span, hint=PEM, code=CODE) from error
    except OSError as error:
        raise _unusable("certificate", str(path), error, span) from error


def _unusable(what: str, name: str, error: OSError, span: Span) -> ConfigError:
    reason = explain(error) if isinstance(error, ssl.SSLError) else (error.strerror or str(error)).lower()
    hints = {2: "paths are relative to the cfg's folder, or with a leading `.` to the working directory",
             13: "the server's user must be able to read it"}  # fmt: skip
    if isinstance(error, ssl.SSLError):
        hint, code = PEM, CODE
    else:
        hint = hints.get(error.errno or 0, "")
        code = MISSING if hint else CODE
    return ConfigError(f"cannot use {what} {name}: {reason}", span, hint=hint, code=code)


def _dates(certificate: Certificate, file: str, span: Span) -> None:
    now = time.time()
    if certificate.not_after_epoch < now:
        days = int(now - certificate.not_after_epoch) // DAY
        raise ConfigError(
            f"the certificate {one_line(certificate.subject)} in {file} expired {days} days ago", span,
            hint="`kamtool tls renew` makes a new one if it is from our own CA", code=CODE,
        )  # fmt: skip
    if certificate.not_before_epoch > now + DAY:
        raise ConfigError(
            f"the certificate {one_line(certificate.subject)} in {file} is not valid yet", span,
            hint="is the clock right?", code=CODE,
        )  # fmt: skip


def _system_roots() -> set[tuple[tuple[str, str], ...]]:
    """The subjects in the system's trust store, where it is one file."""
    file = ssl.get_default_verify_paths().cafile
    try:
        return {root.subject for root in read_pem(Path(file).read_bytes())} if file else set()
    except (OSError, BadCertificate):
        return set()
