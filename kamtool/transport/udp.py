"""SIP over UDP: datagrams read in batches, sends gathered and flushed once a turn of the loop."""

from __future__ import annotations

import asyncio
import socket as sockets
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from kamtool import speed
from kamtool.errors import TransportError
from kamtool.sip.flow import Address, Flow, Socket

BATCH = 64
MAX_QUEUE = 8192
MAX_FLOWS = 65_536
RECEIVE_BUFFER_BYTES = 4 * 1024 * 1024
SO_MEMINFO = 55
KEEPALIVE_BYTES = b"\r\n\0 \t"

Outgoing = tuple[bytes, tuple[str, int]]


def bind(
    socket: Socket, kind: sockets.SocketKind, prepare: Callable[[sockets.socket], None] | None = None
) -> sockets.socket:
    """A non-blocking socket bound to `socket`'s address, once `prepare` has set its options.

    Raises TransportError with the reason.
    """
    family = sockets.AF_INET6 if ":" in socket.address.host else sockets.AF_INET
    bound = sockets.socket(family, kind)
    bound.setblocking(False)
    try:
        if family == sockets.AF_INET6:
            bound.setsockopt(sockets.IPPROTO_IPV6, sockets.IPV6_V6ONLY, 1)
        if kind == sockets.SOCK_STREAM:
            bound.setsockopt(sockets.SOL_SOCKET, sockets.SO_REUSEADDR, 1)
        if prepare is not None:
            prepare(bound)
        bound.bind(tuple(socket.address))
    except OSError as error:
        bound.close()
        reason = error.strerror or str(error)
        raise TransportError(
            f"cannot listen on {socket.transport}:{socket.address}: {reason.lower()}"
        ) from error
    return bound


class UdpSocket:
    """One bound UDP socket.

    `receive(data, flow)` is called for every datagram that is not a keep-alive; `mark(self)` once when the
    first datagram of a turn is queued: the owner calls `flush` before the turn ends. `failed(data, flow)`
    gets what the kernel refused.
    """

    def __init__(
        self,
        socket: Socket,
        receive: Callable[[bytes, Flow], None],
        mark: Callable[[UdpSocket], None],
        failed: Callable[[bytes, Flow], None],
        bound: sockets.socket | None = None,
    ) -> None:
        self.receive, self.mark, self.failed = receive, mark, failed
        self._bound = bind(socket, sockets.SOCK_DGRAM) if bound is None else bound
        with suppress(OSError):
            self._bound.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        self._fd = self._bound.fileno()
        address = Address(*self._bound.getsockname()[:2])
        self.socket = Socket(socket.transport, address, socket.advertised, socket.name)
        self.dropped = 0
        self._out: list[Outgoing] = []
        self._flows: dict[tuple[str, int], Flow] = {}
        # uvloop does not return all that asyncio says: compiled code would mind.
        self._loop: Any = None
        self._blocked = self._reading = False

    def open(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start reading."""
        self._loop = loop
        loop.add_reader(self._fd, self._readable)

    @property
    def queued_percent(self) -> int:
        """How full the kernel's receive queue is; 0 where it does not tell."""
        try:
            used, most = struct.unpack("II", self._bound.getsockopt(sockets.SOL_SOCKET, SO_MEMINFO, 8))
        except (OSError, struct.error):
            return 0
        return int(100 * used // most) if most else 0

    def pause(self) -> None:
        """Read no more; what comes stays in the kernel for who shares this socket. Sending goes on."""
        if self._loop is not None:
            self._loop.remove_reader(self._fd)

    def close(self) -> None:
        if self._loop is not None:
            self._loop.remove_reader(self._fd)
            if self._blocked:
                self._loop.remove_writer(self._fd)
            self._loop = None
        self._bound.close()

    def flow(self, remote: tuple[str, int]) -> Flow:
        """The flow to `remote` from this socket; the same object while the cache holds it."""
        flow = self._flows.get(remote)
        if flow is None:
            if len(self._flows) >= MAX_FLOWS:
                self._flows.clear()
            flow = Flow(self.socket.transport, self.socket.address, Address(*remote))
            self._flows[remote] = flow
        return flow

    def send(self, data: bytes, remote: tuple[str, int]) -> None:
        """Queue a datagram for this turn. Beyond MAX_QUEUE it is dropped and counted: UDP may lose it."""
        out = self._out
        if not out:
            if not self._reading:
                self.mark(self)
        elif len(out) >= MAX_QUEUE:
            self.dropped += 1
            return
        out.append((data, remote))

    def _readable(self) -> None:
        try:
            batch = speed.recv_batch(self._fd, BATCH)
        except (
            OSError
        ):  # an ICMP error of an earlier datagram, or no memory: the next datagram is read anyway
            return
        flows, receive = self._flows, self.receive
        # What is answered at once leaves at once: a turn of the loop is spared for it.
        self._reading = True
        try:
            for data, remote in batch:
                if len(data) <= 4 and not data.strip(KEEPALIVE_BYTES):
                    continue
                receive(data, flows.get(remote) or self.flow(remote))
        finally:
            self._reading = False
            if self._out:
                self.flush()

    def flush(self) -> None:
        """Hand the queue to the kernel; what it will not take now waits until it is writable."""
        if self._blocked:
            return
        out, self._out = self._out, []
        while out:
            try:
                sent = speed.send_batch(self._fd, out)
            except OSError:
                data, remote = out.pop(0)
                self.failed(data, self.flow(remote))
                continue
            if sent == len(out):
                return
            del out[:sent]
            if sent == 0:
                self._block(out)
                return

    def _block(self, rest: list[Outgoing]) -> None:
        self._out = rest + self._out
        if self._loop is not None:
            self._blocked = True
            self._loop.add_writer(self._fd, self._writable)

    def _writable(self) -> None:
        if self._loop is not None:
            self._loop.remove_writer(self._fd)
        self._blocked = False
        self.flush()
