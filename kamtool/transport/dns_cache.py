"""Answers of the DNS, for as long as they are good; and records that an operator has put beside them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from kamtool.transport.dns_options import FOREVER, DnsOptions

STALE_SECONDS = 3600.0
"""How long an answer that has expired may still stand in for one that does not come (RFC 8767)."""
FAILURE_TTL = 5.0
ENTRY_BYTES, RECORD_BYTES = 400, 200
"""About what an entry and one record of it take."""

Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Host:
    """An A or AAAA record."""

    address: str


@dataclass(frozen=True, slots=True)
class Service:
    """An SRV record (RFC 2782)."""

    priority: int
    weight: int
    port: int
    target: str


@dataclass(slots=True)
class Entry:
    """The records of one name and type; none means that there is none."""

    records: list[Any]
    expires_at: float
    used_at: float

    @property
    def permanent(self) -> bool:
        return self.expires_at == FOREVER

    @property
    def size_bytes(self) -> int:
        return ENTRY_BYTES + RECORD_BYTES * len(self.records)


class Cache:
    """Entries by lower-case name and type. It never holds more than `options.cache_bytes`."""

    def __init__(self, options: DnsOptions) -> None:
        self.options = options
        self.entries: dict[Key, Entry] = {}
        self.used_bytes = 0
        self._swept_at = 0.0

    def get(self, key: Key, now: float) -> Entry | None:
        """The entry, if it is still good."""
        entry = self.entries.get(key)
        if entry is None or entry.expires_at <= now:
            return None
        entry.used_at = now
        return entry

    def stale(self, key: Key, now: float) -> Entry | None:
        """The last answer with records, when no new one is to be had."""
        entry = self.entries.get(key)
        return entry if entry and entry.records and entry.expires_at + STALE_SECONDS > now else None

    def put(self, key: Key, records: list[Any], ttl: float, now: float) -> Entry:
        """Keep an answer, within the limits of the cfg; one by hand that is permanent stays."""
        options = self.options
        if records:
            ttl = min(max(ttl, options.min_ttl), options.max_ttl)
        known = self.entries.get(key)
        if known is not None and known.permanent:
            return known
        return self.store(key, records, now + ttl, now)

    def store(self, key: Key, records: list[Any], expires_at: float, now: float) -> Entry:
        """Keep records until `expires_at`, in the place of what was there."""
        self.delete(key)
        entry = Entry(records, expires_at, now)
        if self.options.cache or entry.permanent:
            if now - self._swept_at > self.options.gc_seconds:
                self.sweep(now)
            if self._room(entry.size_bytes, now):
                self.entries[key] = entry
                self.used_bytes += entry.size_bytes
        return entry

    def add(self, key: Key, record: Any, ttl: float, now: float) -> None:
        """One more record by hand; `ttl` FOREVER makes the entry permanent."""
        known = self.get(key, now)
        records = [*known.records, record] if known is not None else [record]
        self.store(key, records, now + ttl, now)

    def delete(self, key: Key) -> bool:
        entry = self.entries.pop(key, None)
        if entry is not None:
            self.used_bytes -= entry.size_bytes
        return entry is not None

    def clear(self, *, permanent: bool = True) -> None:
        """Forget every entry; those by hand that are permanent only if asked to."""
        for key in [key for key, entry in self.entries.items() if permanent or not entry.permanent]:
            self.delete(key)

    def sweep(self, now: float) -> None:
        """Forget what has expired and is of no more use."""
        self._swept_at = now
        self._drop(key for key, e in self.entries.items() if not self._may_serve(e, now))

    @staticmethod
    def _may_serve(entry: Entry, now: float) -> bool:
        return entry.expires_at + (STALE_SECONDS if entry.records else 0.0) > now

    def _room(self, size_bytes: int, now: float) -> bool:
        """Make room: what has expired goes, then (if the cfg lets it) what was not used for longest."""
        limit = self.options.cache_bytes - size_bytes
        if self.used_bytes <= limit:
            return True
        self._drop(key for key, entry in self.entries.items() if entry.expires_at <= now)
        if self.used_bytes > limit and self.options.drop_living:
            living = [key for key, entry in self.entries.items() if not entry.permanent]
            living.sort(key=lambda key: self.entries[key].used_at)
            # A tenth at once: sorting for each new name would be a gift to whoever floods us.
            for place, key in enumerate(living):
                if self.used_bytes <= limit and place > len(living) // 10:
                    break
                self.delete(key)
        return self.used_bytes <= limit

    def _drop(self, keys: Iterator[Key]) -> None:
        for key in list(keys):
            self.delete(key)

    def __iter__(self) -> Iterator[tuple[Key, Entry]]:
        return iter(list(self.entries.items()))


def shown(records: Sequence[Any]) -> list[dict[str, Any]]:
    """Records as the control plane shows them, under the names that Kamailio uses."""
    rows = []
    for place, record in enumerate(records):
        row: dict[str, Any] = {"rr_idx": place}
        if hasattr(record, "address"):
            row["rr_ip"] = str(record.address)
        elif hasattr(record, "weight"):
            row["rr_name"] = str(record.target).rstrip(".")
            row |= {"rr_port": record.port, "rr_priority": record.priority, "rr_weight": record.weight}
        else:
            row |= {"rr_order": record.order, "rr_preference": record.preference}
            row |= {"rr_service": text(record.service), "rr_name": str(record.replacement).rstrip(".")}
        rows.append(row)
    return rows


def text(value: Any) -> str:
    """A character string of a record."""
    return value.decode("ascii", "replace") if isinstance(value, bytes) else str(value)
