"""The records of TLS connections as the TCP that carried them, with the secrets that open them.

The octets are those that went over the wire; the packets around them are made here, since nobody saw them.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from kamtool.sip.flow import Address
from kamtool.tools.pcap.build import tcp_packet
from kamtool.tools.pcap.tcp import FIN, SYN
from kamtool.transport import records

TLS_KEY_LOG = 0x544C534B
"""The type of secrets in a Decryption Secrets Block that are lines of an SSLKEYLOGFILE."""
ACK, PUSH = 16, 8
LARGEST_SEGMENT = 32_768


@dataclass(frozen=True, slots=True)
class Record:
    """Something of a TLS connection: `kind` is one of kamtool.transport.records.

    `before` is how many octets went that way before these, modulo 2^32.
    """

    at: float
    kind: int
    here: Address
    there: Address
    connection: int
    before: int
    data: bytes


@dataclass(slots=True)
class _Side:
    address: Address
    sent: int = 0
    """The octets after the SYN, modulo 2^32, that this side has sent."""


@dataclass(slots=True)
class _Connection:
    here: _Side
    there: _Side


class Streams:
    """Gives the IP packets of connections, their handshake and end included."""

    def __init__(self) -> None:
        self._connections: dict[int, _Connection] = {}
        self.ports: set[int] = set()
        """On which connections were accepted, by us or by others."""

    def __contains__(self, connection: int) -> bool:
        """Whether the octets of this connection are shown: its messages need not be."""
        return connection in self._connections

    def packets(self, record: Record) -> Iterator[bytes]:
        """Those that a record travelled in; none for secrets."""
        if record.kind in (records.BEGIN_IN, records.BEGIN_OUT):
            made = self._connections[record.connection] = _Connection(_Side(record.here), _Side(record.there))
            ours = record.kind == records.BEGIN_OUT
            first, second = (made.here, made.there) if ours else (made.there, made.here)
            self.ports.add(second.address.port)
            yield tcp_packet(first.address, second.address, 0, 0, SYN, b"")
            yield tcp_packet(second.address, first.address, 0, 1, SYN | ACK, b"")
            yield tcp_packet(first.address, second.address, 1, 1, ACK, b"")
            return
        known = self._connections.get(record.connection)
        if known is None or record.kind == records.SECRETS:
            return
        if record.kind == records.END:
            del self._connections[record.connection]
            yield _packet(known.here, known.there, FIN | ACK, b"")
            known.here.sent += 1
            yield _packet(known.there, known.here, FIN | ACK, b"")
            return
        source, target = known.here, known.there
        if record.kind == records.IN:
            source, target = target, source
        source.sent = record.before
        for at in range(0, len(record.data), LARGEST_SEGMENT):
            piece = record.data[at : at + LARGEST_SEGMENT]
            yield _packet(source, target, PUSH | ACK, piece)
            source.sent += len(piece)


def _packet(source: _Side, target: _Side, flags: int, data: bytes) -> bytes:
    return tcp_packet(source.address, target.address, source.sent + 1, target.sent + 1, flags, data)


def secrets(lines: bytes) -> bytes:
    """The body of a Decryption Secrets Block."""
    return struct.pack("<II", TLS_KEY_LOG, len(lines)) + lines + b"\0" * (-len(lines) % 4)
