"""binrpc over datagrams. Imported once a socket is opened: a check of a cfg needs no asyncio."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

from kamtool.errors import RpcError
from kamtool.modules.ctl import binrpc

if TYPE_CHECKING:
    from kamtool.modules.ctl import Ctl


class Datagrams(asyncio.DatagramProtocol):
    """One datagram socket of ctl: each request is answered to where it came from."""

    def __init__(self, ctl: Ctl) -> None:
        self.ctl = ctl

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.endpoint = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        if isinstance(addr, tuple) and not self.ctl.admission.admits(addr[0]):
            return
        if addr and len(self.ctl._clients) < binrpc.MOST_CLIENTS:
            self.ctl.server.spawn(self._answer(data, addr), "ctl")

    async def _answer(self, data: bytes, addr: Any) -> None:
        with suppress(RpcError, OSError):
            if binrpc.packet_size(data) == len(data):
                self.endpoint.sendto(await self.ctl.answer(data), addr)
