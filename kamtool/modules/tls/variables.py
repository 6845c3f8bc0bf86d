"""`$tls_*`: what is known of the TLS connection that a message came by."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from kamtool.module import Value, pv
from kamtool.transport.tls import TlsConnection
from kamtool.transport.x509 import BadCertificate, Certificate, one_line, read_der, shown_date

if TYPE_CHECKING:
    from kamtool.script.context import Context

CONNECTION = "tls.connection"
PARTS = {
    "cn": "CN", "locality": "L", "country": "C", "state": "ST", "organization": "O", "unit": "OU",
    "uid": "UID",
}  # fmt: skip
KINDS = {"email": "email", "hostname": "dns", "uri": "uri", "ip": "ip"}
WORDS = {
    "cn": "common name", "locality": "locality", "country": "country", "state": "state or province",
    "organization": "organization", "unit": "organizational unit", "uid": "user id",
}  # fmt: skip


def connection_of(ctx: Context) -> TlsConnection | None:
    """The TLS connection of a message, also when HTTP or WebSocket is spoken on it."""
    number = ctx.flow.connection
    if ctx._scratch is not None:
        number = ctx._scratch.get(CONNECTION, number)
    transports: Any = getattr(ctx.host, "transports", None)
    found = transports.tcp.connections.get(number) if transports is not None and number else None
    return found if isinstance(found, TlsConnection) and not found.connecting else None


def theirs(ctx: Context) -> Certificate | None:
    """The peer's certificate."""
    connection = connection_of(ctx)
    der = connection.peer_certificate() if connection is not None else None
    try:
        return read_der(der) if der else None
    except BadCertificate:
        return None


def ours(ctx: Context) -> Certificate | None:
    """The certificate that we showed."""
    connection = connection_of(ctx)
    chain: Any = getattr(connection.profile, "chain", ()) if connection is not None else ()
    return chain[0] if chain else None


class Names:
    """The pseudo-variables that come in rows: peer and my, subject and issuer, part by part."""


def _add(name: str, doc: str, get: Any, kind: type = str) -> None:
    def method(self: Any, ctx: Context) -> Value:
        found: Value = get(ctx)
        return found

    method.__doc__ = doc
    method.__name__ = method.__qualname__ = name
    setattr(Names, name, pv(name, kind=kind)(method))


def _rows() -> None:
    for side, whose, get in (("peer", "the peer's", theirs), ("my", "our", ours)):
        for role in ("subject", "issuer"):
            _add(
                f"tls_{side}_{role}", f"The {role} of {whose} certificate, e.g. `/C=DE/CN=example.com`.",
                lambda ctx, get=get, role=role: one_line(getattr(c, role)) if (c := get(ctx)) else None,
            )  # fmt: skip
            for part, key in PARTS.items():
                _add(
                    f"tls_{side}_{role}_{part}", f"The {WORDS[part]} of the {role} of {whose} certificate.",
                    lambda ctx, get=get, key=key, issuer=role == "issuer": (
                        c.part(key, issuer=issuer) or None if (c := get(ctx)) else None
                    ),
                )  # fmt: skip
        for word, kind in KINDS.items():
            _add(
                f"tls_{side}_san_{word}", f"The first {word} of {whose} certificate's alternative names.",
                lambda ctx, get=get, kind=kind: (
                    next(iter(c.alt_names.get(kind, ())), None) if (c := get(ctx)) else None
                ),
            )  # fmt: skip
        _add(
            f"tls_{side}_version", f"The version of {whose} certificate as it is written: 2 is X.509 v3.",
            lambda ctx, get=get: c.version if (c := get(ctx)) else None, int,
        )  # fmt: skip
        _add(
            f"tls_{side}_serial", f"The serial number of {whose} certificate, decimal.",
            lambda ctx, get=get: str(c.serial) if (c := get(ctx)) else None,
        )  # fmt: skip
        _add(
            f"tls_{side}_raw_cert", f"The PEM text of {whose} certificate.",
            lambda ctx, get=get: c.pem() if (c := get(ctx)) else None,
        )  # fmt: skip
        _add(
            f"tls_{side}_urlencoded_cert", f"The PEM text of {whose} certificate, URL-encoded.",
            lambda ctx, get=get: quote(c.pem(), safe="") if (c := get(ctx)) else None,
        )  # fmt: skip


