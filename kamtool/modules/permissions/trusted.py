"""The trusted table: peers by source address, transport, From and R-URI."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from kamtool.errors import ConfigError, StoreError
from kamtool.script.regex import compile_ere

PROTOCOLS = ("any", "udp", "tcp", "tls", "sctp", "ws", "wss", "none")
ANY, NONE = "any", "none"
NUMBERS = {"any": 0, "udp": 1, "tcp": 2, "tls": 3, "sctp": 4, "ws": 5, "wss": 6}
"""As trustedDump shows them."""


_PIECE = re.compile(r"\[\^?\]?(?:\[[:.=].*?[:.=]\]|[^\]])*\]|\\.|[(){}|+?]|^\*", re.DOTALL)
_OTHERWISE = frozenset("(){}|+?")
"""What is special in one kind of expression with a backslash before it, in the other without."""


def to_extended(pattern: str) -> str:
    r"""A basic regular expression as an extended one: `\(` and `(` change places, and so on.

    The patterns of this table are basic ones in Kamailio, with GNU's `\|`, `\+` and `\?`.
    """
    return _PIECE.sub(_extended, pattern)


def _extended(found: re.Match[str]) -> str:
    piece = found[0]
    if piece[0] == "\\" and piece[1:] in _OTHERWISE:
        return piece[1:]
    return f"\\{piece}" if piece in _OTHERWISE or piece == "*" else piece


@lru_cache(1024)
def expression(pattern: str) -> re.Pattern[str]:
    """A pattern of the table, compiled. Raises ConfigError."""
    return compile_ere(to_extended(pattern))


@dataclass(frozen=True, slots=True)
class Peer:
    """One row. Empty patterns fit all."""

    source: str
    protocol: str
    from_pattern: str | None
    ruri_pattern: str | None
    tag: str | None
    priority: int

    def fits(self, protocol: str, from_uri: str, ruri: str) -> bool:
        if protocol != ANY and self.protocol not in (ANY, protocol):
            return False
        return _agrees(self.from_pattern, from_uri) and _agrees(self.ruri_pattern, ruri)


def _agrees(pattern: str | None, text: str) -> bool:
    return not pattern or expression(pattern).search(text) is not None


class Trusted:
    """Peers by source address, the highest priority first."""

    def __init__(self, peers: Iterable[Peer] = ()) -> None:
        self.by_source: dict[str, list[Peer]] = {}
        for peer in sorted(peers, key=lambda peer: -peer.priority):
            if peer.protocol != NONE:
                self.by_source.setdefault(peer.source, []).append(peer)

    def matches(self, source: str, protocol: str, from_uri: str, ruri: str) -> list[Peer]:
        """The peers that fit, best first."""
        peers = self.by_source.get(source, ())
        return [peer for peer in peers if peer.fits(protocol, from_uri, ruri)]


def read_rows(rows: Iterable[tuple[Any, ...]], where: str) -> Trusted:
    """The table of rows `(id, source, protocol, from, ruri, tag, priority)`. Raises StoreError."""
    peers = []
    for row_id, source, protocol, from_pattern, ruri_pattern, tag, priority in rows:
        kind = str(protocol).lower()
        if kind not in PROTOCOLS:
            raise StoreError(f"{where}: row {row_id}: unknown protocol {protocol!r}")
        for pattern in (from_pattern, ruri_pattern):
            try:
                if pattern:
                    expression(str(pattern))
            except ConfigError as error:
                raise StoreError(f"{where}: row {row_id}: {error.message}") from error
        peers.append(Peer(str(source), kind, from_pattern, ruri_pattern, tag, int(priority or 0)))
    return Trusted(peers)
