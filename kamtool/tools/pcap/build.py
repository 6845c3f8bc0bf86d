"""Octets in an IP packet as they might have travelled: UDP or TCP over IPv4 or IPv6, with right checksums."""

from __future__ import annotations

import struct
from ipaddress import ip_address

from kamtool.sip.flow import Address

UDP, TCP = 17, 6
LARGEST_4, LARGEST_6 = 65_535 - 28, 65_535 - 8
"""The longest message that a packet can hold."""


def checksum(data: bytes) -> int:
    """RFC 1071: the ones' complement of the ones' complement sum of the 16-bit words."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def packet(source: Address, target: Address, data: bytes, number: int) -> bytes:
    """The packet; a message that does not fit is cut. Families that differ become IPv6 (mapped)."""
    here, there = _ends(source, target)
    data = data[: LARGEST_4 if len(here) == 4 else LARGEST_6]
    head, pseudo = _ip(here, there, UDP, 8 + len(data), number)
    udp = struct.pack("!HHHH", source.port, target.port, 8 + len(data), 0)
    found = checksum(pseudo + udp + data) or 0xFFFF
    return head + udp[:6] + struct.pack("!H", found) + data


def tcp_packet(
    source: Address, target: Address, sequence: int, acknowledged: int, flags: int, data: bytes
) -> bytes:
    """A TCP segment in its packet; the numbers are taken modulo 2^32."""
    here, there = _ends(source, target)
    head, pseudo = _ip(here, there, TCP, 20 + len(data), sequence)
    tcp = struct.pack(
        "!HHIIBBHHH", source.port, target.port, sequence & 0xFFFFFFFF, acknowledged & 0xFFFFFFFF, 5 << 4,
        flags, 65_535, 0, 0,
    )  # fmt: skip
    return head + tcp[:16] + struct.pack("!H", checksum(pseudo + tcp + data)) + tcp[18:] + data


def _ends(source: Address, target: Address) -> tuple[bytes, bytes]:
    here, there = ip_address(source.host), ip_address(target.host)
    if here.version == there.version:
        return here.packed, there.packed
    first, second = (each.packed if each.version == 6 else _mapped(each.packed) for each in (here, there))
    return first, second


def _ip(here: bytes, there: bytes, protocol: int, size: int, number: int) -> tuple[bytes, bytes]:
    """The header before `size` octets, and what of it goes into their checksum."""
    if len(here) == 4:
        head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + size, number & 0xFFFF, 0x4000, 64, protocol, 0)
        head += here + there
        head = head[:10] + struct.pack("!H", checksum(head)) + head[12:]
        return head, here + there + struct.pack("!BBH", 0, protocol, size)
    head = struct.pack("!IHBB", 0x60000000, size, protocol, 64) + here + there
    return head, here + there + struct.pack("!II", size, protocol)


def _mapped(packed: bytes) -> bytes:
    return b"\0" * 10 + b"\xff\xff" + packed
