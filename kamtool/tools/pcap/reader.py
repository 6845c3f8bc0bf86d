"""The SIP messages in a capture: over UDP and TCP, in HEP, in exported PDUs; the rest is counted."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterator
from typing import BinaryIO

from kamtool.errors import ParseError
from kamtool.sip import hep
from kamtool.sip.flow import Address
from kamtool.sip.framing import Broken, Framer
from kamtool.tools.captured import Captured
from kamtool.tools.pcap import pdu
from kamtool.tools.pcap.ip import UDP, Network, Segment
from kamtool.tools.pcap.packets import Packet, Packets
from kamtool.tools.pcap.tcp import FIN, RST, SYN, Stream

_START = re.compile(
    rb"(?:SIP/2\.0 [1-6]\d\d[^\r\n]{0,4096}|"
    rb"[A-Z][A-Za-z0-9.!%*_+`'~-]{0,31} [^\s]{1,1024} SIP/2\.0)[ \t]*\r?\n"
)
_TRANSPORT = re.compile(r"^kamtool: (?:(in|out) )?(udp|tcp|tls|ws|wss|sctp)\b", re.MULTILINE)
TLS_HANDSHAKE = b"\x16\x03"
MAX_STREAMS = 65_536
LARGEST_HELD = 1 << 20

Ends = tuple[Address, Address]


class _Side:
    """One direction of a connection on its way to being messages."""

    __slots__ = ("framer", "hep", "is_sip", "stream", "tail")

    def __init__(self) -> None:
        self.stream, self.framer = Stream(), Framer()
        self.is_sip: bool | None = None
        self.hep = False
        self.tail = b""


class Reader:
    """Iterate over it for the messages, in the order of the file. `problems` counts and names the rest."""

    def __init__(self, file: BinaryIO) -> None:
        self.packets = Packets(file)
        self.problems = self.packets.problems
        self.count = 0
        """Packets read."""
        self._network = Network(self.problems)
        self._sides: OrderedDict[Ends, _Side] = OrderedDict()

    def __iter__(self) -> Iterator[Captured]:
        """Raises ParseError when this is no capture at all."""
        at = 0.0
        for packet in self.packets:
            self.count += 1
            at = packet.at
            if packet.cut:
                self.problems["a packet that was not captured whole"] += 1
            yield from self._read(packet)
        for ends in list(self._sides):
            yield from self._end(at, ends)
        self._network.unfinished()

    def _read(self, packet: Packet) -> Iterator[Captured]:
        if packet.link == pdu.LINK:
            found = pdu.decode(packet.data)
            if found is None:
                self.problems["an exported PDU that is not SIP"] += 1
            else:
                found.at, found.inbound = packet.at, packet.inbound
                yield marked(found, packet)
            return
        segment = self._network.segment(packet.link, packet.data)
        if segment is None:
            return
        if segment.protocol == UDP:
            yield from self._datagram(packet, segment)
        else:
            yield from self._tcp(packet, segment)

    def _datagram(self, packet: Packet, segment: Segment) -> Iterator[Captured]:
        data = segment.data
        if hep.is_hep(data) and (inner := self._hep(data, packet.at)) is not None:
            yield inner
        elif _START.match(data.lstrip(b"\r\n")):
            seen = Captured(packet.at, "udp", segment.source, segment.target, data, packet.inbound)
            yield marked(seen, packet)
        elif data.strip(b"\r\n\0 \t"):
            self.problems["UDP that is not SIP"] += 1

    def _hep(self, data: bytes, at: float) -> Captured | None:
        try:
            found = hep.decode(data)
        except ParseError:
            return None
        if found.kind != hep.SIP and found.version == 3:
            self.problems["HEP that carries no SIP"] += 1
            return None
        return from_hep(found, at)

    # TCP

    def _tcp(self, packet: Packet, segment: Segment) -> Iterator[Captured]:
        ends = segment.source, segment.target
        if segment.flags & SYN and ends in self._sides:
            yield from self._end(packet.at, ends)
        side = self._sides.get(ends)
        if side is None:
            side = self._sides[ends] = _Side()
            if len(self._sides) > MAX_STREAMS:
                yield from self._end(packet.at, next(iter(self._sides)))
        before = side.stream.gaps
        data = side.stream.add(segment.sequence, segment.flags, segment.data)
        if side.stream.gaps > before:
            self._gap(side)
        if data:
            yield from self._cut(packet.at, ends, side, data)
        if segment.flags & (FIN | RST):
            yield from self._end(packet.at, ends)

    def _gap(self, side: _Side) -> None:
        self.problems["octets missing in a TCP stream"] += 1
        side.framer, side.tail = Framer(), b""
        side.is_sip = None if side.is_sip is False else side.is_sip

    def _cut(self, at: float, ends: Ends, side: _Side, data: bytes) -> Iterator[Captured]:
        if side.hep:
            yield from self._hep_stream(at, ends, side, data)
            return
        if side.is_sip is None or side.stream.is_lost or side.framer.broken:
            # At the beginning, after a gap or in the middle of a connection: find where a message begins.
            data = side.tail + data
            if data.startswith(hep.MAGIC) and side.is_sip is None:
                side.hep, side.tail = True, b""
                yield from self._hep_stream(at, ends, side, data)
                return
            if side.is_sip is None and data.startswith(TLS_HANDSHAKE):
                side.is_sip, side.tail = False, b""
                self.problems[
                    "a TCP stream of TLS, which is not opened here: tshark does, with its keys"
                ] += 1
                return
            found = _START.search(data)
            while found and found.start() and data[found.start() - 1 : found.start()] not in (b"\n", b"\0"):
                found = _START.search(data, found.start() + 1)
            if not found:
                side.tail = data[-4096:]
                if len(data) > 4096 and side.is_sip is None:
                    side.is_sip = False
                    self.problems["a TCP stream that is not SIP"] += 1
                return
            data, side.tail = data[found.start() :], b""
            side.stream.is_lost, side.is_sip, side.framer = False, True, Framer()
        if side.is_sip is False:
            return
        for event in side.framer.feed(data):
            if isinstance(event, bytes):
                yield Captured(at, "tcp", *ends, event)
            elif isinstance(event, Broken):
                self.problems["a TCP stream that lost its framing"] += 1
                yield Captured(at, "tcp", *ends, event.head[:65_536])

    def _hep_stream(self, at: float, ends: Ends, side: _Side, data: bytes) -> Iterator[Captured]:
        try:
            packets, side.tail = hep.split_stream(side.tail + data)
        except ParseError:
            self.problems["a TCP stream that lost its framing"] += 1
            side.hep, side.is_sip, side.tail = False, False, b""
            return
        for each in packets:
            if (inner := self._hep(each, at)) is not None:
                yield inner

    def _end(self, at: float, ends: Ends) -> Iterator[Captured]:
        side = self._sides.pop(ends)
        rest = side.stream.give_up()
        while rest:
            self._gap(side)
            yield from self._cut(at, ends, side, rest)
            rest = side.stream.give_up()
        if side.is_sip and side.framer.pending and not side.framer.broken:
            self.problems["a message whose end is missing"] += 1
        elif side.is_sip is None and side.tail:
            self.problems["a TCP stream that is not SIP"] += 1


def from_hep(found: hep.Hep, at: float) -> Captured:
    """The message in a HEP packet."""
    return Captured(
        found.at or at, found.transport, found.source, found.target, found.payload,
        correlation=found.correlation,
    )  # fmt: skip


def marked(seen: Captured, packet: Packet) -> Captured:
    """With what the comment of a packet of ours says of it: its transport, and which way it went."""
    mark = _TRANSPORT.search(packet.comment)
    if mark:
        seen.transport = mark[2]
        seen.inbound = {"in": True, "out": False}.get(mark[1] or "", seen.inbound)
    seen.comment = packet.comment
    return seen
