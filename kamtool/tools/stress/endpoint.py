"""Sockets of a load generator: what goes out waits in a list, what came in is given as whole messages."""

from __future__ import annotations

import socket
import time
from typing import Any, ClassVar

from kamtool.sip.flow import Address
from kamtool.tools.stress.kernel import Stamped

Source = tuple[str, int]
Arrived = list[tuple[bytes, Source]]


class Endpoint:
    """One socket towards the target. `out` is what waits to be sent; `flush` sends it."""

    CONSTANTS: ClassVar[frozenset[str]] = frozenset({
        "remote_ip", "remote_host", "remote_port", "local_ip", "local_port", "local_ip_type", "server_ip",
        "transport", "media_ip", "media_ip_type",
    })  # fmt: skip
    """Keywords whose value is fixed by the socket."""

    reliable = False
    transport = "udp"

    def __init__(self, sock: socket.socket, remote: Address, host: str) -> None:
        self.sock, self.remote, self.host = sock, remote, host
        self.fd = sock.fileno()
        self.local = Address(*sock.getsockname()[:2])
        self.out: list[tuple[bytes, Source]] = []
        self.closed = ""
        """Why it can no longer be used, "" while it can."""
        self.refusals, self.refusal = 0, ""
        self.blocked = 0
        self.calls: dict[bytes, Any] = {}
        """The calls whose messages come here, by Call-ID; whoever runs it sets it."""
        self.accepted: list[Endpoint] = []
        """Connections that a listening socket has taken, until they are looked at."""
        self.target: Source = (remote.host, remote.port)
        self.call_id_tail = b""
        """What the Call-IDs of calls from here end with; whoever runs it sets it."""
        family = b"6" if ":" in self.local.host else b"4"
        local, far = shown(self.local.host), shown(remote.host)
        self.constants: dict[str, bytes] = {
            "remote_ip": far,
            "remote_host": host.encode(),
            "remote_port": b"%d" % remote.port,
            "local_ip": local,
            "local_port": b"%d" % self.local.port,
            "local_ip_type": family,
            "server_ip": local,
            "transport": self.transport.upper().encode(),
            "media_ip": self.local.host.encode(),
            "media_ip_type": family,
        }

    def flush(self) -> None:
        """Send what waits in `out`, as far as the socket takes it."""
        raise NotImplementedError

    def receive(self) -> Arrived:
        """What has come; [] when nothing has."""
        raise NotImplementedError

    def receive_stamped(self) -> Stamped:
        """What has come, and when."""
        now = time.perf_counter()
        return [(data, source, now) for data, source in self.receive()]

    def wants_to_write(self) -> bool:
        """Whether octets wait that the socket did not take."""
        return False

    def close(self) -> None:
        self.sock.close()


def shown(host: str) -> bytes:
    """A host as it stands in a URI."""
    return f"[{host}]".encode() if ":" in host else host.encode()
