"""Which streams can be read or written: one epoll for all of them, that the loop watches as a whole.

To watch a connection, the loop itself takes four system calls more and half a kilobyte. Where there is no
epoll, it watches them all the same.
"""

from __future__ import annotations

import logging
import select
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kamtool.transport.outlet import Outlet, Owner

log = logging.getLogger("kamtool.tcp")

READS, WRITES, FAILED = 1, 4, 8 | 16
"""EPOLLIN, EPOLLOUT, EPOLLERR and EPOLLHUP."""
MOST = 64
"""Streams that are served in one turn of the loop, before those that were answered are written."""


class Watch:
    """The streams of one owner."""

    def __init__(self, owner: Owner) -> None:
        self.owner = owner
        self.is_turning = False
        """Whether streams are being served: then what they write needs no further turn to leave."""
        self._loop: Any = None
        self._epoll: Any = None
        self._watched: dict[int, Outlet] = {}

    def open_on(self, loop: Any) -> None:
        """The loop whose turns they take."""
        self._loop = loop
        if hasattr(select, "epoll"):
            self._epoll = select.epoll()
            loop.add_reader(self._epoll.fileno(), self.turn)

    def close(self) -> None:
        """Watch nothing any more."""
        epoll, self._epoll = self._epoll, None
        self._watched.clear()
        if epoll is not None:
            self._loop.remove_reader(epoll.fileno())
            epoll.close()

    def change(self, outlet: Outlet, fd: int, before: int, events: int) -> None:
        """From now on watch `fd` for `events`, of READS and WRITES, and no longer for `before`."""
        if self._epoll is None:
            self._change_on_loop(outlet, fd, before, events)
        elif not before:
            self._watched[fd] = outlet
            self._epoll.register(fd, events)
        elif events:
            self._epoll.modify(fd, events)
        else:
            del self._watched[fd]
            self._epoll.unregister(fd)

    def _change_on_loop(self, outlet: Outlet, fd: int, before: int, events: int) -> None:
        loop, changed = self._loop, before ^ events
        if changed & READS:
            if events & READS:
                loop.add_reader(fd, outlet.ready, READS)
            else:
                loop.remove_reader(fd)
        if changed & WRITES:
            if events & WRITES:
                loop.add_writer(fd, outlet.ready, WRITES)
            else:
                loop.remove_writer(fd)

    def turn(self) -> None:
        """Serve the streams that have something to do, then let leave what was written meanwhile."""
        self.is_turning = True
        try:
            # Found before any is served: one may close another and open a third in its place.
            found = [(self._watched[fd], events) for fd, events in self._epoll.poll(0, MOST)]
            for outlet, events in found:
                if not outlet.is_open:
                    continue
                try:
                    outlet.ready(events)
                except Exception:
                    log.exception("tcp: an error that is ours")
        finally:
            self.is_turning = False
            self.owner.end_turn()
