"""Digest credentials and responses (RFC 7616, RFC 8760): parse, compute, compare."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import md5, new, sha256

from kamtool.errors import ParseError

PARAM = re.compile(r'\s*([!-~]+?)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))\s*(?:,|$)', re.DOTALL)
ESCAPE = re.compile(r"\\(.)", re.DOTALL)
NEEDED = ("username", "realm", "nonce", "uri", "response")


def _md5(data: bytes) -> str:
    return md5(data, usedforsecurity=False).hexdigest()


def _sha256(data: bytes) -> str:
    return sha256(data).hexdigest()


def _sha512_256(data: bytes) -> str:
    return new("sha512_256", data).hexdigest()


HASHES: dict[str, Callable[[bytes], str]] = {"MD5": _md5, "SHA-256": _sha256, "SHA-512-256": _sha512_256}


def encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


@dataclass(slots=True)
class Credentials:
    """What an Authorization header says; `algorithm` without `-SESS`, MD5 when it names none."""

    username: str
    realm: str
    nonce: str
    uri: str
    response: str
    algorithm: str = "MD5"
    session: bool = False
    qop: str = ""
    nc: str = ""
    cnonce: str = ""

    @property
    def user(self) -> str:
        """The user name without `@domain`."""
        return self.username.partition("@")[0]

    @property
    def domain(self) -> str:
        """What follows the @ in the user name, "" when there is none."""
        return self.username.partition("@")[2]

    @property
    def count(self) -> int:
        """`nc` as a number, 0 when it is none."""
        try:
            return int(self.nc, 16)
        except ValueError:
            return 0


def parse_credentials(value: str) -> Credentials | None:
    """The credentials of one header; None when its scheme is not Digest. Raises ParseError."""
    scheme, _, rest = value.partition(" ")
    if scheme.lower() != "digest":
        return None
    params: dict[str, str] = {}
    place = 0
    for found in PARAM.finditer(rest):
        if found.start() != place:
            break
        place = found.end()
        name, quoted, token = found.groups()
        text = token if quoted is None else ESCAPE.sub(r"\1", quoted) if "\\" in quoted else quoted
        name = name.lower()
        if name in params:
            raise ParseError(f"two {name!r}", header="Authorization")
        params[name] = text
    if rest[place:].strip(" \t,"):
        raise ParseError("malformed credentials", header="Authorization", offset=place)
    for name in NEEDED:
        if not params.get(name):
            raise ParseError(f"no {name}", header="Authorization")
    algorithm = params.get("algorithm", "MD5").upper()
    qop = params.get("qop", "").lower()
    if qop and not (params.get("nc") and params.get("cnonce")):
        raise ParseError("qop without nc and cnonce", header="Authorization")
    return Credentials(
        params["username"],
        params["realm"],
        params["nonce"],
        params["uri"],
        params["response"].lower(),
        algorithm.removesuffix("-SESS"),
        algorithm.endswith("-SESS"),
        qop,
        params.get("nc", ""),
        params.get("cnonce", ""),
    )


def ha1(username: str, realm: str, password: str, algorithm: str = "MD5") -> str:
    """`H(username:realm:password)`: what a server stores instead of the password."""
    return HASHES[algorithm](encoded(f"{username}:{realm}:{password}"))


def response(credentials: Credentials, secret: str, method: str, body: bytes) -> str:
    """The response of one who knows `secret` (HA1). Raises KeyError for an unknown algorithm."""
    hashed = HASHES[credentials.algorithm]
    nonce, cnonce, qop = credentials.nonce, credentials.cnonce, credentials.qop
    if credentials.session:
        secret = hashed(encoded(f"{secret}:{nonce}:{cnonce}"))
    what = f"{method}:{credentials.uri}"
    if qop == "auth-int":
        what = f"{what}:{hashed(body)}"
    ha2 = hashed(encoded(what))
    if not qop:
        return hashed(encoded(f"{secret}:{nonce}:{ha2}"))
    return hashed(encoded(f"{secret}:{nonce}:{credentials.nc}:{cnonce}:{qop}:{ha2}"))


def confirmation(credentials: Credentials, secret: str, body: bytes) -> str:
    """`rspauth` of Authentication-Info: the server's proof that it knows the secret too (RFC 7616 §3.5)."""
    return response(credentials, secret, "", body)
