"""TLS records as they go over the wire, and the secrets to read them: for connections that somebody records.

OpenSSL reads and writes the socket of a usual connection itself, so nobody sees its octets. A recorded one
has its octets carried to and from OpenSSL here, a record at a time, as OpenSSL would take them.
"""

from __future__ import annotations

import os
import socket as sockets
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from kamtool.errors import TransportError
from kamtool.sip.flow import Address, Flow

BEGIN_IN, BEGIN_OUT, IN, OUT, SECRETS, END = range(6)
"""What is told: they opened a connection, we did; octets in, octets out; key log lines; it is closed."""
HEAD_BYTES = 5
RANDOM = slice(11, 43)
"""Where the client's random stands in a record with a ClientHello."""

Watcher = Callable[[float, int, Flow, int, bytes], None]
"""Gets the time of day, what it is (above), the flow, the octets that went that way before, the octets."""
_T = TypeVar("_T")


class Recording:
    """Who records. Secrets go from OpenSSL through a file in memory that has no name: never to a disk."""

    def __init__(self) -> None:
        """Raises TransportError where the system has no such files."""
        self.watchers: list[Watcher] = []
        self._contexts: dict[ssl.SSLContext, Any] = {}
        try:
            self._file = os.memfd_create("keys")
        except (AttributeError, OSError) as error:
            raise TransportError(f"TLS keys cannot be had on this system: {error}") from error

    def wrap(
        self,
        sock: sockets.socket,
        context: ssl.SSLContext,
        flow: Flow,
        *,
        server_side: bool,
        name: str | None,
    ) -> RecordedSocket:
        """A connection that begins now. Raises OSError, ValueError."""
        if context not in self._contexts:
            before = context.keylog_filename
            context.keylog_filename = f"/proc/self/fd/{self._file}"
            self._contexts[context] = before
        return RecordedSocket(self, sock, context, flow, server_side=server_side, name=name)

    def secrets(self) -> bytes:
        """The lines that OpenSSL logged since it was last asked."""
        size = os.fstat(self._file).st_size if self._file >= 0 else 0
        if not size:
            return b""
        lines = os.pread(self._file, size, 0)
        os.ftruncate(self._file, 0)
        return lines

    def tell(self, at: float, kind: int, flow: Flow, before: int, data: bytes) -> None:
        for watcher in self.watchers:
            watcher(at, kind, flow, before, data)

    def stop(self) -> None:
        """Log no more secrets; connections that were recorded go on unseen."""
        self.watchers = []
        for context, before in self._contexts.items():
            with suppress(OSError):
                context.keylog_filename = before
        self._contexts.clear()
        os.close(self._file)
        self._file = -1


