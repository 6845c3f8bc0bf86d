"""The challenge of a 401 or 407 (RFC 7616 §3.3); several algorithms are several headers (RFC 8760)."""

from __future__ import annotations

from functools import lru_cache

from kamtool.sip.nameaddr import quote

WITH_AUTH = 1
WITH_AUTH_INT = 2
NO_500 = 4
WITH_STALE = 16


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