_rows()


class ConnectionVariables(Names):
    """The pseudo-variables of the connection itself."""

    @pv("tls_version", kind=str)
    def tls_version(self, ctx: Context) -> Value:
        """The version spoken, e.g. `TLSv1.3`."""
        connection = connection_of(ctx)
        return connection.secure.version() if connection else None

    @pv("tls_cipher_info", kind=str)
    def tls_cipher_info(self, ctx: Context) -> Value:
        """The name of the cipher, e.g. `TLS_AES_256_GCM_SHA384`."""
        cipher = (c.secure.cipher() if (c := connection_of(ctx)) else None) or None
        return cipher[0] if cipher else None

    @pv("tls_cipher_bits", kind=int)
    def tls_cipher_bits(self, ctx: Context) -> Value:
        """The bits of the cipher's key."""
        cipher = (c.secure.cipher() if (c := connection_of(ctx)) else None) or None
        return cipher[2] if cipher else None

    @pv("tls_description", kind=str)
    def tls_description(self, ctx: Context) -> Value:
        """Cipher, version and bits in one line."""
        connection = connection_of(ctx)
        return description(connection) if connection else None

    @pv("tls_peer_server_name", kind=str)
    def tls_peer_server_name(self, ctx: Context) -> Value:
        """The server name that the client asked for (SNI)."""
        connection = connection_of(ctx)
        return (connection.server_name or None) if connection else None

    @pv("tls_peer_verified", kind=int)
    def tls_peer_verified(self, ctx: Context) -> Value:
        """1 when the peer showed a certificate and it was verified, else 0."""
        connection = connection_of(ctx)
        return int(connection.is_verified()) if connection else None

    @pv("tls_peer_revoked", kind=int)
    def tls_peer_revoked(self, ctx: Context) -> Value:
        """0: a peer whose certificate is revoked does not come this far."""
        return 0 if connection_of(ctx) else None

    @pv("tls_peer_expired", kind=int)
    def tls_peer_expired(self, ctx: Context) -> Value:
        """1 when the peer's certificate is past its time, else 0."""
        if connection_of(ctx) is None:
            return None
        certificate = theirs(ctx)
        return int(certificate is not None and certificate.not_after_epoch < time.time())

    @pv("tls_peer_selfsigned", kind=int)
    def tls_peer_selfsigned(self, ctx: Context) -> Value:
        """1 when the peer issued its certificate itself, else 0."""
        if connection_of(ctx) is None:
            return None
        certificate = theirs(ctx)
        return int(certificate is not None and certificate.is_self_issued)

    @pv("tls_peer_notBefore", kind=str)
    def tls_peer_not_before(self, ctx: Context) -> Value:
        """The first moment at which the peer's certificate is valid, e.g. `Nov 23 03:26:43 2026 GMT`."""
        certificate = theirs(ctx)
        return shown_date(certificate.not_before_epoch) if certificate else None

    @pv("tls_peer_notAfter", kind=str)
    def tls_peer_not_after(self, ctx: Context) -> Value:
        """The last moment at which the peer's certificate is valid."""
        certificate = theirs(ctx)
        return shown_date(certificate.not_after_epoch) if certificate else None

    # `@tls.my.notBefore` and `@tls.my.notAfter`: Kamailio has no variables for them.

    def tls_my_not_before(self, ctx: Context) -> Value:
        """The first moment at which our certificate is valid."""
        certificate = ours(ctx)
        return shown_date(certificate.not_before_epoch) if certificate else None

    def tls_my_not_after(self, ctx: Context) -> Value:
        """The last moment at which our certificate is valid."""
        certificate = ours(ctx)
        return shown_date(certificate.not_after_epoch) if certificate else None


def description(connection: TlsConnection) -> str:
    """Cipher, version and bits in one line."""
    name, version, bits = connection.secure.cipher() or ("none", "", 0)
    return f"{name} {connection.secure.version() or version} {bits} bits"
