"""What comes at the sockets of a run: waited for, read, and given to its calls."""

from __future__ import annotations

import select
import time
from math import ceil

from kamtool.tools.stress.endpoint import Endpoint
from kamtool.tools.stress.flight import clock
from kamtool.tools.stress.messages import Messages

FD_SETSIZE = 1024
"""File numbers from here on are too great for select."""


class Listening(Messages):
    """Calls whose sockets are looked at, whenever something comes or on a grid."""

    start = 0.0
    grid = 0.0
    """Seconds between two looks at the sockets; 0.0: every message wakes us."""
    _lone: list[int] | None = None
    """The sockets, where they are few enough to be waited for without an epoll."""
    _streams = False
    """Whether some of them are connections."""

    def _wait(self, poller: select.epoll, files: dict[int, Endpoint], now: float, until: float) -> None:
        if self.grid:
            self._tick_on(poller, files)
            return
        if self._ticks:
            until = min(until, self._ticks[0][0])
        if self.heap:
            until = min(until, self.heap[0][0])
        if self.quick is not None:
            until = min(until, self.quick.next_at())
        # epoll waits in whole milliseconds, select in microseconds: it waits for the epoll itself.
        pause_for = until - clock()
        if self._lone is not None:
            ready = select.select(self._lone, [], [], min(pause_for, 1.0) if pause_for > 0 else 0)[0]
            events = [(fd, 0) for fd in ready]
        else:
            if pause_for > 0 and poller.fileno() < FD_SETSIZE:
                select.select([poller], [], [], min(pause_for, 1.0))
                pause_for = 0
            events = poller.poll(max(min(pause_for, 1.0), 0))
        for fd, _ in events:
            if fd not in files:
                self._command(fd, poller)
                continue
            endpoint = files[fd]
            if self.quick is not None:
                self._drain(endpoint)
                continue
            for _ in range(8):
                batch = endpoint.receive()
                if batch:
                    self._heard = True
                    self._receive(batch, endpoint, clock())
                if endpoint.out:
                    endpoint.flush()
                if len(batch) < 64:
                    break
            while endpoint.accepted:
                self._accepted(endpoint.accepted.pop(0), endpoint, poller, files)
            if endpoint.closed:
                poller.unregister(fd)
                del files[fd]
                self._lost(endpoint)
        for endpoint in self._unsent(files) if self._streams else ():
            endpoint.flush()

    def _command(self, fd: int, poller: select.epoll) -> None:
        """What a twin has sent; or a twin that comes, or goes."""
        assert self.twins is not None
        before = set(self.twins.files)
        for data in self.twins.receive(fd):
            self.command(data, clock())
        for fresh in set(self.twins.files) - before:
            poller.register(fresh, select.EPOLLIN)
        if self.twins.closed and not self.stopping:
            self.stopping, self.stop_reason = True, self.twins.closed

    def _tick_on(self, poller: select.epoll, files: dict[int, Endpoint]) -> None:
        """Sleep until the next tick and look at every socket, or at those that have something."""
        now = clock()
        time.sleep(max(0.0, self.start + ceil((now - self.start) / self.grid + 0.02) * self.grid - now))
        if len(files) <= 8:
            for endpoint in files.values():
                self._drain(endpoint)
        else:
            for fd, _ in poller.poll(0):
                self._drain(files[fd])

    def _drain(self, endpoint: Endpoint) -> None:
        """All that waits at a socket of the kernel's share, within reason."""
        assert self.quick is not None
        for _ in range(8):
            batch = endpoint.receive_stamped()
            if batch:
                self._heard = True
                self.quick.receive(batch, endpoint, clock())
            if endpoint.out:
                endpoint.flush()
            if len(batch) < 64:
                break

    def _accepted(
        self, fresh: Endpoint, listener: Endpoint, poller: select.epoll, files: dict[int, Endpoint]
    ) -> None:
        """A connection to us: what comes on it is as if it had come to the listening socket."""
        fresh.calls = listener.calls
        fresh.call_id_tail = listener.call_id_tail
        files[fresh.fd] = fresh
        poller.register(fresh.fd, select.EPOLLIN)
        (self.callees if listener in self.callees else self.endpoints).append(fresh)

    @staticmethod
    def _unsent(files: dict[int, Endpoint]) -> list[Endpoint]:
        return [endpoint for endpoint in files.values() if endpoint.reliable and endpoint.wants_to_write()]

    def _all_closed(self, every: list[Endpoint]) -> bool:
        if all(endpoint.closed for endpoint in every):
            self.stop_reason = self.stop_reason or f"every connection is lost: {every[0].closed}"
            return True
        return False

    def _lost(self, endpoint: Endpoint) -> None:
        """The connection is gone and the calls on it with it."""
        for call in list(endpoint.calls.values()):
            if call.endpoint is endpoint:
                self._fail(call, f"connection lost: {endpoint.closed}")
        for group in (self.endpoints, self.callees):
            if endpoint in group and len(group) > 1:
                group.remove(endpoint)
        endpoint.close()
