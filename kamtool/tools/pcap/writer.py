"""Writes messages as pcap or pcapng: to a file, to a ring of files, or to a stream that Wireshark reads."""

from __future__ import annotations

import os
import struct
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Literal

from kamtool.tools.captured import Captured
from kamtool.tools.pcap import pdu
from kamtool.tools.pcap.build import LARGEST_4, packet
from kamtool.tools.pcap.ip import RAW
from kamtool.tools.pcap.packets import COMMENT, ENHANCED, FLAGS, IF_TSRESOL, INTERFACE, SECRETS, SECTION
from kamtool.tools.pcap.streams import Record, Streams, secrets
from kamtool.transport import records

Format = Literal["pcap", "pcapng"]
Encap = Literal["raw", "pdu", "tls+keys"]
SNAP = 262_144
APPLICATION, HARDWARE, NAME = 4, 2, 2
LONGEST_COMMENT = 60_000


class Writer:
    """Writes to an open file. `cut` counts the messages that no packet could hold whole."""

    def __init__(self, file: BinaryIO, format: Format = "pcapng", encap: Encap = "raw") -> None:  # noqa: A002
        self.file, self.format, self.encap = file, format, encap
        self.count = self.cut = self.size = 0
        self.streams = Streams()
        self.ports = self.streams.ports
        self.records = 0
        link = pdu.LINK if encap == "pdu" else RAW
        if format == "pcap":
            self._put(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, SNAP, link))
        else:
            body = struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1) + _option(APPLICATION, b"kamtool") + END
            self._put(_block(SECTION, body))
            options = _option(NAME, b"kamtool") + _option(IF_TSRESOL, b"\6") + END
            self._put(_block(INTERFACE, struct.pack("<HHI", link, 0, SNAP) + options))

    def write(self, seen: Captured) -> None:
        """One message more, unless its connection's own octets are written."""
        if seen.connection and seen.connection in self.streams:
            return
        self.count += 1
        if self.encap == "pdu":
            data = pdu.encode(seen)
        else:
            data = packet(seen.source, seen.target, seen.data, self.count)
            self.cut += len(seen.data) > LARGEST_4
        options = b""
        if self.format == "pcapng":
            if text := comment_of(seen):
                options += _option(COMMENT, text.encode("utf-8", "replace")[:LONGEST_COMMENT])
            if seen.inbound is not None:
                options += _option(FLAGS, struct.pack("<I", 1 if seen.inbound else 2))
        self._packet(seen.at, data, options)

    def write_record(self, record: Record) -> None:
        """Something of a TLS connection; pcapng alone has a place for its secrets."""
        if record.kind == records.SECRETS:
            self._put(_block(SECRETS, secrets(record.data)))
        self.records += record.kind in (records.IN, records.OUT)
        for data in self.streams.packets(record):
            self._packet(record.at, data, b"")

    def _packet(self, at: float, data: bytes, options: bytes) -> None:
        moment = round(at * 1_000_000)
        if self.format == "pcap":
            self._put(struct.pack("<IIII", *divmod(moment, 1_000_000), len(data), len(data)) + data)
            return
        head = struct.pack("<IIIII", 0, moment >> 32, moment & 0xFFFFFFFF, len(data), len(data))
        self._put(
            _block(ENHANCED, head + data + b"\0" * (-len(data) % 4) + (options + END if options else b""))
        )

    def flush(self) -> None:
        """Give what was written to the system."""
        self.file.flush()

    def close(self) -> None:
        self.file.close()

    def _put(self, data: bytes) -> None:
        self.size += len(data)
        self.file.write(data)


END = b"\0\0\0\0"


def _option(code: int, value: bytes) -> bytes:
    return struct.pack("<HH", code, len(value)) + value + b"\0" * (-len(value) % 4)


def _block(kind: int, body: bytes) -> bytes:
    size = struct.pack("<I", len(body) + 12)
    return struct.pack("<I", kind) + size + body + size


def comment_of(seen: Captured) -> str:
    """What a packet's comment says: how it travelled, and what the script did."""
    way = {True: "in ", False: "out "}.get(seen.inbound, "") if seen.inbound is not None else ""
    number = f", connection {seen.connection}" if seen.connection else ""
    lines = [f"kamtool: {way}{seen.transport}{number}"]
    if seen.sent_by is not None:
        lines.append(f"sent by {seen.sent_by} in {seen.sent_by.route or 'request_route'}")
    if seen.path:
        lines.append(f"{seen.route}: " + ", ".join(map(str, seen.path)))
    if seen.replied:
        lines.append(f"answered {seen.replied}")
    if seen.error:
        lines.append(f"error: {seen.error}")
    if seen.comment and not seen.comment.startswith("kamtool: "):
        lines.append(seen.comment)
    return "\n".join(lines) if len(lines) > 1 or seen.inbound is not None or seen.transport != "udp" else ""


class Ring:
    """A new file after so many octets or seconds; of more than `files`, the oldest goes (0 keeps all)."""

    def __init__(
        self, path: Path, format: Format = "pcapng", encap: Encap = "raw", *, size: int = 0,  # noqa: A002
        seconds: float = 0, files: int = 0,
    ) -> None:  # fmt: skip
        self.path, self.format, self.encap = path, format, encap
        self.limit, self.seconds, self.files = size, seconds, files
        self.count = self.cut = self.records = 0
        self.ports: set[int] = set()
        self.made: deque[Path] = deque()
        self._number, self._began = 0, 0.0
        self._writer: Writer | None = None
        self._open(0.0)

    def _open(self, at: float) -> None:
        self.close()
        path = self.path
        if self.limit or self.seconds:
            self._number += 1
            path = path.with_name(f"{path.stem}_{self._number:05d}{path.suffix}")
        self._writer = Writer(_ours_alone(path), self.format, self.encap)
        self._began = at
        self.made.append(path)
        while self.files and len(self.made) > self.files:
            with suppress(OSError):
                self.made.popleft().unlink()

    def write(self, seen: Captured) -> None:
        """One message more, in a new file when it is time for one."""
        assert self._writer is not None
        self._began = self._began or seen.at
        full = self.limit and self._writer.size >= self.limit
        late = self.seconds and seen.at - self._began >= self.seconds
        if full or late:
            self._open(seen.at)
        before = self._writer.count
        self._writer.write(seen)
        self.count += self._writer.count - before

    def write_record(self, record: Record) -> None:
        """Something of a TLS connection. A ring of several files has no place for those."""
        assert self._writer is not None
        self._writer.write_record(record)
        self.records, self.ports = self._writer.records, self._writer.ports

    def flush(self) -> None:
        if self._writer is not None:
            self._writer.flush()

    def close(self) -> None:
        if self._writer is not None:
            self.cut += self._writer.cut
            self._writer.close()
            self._writer = None


def write_all(file: BinaryIO, messages: Iterable[Captured], format: Format = "pcapng") -> int:  # noqa: A002
    """Write all of them; how many there were."""
    writer = Writer(file, format)
    for seen in messages:
        writer.write(seen)
    writer.flush()
    return writer.count


def _ours_alone(path: Path) -> BinaryIO:
    """A capture holds what people said to each other, and the answers to challenges."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")
