"""Third-party call control: the TCP connections by which scenarios send each other commands (SIPp's 3PCC).

A command is text that ends with an ESC; its Call-ID says which call it is for. Two twins share one address:
whose scenario receives first listens there. In the extended mode everybody has a name and an address of his
own, in SIPp's slave_cfg file.
"""

from __future__ import annotations

import contextlib
import socket
import time
from pathlib import Path

from kamtool.errors import TransportError, UsageError
from kamtool.sip.flow import Address

END = b"\x1b"
LONGEST = 1 << 20
"""Octets of one command at most."""


class Twins:
    """Those whom a scenario talks to. `peers` are addresses by name; "" is the one twin."""

    def __init__(self, peers: dict[str, Address], own: Address | None = None, patience: float = 10.0) -> None:
        self.peers, self.patience = peers, patience
        self.links: dict[int, socket.socket] = {}
        self.closed = ""
        """Why commands can no longer be exchanged."""
        self._by_name: dict[str, socket.socket] = {}
        self._halves: dict[int, bytearray] = {}
        self._listener: socket.socket | None = None
        if own is not None:
            try:
                family = socket.AF_INET6 if ":" in own.host else socket.AF_INET
                self._listener = socket.create_server(tuple(own), family=family)
            except OSError as error:
                raise TransportError(f"3PCC {own}: {error.strerror or error}") from error
            self._listener.setblocking(False)

    @property
    def files(self) -> list[int]:
        """The numbers of all sockets that may have something."""
        return [*([self._listener.fileno()] if self._listener else []), *self.links]

    def connect(self) -> None:
        """Connect to the twin at once, as who begins does. Raises TransportError."""
        for name in self.peers if self._listener is None else ():
            self._link(name)

    def send(self, name: str, text: bytes) -> None:
        """Send a command. Raises TransportError."""
        link = self._by_name.get(name) or self._link(name)
        link.setblocking(True)
        link.settimeout(self.patience)
        try:
            link.sendall(text + END)
        except OSError as error:
            raise TransportError(f"the twin {name or 'itself'}: {error.strerror or error}") from error
        finally:
            link.setblocking(False)

    def _link(self, name: str) -> socket.socket:
        address = self.peers.get(name)
        if address is None and self._listener is not None and name == "" and self.links:
            return self.links[next(iter(self.links))]  # whoever connected to us is the twin
        if address is None:
            raise TransportError(f"no twin {name!r} is known")
        ends = time.monotonic() + self.patience
        while True:
            try:
                link = socket.create_connection((address.host, address.port), self.patience)
                break
            except ConnectionRefusedError as error:
                if time.monotonic() > ends:
                    raise TransportError(f"3PCC {address}: {error.strerror}") from error
                time.sleep(0.05)  # the twin may be about to start
            except OSError as error:
                raise TransportError(f"3PCC {address}: {error.strerror or error}") from error
        self._take(link)
        self._by_name[name] = link
        return link

    def _take(self, link: socket.socket) -> None:
        link.setblocking(False)
        self.links[link.fileno()] = link
        self._halves[link.fileno()] = bytearray()

    def receive(self, fd: int) -> list[bytes]:
        """The commands that a socket now has, whole."""
        if self._listener is not None and fd == self._listener.fileno():
            with contextlib.suppress(OSError):
                self._take(self._listener.accept()[0])
            return []
        link, half = self.links.get(fd), self._halves.get(fd)
        if link is None or half is None:
            return []
        try:
            data = link.recv(65536)
        except (BlockingIOError, InterruptedError):
            return []
        except OSError:
            data = b""
        if not data or len(half) > LONGEST:
            self._drop(fd)
            return []
        half += data
        *whole, rest = bytes(half).split(END)
        half[:] = rest
        return whole

    def _drop(self, fd: int) -> None:
        link = self.links.pop(fd)
        self._halves.pop(fd, None)
        for name in [one for one, other in self._by_name.items() if other is link]:
            del self._by_name[name]
        link.close()
        if self._listener is None and not self.links:
            self.closed = "the twin closed the connection"

    def close(self) -> None:
        for link in self.links.values():
            link.close()
        if self._listener is not None:
            self._listener.close()


def read_peers(path: Path) -> dict[str, Address]:
    """The addresses in a slave_cfg file: `name;host:port` a line. Raises UsageError."""
    made = {}
    try:
        lines = path.read_text().splitlines()
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    for number, line in enumerate(lines, 1):
        name, semicolon, place = line.strip().partition(";")
        if not name or name.startswith("#"):
            continue
        host, colon, port = place.strip().rpartition(":")
        if not semicolon or not colon or not port.isdigit():
            raise UsageError(f"{path}:{number}: no twin: {line!r}", hint="name;host:port")
        made[name.strip()] = Address(host.strip("[]"), int(port))
    return made
