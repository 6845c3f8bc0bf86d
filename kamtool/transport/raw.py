"""UDP over IPv4 through a raw socket: headers made here (`udp4_raw`), a large datagram cut in fragments."""

from __future__ import annotations

import itertools
import socket as sockets
import struct
from collections.abc import Iterator

HEADER_BYTES, UDP_BYTES = 20, 8
MORE_FRAGMENTS = 0x2000
DEFAULT_TTL = 64


class RawSender:
    """Sends datagrams that look as if a bound UDP socket had. Raises OSError without CAP_NET_RAW."""

    def __init__(self, mtu: int = 1500, ttl: int = -1, tos: int = 0) -> None:
        self.mtu, self.ttl, self.tos = max(mtu, 68), ttl if 0 < ttl < 256 else DEFAULT_TTL, tos & 0xFF
        self._ids = itertools.cycle(range(1, 65536))
        self._raw = sockets.socket(sockets.AF_INET, sockets.SOCK_RAW, sockets.IPPROTO_RAW)
        self._raw.setblocking(False)

    def send(self, data: bytes, local: tuple[str, int], remote: tuple[str, int]) -> None:
        """One datagram. Raises OSError, BlockingIOError when the kernel takes no more now."""
        for packet in self.packets(data, local, remote):
            self._raw.sendto(packet, (remote[0], 0))

    def packets(self, data: bytes, local: tuple[str, int], remote: tuple[str, int]) -> Iterator[bytes]:
        """The IP packets of one datagram (RFC 791 §3.2). The kernel fills in the checksum of each header."""
        source, target = sockets.inet_aton(local[0]), sockets.inet_aton(remote[0])
        length = UDP_BYTES + len(data)
        if length > 65535 - HEADER_BYTES:
            raise OSError(90, "Message too long")
        head = struct.pack("!HHHH", local[1], remote[1], length, 0)
        checksum = udp_checksum(source, target, head + data)
        payload = head[:6] + struct.pack("!H", checksum) + data
        room = (self.mtu - HEADER_BYTES) & ~7
        number = next(self._ids)
        for start in range(0, len(payload), room):
            part = payload[start : start + room]
            more = MORE_FRAGMENTS if start + len(part) < len(payload) else 0
            header = struct.pack(
                "!BBHHHBBH4s4s", 0x45, self.tos, HEADER_BYTES + len(part), number, more | start >> 3,
                self.ttl, sockets.IPPROTO_UDP, 0, source, target,
            )  # fmt: skip
            yield header + part

    def close(self) -> None:
        self._raw.close()


def udp_checksum(source: bytes, target: bytes, datagram: bytes) -> int:
    """RFC 768: the ones' complement sum over pseudo header, header and data; 0 is sent as 0xffff."""
    pseudo = source + target + struct.pack("!HH", sockets.IPPROTO_UDP, len(datagram))
    whole = pseudo + datagram + (b"\0" if len(datagram) & 1 else b"")
    # The ones' complement sum of 16-bit words is the number they spell, modulo 0xffff.
    return (0xFFFF - int.from_bytes(whole, "big") % 0xFFFF) or 0xFFFF
