"""Places that did not answer lately, and so are left alone for a while (`use_dst_blocklist`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from kamtool.errors import TransportError

SEND, CONNECT, ICMP, TIMEOUT, BUSY, ADMIN = 2, 4, 8, 16, 32, 64
"""Why a place is on the list, as bits; what `imask` parameters and blst_set_ignore take."""
ALL = 0xFF
IGNORED = "blst.ignore"
"""Where a context's scratch holds the events that do not count for it, and for its replies."""
ENTRY_BYTES = 250
METHODS = (
    "INVITE", "CANCEL", "ACK", "BYE", "INFO", "REGISTER", "SUBSCRIBE", "NOTIFY", "MESSAGE", "OPTIONS",
    "PRACK", "UPDATE", "REFER", "PUBLISH",
)  # fmt: skip
"""In the order of Kamailio's bits: INVITE 1, CANCEL 2, ACK 4, BYE 8 …"""
_BITS = {method: 1 << place for place, method in enumerate(METHODS)}

Place = tuple[str, str, int]


class BlockedError(TransportError):
    """The destination is on the list."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Why, and until when on the loop's clock."""

    flags: int
    expires_at: float


class Blocklist:
    """Places by transport, address and port. It holds at most `limit` of them: then no more are taken."""

    def __init__(self, setting: Callable[[str, Any], Any], now: Callable[[], float]) -> None:
        def either(name: str, default: int) -> int:
            old = setting(f"dst_blacklist_{name}", default)
            return int(setting(f"dst_blocklist_{name}", old))

        self.now = now
        self.expire_seconds = either("expire", 60)
        self.limit = max(either("mem", 250) * 1024 // ENTRY_BYTES, 1)
        self.gc_seconds = either("gc_interval", 60)
        self.imasks = {name: either(f"{name}_imask", 0) for name in ("udp", "tcp", "tls", "sctp")}
        self.methods_add, self.methods_lookup = 1, ~8
        """By tm: which methods put a place on the list when they time out, and which heed it."""
        self.busy: tuple[float, float, float] | None = None
        """By tm, for 503: seconds without Retry-After, at least, at most. None: a 503 puts nobody on."""
        self.entries: dict[Place, Entry] = {}
        self.rejected = 0
        self._swept_at = 0.0

    def add(
        self, transport: str, address: tuple[str, int], event: int, *, seconds: float | None = None,
        ignored: int = 0,
    ) -> bool:  # fmt: skip
        """Put a place on the list, unless this kind of event does not count; false then."""
        if not event & ~(ignored | self.imasks.get(transport, 0)):
            return False
        now = self.now()
        place = (transport, *address)
        known = self.entries.get(place)
        if known is None and len(self.entries) >= self.limit:
            self._sweep(now)
            if len(self.entries) >= self.limit:
                self.rejected += 1
                return False
        flags = event | (known.flags if known is not None and known.expires_at > now else 0)
        self.entries[place] = Entry(flags, now + (self.expire_seconds if seconds is None else seconds))
        return True

    def why(self, transport: str, address: tuple[str, int], ignored: int = 0) -> int:
        """The events for which a place is on the list, 0 when it is not."""
        entry = self.entries.get((transport, *address))
        if entry is None:
            return 0
        now = self.now()
        if entry.expires_at <= now:
            del self.entries[transport, *address]
            return 0
        return entry.flags & ~(ignored | self.imasks.get(transport, 0))

    def check(self, transport: str, address: tuple[str, int], method: str, ignored: int = 0) -> None:
        """Raises BlockedError when a request of this method must not go there."""
        if self.entries and _BITS.get(method, 1 << 14) & self.methods_lookup:
            flags = self.why(transport, address, ignored)
            if flags:
                raise BlockedError(f"{transport}:{address[0]}:{address[1]} is on the blocklist ({flags})")

    def timed_out(self, transport: str, address: tuple[str, int], method: str, ignored: int) -> None:
        """A transaction had no final response."""
        if _BITS.get(method, 1 << 14) & self.methods_add:
            self.add(transport, address, TIMEOUT, ignored=ignored)

    def answered_503(self, transport: str, address: tuple[str, int], retry_after: str, ignored: int) -> None:
        """A 503 came, with this Retry-After ("" for none)."""
        if self.busy is None:
            return
        default, shortest, longest = self.busy
        digits = retry_after.strip().partition(";")[0].partition("(")[0].strip()
        seconds = min(max(float(digits), shortest), longest) if digits.isdecimal() else default
        if seconds:
            self.add(transport, address, BUSY, seconds=seconds, ignored=ignored)

    def delete(self, transport: str, address: tuple[str, int]) -> bool:
        """Take a place off the list; false when it is not on it."""
        return self.entries.pop((transport, *address), None) is not None

    def clear(self) -> None:
        self.entries.clear()

    def _sweep(self, now: float) -> None:
        if now - self._swept_at < min(self.gc_seconds, 1):
            return
        self._swept_at = now
        for place in [place for place, entry in self.entries.items() if entry.expires_at <= now]:
            del self.entries[place]

    def __iter__(self) -> Iterator[tuple[Place, Entry]]:
        now = self.now()
        return iter([(place, entry) for place, entry in self.entries.items() if entry.expires_at > now])


def blocklist_for(setting: Callable[[str, Any], Any], now: Callable[[], float]) -> Blocklist | None:
    """The list, if the cfg wants one."""
    wanted = setting("use_dst_blocklist", setting("use_dst_blacklist", 0))
    made = setting("dst_blocklist_init", setting("dst_blacklist_init", 1))
    return Blocklist(setting, now) if wanted and made else None


def ignored_by(ctx: Any, where: str = IGNORED) -> int:
    """The events that do not count for a message."""
    scratch = None if ctx is None else ctx._scratch
    return int(scratch.get(where, 0)) if scratch else 0
