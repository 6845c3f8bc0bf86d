"""The `tcp_*` parameters of a cfg, and those of them that the kernel is told."""

from __future__ import annotations

import socket as sockets
import struct
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from kamtool.transport.udp_options import UdpOptions, udp_options

READ_BYTES = 65_536
BACKLOG = 1024


INHERITS = sys.platform == "linux"
"""Whether an accepted connection has the options of its listener, as far as they say nothing of one alone."""


def _tell(sock: sockets.socket, kernel: list[tuple[int, int, int]]) -> None:
    for level, option, value in kernel:
        try:
            sock.setsockopt(level, option, value)
        except OSError:  # what this kernel does not have is no reason to refuse a peer
            continue


@dataclass(slots=True)
class TcpOptions:
    """Limits and habits of all stream sockets, in seconds and bytes. 0 seconds: no limit."""

    lifetime: float = 120.0
    max_connections: int = 2048
    max_tls_connections: int = 2048
    connect_timeout: float = 10.0
    send_timeout: float = 10.0
    handshake_timeout: float = 10.0
    wait_data: float = 0.0
    """How long an accepted connection may stay without a first octet."""
    max_queue_bytes: int = 1 << 18
    max_total_bytes: int = 10 << 20
    max_body_bytes: int = 1 << 18
    max_partial_bytes: int = 64 << 20
    read_bytes: int = READ_BYTES
    backlog: int = BACKLOG
    max_requests: int = 0
    """After so many messages a connection is closed; 0 for no limit."""
    accept_no_content_length: bool = False
    accept_unique: bool = False
    crlf_pong: bool = True
    accept_aliases: bool = False
    no_connect: bool = False
    reset_on_close: bool = False
    source_ipv4: str = ""
    source_ipv6: str = ""
    reuse_port: bool = False
    free_bind: bool = False
    defer_accept: int = 0
    kernel: list[tuple[int, int, int]] = field(default_factory=list)
    """(level, option, value) set on every connection."""
    own: list[tuple[int, int, int]] = field(default_factory=list)
    """Those of them that no connection inherits."""

    def tell_connection(self, sock: sockets.socket) -> None:
        """Prepare a connection that is about to be opened."""
        sock.setblocking(False)
        self._tell(sock, self.kernel)

    def tell_accepted(self, sock: sockets.socket) -> None:
        """Prepare a connection that was accepted: on Linux it has from its listener what can be had so."""
        sock.setblocking(False)
        if not INHERITS:
            self._tell(sock, self.kernel)
        elif self.own:
            _tell(sock, self.own)

    def _tell(self, sock: sockets.socket, kernel: list[tuple[int, int, int]]) -> None:
        _tell(sock, [(sockets.IPPROTO_TCP, sockets.TCP_NODELAY, 1), *kernel])
        if self.reset_on_close:
            sock.setsockopt(sockets.SOL_SOCKET, sockets.SO_LINGER, struct.pack("ii", 1, 0))

    def tell_listener(self, sock: sockets.socket) -> None:
        """Prepare a socket that is to be bound and will listen."""
        if self.reuse_port:
            sock.setsockopt(sockets.SOL_SOCKET, sockets.SO_REUSEPORT, 1)
        if self.free_bind:
            UdpOptions(free_bind=True).before_bind(sock)
        if self.defer_accept:
            with suppress(OSError):
                sock.setsockopt(sockets.IPPROTO_TCP, sockets.TCP_DEFER_ACCEPT, self.defer_accept)

    def tell_heirs(self, sock: sockets.socket) -> None:
        """Let every connection of this listener be prepared as it is accepted."""
        if INHERITS:
            self._tell(sock, self.kernel)

    def source(self, host: str) -> str:
        """The address to connect from, given that of the listening socket; "" lets the kernel choose."""
        wanted = self.source_ipv6 if ":" in host else self.source_ipv4
        if wanted:
            return wanted.strip("[]")
        return "" if host in ("0.0.0.0", "::") else host


_KERNEL = {
    "tcp_keepidle": ("TCP_KEEPIDLE", sockets.IPPROTO_TCP),
    "tcp_keepintvl": ("TCP_KEEPINTVL", sockets.IPPROTO_TCP),
    "tcp_keepcnt": ("TCP_KEEPCNT", sockets.IPPROTO_TCP),
    "tcp_syncnt": ("TCP_SYNCNT", sockets.IPPROTO_TCP),
    "tcp_linger2": ("TCP_LINGER2", sockets.IPPROTO_TCP),
}


def tcp_options(setting: Callable[[str, Any], Any]) -> TcpOptions:
    """The options that a cfg asks for; `setting(name, default)` reads a global parameter."""
    options = TcpOptions(
        lifetime=float(setting("tcp_connection_lifetime", 120)),
        max_connections=int(setting("tcp_max_connections", 2048)),
        max_tls_connections=int(setting("tls_max_connections", 2048)),
        connect_timeout=float(setting("tcp_connect_timeout", 10)),
        send_timeout=float(setting("tcp_send_timeout", 10)),
        handshake_timeout=float(setting("tls_handshake_timeout", 10)),
        wait_data=int(setting("tcp_wait_data", 0)) / 1000,
        max_queue_bytes=int(setting("tcp_conn_wq_max", 1 << 18)),
        max_total_bytes=int(setting("tcp_wq_max", 10 << 20)),
        read_bytes=min(max(int(setting("tcp_rd_buf_size", READ_BYTES)), 2048), READ_BYTES),
        backlog=int(setting("tcp_listen_backlog", BACKLOG)) or BACKLOG,
        max_requests=int(setting("tcp_conn_max_requests", 0)),
        accept_no_content_length=bool(setting("tcp_accept_no_cl", False)),
        accept_unique=bool(setting("tcp_accept_unique", False)),
        crlf_pong=bool(setting("tcp_crlf_ping", True)),
        no_connect=bool(setting("tcp_no_connect", False)),
        reset_on_close=bool(setting("tcp_close_rst", False)),
        source_ipv4=_address(setting("tcp_source_ipv4", "")),
        source_ipv6=_address(setting("tcp_source_ipv6", "")),
        reuse_port=bool(setting("tcp_reuse_port", False)),
        free_bind=bool(setting("ip_free_bind", False)),
        defer_accept=int(setting("tcp_defer_accept", 0)),
    )
    if setting("tcp_keepalive", True):
        options.kernel.append((sockets.SOL_SOCKET, sockets.SO_KEEPALIVE, 1))
    for name, (constant, level) in _KERNEL.items():
        value = int(setting(name, 0))
        if value:
            options.kernel.append((level, getattr(sockets, constant), value))
    if (tos := udp_options(setting).tos) is not None:
        options.kernel.append((sockets.IPPROTO_IP, sockets.IP_TOS, tos))
        options.kernel.append((sockets.IPPROTO_IPV6, sockets.IPV6_TCLASS, tos))
    if not setting("tcp_delayed_ack", True):
        options.own.append((sockets.IPPROTO_TCP, sockets.TCP_QUICKACK, 1))
        options.kernel += options.own
    return options


def _address(value: Any) -> str:
    return str(value) if value else ""
