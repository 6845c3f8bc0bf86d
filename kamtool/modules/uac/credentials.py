"""Whose name and password answer a challenge, and the header that does (RFC 3261 §22, RFC 7616)."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from os import urandom
from typing import Final

from kamtool.errors import ConfigError, ParseError
from kamtool.sip import digest
from kamtool.sip.digest import Challenge, Credentials
from kamtool.sip.message import Response

CHALLENGES: Final = {
    401: ("WWW-Authenticate", "Authorization"),
    407: ("Proxy-Authenticate", "Proxy-Authorization"),
}
HASHED_MODE: Final = 1
STRENGTH: Final = ("SHA-512-256", "SHA-256", "MD5")


@dataclass(frozen=True, slots=True)
class Account:
    """A user of a realm; an empty realm fits any. With `hashed` the password is HA1."""

    username: str
    realm: str
    password: str
    hashed: bool = False


def header_of(status: int) -> str:
    """The header that answers a 401 or 407."""
    return CHALLENGES[status][1]


def read_credential(text: str) -> Account:
    """`user:realm:password`. Raises ConfigError."""
    username, one, rest = text.partition(":")
    realm, other, password = rest.partition(":")
    if not (username and one and realm and other):
        raise ConfigError(
            "uac: a credential is `username:realm:password`", hint='"alice:example.com:secret"', code="KT1201"
        )
    return Account(username, realm, password)


def challenges_of(response: Response) -> list[Challenge]:
    """The digest challenges of a 401 or 407 that can be answered, the strongest algorithm first."""
    name = CHALLENGES.get(response.status, ("", ""))[0]
    found = []
    for value in response.headers(name) if name else []:
        try:
            challenge = digest.parse_challenge(value)
            if challenge is not None:
                digest.hash_of(challenge.algorithm)
                found.append(challenge)
        except ParseError:
            continue

    def rank(challenge: Challenge) -> int:
        plain = challenge.algorithm.upper().removesuffix("-SESS") or "MD5"
        return STRENGTH.index(plain) if plain in STRENGTH else len(STRENGTH)

    return sorted(found, key=rank)


def choose(challenges: Iterable[Challenge], accounts: Iterable[Account]) -> tuple[Challenge, Account] | None:
    """A challenge and an account of its realm; an HA1 is of MD5."""
    known = list(accounts)
    for challenge in challenges:
        for account in known:
            md5 = (challenge.algorithm.upper() or "MD5").startswith("MD5")
            if account.realm in ("", challenge.realm) and (md5 or not account.hashed):
                return challenge, account
    return None


def authorization(
    challenge: Challenge, account: Account, method: str, uri: str, body: bytes = b"", count: int = 1
) -> str:
    """The value of Authorization or Proxy-Authorization. Raises ParseError for a qop that is not known."""
    offers = challenge.qops
    qop = next((known for known in ("auth", "auth-int") if known in offers), "")
    if offers and not qop:
        raise ParseError(f"no known qop in {challenge.qop!r}")
    secret = account.password
    if not account.hashed:
        secret = digest.ha1(account.username, challenge.realm, account.password, challenge.algorithm)
    session = challenge.algorithm.lower().endswith("-sess")
    nc, cnonce = (f"{count:08x}" if qop else ""), (_cnonce() if qop or session else "")
    proof = digest.response(
        secret, method=method, uri=uri, nonce=challenge.nonce, qop=qop, nc=nc, cnonce=cnonce, body=body,
        algorithm=challenge.algorithm,
    )  # fmt: skip
    params = {
        "username": account.username, "realm": challenge.realm, "nonce": challenge.nonce, "uri": uri,
        "opaque": challenge.opaque, "qop": qop, "nc": nc, "cnonce": cnonce, "response": proof,
        "algorithm": challenge.algorithm or "MD5",
    }  # fmt: skip
    return str(Credentials(params={name: value for name, value in params.items() if value}))


def _cnonce() -> str:
    return f"{int(time.time()):08x}{urandom(6).hex()}"
