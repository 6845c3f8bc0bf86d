"""HEP, the encapsulation that capture servers take: versions 1, 2 and 3, both ways. Bytes only, no sockets.

Version 1 is a header, two addresses and the message; 2 adds the time and the sender's number; 3 is a list of
chunks. The time of version 2 is in the byte order of the machines that send it: little-endian.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field
from ipaddress import ip_address

from kamtool.errors import ParseError
from kamtool.sip.flow import Address

MAGIC = b"HEP3"
SIP, LOG = 1, 100
"""What a payload is (chunk 11)."""
_V1 = struct.Struct("!BBBBHH")
_TIMES = struct.Struct("<IIHxx")
_CHUNK = struct.Struct("!HHH")
IPV4, IPV6 = 2, 10
PROTOCOLS = {"udp": 17, "tcp": 6, "tls": 22, "sctp": 132, "ws": 6, "wss": 22}
"""The numbers that Kamailio gives; WebSocket has none of its own."""
_NAMES = {17: "udp", 6: "tcp", 22: "tls", 132: "sctp"}
LARGEST = 65_535
MAX_INFLATED = 1 << 20

FAMILY, PROTOCOL, SOURCE4, TARGET4, SOURCE6, TARGET6, SOURCE_PORT, TARGET_PORT = 1, 2, 3, 4, 5, 6, 7, 8
SECONDS, MICROSECONDS, KIND, NODE, KEEPALIVE, KEY, PAYLOAD, DEFLATED, CORRELATION = range(9, 18)


@dataclass(frozen=True, slots=True)
class Hep:
    """One encapsulated message. `at` is 0 where the version tells no time."""

    source: Address
    target: Address
    payload: bytes
    protocol: int = 17
    at: float = 0.0
    node: int = 0
    key: str = ""
    correlation: str = ""
    kind: int = SIP
    version: int = 3
    chunks: dict[int, bytes] = field(default_factory=dict)
    """The chunks of version 3 by their number, those of no vendor."""

    @property
    def transport(self) -> str:
        """The transport's name, `udp` where there is none for its number."""
        return _NAMES.get(self.protocol, "udp")


def is_hep(data: bytes) -> bool:
    """Whether a datagram begins as HEP does."""
    return data[:4] == MAGIC or (
        data[:1] in (b"\1", b"\2") and data[1:2] in (b"\x10", b"\x1c", b"\x28", b"\x34")
    )


def split_stream(data: bytes) -> tuple[list[bytes], bytes]:
    """The whole HEP3 packets that a stream begins with, and the rest. Raises ParseError when it is none."""
    found = []
    while len(data) >= 6:
        size = int.from_bytes(data[4:6], "big")
        if data[:4] != MAGIC or size < 6:
            raise ParseError(f"no HEP3 packet begins with {data[:6]!r}")
        if len(data) < size:
            break
        found.append(data[:size])
        data = data[size:]
    return found, data


def decode(data: bytes) -> Hep:
    """One packet of any version. Raises ParseError."""
    try:
        return _decode_3(data) if data[:4] == MAGIC else _decode_1(data)
    except (struct.error, IndexError, zlib.error) as error:
        raise ParseError(f"HEP: {error}") from error


def _decode_1(data: bytes) -> Hep:
    version, size, family, protocol, sport, dport = _V1.unpack_from(data)
    width = {IPV4: 4, IPV6: 16}.get(family, 0)
    if version not in (1, 2) or not width:
        raise ParseError(f"HEP version {version}, family {family}")
    end = _V1.size + 2 * width
    at, node = 0.0, 0
    if size not in (end, end + _TIMES.size) or len(data) < end:
        raise ParseError(f"HEP: a header of {size} octets")
    source, target = data[_V1.size : _V1.size + width], data[_V1.size + width : end]
    if version == 2:
        seconds, micro, node = _TIMES.unpack_from(data, end)
        at = seconds + micro / 1e6
        end += _TIMES.size
    return Hep(
        _address(source, sport), _address(target, dport), data[end:], protocol, at, node, version=version
    )


