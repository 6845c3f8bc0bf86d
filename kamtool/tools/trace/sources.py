"""Where messages come from when no server is asked: capture files, and HEP that others send."""

from __future__ import annotations

import socket
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from kamtool.errors import ParseError, UsageError
from kamtool.sip import hep
from kamtool.tools.captured import Captured
from kamtool.tools.pcap.reader import Reader, from_hep
from kamtool.tools.trace.sinks import parse_place

BATCH = 256


class Files:
    """Capture files, one behind the other; `-` is stdin. `problems` counts what could not be read."""

    def __init__(self, paths: list[Path]) -> None:
        self.paths = paths
        self.problems: Counter[str] = Counter()
        self.packets = 0

    def batches(self) -> Iterator[list[Captured]]:
        """Raises UsageError for a file that is none."""
        for path in self.paths:
            try:
                if str(path) == "-":
                    yield from self._read(sys.stdin.buffer)
                else:
                    with path.open("rb") as file:
                        yield from self._read(file)
            except OSError as error:
                code = 3 if isinstance(error, FileNotFoundError) else 1
                raise UsageError(f"{path}: {error.strerror or error}", exit_code=code) from error
            except ParseError as error:
                raise UsageError(f"{path}: {error}", exit_code=1) from error

    def _read(self, file: BinaryIO) -> Iterator[list[Captured]]:
        reader = Reader(file)
        batch: list[Captured] = []
        try:
            for seen in reader:
                batch.append(seen)
                if len(batch) >= BATCH:
                    yield batch
                    batch = []
        finally:
            self.problems.update(reader.problems)
            self.packets += reader.count
        if batch:
            yield batch


class HepListener:
    """A UDP socket to which others send HEP, as to a capture server."""

    def __init__(self, place: str, key: str = "") -> None:
        """`key`, when given, must be in each packet. Raises UsageError."""
        transport, host, port = parse_place(place)
        if transport != "udp":
            raise UsageError("HEP is listened for over UDP only", hint="--listen-hep udp:127.0.0.1:9060")
        self.problems: Counter[str] = Counter()
        self.packets = 0
        self.key = key
        try:
            family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
            self.socket = socket.socket(family, kind)
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
            self.socket.bind(address)
        except OSError as error:
            raise UsageError(f"cannot listen on {place}: {error.strerror or error}", exit_code=1) from error
        self.address = cast("tuple[str, int]", self.socket.getsockname()[:2])

    def batches(self) -> Iterator[list[Captured]]:
        """Messages as they come; an empty batch now and then."""
        while True:
            batch: list[Captured] = []
            self.socket.settimeout(0.25)
            try:
                batch += self._take(self.socket.recv(65_536))
                self.socket.settimeout(0)
                while len(batch) < BATCH:
                    batch += self._take(self.socket.recv(65_536))
            except (TimeoutError, BlockingIOError):
                pass
            except OSError:
                return
            yield batch

    def _take(self, data: bytes) -> list[Captured]:
        self.packets += 1
        try:
            found = hep.decode(data)
        except ParseError:
            self.problems["not HEP"] += 1
            return []
        if self.key and found.key != self.key:
            self.problems["HEP with another key"] += 1
            return []
        if found.version == 3 and found.kind != hep.SIP:
            self.problems["HEP that carries no SIP"] += 1
            return []
        return [from_hep(found, time.time())]

    def close(self) -> None:
        self.socket.close()
