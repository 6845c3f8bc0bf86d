"""A message in an IP packet as it might have travelled: UDP over IPv4 or IPv6, with right checksums."""

from __future__ import annotations

import struct
from ipaddress import ip_address

from kamtool.sip.flow import Address

UDP = 17
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
    here, there = ip_address(source.host), ip_address(target.host)
    if here.version == there.version == 4:
        data = data[:LARGEST_4]
        size = 28 + len(data)
        head = (
            struct.pack("!BBHHHBBH", 0x45, 0, size, number & 0xFFFF, 0x4000, 64, UDP, 0)
            + here.packed
            + there.packed
        )
        head = head[:10] + struct.pack("!H", checksum(head)) + head[12:]
        pseudo = here.packed + there.packed + struct.pack("!BBH", 0, UDP, size - 20)
    else:
        data = data[:LARGEST_6]
        size = 8 + len(data)
        first, second = (
            each.packed.rjust(16, b"\0") if each.version == 6 else _mapped(each.packed)
            for each in (here, there)
        )
        head = struct.pack("!IHBB", 0x60000000, size, UDP, 64) + first + second
        pseudo = first + second + struct.pack("!II", size, UDP)
    udp = struct.pack("!HHHH", source.port, target.port, 8 + len(data), 0)
    found = checksum(pseudo + udp + data) or 0xFFFF
    return head + udp[:6] + struct.pack("!H", found) + data


def _mapped(packed: bytes) -> bytes:
    return b"\0" * 10 + b"\xff\xff" + packed
