"""SIP over UDP: datagrams read in batches, sends gathered and flushed once a turn of the loop."""

from __future__ import annotations

import asyncio
import errno
import socket as sockets
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from kamtool import speed
from kamtool.errors import TransportError
from kamtool.sip.flow import Address, Flow, Socket
from kamtool.transport.beat import Beat
from kamtool.transport.raw import RawSender
from kamtool.transport.udp_options import UdpOptions

BATCH: Final = 64
MAX_QUEUE: Final = 8192
MAX_FLOWS: Final = 65_536
RECEIVE_BUFFER_BYTES = 4 * 1024 * 1024
SO_MEMINFO = 55
KEEPALIVE_BYTES = b"\r\n\0 \t"
IP_RECVERR, IPV6_RECVERR = 11, 25
UNREACHABLE = (errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENOPROTOOPT, errno.EHOSTDOWN)

# Compiled code would take an address of a known type apart and make another of it each time.
Remote = Any
"""`(host, port)`."""
Outgoing = tuple[bytes, Remote]


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
        options: UdpOptions | None = None,
    ) -> None:
        self.receive, self.mark, self.failed = receive, mark, failed
        self._bound = bound or bind(
            socket, sockets.SOCK_DGRAM, options.before_bind if options is not None else None
        )
        with suppress(OSError):
            self._bound.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        self._fd = self._bound.fileno()
        address = Address(*self._bound.getsockname()[:2])
        self.socket = Socket(socket.transport, address, socket.advertised, socket.name)
        self.dropped = 0
        self.before_reading: Callable[[], None] | None = None
        """Called when datagrams have come, before they are given on."""
        self.before_sending: Callable[[], None] | None = None
        self._out: list[Outgoing] = []
        self._flows: dict[Remote, Flow] = {}
        self._last_remote: Remote = None
        self._last_flow: Flow | None = None
        # uvloop does not return all that asyncio says: compiled code would mind.
        self._loop: Any = None
        self._blocked = self._reading = self._listens = False
        self._beat = Beat(options.gather) if options is not None and options.gather else None
        self._next_beat: Any = None
        """The timer that reads next; None while the loop wakes us."""
        self.raw: RawSender | None = None
        """What datagrams leave by in the place of the bound socket."""
        self._unreachable: Callable[[bytes, Address], None] | None = None

    def use(self, options: UdpOptions) -> None:
        """Send as the cfg wants it."""
        options.tell(self._bound)
        if ":" not in self.socket.address.host:
            self.raw = options.sender()

    def watch_errors(self, unreachable: Callable[[bytes, Address], None]) -> None:
        """From now on say when ICMP reports that a datagram did not arrive: its beginning, and where to.

        RFC 3261 §18.4: destination unreachable is a transport error, exceeded hops and the like are not.
        """
        six = ":" in self.socket.address.host
        with suppress(OSError):
            if six:
                self._bound.setsockopt(sockets.IPPROTO_IPV6, IPV6_RECVERR, 1)
            else:
                self._bound.setsockopt(sockets.IPPROTO_IP, IP_RECVERR, 1)
            self._unreachable = unreachable

    def take_errors(self) -> bool:
        """Empty the queue of ICMP errors; true when there were any. Called once a second as well.

        libuv reads no socket any more that has reported an error, hence the new reader.
        """
        tell, found = self._unreachable, False
        if tell is None:
            return False
        for _ in range(MAX_QUEUE):
            try:
                data, notes, _, remote = self._bound.recvmsg(2048, 512, sockets.MSG_ERRQUEUE)
            except OSError:
                break
            found = True
            if notes and int.from_bytes(notes[0][2][:4], "little") in UNREACHABLE:
                tell(data, Address(*remote[:2]))
        if found and self._listens and self._next_beat is None:
            self._loop.remove_reader(self._fd)
            self._loop.add_reader(self._fd, self._readable)
        return found

    def open(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start reading."""
        self._loop = loop
        self.resume()

    def resume(self) -> None:
        """Read again."""
        if self._loop is not None:
            self._listens = True
            self._loop.add_reader(self._fd, self._readable)

    @property
    def bound(self) -> sockets.socket:
        """The socket of the system."""
        return self._bound

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
        self._listens = False
        if self._loop is not None:
            self._loop.remove_reader(self._fd)
        if self._next_beat is not None:
            self._next_beat.cancel()
            self._next_beat = None

    def close(self) -> None:
        self.pause()
        if self._loop is not None:
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

    def send(self, data: bytes, remote: Remote) -> None:
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
        """The loop says that something has come."""
        beat = self._beat
        if beat is None:
            self._read()
        elif not beat.woken():
            self._read()
            beat.worked()
        else:
            self._loop.remove_reader(self._fd)
            self._on_beat()

    def _on_beat(self) -> None:
        self._next_beat = None
        count, beat = self._read(), self._beat
        if beat is None or not self._listens:  # paused or closed meanwhile
            return
        if beat.beaten(count):
            self._next_beat = self._loop.call_later(beat.seconds, self._on_beat)
        else:
            self._loop.add_reader(self._fd, self._readable)

    def _read(self) -> int:
        """Take what has come, a batch at most; how many datagrams that were."""
        try:
            batch: list[Any] = speed.recv_batch(self._fd, BATCH)
        except (
            OSError
        ):  # an ICMP error of an earlier datagram, or no memory: the next datagram is read anyway
            self.take_errors()
            return 0
        if not batch:
            self.take_errors()  # woken for an error alone
            return 0
        if self.before_reading is not None:
            self.before_reading()
        flows, receive = self._flows, self.receive
        # What is answered at once leaves at once: a turn of the loop is spared for it.
        self._reading = True
        try:
            for one in batch:
                data: bytes = one[0]
                if len(data) <= 4 and not data.strip(KEEPALIVE_BYTES):
                    continue
                remote = one[1]
                # A neighbour sends one after the other.
                flow = self._last_flow if remote is self._last_remote else None
                if flow is None:
                    flow = flows.get(remote) or self.flow(remote)
                    self._last_remote, self._last_flow = remote, flow
                receive(data, flow)
        finally:
            self._reading = False
            if self._out:
                self.flush()
        return len(batch)

    def flush(self) -> None:
        """Hand the queue to the kernel; what it will not take now waits until it is writable."""
        if self._blocked:
            return
        if self.before_sending is not None:
            self.before_sending()
        out, self._out = self._out, []
        if self.raw is not None:
            out = self._send_raw(self.raw, out)
        while out:
            try:
                sent = speed.send_batch(self._fd, out)
            except OSError:
                if self.take_errors():
                    continue  # an earlier datagram's error, not this one's
                data, remote = out.pop(0)
                self.failed(data, self.flow(remote))
                continue
            if sent == len(out):
                return
            del out[:sent]
            if self.take_errors():
                continue
            if sent == 0:
                self._block(out)
                return

    def _send_raw(self, raw: RawSender, out: list[Outgoing]) -> list[Outgoing]:
        """Send by the raw socket; what it will not take is left for the usual one."""
        local = self.socket.address
        for place, (data, remote) in enumerate(out):
            try:
                raw.send(data, local, remote)
            except OSError:
                return out[place:]
        return []

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
