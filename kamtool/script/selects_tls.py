"""`@tls.…`: what the module tls knows of the connection that a message came by, as its variables say it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kamtool.errors import ScriptError
from kamtool.script.values import to_str

if TYPE_CHECKING:
    from kamtool.script.context import Context

CONNECTION: Final = {
    ("version",): "tls_version", ("cipher",): "tls_cipher_info", ("cipher", "bits"): "tls_cipher_bits",
    ("desc",): "tls_description", ("description",): "tls_description",
    ("server_name",): "tls_peer_server_name", ("peer", "server_name"): "tls_peer_server_name",
    ("peer", "verified"): "tls_peer_verified", ("peer", "revoked"): "tls_peer_revoked",
    ("peer", "expired"): "tls_peer_expired", ("peer", "self_signed"): "tls_peer_selfsigned",
    ("peer", "selfsigned"): "tls_peer_selfsigned", ("peer", "not_before"): "tls_peer_not_before",
    ("peer", "notbefore"): "tls_peer_not_before", ("peer", "not_after"): "tls_peer_not_after",
    ("peer", "notafter"): "tls_peer_not_after",
    ("my", "not_before"): "tls_my_not_before", ("my", "notbefore"): "tls_my_not_before",
    ("my", "not_after"): "tls_my_not_after", ("my", "notafter"): "tls_my_not_after",
}  # fmt: skip
CERTIFICATE: Final = {
    "version": "version", "sn": "serial", "serial": "serial", "serial_number": "serial",
    "serialnumber": "serial", "raw_cert": "raw_cert", "urlencoded_cert": "urlencoded_cert",
    "email": "san_email", "email_address": "san_email", "emailaddress": "san_email",
    "host": "san_hostname", "hostname": "san_hostname", "dns": "san_hostname", "domain": "san_hostname",
    "uri": "san_uri", "url": "san_uri", "ip": "san_ip", "ip_address": "san_ip", "ipaddress": "san_ip",
    "subj": "subject", "subject": "subject", "issuer": "issuer",
}  # fmt: skip
PARTS: Final = {
    "cn": "cn", "name": "cn", "common_name": "cn", "commonname": "cn",
    "l": "locality", "locality": "locality", "locality_name": "locality", "localityname": "locality",
    "c": "country", "country": "country", "country_name": "country", "countryname": "country",
    "st": "state", "state": "state", "state_or_province_name": "state", "stateorprovincename": "state",
    "o": "organization", "organization": "organization", "organization_name": "organization",
    "organizationname": "organization", "ou": "unit", "unit": "unit", "organizational_unit_name": "unit",
    "organizationalunitname": "unit", "uid": "uid", "unique_identifier": "uid", "uniqueidentifier": "uid",
}  # fmt: skip
"""Names of a part of subject or issuer; without them the whole."""


def variable(names: tuple[str, ...]) -> str:
    """The pseudo-variable that says what a path asks for. Raises ScriptError when there is no such path."""
    lower = tuple(name.lower() for name in names)
    if lower[:1] == ("me",):
        lower = ("my", *lower[1:])
    found = CONNECTION.get(lower)
    if found is not None:
        return found
    side, *rest = lower or ("",)
    piece = CERTIFICATE.get(rest[0]) if side in ("peer", "my") and rest else None
    if piece is not None and len(rest) == 1:
        return f"tls_{side}_{piece}"
    if piece in ("subject", "issuer") and len(rest) == 2 and rest[1] in PARTS:
        return f"tls_{side}_{piece}_{PARTS[rest[1]]}"
    raise ScriptError(f"no select {'.'.join(('tls', *names))!r}")


def tls(ctx: Context, steps: tuple[tuple[str, str | None], ...]) -> str | None:
    """`@tls.peer.subject.cn`; None for what did not come over TLS."""
    name = variable(tuple(name for name, _ in steps[1:]))
    module = ctx.host.modules.get("tls")
    if module is None:
        raise ScriptError("@tls is of the module tls, which is not loaded")
    value = getattr(module, name)(ctx)
    return None if value is None else to_str(value)
