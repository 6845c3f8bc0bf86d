"""Kamailio's hash of one or two texts, by which a destination is chosen."""

from __future__ import annotations

from kamtool.script.values import to_octets
from kamtool.sip.uri import SipUri, Uri


def _sum(octets: bytes) -> int:
    """Four octets at a time, then what is left over."""
    total = 0
    whole = len(octets) & ~3
    for place in range(0, whole, 4):
        word = int.from_bytes(octets[place : place + 4], "big")
        total += word ^ (word >> 3)
    rest = int.from_bytes(octets[whole:], "big")
    return total + (rest ^ (rest >> 3))


def hash_of(first: str, second: str = "") -> int:
    """The hash of a text, or of two such as a user and a host."""
    total = (_sum(to_octets(first)) + (_sum(to_octets(second)) if second else 0)) & 0xFFFFFFFF
    return (total + (total >> 11) + (total >> 13) + (total >> 23)) & 0xFFFFFFFF or 1


def hash_of_uri(uri: Uri, *, user_only: bool) -> int:
    """The hash of user, host and a port that is not the scheme's own; with `user_only` of the user."""
    if not isinstance(uri, SipUri):
        return hash_of(str(uri))
    user = uri.user or ""
    usual = 5061 if uri.scheme == "sips" else 5060
    host = uri.host if uri.port in (None, usual) else f"{uri.host}:{uri.port}"
    if user_only and user:
        return hash_of(user)
    return hash_of(user, host) if user else hash_of(host)
