"""Socket stress: connections opened, held, and let go of all at once while as many are opened, over and
over.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import ssl
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from kamtool.errors import TransportError
from kamtool.tools.stress.plan import Plan
from kamtool.tools.stress.stats import Recorder, Second
from kamtool.tools.stress.streams import tls_context

CONNECTING, GREETING, OPEN, CLOSED = range(4)
AT_ONCE = 256
"""Connections in the making at a time: a listen queue is not endless, and neither is a handshake's CPU."""
LIMIT = 10.0

clock = time.perf_counter


@dataclass(slots=True)
class Link:
    """One connection and how far it is."""

    sock: socket.socket
    due: float
    state: int = CONNECTING
    connected_at: float = 0.0


@dataclass(slots=True)
class Sockets:
    """Opens `count` connections `cycles` times; each generation is released while the next one opens."""

    plan: Plan
    count: int
    hold: float
    report: Callable[[Second], bool]
    record: Recorder = field(default_factory=Recorder)
    stop_reason: str = ""
    peak: int = 0
    cycles: int = 0
    started: float = 0.0
    _last: float = 0.0
    _cpu: float = 0.0

    def run(self) -> None:
        """Until the duration of the plan is over, and always whole cycles. Raises TransportError when
        nothing opens.
        """
        plan = self.plan
        assert plan.target is not None
        family = socket.AF_INET6 if ":" in plan.target.address.host else socket.AF_INET
        context = (
            tls_context(plan.tls.ca, plan.tls.certificate, plan.tls.key) if plan.transport == "tls" else None
        )
        self.started = self._last = clock()
        self._cpu = time.process_time()
        held: list[Link] = []
        going = True
        while going:
            fresh = self._open(family, context, held)
            self.cycles += 1
            if not fresh and not held:
                break
            held = fresh
            self.peak = max(self.peak, len(held))
            going = self._hold(held) and clock() - self.started < plan.load.duration
        self._release(held, len(held))
        self._take(clock(), force=True)
        if not self.peak:
            reasons = ", ".join(self._seen) or "nothing could be opened"
            raise TransportError(f"{plan.target}: {reasons}")

    _seen: Counter[str] = field(default_factory=Counter)

    def _open(self, family: int, context: ssl.SSLContext | None, old: list[Link]) -> list[Link]:
        """Open a generation, and for each that begins let one of the old ones go."""
        target = self.plan.target
        assert target is not None
        made: list[Link] = []
        waiting: dict[int, Link] = {}
        poller = select.epoll()
        begun = 0
        hosts = list(self.plan.more_hosts) or [self.plan.local.host]
        while begun < self.count or waiting:
            while begun < self.count and len(waiting) < AT_ONCE:
                link = self._begin(family, hosts[begun % len(hosts)])
                begun += 1
                self._release(old, 1)
                if link is not None:
                    waiting[link.sock.fileno()] = link
                    poller.register(link.sock.fileno(), select.EPOLLOUT)
            for fd, _ in poller.poll(0.1):
                link = waiting[fd]
                self._step(link, context, poller)
                if link.state in (OPEN, CLOSED):
                    del waiting[fd]
                    if link.state == OPEN:
                        made.append(link)
            now = clock()
            for fd, link in list(waiting.items()):
                if now - link.due > LIMIT:
                    del waiting[fd]
                    self._fail(
                        link,
                        "no connection within 10 s"
                        if link.state == CONNECTING
                        else "no handshake within 10 s",
                    )
            if not self._take(now):
                break
        for link in waiting.values():
            link.sock.close()
        self._release(old, len(old))
        poller.close()
        return made

    def _begin(self, family: int, host: str) -> Link | None:
        target = self.plan.target
        assert target is not None
        self.record.due += 1
        try:
            sock = socket.socket(family, socket.SOCK_STREAM)
        except OSError as error:
            self._count(error.strerror or str(error))
            return None
        sock.setblocking(False)
        with contextlib.suppress(OSError):
            if host:
                sock.bind((host, 0))
        link = Link(sock, clock())
        self.record.started += 1
        code = sock.connect_ex((target.address.host, target.address.port))
        if code not in (0, errno.EINPROGRESS):
            self._fail(link, errno.errorcode.get(code, str(code)))
            return None
        return link

    def _step(self, link: Link, context: ssl.SSLContext | None, poller: select.epoll) -> None:
        """One step towards an open connection."""
        fd = link.sock.fileno()
        try:
            if link.state == CONNECTING:
                code = link.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if code:
                    raise OSError(code, os.strerror(code))
                link.connected_at = clock()
                self._timed("connect", link.due, link.connected_at)
                if context is None:
                    link.state = OPEN
                else:
                    assert self.plan.target is not None
                    poller.unregister(fd)
                    link.sock = context.wrap_socket(
                        link.sock, server_hostname=self.plan.target.host, do_handshake_on_connect=False
                    )
                    poller.register(fd, select.EPOLLIN | select.EPOLLOUT)
                    link.state = GREETING
            if link.state == GREETING:
                assert isinstance(link.sock, ssl.SSLSocket)
                try:
                    link.sock.do_handshake()
                except ssl.SSLWantReadError:
                    poller.modify(fd, select.EPOLLIN)
                    return
                except ssl.SSLWantWriteError:
                    poller.modify(fd, select.EPOLLOUT)
                    return
                self._timed("handshake", link.connected_at, clock())
                link.state = OPEN
        except OSError as error:
            self._fail(link, error.strerror or str(error))
            return
        poller.unregister(fd)
        self.record.succeeded += 1
        self._timed("open", link.due, clock())

    def _timed(self, name: str, since: float, now: float) -> None:
        self.record.responses[name].append(now - since)
        self.record.services[name].append(now - since)

    def _fail(self, link: Link, reason: str) -> None:
        link.state = CLOSED
        link.sock.close()
        self._count(reason)

    def _count(self, reason: str) -> None:
        self.record.failed += 1
        self.record.reasons[reason] += 1
        self._seen[reason] += 1

    def _hold(self, held: list[Link]) -> bool:
        """Keep them; a connection that the target closes meanwhile is a failure."""
        ends = clock() + self.hold
        going = True
        while going and (now := clock()) < ends:
            time.sleep(min(0.1, ends - now))
            going = self._take(clock())
        for link in list(held):
            try:
                link.sock.setblocking(False)
                if not link.sock.recv(1):
                    raise ConnectionResetError(errno.ECONNRESET, "closed by the target while it was held")
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                continue
            except OSError as error:
                held.remove(link)
                self.record.succeeded -= 1
                self._fail(link, error.strerror or str(error))
        return going

    @staticmethod
    def _release(held: list[Link], count: int) -> None:
        for _ in range(min(count, len(held))):
            held.pop().sock.close()

    def _take(self, now: float, force: bool = False) -> bool:
        if now - self._last < 1.0 and not force:
            return True
        cpu = time.process_time()
        second = self.record.take(now - self.started, max(now - self._last, 1e-9), self.peak, cpu - self._cpu)
        self._last, self._cpu = now, cpu
        return self.report(second)
