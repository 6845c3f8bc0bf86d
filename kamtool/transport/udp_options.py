"""The parameters of a cfg that concern datagrams: size, type of service, path MTU, raw sending."""

from __future__ import annotations

import logging
import socket as sockets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from kamtool.transport.raw import RawSender

log = logging.getLogger("kamtool.transport")

TOS = {
    "IPTOS_LOWDELAY": 0x10, "IPTOS_THROUGHPUT": 0x08, "IPTOS_RELIABILITY": 0x04, "IPTOS_MINCOST": 0x02,
    "IPTOS_LOWCOST": 0x02,
}  # fmt: skip
IP_MTU_DISCOVER, PMTUDISC_DONT, PMTUDISC_DO = 10, 0, 2
IPV6_MTU_DISCOVER = 23
IP_FREEBIND, IPV6_FREEBIND = 15, 78


@dataclass(slots=True)
class UdpOptions:
    """How datagrams leave. None leaves it to the kernel."""

    tos: int | None = None
    dont_fragment: bool | None = None
    free_bind: bool = False
    """Bind to addresses that this machine does not have yet."""
    raw: int = 0
    """udp4_raw: 1 send through a raw socket, -1 if that is allowed."""
    raw_mtu: int = 1500
    raw_ttl: int = -1
    gather: float = 0.0
    """Seconds that datagrams may wait for more to share a wake-up with, once they come thick; see Beat."""

    def tell(self, sock: sockets.socket) -> None:
        """Set what the cfg asks for on a socket of any kind."""
        six = sock.family == sockets.AF_INET6
        level = sockets.IPPROTO_IPV6 if six else sockets.IPPROTO_IP
        if self.tos is not None:
            with suppress(OSError):
                sock.setsockopt(level, sockets.IPV6_TCLASS if six else sockets.IP_TOS, self.tos)
        if self.dont_fragment is not None:
            mode = PMTUDISC_DO if self.dont_fragment else PMTUDISC_DONT
            with suppress(OSError):
                sock.setsockopt(level, IPV6_MTU_DISCOVER if six else IP_MTU_DISCOVER, mode)

    def before_bind(self, sock: sockets.socket) -> None:
        """Prepare a socket that is about to be bound."""
        if self.free_bind:
            six = sock.family == sockets.AF_INET6
            level = sockets.IPPROTO_IPV6 if six else sockets.IPPROTO_IP
            sock.setsockopt(level, IPV6_FREEBIND if six else IP_FREEBIND, 1)

    def sender(self) -> RawSender | None:
        """The raw socket, if one is wanted and allowed; says so when it is wanted and is not."""
        if not self.raw:
            return None
        try:
            return RawSender(self.raw_mtu, self.raw_ttl, self.tos or 0)
        except OSError as error:
            if self.raw > 0:
                log.error("udp4_raw: no raw socket (%s): datagrams leave by the usual ones", error.strerror)
            return None


def udp_options(setting: Callable[[str, Any], Any], gather: float = 0.0) -> UdpOptions:
    """The options that a cfg asks for, and `gather`; `setting(name, default)` reads a global parameter."""
    tos, discovery = setting("tos", None), setting("pmtu_discovery", None)
    return UdpOptions(
        tos=None if tos is None else _tos(tos),
        dont_fragment=None if discovery is None else bool(discovery),
        free_bind=bool(setting("ip_free_bind", False)),
        raw=int(setting("udp4_raw", 0)),
        raw_mtu=int(setting("udp4_raw_mtu", 1500)),
        raw_ttl=int(setting("udp4_raw_ttl", -1)),
        gather=gather,
    )


def _tos(value: int | str) -> int | None:
    if isinstance(value, int):
        return value & 0xFF
    number = TOS.get(value.upper())
    if number is None:
        log.error("tos: no such type of service: %r", value)
    return number
