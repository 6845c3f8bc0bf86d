"""From a frame to UDP and TCP: link headers stepped over, IP taken apart, fragments put together."""

from __future__ import annotations

import struct
from collections import Counter, OrderedDict
from dataclasses import dataclass, field
from ipaddress import ip_address

from kamtool.sip.flow import Address

UDP, TCP, IPIP, IPV6_IN_IP, FRAGMENT = 17, 6, 4, 41, 44
_EXTENSIONS = frozenset((0, 43, 51, 60, 135))
MAX_FRAGMENTED = 1024
MAX_DEPTH = 4
NULL, ETHERNET, RAW, LOOP, COOKED, COOKED2, IPV4_ONLY, IPV6_ONLY = 0, 1, 101, 108, 113, 276, 228, 229
RAWS = frozenset((12, 14, RAW, IPV4_ONLY, IPV6_ONLY))
VLANS = frozenset((0x8100, 0x88A8, 0x9100))
IP_TYPES = frozenset((0x0800, 0x86DD))


@dataclass(frozen=True, slots=True)
class Segment:
    """What one IP packet carried. `sequence` and `flags` are TCP's."""

    protocol: int
    source: Address
    target: Address
    data: bytes
    sequence: int = 0
    flags: int = 0


@dataclass(slots=True)
class _Parts:
    """The fragments of one packet so far: by offset, and the whole length once the last is there."""

    held: dict[int, bytes] = field(default_factory=dict)
    size: int = -1


class Network:
    """Takes packets, gives segments. `problems` counts what could not be understood."""

    def __init__(self, problems: Counter[str]) -> None:
        self.problems = problems
        self._fragments: OrderedDict[tuple[bytes, bytes, int, int], _Parts] = OrderedDict()

    def segment(self, link: int, data: bytes) -> Segment | None:
        """The UDP datagram or TCP segment in a packet, None when there is none."""
        try:
            inner = network_of(link, data)
            if inner is None:
                known = link in RAWS or link in (NULL, ETHERNET, LOOP, COOKED, COOKED2)
                self.problems["not IP" if known else f"link type {link}"] += 1
                return None
            return self._ip(inner, 0)
        except (struct.error, IndexError, ValueError):
            self.problems["a packet that ends too early"] += 1
            return None

    def unfinished(self) -> None:
        """Count the packets whose fragments never all came."""
        if self._fragments:
            self.problems["fragments without the rest"] += len(self._fragments)
            self._fragments.clear()

    def _ip(self, data: bytes, depth: int) -> Segment | None:
        if not data or depth > MAX_DEPTH:
            self.problems["not IP"] += 1
            return None
        version = data[0] >> 4
        if version == 4:
            return self._ipv4(data, depth)
        if version == 6:
            return self._ipv6(data, depth)
        self.problems["not IP"] += 1
        return None

    def _ipv4(self, data: bytes, depth: int) -> Segment | None:
        size, total = (data[0] & 15) * 4, struct.unpack_from("!H", data, 2)[0]
        if size < 20 or len(data) < size:
            raise ValueError
        # 0 is what offloading leaves of packets longer than 64 KiB or not yet cut.
        payload = data[size : total or len(data)] if total >= size or not total else b""
        source, target, protocol = data[12:16], data[16:20], data[9]
        cut = struct.unpack_from("!H", data, 6)[0]
        if cut & 0x3FFF:
            number = struct.unpack_from("!H", data, 4)[0]
            key = (source, target, number, protocol)
            whole = self._piece(key, (cut & 0x1FFF) * 8, payload, more=bool(cut & 0x2000))
            if whole is None:
                return None
            payload = whole
        return self._transport(protocol, source, target, payload, depth)

    def _ipv6(self, data: bytes, depth: int) -> Segment | None:
        size, protocol = struct.unpack_from("!HB", data, 4)
        source, target = data[8:24], data[24:40]
        payload = data[40 : 40 + size] if size else data[40:]
        if len(target) < 16:
            raise ValueError
        for _ in range(8):
            if protocol in _EXTENSIONS:
                length = (payload[1] + 2) * 4 if protocol == 51 else (payload[1] + 1) * 8
                protocol, payload = payload[0], payload[length:]
            elif protocol == FRAGMENT:
                following, cut, number = struct.unpack_from("!BxHI", payload)
                key = (source, target, number, following)
                whole = self._piece(key, cut & 0xFFF8, payload[8:], more=bool(cut & 1))
                if whole is None:
                    return None
                protocol, payload = following, whole
            else:
                break
        return self._transport(protocol, source, target, payload, depth)

    def _piece(
        self, key: tuple[bytes, bytes, int, int], offset: int, data: bytes, *, more: bool
    ) -> bytes | None:
        parts = self._fragments.setdefault(key, _Parts())
        parts.held.setdefault(offset, data)
        if not more:
            parts.size = offset + len(data)
        if len(self._fragments) > MAX_FRAGMENTED:
            self._fragments.popitem(last=False)
            self.problems["fragments without the rest"] += 1
        if parts.size < 0 or sum(map(len, parts.held.values())) < parts.size:
            return None
        whole = bytearray()
        for start in sorted(parts.held):
            if start > len(whole):
                return None
            if start + len(parts.held[start]) > len(whole):
                whole[start:] = parts.held[start]
        if len(whole) < parts.size:
            return None
        self._fragments.pop(key, None)
        return bytes(whole[: parts.size])

    def _transport(
        self, protocol: int, source: bytes, target: bytes, data: bytes, depth: int
    ) -> Segment | None:
        if protocol in (IPIP, IPV6_IN_IP):
            return self._ip(data, depth + 1)
        if protocol not in (UDP, TCP):
            self.problems["neither UDP nor TCP"] += 1
            return None
        sport, dport = struct.unpack_from("!HH", data)
        here, there = Address(str(ip_address(source)), sport), Address(str(ip_address(target)), dport)
        if protocol == UDP:
            size = struct.unpack_from("!H", data, 4)[0]
            if len(data) < 8:
                raise ValueError
            if size > len(data):
                self.problems["a datagram that was not captured whole"] += 1
            return Segment(UDP, here, there, data[8 : max(size, 8) if size else len(data)])
        sequence = struct.unpack_from("!I", data, 4)[0]
        begin = (data[12] >> 4) * 4
        if begin < 20:
            raise ValueError
        return Segment(TCP, here, there, data[begin:], sequence, data[13])


def network_of(link: int, data: bytes) -> bytes | None:
    """The IP packet in a frame, None when it holds something else."""
    if link in RAWS:
        return data
    if link in (NULL, LOOP):
        return data[4:]
    if link == ETHERNET:
        at, kind = 14, struct.unpack_from("!H", data, 12)[0]
    elif link == COOKED:
        at, kind = 16, struct.unpack_from("!H", data, 14)[0]
    elif link == COOKED2:
        at, kind = 20, struct.unpack_from("!H", data, 0)[0]
    else:
        return None
    while kind in VLANS:
        kind = struct.unpack_from("!H", data, at + 2)[0]
        at += 4
    if kind == 0x8864:  # PPPoE
        kind = {0x21: 0x0800, 0x57: 0x86DD}.get(struct.unpack_from("!H", data, at + 6)[0], 0)
        at += 8
    return data[at:] if kind in IP_TYPES else None
