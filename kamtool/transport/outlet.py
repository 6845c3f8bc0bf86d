"""What leaves by one stream: gathered for a turn of the loop, queued, bounded, when the kernel takes no more.

Many messages to one peer become one write and one TLS record; and a client beside us on the machine is woken
once, not before each answer.
"""

from __future__ import annotations

import logging
import socket as sockets
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from kamtool.sip.flow import Flow
from kamtool.sip.framing import Broken
from kamtool.transport.tcp_options import TcpOptions
from kamtool.transport.watch import FAILED, READS, WRITES, Watch

log = logging.getLogger("kamtool.tcp")

WRITE_BYTES = 16_384
"""What is worth one write: the most that one TLS record holds."""


class Owner:
    """What a connection asks of the transport that holds it."""

    def __init__(self, options: TcpOptions, receive: Callable[[bytes, Flow], None]) -> None:
        self.options, self.receive = options, receive
        # uvloop does not return all that asyncio says: compiled code would mind.
        self.loop: Any = None
        self.watch = Watch(self)
        self.queued_bytes = 0
        """What waits in all connections."""
        self.gathered: list[Outlet] = []
        """Those that have something to write at the end of this turn."""

    def gather(self, outlet: Outlet) -> None:
        """`outlet` has something to write: call its `flush` before the turn ends."""
        if not self.gathered and not self.watch.is_turning:
            self.loop.call_soon(self.flush)
        self.gathered.append(outlet)

    def flush(self) -> None:
        """Let all that was gathered leave. Called by itself once per turn of the loop."""
        gathered, self.gathered = self.gathered, []
        for outlet in gathered:
            try:
                outlet.flush()
            except Exception:  # what hears of a connection's end is at fault: the others write none the less
                log.exception("tcp: an error behind the end of a connection")

    def end_turn(self) -> None:
        """Streams have been served: what follows from that, before the next ones."""
        self.flush()

    def total_queued(self, change: int) -> bool:
        """Account for bytes waiting in all connections; false (and nothing counted) when that is too many."""
        if change > 0 and self.queued_bytes + change > self.options.max_total_bytes:
            return False
        self.queued_bytes += change
        return True

    def closed(self, connection: Any, reason: str) -> None:
        """A connection has ended, with what was never sent still in `unsent`."""
        raise NotImplementedError

    def broken(self, connection: Any, end: Broken) -> None:
        """What came by it cannot be cut into messages any further."""
        raise NotImplementedError

    def happened(self, connection: Any, event: Any) -> None:
        """Something came by it that is not SIP."""
        raise NotImplementedError


