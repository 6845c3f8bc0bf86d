"""Wireshark's exported PDUs (link type 252): a message with its addresses in tags, no headers invented."""

from __future__ import annotations

import struct
from ipaddress import ip_address

from kamtool.sip.flow import Address
from kamtool.tools.captured import Captured

LINK = 252
END, DISSECTOR, SOURCE4, TARGET4, SOURCE6, TARGET6, PORT_TYPE, SOURCE_PORT, TARGET_PORT = (
    0, 12, 20, 21, 22, 23, 24, 25, 26,
)  # fmt: skip
TCP_PORTS, UDP_PORTS = 2, 3


def encode(seen: Captured) -> bytes:
    """The tags, and the message behind them."""
    source, target = ip_address(seen.source.host), ip_address(seen.target.host)
    tags = [
        _tag(DISSECTOR, b"sip"),
        _tag(SOURCE4 if source.version == 4 else SOURCE6, source.packed),
        _tag(TARGET4 if target.version == 4 else TARGET6, target.packed),
        _tag(PORT_TYPE, (UDP_PORTS if seen.transport == "udp" else TCP_PORTS).to_bytes(4, "big")),
        _tag(SOURCE_PORT, seen.source.port.to_bytes(4, "big")),
        _tag(TARGET_PORT, seen.target.port.to_bytes(4, "big")),
        _tag(END, b""),
    ]
    return b"".join(tags) + seen.data


def _tag(kind: int, value: bytes) -> bytes:
    value += b"\0" * (-len(value) % 4)
    return struct.pack("!HH", kind, len(value)) + value


def decode(data: bytes) -> Captured | None:
    """The message, None when it is of another protocol or damaged."""
    tags: dict[int, bytes] = {}
    at = 0
    while at + 4 <= len(data):
        kind, size = struct.unpack_from("!HH", data, at)
        at += 4
        if kind == END:
            break
        tags[kind] = data[at : at + size]
        at += size
    else:
        return None
    if tags.get(DISSECTOR, b"").rstrip(b"\0") != b"sip":
        return None
    is_tcp = int.from_bytes(tags.get(PORT_TYPE, b""), "big") == TCP_PORTS
    try:
        source = _address(tags.get(SOURCE4) or tags.get(SOURCE6), tags.get(SOURCE_PORT))
        target = _address(tags.get(TARGET4) or tags.get(TARGET6), tags.get(TARGET_PORT))
    except ValueError:
        return None
    return Captured(0.0, "tcp" if is_tcp else "udp", source, target, data[at:])


def _address(packed: bytes | None, port: bytes | None) -> Address:
    host = str(ip_address(packed)) if packed is not None else "0.0.0.0"
    return Address(host, int.from_bytes(port or b"", "big") & 0xFFFF)
