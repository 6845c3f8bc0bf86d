"""The control port of one media relay: requests and answers, matched by a cookie (for rtpengine too)."""

from __future__ import annotations

import asyncio
import socket as sockets
from contextlib import suppress
from itertools import count
from os import urandom

MAX_DATAGRAM = 65_535


class RelayDead(Exception):
    """The relay does not answer, or cannot be asked."""


class Channel:
    """The way to one relay. `ask` waits for its own answer only; `give_up` ends all that wait."""

    def __init__(self, url: str, *, source: str = "", tos: int = -1) -> None:
        self.url, self.source, self.tos = url, source, tos
        self.scheme, self.address = split_url(url)
        self._cookie = urandom(4).hex()
        self._numbers = count(1)
        self._waiting: dict[bytes, asyncio.Future[bytes]] = {}
        self._socket: sockets.socket | None = None
        self._opening: asyncio.Task[sockets.socket] | None = None

    async def ask(self, payload: bytes, *, tries: int, seconds: float) -> bytes:
        """Send a request, again after each `seconds`, `tries` times in all. Raises RelayDead."""
        if self.scheme == "unix":
            return await self._over_stream(payload, tries * seconds)
        cookie = self.cookie()
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._waiting[cookie] = answer
        try:
            socket = await self._open(seconds)
            for _ in range(max(1, tries)):
                socket.send(cookie + b" " + payload)
                done, _pending = await asyncio.wait((answer,), timeout=seconds)
                if done:
                    return answer.result()
        except OSError as error:
            raise RelayDead(f"{self.url}: {error.strerror or error}") from error
        finally:
            self._waiting.pop(cookie, None)
            answer.cancel()
        raise RelayDead(f"{self.url}: no answer in {tries * seconds:g} s")

    def cookie(self) -> bytes:
        """A cookie that was not used before: relays answer one that was from memory."""
        return f"{self._cookie}_{next(self._numbers)}".encode()

    async def _over_stream(self, payload: bytes, seconds: float) -> bytes:
        """RTPproxy's unix socket: a connection a request, no cookie."""
        asking = asyncio.ensure_future(self._converse(payload))
        # Not asyncio.timeout: a route that has not waited yet runs in no task.
        await asyncio.wait((asking,), timeout=seconds)
        if not asking.done():
            asking.cancel()
            raise RelayDead(f"{self.url}: no answer in {seconds:g} s")
        try:
            return asking.result()
        except (OSError, asyncio.LimitOverrunError) as error:
            raise RelayDead(f"{self.url}: {error}") from error

    async def _converse(self, payload: bytes) -> bytes:
        reader, writer = await asyncio.open_unix_connection(self.address)
        try:
            writer.write(payload)
            await writer.drain()
            return await reader.readuntil(b"\n")
        except asyncio.IncompleteReadError as error:
            if error.partial:
                return error.partial
            raise RelayDead(f"{self.url}: closed without an answer") from error
        finally:
            writer.close()

    async def _open(self, seconds: float) -> sockets.socket:
        if self._socket is not None:
            return self._socket
        if self._opening is None or self._opening.done():
            self._opening = asyncio.ensure_future(self._connect())
        opening = self._opening  # shared by all who open at once
        await asyncio.wait((opening,), timeout=seconds)
        if not opening.done():
            raise RelayDead(f"{self.url}: its name cannot be resolved in {seconds:g} s")
        return opening.result()

    async def _connect(self) -> sockets.socket:
        loop = asyncio.get_running_loop()
        host, _, port = self.address.rpartition(":")
        family = sockets.AF_INET6 if self.scheme == "udp6" else sockets.AF_UNSPEC
        found = await loop.getaddrinfo(
            host.strip("[]") or "127.0.0.1", int(port), type=sockets.SOCK_DGRAM, family=family
        )
        family, kind, protocol, _, address = found[0]
        made = sockets.socket(family, kind, protocol)
        made.setblocking(False)
        try:
            if self.source:
                made.bind((self.source.strip("[]"), 0))
            if self.tos >= 0 and family == sockets.AF_INET:
                made.setsockopt(sockets.IPPROTO_IP, sockets.IP_TOS, self.tos)
            elif self.tos >= 0:
                made.setsockopt(sockets.IPPROTO_IPV6, sockets.IPV6_TCLASS, self.tos)
            made.connect(address)
        except OSError:
            made.close()
            raise
        self._socket = made
        loop.add_reader(made, self._readable)
        return made

    def _readable(self) -> None:
        assert self._socket is not None
        for _ in range(64):
            try:
                data = self._socket.recv(MAX_DATAGRAM)
            except BlockingIOError:
                return
            except OSError as error:  # nobody listens there: ICMP says so
                self.give_up(f"{error.strerror or error}")
                return
            cookie, _, rest = data.partition(b" ")
            answer = self._waiting.get(cookie)
            if answer is not None and not answer.done():
                answer.set_result(rest)

    def give_up(self, reason: str) -> None:
        """End every request that waits: the relay is dead."""
        for answer in list(self._waiting.values()):
            if not answer.done():
                answer.set_exception(RelayDead(f"{self.url}: {reason}"))

    def close(self) -> None:
        """End what waits and close the socket."""
        self.give_up("closed")
        if self._opening is not None:
            self._opening.cancel()
        if self._socket is not None:
            with suppress(RuntimeError):
                asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None


def split_url(url: str) -> tuple[str, str]:
    """The scheme (udp, udp6, unix) and the address of a relay. Raises ValueError with the reason."""
    scheme, colon, address = url.partition(":")
    if url.startswith("/"):
        return "unix", url
    if not colon or scheme not in ("udp", "udp6", "unix"):
        raise ValueError("write udp:host:port, udp6:[address]:port or unix:/path")
    if scheme == "unix":
        return scheme, address
    host, _, port = address.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError("it has no port")
    return scheme, address
