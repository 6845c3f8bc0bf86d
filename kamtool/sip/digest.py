"""HTTP digest as SIP uses it (RFC 3261 §22, RFC 7616, RFC 8760): MD5, SHA-256, SHA-512-256, also `-sess`.

Challenges and credentials are parsed and shown, responses computed and compared. Nonces are the caller's:
this file has no clock and no secret.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from kamtool.errors import ParseError
from kamtool.sip.nameaddr import quote, unquote
from kamtool.speed import md5_of, split_credentials, split_list

Hash = Callable[[bytes], str]

try:  # Python's own takes half the time of OpenSSL's for texts as short as these.
    from _md5 import md5 as _fast_md5  # type: ignore[import-not-found]
except ImportError:
    _fast_md5 = hashlib.md5


def _md5(data: bytes) -> str:
    digest: str = _fast_md5(data, usedforsecurity=False).hexdigest()
    return digest


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _sha512_256(data: bytes) -> str:
    return hashlib.new("sha512_256", data).hexdigest()


ALGORITHMS: Mapping[str, Hash] = {"MD5": _md5, "SHA-256": _sha256, "SHA-512-256": _sha512_256}
"""Hash functions by the name in `algorithm=`, without `-sess`."""

_UNQUOTED = frozenset({"algorithm", "qop", "nc", "stale"})
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)


@lru_cache(64)
def hash_of(algorithm: str) -> tuple[Hash, bool]:
    """The hash function of an `algorithm` value, and whether it is a `-sess` one; "" means MD5.

    Raises ParseError for an algorithm that is not known here.
    """
    name = algorithm.upper() or "MD5"
    session = name.endswith("-SESS")
    function = ALGORITHMS.get(name.removesuffix("-SESS"))
    if function is None:
        raise ParseError(f"unknown digest algorithm {algorithm!r}")
    return function, session


def _octets(*parts: str) -> bytes:
    text = ":".join(parts)
    return text.encode() if text.isascii() else text.encode("utf-8", "surrogateescape")


def ha1(username: str, realm: str, password: str, algorithm: str = "MD5") -> str:
    """H(username:realm:password), what `subscriber.ha1` holds; the same with `-sess`: see `response`."""
    if algorithm in ("", "MD5"):
        return md5_of(username, realm, password)
    return hash_of(algorithm)[0](_octets(username, realm, password))


def response(
    ha1: str,
    *,
    method: str,
    uri: str,
    nonce: str,
    qop: str = "",
    nc: str = "",
    cnonce: str = "",
    body: bytes = b"",
    algorithm: str = "MD5",
) -> str:
    """The `response` that proves HA1 (RFC 7616 §3.4.1): hexadecimal, lower case.

    `ha1` is that of the plain algorithm; for `-sess` the nonces are mixed in here. `qop` is "", "auth" or
    "auth-int". Raises ParseError for an unknown algorithm.
    """
    digest, session = hash_of(algorithm)
    if session:
        ha1 = digest(_octets(ha1, nonce, cnonce))
    if not qop:
        return digest(_octets(ha1, nonce, _a2(digest, method, uri)))
    with_body = qop.lower() == "auth-int"
    a2 = digest(_octets(method, uri, digest(body))) if with_body else _a2(digest, method, uri)
    return digest(_octets(ha1, nonce, nc, cnonce, qop, a2))


def _a2(digest: Hash, method: str, uri: str) -> str:
    """The hash over what is asked: for a registrar the same again and again."""
    return _known_a2(digest, method, uri) if len(uri) < 256 else digest(_octets(method, uri))


@lru_cache(1024)
def _known_a2(digest: Hash, method: str, uri: str) -> str:
    return digest(_octets(method, uri))


@dataclass(slots=True)
class Credentials:
    """What an Authorization or Proxy-Authorization header says, quotes removed, names in lower case.

    Absent parts are "". `params` has all of them, also those without an attribute here.
    """

    username: str = ""
    realm: str = ""
    nonce: str = ""
    uri: str = ""
    response: str = ""
    algorithm: str = ""
    cnonce: str = ""
    opaque: str = ""
    qop: str = ""
    nc: str = ""
    params: Mapping[str, str] = field(default_factory=dict)

    @property
    def user(self) -> str:
        """The user name without `@domain` behind it, which some phones send."""
        return self.username.partition("@")[0]

    @property
    def domain(self) -> str:
        """The domain in the user name, else the realm."""
        return self.username.partition("@")[2] or self.realm

    def proves(self, ha1: str, method: str, body: bytes = b"") -> bool:
        """Whether this HA1 made the response, compared in constant time; false for an unknown algorithm."""
        try:
            expected = response(
                ha1, method=method, uri=self.uri, nonce=self.nonce, qop=self.qop, nc=self.nc,
                cnonce=self.cnonce, body=body, algorithm=self.algorithm,
            )  # fmt: skip
        except ParseError:
            return False
        given = self.response.lower()
        return given.isascii() and hmac.compare_digest(expected, given)

    def __str__(self) -> str:
        return "Digest " + ", ".join(_shown(name, value) for name, value in self.params.items())


@dataclass(frozen=True, slots=True)
class Challenge:
    """What WWW-Authenticate or Proxy-Authenticate asks for; `qop` lists the offers, as `auth,auth-int`."""

    realm: str
    nonce: str
    algorithm: str = ""
    qop: str = ""
    opaque: str = ""
    domain: str = ""
    stale: bool = False

    @property
    def qops(self) -> list[str]:
        """The offered qualities of protection, in lower case."""
        return [offer.strip().lower() for offer in self.qop.split(",") if offer.strip()]

    def __str__(self) -> str:
        parts = [f"realm={quote(self.realm)}", f"nonce={quote(self.nonce)}"]
        if self.domain:
            parts.append(f"domain={quote(self.domain)}")
        if self.opaque:
            parts.append(f"opaque={quote(self.opaque)}")
        if self.stale:
            parts.append("stale=true")
        if self.algorithm:
            parts.append(_shown("algorithm", self.algorithm))
        if self.qop:
            parts.append(f"qop={quote(self.qop)}")
        return "Digest " + ", ".join(parts)


def answer(
    challenge: Challenge,
    username: str,
    password: str,
    *,
    method: str,
    uri: str,
    cnonce: str = "",
    count: int = 1,
    body: bytes = b"",
) -> Credentials:
    """Credentials for a challenge: the value of Authorization is their `str()`.

    `auth` is preferred to `auth-int`, and no qop is used where none is offered. `count` is how often this
    nonce has been used. Raises ParseError when neither the algorithm nor a quality is known.
    """
    offers = challenge.qops
    qop = next((known for known in ("auth", "auth-int") if known in offers), "")
    if offers and not qop:
        raise ParseError(f"no known qop in {challenge.qop!r}")
    session = challenge.algorithm.lower().endswith("-sess")
    nc = f"{count:08x}" if qop else ""
    cnonce = cnonce if qop or session else ""
    proof = response(
        ha1(username, challenge.realm, password, challenge.algorithm), method=method, uri=uri,
        nonce=challenge.nonce, qop=qop, nc=nc, cnonce=cnonce, body=body, algorithm=challenge.algorithm,
    )  # fmt: skip
    params = {
        "username": username, "realm": challenge.realm, "nonce": challenge.nonce, "uri": uri, "response":
        proof, "algorithm": challenge.algorithm, "cnonce": cnonce, "opaque": challenge.opaque, "qop": qop,
        "nc": nc,
    }  # fmt: skip
    params = {name: value for name, value in params.items() if value}
    return Credentials(**params, params=params)


def parse_credentials(value: str) -> Credentials | None:
    """The value of Authorization or Proxy-Authorization; None for a scheme other than Digest.

    Raises ParseError when it is malformed, says a parameter twice, or lacks what RFC 3261 §22.4 asks for.
    """
    params = _params(value)
    if params is None:
        return None
    get = params.get
    qop, nc, cnonce = get("qop", ""), get("nc", ""), get("cnonce", "")
    if qop and not (nc and cnonce):
        raise ParseError("digest credentials with qop but without nc or cnonce", header="Authorization")
    try:
        return Credentials(
            params["username"], params["realm"], params["nonce"], params["uri"], params["response"],
            get("algorithm", ""), cnonce, get("opaque", ""), qop, nc, params,
        )  # fmt: skip
    except KeyError as missing:
        name = missing.args[0]
        raise ParseError(f"digest credentials without {name}", header="Authorization") from None


def parse_challenge(value: str) -> Challenge | None:
    """The value of WWW-Authenticate or Proxy-Authenticate; None for a scheme other than Digest.

    Raises ParseError when it is malformed or lacks realm or nonce.
    """
    params = _params(value)
    if params is None:
        return None
    if "realm" not in params or "nonce" not in params:
        raise ParseError("a digest challenge without realm or nonce", header="WWW-Authenticate")
    return Challenge(
        params["realm"], params["nonce"], params.get("algorithm", ""), params.get("qop", ""),
        params.get("opaque", ""), params.get("domain", ""), params.get("stale", "").lower() == "true",
    )  # fmt: skip


def _params(value: str) -> dict[str, str] | None:
    if value[:7] == "Digest ":
        rest = value[7:]
    else:
        scheme, _, rest = value.strip().partition(" ")
        if scheme.lower() != "digest":
            return None
    return split_credentials(rest) or _any_params(rest)


def _any_params(text: str) -> dict[str, str]:
    params: dict[str, str] = {}
    for item in split_list(text):
        name, equals, value = item.partition("=")
        name, value = name.strip().lower(), value.strip()
        if not equals or not _TOKEN.fullmatch(name) or name in params:
            raise ParseError(f"malformed digest parameter {item!r}", header="Authorization")
        if '"' in value and not _QUOTED.fullmatch(value):
            raise ParseError(f"malformed digest parameter {item!r}", header="Authorization")
        params[name] = unquote(value)
    return params


def _shown(name: str, value: str) -> str:
    plain = name in _UNQUOTED and _TOKEN.fullmatch(value)
    return f"{name}={value}" if plain else f"{name}={quote(value)}"