def _decode_3(data: bytes) -> Hep:
    end = int.from_bytes(data[4:6], "big")
    if end < 6 or end > len(data):
        raise ParseError(f"HEP: {end} octets announced, {len(data)} there")
    chunks: dict[int, bytes] = {}
    at = 6
    while at < end:
        vendor, kind, size = _CHUNK.unpack_from(data, at)
        if size < _CHUNK.size or at + size > end:
            raise ParseError(f"HEP: a chunk of {size} octets at {at}")
        if vendor == 0:
            chunks[kind] = data[at + _CHUNK.size : at + size]
        at += size

    def number(kind: int) -> int:
        return int.from_bytes(chunks.get(kind, b"\0")[:8], "big")

    payload = chunks.get(PAYLOAD, b"")
    if DEFLATED in chunks:
        payload = zlib.decompressobj().decompress(chunks[DEFLATED], MAX_INFLATED)
    source = chunks.get(SOURCE4) or chunks.get(SOURCE6) or b"\0\0\0\0"
    target = chunks.get(TARGET4) or chunks.get(TARGET6) or b"\0\0\0\0"
    return Hep(
        _address(source, number(SOURCE_PORT)), _address(target, number(TARGET_PORT)), payload,
        number(PROTOCOL), number(SECONDS) + number(MICROSECONDS) / 1e6, number(NODE),
        chunks.get(KEY, b"").decode("utf-8", "replace"),
        chunks.get(CORRELATION, b"").decode("utf-8", "replace"), number(KIND), 3, chunks,
    )  # fmt: skip


def _address(packed: bytes, port: int) -> Address:
    if len(packed) not in (4, 16):
        raise ParseError(f"HEP: an address of {len(packed)} octets")
    return Address(str(ip_address(packed)), port & 0xFFFF)


def encode(hep: Hep) -> bytes:
    """The packet, in `hep.version`. What the version cannot hold is left out; a payload is cut to fit."""
    source, target = ip_address(hep.source.host).packed, ip_address(hep.target.host).packed
    family = IPV4 if len(source) == 4 else IPV6
    seconds, micro = divmod(round(hep.at * 1_000_000), 1_000_000)
    if hep.version < 3:
        size = _V1.size + len(source) + len(target) + (_TIMES.size if hep.version == 2 else 0)
        head = _V1.pack(
            hep.version, size, family, hep.protocol, hep.source.port, hep.target.port
        )  # fmt: skip
        times = _TIMES.pack(seconds, micro, hep.node & 0xFFFF) if hep.version == 2 else b""
        return head + source + target + times + hep.payload
    six = family == IPV6
    pieces = [
        _chunk(FAMILY, bytes((family,))), _chunk(PROTOCOL, bytes((hep.protocol,))),
        _chunk(SOURCE6 if six else SOURCE4, source), _chunk(TARGET6 if six else TARGET4, target),
        _chunk(SOURCE_PORT, hep.source.port.to_bytes(2, "big")),
        _chunk(TARGET_PORT, hep.target.port.to_bytes(2, "big")),
        _chunk(SECONDS, seconds.to_bytes(4, "big")), _chunk(MICROSECONDS, micro.to_bytes(4, "big")),
        _chunk(KIND, bytes((hep.kind,))), _chunk(NODE, (hep.node & 0xFFFFFFFF).to_bytes(4, "big")),
    ]  # fmt: skip
    if hep.key:
        pieces.append(_chunk(KEY, hep.key.encode()))
    if hep.correlation:
        pieces.append(_chunk(CORRELATION, hep.correlation.encode("utf-8", "surrogateescape")))
    head = b"".join(pieces)
    pieces = [head, _chunk(PAYLOAD, hep.payload[: LARGEST - len(head) - 12])]
    body = b"".join(pieces)
    return MAGIC + (len(body) + 6).to_bytes(2, "big") + body


def _chunk(kind: int, value: bytes) -> bytes:
    return _CHUNK.pack(0, kind, len(value) + _CHUNK.size) + value
