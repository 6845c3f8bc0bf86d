"""pv_www_authenticate() and its like: credentials against a password that the cfg gives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kamtool.modules.auth.challenge import WITH_STALE, headers
from kamtool.modules.auth.checking import ERROR, Claim, algorithm_of, authenticate
from kamtool.script.context import Context
from kamtool.sip.digest import ha1
from kamtool.speed import Proof

if TYPE_CHECKING:
    from kamtool.modules.auth import Auth

PASSWORD_IS_HA1: Final = 1
CHALLENGE_PLAIN: Final = 2
CHALLENGE_AUTH: Final = 4
CHALLENGE_AUTH_INT: Final = 8


def qop_of(flags: int) -> str:
    """The qop of the challenge that these functions leave in an AVP."""
    return "auth-int" if flags & CHALLENGE_AUTH_INT else "auth" if flags & CHALLENGE_AUTH else ""


def check(
    auth: Auth, ctx: Context, header: str, realm: str, password: str, flags: int, method: str = ""
) -> int:
    """The code of pv_www_authenticate(); by `flags` also a challenge in `challenge_attr`."""
    if not realm or not password:
        return ERROR

    def secret(credentials: Claim) -> str:
        if flags & PASSWORD_IS_HA1:
            return password
        if type(credentials) is Proof and credentials.is_md5:
            return credentials.ha1(password)
        return ha1(credentials.username, credentials.realm, password, algorithm_of(credentials))

    code, _ = authenticate(auth, ctx, realm, header, secret, method)
    if code < 0 and flags & (CHALLENGE_PLAIN | CHALLENGE_AUTH | CHALLENGE_AUTH_INT):
        is_www = header == "Authorization"
        name = auth.www_challenge_header if is_www else auth.proxy_challenge_header
        lines = headers(auth, ctx, name, realm, qop_of(flags), flags & WITH_STALE != 0)
        auth.challenge_avp().set(ctx, "".join([f"{line}\r\n" for line in lines]))
    return code


class Passwords:
    """What scripts call, without the module's method around it."""

    def __init__(self, auth: Auth) -> None:
        self.auth = auth

    def www(self, ctx: Context, realm: str, password: str, flags: int, method: str = "") -> int:
        """pv_www_authenticate()."""
        return check(self.auth, ctx, "Authorization", realm, password, flags, method)
