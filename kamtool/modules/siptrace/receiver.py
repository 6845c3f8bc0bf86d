"""Where copies go over the network: one address, looked up once, sent to without the tap seeing it."""

from __future__ import annotations

import asyncio
import logging
import socket as sockets
from typing import TYPE_CHECKING

from kamtool.errors import ConfigError, ParseError, TransportError
from kamtool.sip.flow import Address, Socket
from kamtool.sip.uri import SipUri, parse_uri
from kamtool.transport.target import is_numeric
from kamtool.transport.transports import Transports

if TYPE_CHECKING:
    from kamtool.server.server import Server

log = logging.getLogger("kamtool.modules.siptrace")
MOST_WAITING = 1000


def sip_uri(text: str) -> SipUri:
    """A SIP URI, taken apart. Raises ParseError."""
    found = parse_uri(text)
    if not isinstance(found, SipUri):
        raise ParseError(f"{text!r} is of another scheme")
    return found


class Receiver:
    """A capture server, named by a SIP URI."""

    def __init__(self, server: Server, uri: str, socket: Socket | None) -> None:
        """Raises ConfigError."""
        try:
            parsed = sip_uri(uri)
        except ParseError as error:
            raise ConfigError(f"siptrace: {uri!r} is no SIP URI: {error}", code="KT1201") from error
        self.server, self.uri, self.socket = server, uri, socket
        self.host, self.port = parsed.host.strip("[]"), parsed.port or 5060
        self.transport = (parsed.transport or "udp").lower()
        if self.transport not in ("udp", "tcp", "tls"):
            raise ConfigError(f"siptrace: no copies go over {self.transport}", code="KT1201")
        self.failed = 0
        self._address = Address(self.host, self.port) if is_numeric(self.host) else None
        self._waiting: list[bytes] = []

    def send(self, data: bytes) -> None:
        """Send a copy; while a host name is looked up, copies wait."""
        if self._address is not None:
            self._send(self._address, data)
            return
        if not self._waiting:
            self.server.spawn(self._look_up(), "siptrace: look up")
        if len(self._waiting) < MOST_WAITING:
            self._waiting.append(data)

    async def _look_up(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(self.host, self.port, type=sockets.SOCK_DGRAM)
            self._address = Address(*found[0][4][:2])
        except OSError as error:
            log.error("siptrace: %s: %s", self.uri, error.strerror)
        waiting, self._waiting = self._waiting, []
        for data in waiting if self._address is not None else ():
            self.send(data)

    def _send(self, address: Address, data: bytes) -> None:
        transports = self.server.transports
        try:
            flow = transports.flow_to(self.transport, address, self.socket)
        except TransportError as error:
            self.failed += 1
            if self.failed == 1:
                log.error("siptrace: %s: %s", self.uri, error)
            return
        # Past the tap: a copy is not copied.
        Transports.send(transports, flow, data)


def own_socket(transports: Transports, name: str, address: str) -> Socket | None:
    """The socket that copies leave by, None for any. Raises ConfigError."""
    if name:
        for socket in transports.sockets:
            if socket.name == name:
                return socket
        raise ConfigError(f"siptrace: no socket is named {name!r}", code="KT1201")
    if not address:
        return None
    uri = sip_uri(address)
    found = transports.find_socket((uri.transport or "udp").lower(), uri.host, uri.port or 5060)
    if found is None:
        raise ConfigError(f"siptrace: no socket listens on {address}", code="KT1201")
    return found
