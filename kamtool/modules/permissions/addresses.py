"""The address table: IP addresses, subnets and names, in groups, in memory."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from kamtool.errors import ConfigError, StoreError

WIDTH = {4: 32, 16: 128}


@lru_cache(8192)
def packed(text: str) -> bytes:
    """The octets of an IP address, IPv6 with or without brackets; empty when it is none."""
    try:
        if ":" in text:
            return socket.inet_pton(socket.AF_INET6, text.removeprefix("[").removesuffix("]"))
        return socket.inet_pton(socket.AF_INET, text)
    except (OSError, ValueError):
        return b""


def shown(octets: bytes) -> str:
    """An address as text."""
    return socket.inet_ntop(socket.AF_INET if len(octets) == 4 else socket.AF_INET6, octets)


@dataclass(frozen=True, slots=True)
class Entry:
    """One row: whom it means, in which group. `port` 0 fits any port; `bits` is the mask of a subnet."""

    group: int
    key: bytes | str
    bits: int
    port: int
    tag: str | None

    def fits(self, port: int) -> bool:
        return self.port in (0, port)


@dataclass(frozen=True, slots=True)
class Subnet:
    """A subnet, its network ready to be compared."""

    entry: Entry
    width: int
    network: int

    def holds(self, width: int, number: int) -> bool:
        return width == self.width and number >> (width * 8 - self.entry.bits) == self.network


class Addresses:
    """The whole table, made at once and never changed."""

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self.exact: dict[bytes, list[Entry]] = {}
        self.names: dict[str, list[Entry]] = {}
        self.subnets: list[Subnet] = []
        for entry in entries:
            if isinstance(entry.key, str):
                self.names.setdefault(entry.key, []).insert(0, entry)
            elif entry.bits == WIDTH[len(entry.key)]:
                self.exact.setdefault(entry.key, []).insert(0, entry)
            else:
                width = len(entry.key)
                network = int.from_bytes(entry.key, "big") >> (width * 8 - entry.bits)
                self.subnets.append(Subnet(entry, width, network))
        self.subnets.sort(key=lambda subnet: subnet.entry.group)

    def find(self, address: str, port: int, group: int | None = None) -> Entry | None:
        """The row that this address and port match, of `group` or of any; the newest of several.

        An address alone goes before a subnet. What is no IP address is looked for among the names.
        """
        key = packed(address)
        if not key:
            return _first(self.names.get(address, ()), port, group)
        found = _first(self.exact.get(key, ()), port, group) if key in self.exact else None
        if found is not None or not self.subnets:
            return found
        width, number = len(key), int.from_bytes(key, "big")
        within = (subnet.entry for subnet in self.subnets if subnet.holds(width, number))
        return _first(within, port, group)


def _first(entries: Iterable[Entry], port: int, group: int | None) -> Entry | None:
    for entry in entries:
        if (group is None or entry.group == group) and entry.fits(port):
            return entry
    return None


def entry_of(group: Any, address: Any, mask: Any, port: Any, tag: Any) -> Entry:
    """The entry that a row or a line writes. Raises ValueError with what is wrong."""
    numbers = (group, mask, port)
    if not all(isinstance(number, int) for number in numbers) or not isinstance(address, str):
        raise ValueError("group, mask and port should be numbers, the address text")
    if group <= 0:
        raise ValueError(f"group {group} is not above 0")
    tag = None if tag is None else str(tag)
    key = packed(address)
    if not key:
        return Entry(group, address, 0, port, tag)
    width = WIDTH[len(key)]
    if not 0 <= mask <= width:
        raise ValueError(f"mask {mask} is not between 0 and {width}")
    return Entry(group, key, mask or width, port, tag)


def read_rows(rows: Iterable[tuple[Any, ...]], where: str, most_subnets: int) -> Addresses:
    """The table of rows `(id, group, address, mask, port, tag)`. Raises StoreError for a bad one."""
    entries = []
    for row_id, *cells in rows:
        try:
            entries.append(entry_of(*cells))
        except ValueError as error:
            raise StoreError(f"{where}: row {row_id}: {error}") from error
    made = Addresses(entries)
    if len(made.subnets) > most_subnets:
        raise StoreError(f"{where}: {len(made.subnets)} subnets are more than max_subnets={most_subnets}")
    return made


def read_file(text: str, name: str, most_subnets: int) -> Addresses:
    """The table that an address file writes: `group address [mask [port [tag]]]`. Raises ConfigError."""
    entries = [_line(line, f"{name}:{number}") for number, line in _lines(text)]
    made = Addresses(entries)
    if len(made.subnets) > most_subnets:
        raise ConfigError(f"{name}: more subnets than max_subnets={most_subnets}", code="KT1201")
    return made


def _lines(text: str) -> Iterator[tuple[int, list[str]]]:
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split()
        if words:
            yield number, words


def _line(words: list[str], place: str) -> Entry:
    group, address, *rest = [*words, ""]
    given = [word for word in rest if word]
    try:
        if len(words) < 2 or len(words) > 5:
            raise ValueError("there should be 2 to 5 words")
        width = WIDTH.get(len(packed(address)), 32)
        mask = int(given[0]) if given else width
        port = int(given[1]) if len(given) > 1 else 0
        return entry_of(int(group), address, mask, port, given[2] if len(given) > 2 else None)
    except ValueError as error:
        raise ConfigError(
            f"permissions: {place}: {error}", hint="group address [mask [port [tag]]]", code="KT1201"
        ) from error