class RecordedSocket:
    """In the place of an `ssl.SSLSocket`: what a connection does with one, it does with this."""

    def __init__(
        self, recording: Recording, raw: sockets.socket, context: ssl.SSLContext, flow: Flow, *,
        server_side: bool, name: str | None,
    ) -> None:  # fmt: skip
        self._recording, self._raw = recording, raw
        self._from_peer, self._to_peer = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(
            self._from_peer, self._to_peer, server_side=server_side, server_hostname=name
        )
        self._flow = Flow(flow.transport, Address(*raw.getsockname()[:2]), flow.remote, flow.connection)
        self._record = bytearray()
        self._missing = HEAD_BYTES
        self._arrived = b""
        """A record that OpenSSL has and nobody was told of: its secrets are told before it is."""
        self._random = b""
        self._counts = {IN: 0, OUT: 0}
        self._held: list[tuple[float, int, int, bytes]] | None = []
        """What waits for the first secrets, which stand before all that they open: OpenSSL gives those of
        TLS 1.2 only when it ends the handshake."""
        self._unsent = b""
        self._promised = 0
        """Octets of a message that are encrypted in `_unsent`: the caller hears of them once it has left."""
        self._tell(BEGIN_IN if server_side else BEGIN_OUT, 0, b"")

    # What a connection calls

    def do_handshake(self) -> None:
        self._push()
        self._call(self._tls.do_handshake)
        if self._unsent:
            raise ssl.SSLWantWriteError(ssl.SSL_ERROR_WANT_WRITE, "the handshake has not left")
        self._release()

    def read(self, size: int) -> bytes:
        try:
            return self._call(lambda: self._tls.read(size))
        except ssl.SSLEOFError:
            return b""

    def write(self, data: bytes) -> int:
        """All of it or, with SSLWantWriteError, none: then it must be given again, as OpenSSL asks for."""
        self._push()
        if self._promised:
            count, self._promised = self._promised, 0
            return count
        count = self._call(lambda: self._tls.write(data))
        if self._unsent:
            self._promised = count
            raise ssl.SSLWantWriteError(ssl.SSL_ERROR_WANT_WRITE, "a record has not left")
        return count

    def unwrap(self) -> None:
        self._call(self._tls.unwrap)

    def close(self) -> None:
        self._tell(END, 0, b"")
        self._release()
        self._raw.close()

    def fileno(self) -> int:
        return self._raw.fileno()

    def getsockopt(self, *which: int) -> Any:
        return self._raw.getsockopt(*which)

    def setsockopt(self, *which: Any) -> None:
        self._raw.setsockopt(*which)

    def getsockname(self) -> Any:
        return self._raw.getsockname()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tls, name)

    # Octets

    def _call(self, what: Callable[[], _T]) -> _T:
        """What OpenSSL says, asked again when a record has come for which it waited."""
        try:
            try:
                return what()
            except ssl.SSLWantReadError:
                self._told()
                if self._unsent or not self._fill():
                    raise
                return what()
        finally:
            self._told()

    def _fill(self) -> bool:
        """Give OpenSSL the next record; false when the rest of it has yet to come."""
        while self._missing:
            try:
                data = self._raw.recv(self._missing)
            except (BlockingIOError, InterruptedError):
                return False
            if not data:
                self._from_peer.write_eof()
                return True
            self._record += data
            self._missing -= len(data)
            if not self._missing and len(self._record) == HEAD_BYTES:
                self._missing = int.from_bytes(self._record[3:5], "big")
        self._arrived = bytes(self._record)
        self._from_peer.write(self._arrived)
        self._record.clear()
        self._missing = HEAD_BYTES
        return True

    def _told(self) -> None:
        """Tell what has come and what leaves, their secrets first; let it leave."""
        leaving = self._to_peer.read()
        self._random = self._random or self._arrived[RANDOM] or leaving[RANDOM]
        mark = self._random.hex().encode()
        lines = [line for line in self._recording.secrets().splitlines(keepends=True) if mark in line]
        if mark and lines:
            self._release(b"".join(lines))
        arrived, self._arrived = self._arrived, b""
        for kind, data in ((IN, arrived), (OUT, leaving)):
            if data:
                self._tell(kind, self._counts[kind], data)
                self._counts[kind] += len(data)
        self._unsent += leaving
        with suppress(ssl.SSLWantWriteError):
            self._push()

    def _tell(self, kind: int, before: int, data: bytes) -> None:
        if self._held is not None:
            self._held.append((time.time(), kind, before, data))
        else:
            self._recording.tell(time.time(), kind, self._flow, before, data)

    def _release(self, secrets: bytes = b"") -> None:
        """Tell secrets, and what waited for them."""
        held, self._held = self._held or (), None
        if secrets:
            self._recording.tell(held[0][0] if held else time.time(), SECRETS, self._flow, 0, secrets)
        for at, kind, before, data in held:
            self._recording.tell(at, kind, self._flow, before, data)

    def _push(self) -> None:
        """Send what waits. Raises SSLWantWriteError when the kernel does not take it all."""
        while self._unsent:
            try:
                sent = self._raw.send(self._unsent)
            except (BlockingIOError, InterruptedError):
                raise ssl.SSLWantWriteError(ssl.SSL_ERROR_WANT_WRITE, "the socket is full") from None
            self._unsent = self._unsent[sent:]
