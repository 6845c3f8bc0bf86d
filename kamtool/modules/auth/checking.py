"""Whether the credentials of a request are right: what every authenticated request runs."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from kamtool.errors import ParseError
from kamtool.modules.auth.codes import Code
from kamtool.script.context import Context
from kamtool.sip.digest import Credentials, parse_credentials, response
from kamtool.sip.nameaddr import quote
from kamtool.speed import Proof, read_proof

if TYPE_CHECKING:
    from kamtool.modules.auth import Auth

UNCHALLENGEABLE: Final = frozenset(("ACK", "CANCEL", "PRACK"))

# Looked up once: an enum's members are slow to reach in Python 3.11.
OK: Final = int(Code.OK)
NO_CREDENTIALS: Final = int(Code.NO_CREDENTIALS)
ERROR: Final = int(Code.ERROR)
UNKNOWN_USER: Final = int(Code.UNKNOWN_USER)

STALE: Final = "auth.stale"

WITHOUT_CHOICE: Final = ("MD5",)
"""What is accepted when `algorithm` names none: the challenge then means MD5."""

Claim = Credentials | Proof
"""Credentials as a request brings them: `Proof` where the header is ordinary."""

Secret = Callable[[Claim], "str | None"]
"""The HA1 of who the credentials name, None when there is no such user."""


def find(auth: Auth, ctx: Context, realm: str, header: str) -> tuple[int, Claim | None]:
    """The credentials for `realm`: (1, them), or -5 when there are none, -1 when they are malformed."""
    prefix = auth.realm_prefix
    if prefix:
        realm = realm.removeprefix(prefix)
    else:
        proof = read_proof(ctx.msg, header, realm)
        if proof is not None:
            return OK, proof
    broken = False
    for value in ctx.msg.headers(header):
        try:
            credentials = parse_credentials(value)
        except ParseError:
            broken = True
            continue
        if credentials is not None and (
            credentials.realm == realm or (prefix and auth.stripped(credentials.realm) == realm)
        ):
            return OK, credentials
    return (Code.ERROR if broken else NO_CREDENTIALS), None


def authenticate(
    auth: Auth, ctx: Context, realm: str, header: str, secret: Secret, method: str = ""
) -> tuple[int, Claim | None]:
    """Check the credentials for `realm`; the code, and the credentials when there are any.

    An unknown user and a wrong password take the same way and the same time; only the code differs.
    """
    msg = ctx.msg
    if not method:
        method = msg.method
    if msg.method in UNCHALLENGEABLE:
        return OK, None  # §22.1: they cannot be challenged, so they pass
    claim: Claim | None = None if auth.realm_prefix else read_proof(msg, header, realm)
    if claim is None:
        if msg.header(header) is None:
            return NO_CREDENTIALS, None
        code, claim = find(auth, ctx, realm, header)
        if claim is None:
            return code, None
    plain = type(claim) is Proof and claim.is_md5
    algorithm = "MD5" if plain else algorithm_of(claim)
    if algorithm not in (auth.algorithms or WITHOUT_CHOICE):
        return Code.ERROR, claim
    created, number, fresh = auth.nonces.read(
        claim.nonce, int(time.time()), binding_of(auth, ctx) if auth.checks else b""
    )
    if created < 0:
        return Code.ERROR, claim
    known = secret(claim)
    ha1 = known or auth.nobody[algorithm]
    right = claim.proves(ha1, method) if plain else proves(claim, ha1, method, msg.body)
    right = right and known is not None
    if not fresh:
        # RFC 7616 §3.3: stale=true tells a phone to try again without asking for the password,
        # so only one that knew it is told.
        if right:
            ctx.scratch[STALE] = True
        return Code.NONCE_EXPIRED, claim
    if not right:
        return (Code.WRONG_PASSWORD if known is not None else Code.UNKNOWN_USER), claim
    if auth.uses is not None and not _unused(auth, created, number, claim):
        ctx.scratch[STALE] = True
        return Code.NONCE_REUSED, claim
    ctx.authorized = (*ctx.authorized, (header, claim))
    if auth.add_authinfo_hdr and known is not None:
        _confirm(auth, ctx, claim, known)
    return OK, claim


def _unused(auth: Auth, created: int, number: int, credentials: Claim) -> bool:
    assert auth.uses is not None
    if auth.nonce_count and credentials.qop:
        return auth.uses.use(created, number, count_of(credentials))
    if auth.one_time_nonce:
        return auth.uses.use(created, number, 0xFFFFFFFF)
    return True


def _confirm(auth: Auth, ctx: Context, credentials: Claim, known: str) -> None:
    following = (
        auth.nonces.make(int(time.time()), binding_of(auth, ctx))
        if auth.one_time_nonce
        else credentials.nonce
    )
    parts = [f'nextnonce="{following}"']
    if credentials.qop.lower() == "auth":
        # RFC 7616 §3.5: the method is empty. With auth-int the body would count, which is not there yet.
        proof = response(
            known,
            method="",
            uri=credentials.uri,
            nonce=credentials.nonce,
            qop=credentials.qop,
            nc=credentials.nc,
            cnonce=credentials.cnonce,
            algorithm=credentials.algorithm,
        )
        cnonce, nc = quote(credentials.cnonce), f"{count_of(credentials):08x}"
        parts += ["qop=auth", f'rspauth="{proof}"', f"cnonce={cnonce}", f"nc={nc}"]
    name = "Authentication-Info" if ctx.msg.method == "REGISTER" else "Proxy-Authentication-Info"
    ctx.add_reply_header(f"{name}: {', '.join(parts)}")


def binding_of(auth: Auth, ctx: Context) -> bytes:
    """What of this request goes into its nonce, as `auth_checks_*` ask."""
    if not auth.checks:
        return b""
    msg = ctx.msg
    if msg.method == "REGISTER":
        checks = auth.auth_checks_register
    else:
        checks = auth.auth_checks_in_dlg if msg.to_tag else auth.auth_checks_no_dlg
    parts = [
        msg.uri if checks & 1 and msg.is_request else "",
        msg.call_id if checks & 2 else "",
        msg.from_tag if checks & 4 else "",
        ctx.flow.remote.host if checks & 8 else "",
        ",".join(msg.headers("Contact")) if auth.protect_contacts and msg.method == "REGISTER" else "",
    ]
    return "\0".join(parts).encode("utf-8", "surrogateescape")


def proves(claim: Claim, ha1: str, method: str, body: bytes) -> bool:
    """Whether this HA1 made the response, by whatever algorithm and qop the credentials name."""
    if isinstance(claim, Proof):
        names = (
            "username",
            "realm",
            "nonce",
            "uri",
            "response",
            "algorithm",
            "cnonce",
            "opaque",
            "qop",
            "nc",
        )
        claim = Credentials(*(getattr(claim, name) for name in names))
    return claim.proves(ha1, method, body)


def algorithm_of(credentials: Claim) -> str:
    """The hash that the credentials use: upper case, without `-SESS`."""
    if credentials.algorithm in ("MD5", ""):
        return "MD5"
    return credentials.algorithm.upper().removesuffix("-SESS") or "MD5"


def count_of(credentials: Claim) -> int:
    """`nc` as a number, 0 when it is none."""
    try:
        return int(credentials.nc, 16)
    except ValueError:
        return 0