class Outlet:
    """The way out of a connection, and its end."""

    __slots__ = (
        "_events", "_fd", "_gathered_bytes", "_writing", "close_after_write", "connecting", "encode",
        "is_open", "owner", "queued_bytes", "sock", "stalled_at", "unsent", "used_at",
    )  # fmt: skip

    def __init__(self, owner: Owner, sock: sockets.socket, connecting: bool) -> None:
        self.owner = owner
        self.sock: Any = sock
        self.connecting = connecting
        self.close_after_write = False
        self.encode: Callable[[bytes], bytes] | None = None
        """What becomes of a SIP message before it is written; None when it leaves as it is."""
        self.unsent: list[bytes] | tuple[()] = ()
        self.queued_bytes = 0
        """What of `unsent` waits for longer than this turn."""
        now: float = owner.loop.time()
        self.used_at = self.stalled_at = now
        self._fd: int = sock.fileno()
        self._events = self._gathered_bytes = 0
        self._writing = False
        """Whether we wait until we can write."""
        self.is_open = True

    # What others replace: TLS the first, connections the others.
    def _send(self, data: bytes) -> int:
        """Raises BlockingIOError when it would have to wait."""
        sent: int = self.sock.send(data)
        return sent

    def _connected(self) -> bool:
        """The kernel has connected, or has not; true when the connection can be used now."""
        return True

    def _readable(self) -> None:
        """Something has come."""

    def _shut(self) -> None:
        self.sock.close()

    def ready(self, events: int) -> None:
        """Go on where it was waited for: READS, WRITES, FAILED."""
        if events & (READS | FAILED) and self._events & READS:
            self._readable()
        if self._writing and events & (WRITES | FAILED) and self.is_open:
            self._writable()

    def write(self, data: bytes) -> bool:
        """Send a SIP message: at the end of this turn what the kernel takes then, the rest is queued.

        False, and closed, when the queue is full. Where that shows later, the owner hears what never left.
        """
        return self.write_raw(data if self.encode is None else self.encode(data))

    def write_raw(self, data: bytes) -> bool:
        """`write` for bytes that leave as they are."""
        if not self.is_open:
            return False
        if not data:
            return True
        self.used_at = self.owner.loop.time()
        waits = self.connecting or self._writing
        if waits and not self._account(self.queued_bytes + len(data)):
            self.close("write queue full")
            return False
        if self.unsent:
            self.unsent.append(data)
        else:
            self.unsent = [data]
        if waits:
            self._watch_writes(True)
            return True
        if not self._gathered_bytes:
            self.owner.gather(self)
        self._gathered_bytes += len(data)
        if self._gathered_bytes >= WRITE_BYTES:
            self.flush()
        return self.is_open

    def _account(self, waiting: int) -> bool:
        """So many octets wait. False, and nothing has changed, when they may not."""
        more = waiting - self.queued_bytes
        if more > 0 and waiting > self.owner.options.max_queue_bytes:
            return False
        if not self.owner.total_queued(more):
            return False
        self.queued_bytes = waiting
        return True

    def flush(self) -> None:
        """Let what was gathered leave."""
        self._gathered_bytes = 0
        if self.is_open and not self.connecting and not self._writing:
            self._push()

    def finish(self) -> None:
        """Close once all that is queued has left."""
        self.close_after_write = True
        if not self.unsent:
            self.close("closed as asked")

    def _watch_reads(self) -> None:
        self._watch_for(self._events | READS)

    def _watch_writes(self, wanted: bool) -> None:
        self._writing = wanted
        self._watch_for(self._events | WRITES if wanted else self._events & ~WRITES)

    def _watch_for(self, events: int) -> None:
        if events != self._events:
            self.owner.watch.change(self, self._fd, self._events, events)
            self._events = events

    def _writable(self) -> None:
        if not self.connecting or self._connected():
            self._push()

    def _push(self) -> None:
        """Write what there is. What the kernel does not take waits for it, within bounds."""
        try:
            has_moved = self._write_out()
        except OSError as error:
            self.close(error.strerror or str(error))
            return
        if not self.unsent:
            if self.queued_bytes:
                self._account(0)
            self._watch_writes(False)
            if self.close_after_write:
                self.close("closed as asked")
            return
        if has_moved or not self._writing:
            self.stalled_at = self.owner.loop.time()
        if self._account(sum(map(len, self.unsent))):
            self._watch_writes(True)
        else:
            self.close("write queue full")

    def _write_out(self) -> bool:
        """Write until nothing is left or the kernel is full; true when anything has left."""
        has_moved = False
        while self.unsent:
            data = self._next()
            try:
                sent = self._send(data)
            except (BlockingIOError, InterruptedError):
                break
            has_moved = True
            self._has_left(sent)
            if sent < len(data):
                break
        return has_moved

    def _next(self) -> bytes:
        """What to write at once: messages from the first unsent on.

        What OpenSSL could not write it must be given again from the same place, as much or more.
        """
        unsent = self.unsent
        if len(unsent) == 1:
            return unsent[0]
        count = size = 0
        while count < len(unsent) and size < WRITE_BYTES:
            size += len(unsent[count])
            count += 1
        return b"".join(unsent[:count])

    def _has_left(self, sent: int) -> None:
        """Forget the first octets of what is unsent."""
        unsent = self.unsent
        whole = 0
        while whole < len(unsent) and sent >= len(unsent[whole]):
            sent -= len(unsent[whole])
            whole += 1
        if whole == len(unsent):
            self.unsent = ()
            return
        assert isinstance(unsent, list)
        if sent:
            unsent[whole] = unsent[whole][sent:]
        del unsent[:whole]

    def close(self, reason: str) -> None:
        """Close at once. The owner hears of it, with what was never sent still in `unsent`."""
        if not self.is_open:
            return
        self.is_open = False
        if self._gathered_bytes:
            with suppress(OSError):  # what was said before this in the same turn
                self._write_out()
        self._writing = False
        self._watch_for(0)
        self._shut()
        self.owner.total_queued(-self.queued_bytes)
        self.owner.closed(self, reason)
