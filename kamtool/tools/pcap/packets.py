"""The packets of a pcap or pcapng file as far as it goes: damage is counted, named and stepped over."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from kamtool.errors import ParseError

PCAP_MAGICS = {
    b"\xa1\xb2\xc3\xd4": (">", 1e6), b"\xd4\xc3\xb2\xa1": ("<", 1e6),
    b"\xa1\xb2\x3c\x4d": (">", 1e9), b"\x4d\x3c\xb2\xa1": ("<", 1e9),
}  # fmt: skip
SECTION, INTERFACE, OLD_PACKET, SIMPLE, ENHANCED, SECRETS = 0x0A0D0D0A, 1, 2, 3, 6, 10
LARGEST_PACKET = 1 << 24
COMMENT, IF_TSRESOL, IF_TSOFFSET, FLAGS = 1, 9, 14, 2


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet as it was captured. `cut` octets of it were not kept."""

    at: float
    link: int
    data: bytes
    comment: str = ""
    inbound: bool | None = None
    cut: int = 0


class Packets:
    """Reads a file from its beginning; `problems` says afterwards what could not be read, and how often."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.problems: Counter[str] = Counter()

    def __iter__(self) -> Iterator[Packet]:
        """Raises ParseError when this is no capture at all."""
        magic = self.file.read(4)
        if magic in PCAP_MAGICS:
            return self._pcap(*PCAP_MAGICS[magic])
        if magic == b"\n\r\r\n":
            return self._pcapng()
        if magic[:2] == b"\x1f\x8b":
            raise ParseError("a compressed file: give what `zcat` makes of it")
        raise ParseError("neither pcap nor pcapng" if magic else "the file is empty")

    def _pcap(self, order: str, unit: float) -> Iterator[Packet]:
        head = self.file.read(20)
        if len(head) < 20:
            self.problems["the file ends within its header"] += 1
            return
        link = struct.unpack(order + "16xI", head)[0] & 0x0FFFFFFF
        record = struct.Struct(order + "IIII")
        while head := self.file.read(16):
            if len(head) < 16:
                self.problems["the file ends within a packet"] += 1
                return
            seconds, fraction, size, original = record.unpack(head)
            if size > LARGEST_PACKET:
                self.problems["a packet that cannot be so long: the rest is not read"] += 1
                return
            data = self.file.read(size)
            if len(data) < size:
                self.problems["the file ends within a packet"] += 1
                return
            yield Packet(seconds + fraction / unit, link, data, cut=max(0, original - size))

    # pcapng

    def _pcapng(self) -> Iterator[Packet]:
        order, links = "<", list[tuple[int, float, int]]()
        kind_bytes = b"\n\r\r\n"
        while len(kind_bytes) == 4:
            if kind_bytes == b"\n\r\r\n":
                found = self._section()
                if found is None:
                    return
                order, links = found, []
            else:
                block = self._block(order)
                if block is None:
                    return
                try:
                    yield from self._packets(order, struct.unpack(order + "I", kind_bytes)[0], block, links)
                except (struct.error, IndexError):
                    self.problems["a damaged block"] += 1
            kind_bytes = self.file.read(4)
        if kind_bytes:
            self.problems["the file ends within a block"] += 1

    def _section(self) -> str | None:
        """The byte order of a section, after its header."""
        head = self.file.read(8)
        order = {b"\x4d\x3c\x2b\x1a": "<", b"\x1a\x2b\x3c\x4d": ">"}.get(head[4:8])
        if order is None:
            self.problems["a section without its mark: the rest is not read"] += 1
            return None
        size = struct.unpack(order + "I", head[:4])[0]
        if size < 28 or size % 4 or size > LARGEST_PACKET or len(self.file.read(size - 12)) < size - 12:
            self.problems["the file ends within a section header"] += 1
            return None
        return order

    def _block(self, order: str) -> bytes | None:
        head = self.file.read(4)
        size = struct.unpack(order + "I", head)[0] if len(head) == 4 else 0
        if len(head) < 4:
            self.problems["the file ends within a block"] += 1
            return None
        if size < 12 or size % 4 or size > LARGEST_PACKET:
            self.problems["a block that cannot be so long: the rest is not read"] += 1
            return None
        body = self.file.read(size - 8)
        if len(body) < size - 8:
            self.problems["the file ends within a block"] += 1
            return None
        return body[:-4]

    def _packets(
        self, order: str, kind: int, body: bytes, links: list[tuple[int, float, int]]
    ) -> Iterator[Packet]:
        if kind == INTERFACE:
            link = struct.unpack_from(order + "H", body)[0]
            unit, offset = 1e6, 0
            for code, value in _options(order, body[8:]):
                if code == IF_TSRESOL and value:
                    unit = float(2 ** (value[0] & 0x7F)) if value[0] & 0x80 else 10.0 ** value[0]
                elif code == IF_TSOFFSET and len(value) == 8:
                    offset = struct.unpack(order + "q", value)[0]
            links.append((link, unit, offset))
        elif kind in (ENHANCED, OLD_PACKET):
            if kind == ENHANCED:
                interface, high, low, size, original = struct.unpack_from(order + "IIIII", body)
            else:
                interface, high, low, size, original = struct.unpack_from(order + "HxxIIII", body)
            link, unit, offset = links[interface]
            data = body[20 : 20 + size]
            if len(data) < size:
                raise IndexError
            comments, inbound = [], None
            for code, value in _options(order, body[20 + (size + 3) // 4 * 4 :]):
                if code == COMMENT:
                    comments.append(value.decode("utf-8", "replace"))
                elif code == FLAGS and len(value) == 4:
                    inbound = {1: True, 2: False}.get(struct.unpack(order + "I", value)[0] & 3)
            at = ((high << 32) | low) / unit + offset
            yield Packet(at, link, data, "\n".join(comments), inbound, max(0, original - size))
        elif kind == SIMPLE:
            original = struct.unpack_from(order + "I", body)[0]
            data = body[4 : 4 + original]
            yield Packet(0.0, links[0][0], data, cut=max(0, original - len(data)))


def _options(order: str, data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 4 <= len(data):
        code, size = struct.unpack_from(order + "HH", data, at)
        if code == 0:
            return
        yield code, data[at + 4 : at + 4 + size]
        at += 4 + (size + 3) // 4 * 4
