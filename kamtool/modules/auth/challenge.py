"""The challenge of a 401 or 407 (RFC 7616 §3.3); several algorithms are several headers (RFC 8760)."""

from __future__ import annotations

import logging
import time
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Protocol, cast

from kamtool.modules.auth.checking import ERROR, OK, STALE, UNKNOWN_USER, binding_of
from kamtool.script.context import Context
from kamtool.sip.nameaddr import quote

if TYPE_CHECKING:
    from kamtool.modules.auth import Auth

logger = logging.getLogger("kamtool.auth")

REASON: Final = {401: "Unauthorized", 407: "Proxy Authentication Required"}

WITH_AUTH: Final = 1
WITH_AUTH_INT: Final = 2
NO_500: Final = 4
WITH_STALE: Final = 16


class Server(Protocol):
    """What auth asks of the server beyond `Host`."""

    def reply(self, ctx: Context, status: int, reason: str) -> bool: ...


def send(auth: Auth, ctx: Context, realm: str, flags: int, status: int) -> int:
    """Answer with a challenge for `realm`; the code of www_challenge() and its like."""
    if not ctx.msg.is_request:
        logger.error("auth: a reply cannot be challenged")
        return UNKNOWN_USER  # -3, as Kamailio has it
    if not realm:
        logger.error("auth: a challenge needs a realm")
        if not flags & NO_500:
            _reply(auth, ctx, 500, "Internal Server Error")
        return ERROR
    name = auth.www_challenge_header if status == 401 else auth.proxy_challenge_header
    lines = headers(auth, ctx, name, realm, qop_of(flags, auth.qop), flags & WITH_STALE != 0)
    for line in lines:
        ctx.add_reply_header(line)
    return OK if _reply(auth, ctx, status, REASON[status]) else ERROR


def _reply(auth: Auth, ctx: Context, status: int, reason: str) -> bool:
    server = cast(Server, auth.server)
    if not auth.force_stateless_reply or ctx.transaction is None:
        return server.reply(ctx, status, reason)
    transaction, ctx.transaction = ctx.transaction, None
    try:
        return server.reply(ctx, status, reason)
    finally:
        ctx.transaction = transaction


def headers(auth: Auth, ctx: Context, name: str, realm: str, qop: str, stale: bool) -> list[str]:
    """The header lines of a challenge."""
    if ctx._scratch and ctx._scratch.get(STALE):
        stale = True
    nonce = auth.nonces.make(int(time.time()), binding_of(auth, ctx) if auth.checks else b"")
    realm = auth.stripped(realm) if auth.realm_prefix else realm
    if not auth.algorithms or _knows_md5_alone(auth, ctx):
        return [header(name, realm, nonce, qop, "", stale)]
    return [header(name, realm, nonce, qop, algorithm, stale) for algorithm in auth.algorithms]


def _knows_md5_alone(auth: Auth, ctx: Context) -> bool:
    """Whether it would not help to offer more: an account has no other hash, or the phone would give up."""
    if len(auth.algorithms) < 2 or "MD5" not in auth.algorithms:
        return False
    agents = auth.md5_agents
    return auth.lacking or (
        agents is not None and agents.search(ctx.msg.header("User-Agent") or "") is not None
    )


def qop_of(flags: int, default: str) -> str:
    """The qop that the flags of www_challenge() ask for."""
    if flags & WITH_AUTH_INT:
        return "auth-int"
    return "auth" if flags & WITH_AUTH else default


def header(name: str, realm: str, nonce: str, qop: str, algorithm: str, stale: bool) -> str:
    """One header line. Without an `algorithm` none is named: old phones know MD5 only, and not its name."""
    before, after = _around(name, realm, qop, algorithm, stale)
    return before + nonce + after


@lru_cache(256)
def _around(name: str, realm: str, qop: str, algorithm: str, stale: bool) -> tuple[str, str]:
    """What stands before and behind the nonce."""
    parts = ['"']
    if qop:
        parts.append(f'qop="{qop}"')
    if algorithm:
        parts.append(f"algorithm={algorithm}")
    if stale:
        parts.append("stale=true")
    return f'{name}: Digest realm={quote(realm)}, nonce="', ", ".join(parts)


class Challenges:
    """What scripts call, without the module's method around it."""

    def __init__(self, auth: Auth) -> None:
        self.auth = auth

    def www(self, ctx: Context, realm: str, flags: int) -> int:
        """www_challenge()."""
        return send(self.auth, ctx, realm, flags, 401)
