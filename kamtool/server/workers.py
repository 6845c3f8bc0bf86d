"""What the workers of one server share: their sockets, their secrets, and the mail between them.

All of it is made before the fork. Each listening address has one socket a worker (SO_REUSEPORT), and the
parent holds them all: the kernel's choice among them stays the same when a worker dies, and what arrives
meanwhile waits for the one that takes its place.
"""

from __future__ import annotations

import mmap
import os
import socket as sockets
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import Any

from kamtool.server.workers_steering import steer
from kamtool.sip.flow import Address, Socket
from kamtool.sip.via import MAGIC_COOKIE
from kamtool.transport.tcp import a_connection
from kamtool.transport.udp import RECEIVE_BUFFER_BYTES, bind

MOST_WORKERS = 64
MAIL_BYTES = 4 << 20
MEMORY_BYTES = 16 << 20
"""Address space only: a page is taken from the system when it is first written."""
STEP = MOST_WORKERS
"""The number of a connection says whose it is: it is the worker's number modulo this."""
_KINDS = {"udp": sockets.SOCK_DGRAM}

Bound = list[tuple[Socket, sockets.socket]]
Mail = tuple[sockets.socket, sockets.socket]


def _lock() -> Any:
    from multiprocessing import get_context  # a server of one worker does without

    return get_context("fork").Lock()


@dataclass(slots=True)
class Team:
    """The workers of one server, seen by one of them: `number` is its own."""

    size: int
    number: int = 0
    dispatch: str = "call-id"
    is_late: bool = False
    """Whether this worker takes the place of one that died, and so has to ask the others what they know."""
    bound: list[Bound] = field(default_factory=list)
    """By worker: the sockets as they are wanted, and bound."""
    mail: list[Mail] = field(default_factory=list)
    """By worker: where to write to it, and where it reads."""
    pids: Any = None
    done: Any = None
    connections: Any = None
    started_epoch: int = field(default_factory=lambda: int(time.time()))
    secret: bytes = field(default_factory=lambda: os.urandom(32))
    memory: mmap.mmap = field(default_factory=lambda: mmap.mmap(-1, MEMORY_BYTES))
    lock: Any = field(default_factory=_lock)

    def __post_init__(self) -> None:
        self.mail = [_mailbox() for _ in range(self.size)]
        self.pids = memoryview(mmap.mmap(-1, mmap.PAGESIZE)).cast("I")
        """Process numbers by worker, written by the parent."""
        self.done = memoryview(mmap.mmap(-1, mmap.PAGESIZE)).cast("I")
        """By worker: 1 once it stops and nothing runs there any more, or it is dead."""
        self.connections = memoryview(mmap.mmap(-1, mmap.PAGESIZE)).cast("Q")
        """By worker: the number of its newest connection, which its successor goes on from."""
        first = a_connection() // STEP * STEP
        for number in range(self.size):
            self.connections[number] = first + number

    @property
    def listening(self) -> list[Socket]:
        """What the server listens on."""
        return [socket for socket, _ in self.bound[0]] if self.bound else []

    @property
    def own_bound(self) -> dict[Socket, sockets.socket]:
        """This worker's sockets."""
        return dict(self.bound[self.number])

    @property
    def all_done(self) -> bool:
        """Whether nothing runs anywhere: until then each must answer what the kernel gives it."""
        return all(self.done[: self.size])

    @property
    def group_prefix(self) -> str:
        """How the branches of all workers begin. Not to be guessed: a label known lets forge a response."""
        return f"{MAGIC_COOKIE}{self.derive('branch', 3).hex()}"

    def prefix(self, number: int) -> str:
        """How the branches of one worker begin."""
        return f"{self.group_prefix}{number:02x}"

    def derive(self, purpose: str, size: int) -> bytes:
        """A secret for one purpose, the same in every worker."""
        return blake2b(purpose.encode(), key=self.secret, digest_size=size).digest()

    def numbers(self) -> Iterator[int]:
        """The numbers of this worker's connections: none is used twice, whoever dies."""
        while True:
            self.connections[self.number] += STEP
            yield self.connections[self.number]

    def bind(self, wanted: Sequence[Socket]) -> None:
        """Bind a socket a worker for each of `wanted`. Raises TransportError, and then none is open."""
        self.bound = [[] for _ in range(self.size)]
        try:
            for socket in wanted:
                place = socket
                for own in self.bound:
                    bound = bind(place, _KINDS.get(socket.transport, sockets.SOCK_STREAM), _share)
                    address = Address(*bound.getsockname()[:2])
                    place = replace(socket, address=address)  # port 0: the others follow the first
                    own.append((place, bound))
                    if socket.transport == "udp":
                        with suppress(OSError):
                            bound.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
                    else:
                        bound.listen(1024)  # or those that come before the worker is ready are refused
        except BaseException:
            self.close()
            raise
        self._steer()

    def inherit(self, bound: list[Bound]) -> None:
        """Take the sockets of another server, by worker."""
        self.bound = bound
        self._steer()

    def _steer(self) -> None:
        """Have the kernel give each datagram to the worker that it is for."""
        for socket, bound in self.bound[0] if self.bound else ():
            if socket.transport == "udp":
                steer(bound, self.size, self.group_prefix, by_call_id=self.dispatch == "call-id")

    def close(self) -> None:
        for own in self.bound:
            for _, bound in own:
                bound.close()
        self.bound = []


def _share(bound: sockets.socket) -> None:
    bound.setsockopt(sockets.SOL_SOCKET, sockets.SO_REUSEPORT, 1)


def _mailbox() -> Mail:
    """A pair of unix datagram sockets: connected to each other, so that no queue length limits them."""
    write, read = sockets.socketpair(sockets.AF_UNIX, sockets.SOCK_DGRAM)
    for end in (write, read):
        end.setblocking(False)
        with suppress(OSError):
            end.setsockopt(sockets.SOL_SOCKET, sockets.SO_SNDBUF, MAIL_BYTES)
    return write, read
