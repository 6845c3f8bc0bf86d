"""Octets that corex sends past the transactions."""

from __future__ import annotations

import logging
from ipaddress import ip_address
from typing import TYPE_CHECKING, cast

from kamtool.errors import ScriptError, TransportError
from kamtool.module import ANY, FAILURE_ROUTE, REQUEST_ROUTE, Host, function
from kamtool.script import uri_text
from kamtool.script.pv_socket import find_socket, sockets
from kamtool.script.values import to_octets
from kamtool.server.routing import DEFAULT_PORTS
from kamtool.sip.flow import Address, Flow, Socket

if TYPE_CHECKING:
    from kamtool.script.context import Context
    from kamtool.server.server import Server

logger = logging.getLogger("kamtool.modules.corex")


class RawSends:
    """The functions that send, once and without waiting for anything."""

    server: Host

    @function("send_udp", routes=REQUEST_ROUTE | FAILURE_ROUTE)
    async def send_udp(self, ctx: Context, target: str = "") -> bool:
        """Send the message as received over UDP to `host:port`, else to where the request would go."""
        return await self._send_as(ctx, target, "udp")

    @function("send_tcp", routes=REQUEST_ROUTE | FAILURE_ROUTE)
    async def send_tcp(self, ctx: Context, target: str = "") -> bool:
        """Like `send_udp()`, over TCP."""
        return await self._send_as(ctx, target, "tcp")

    @function("send_data", routes=ANY)
    async def send_data(self, ctx: Context, uri: str, data: str) -> bool:
        """Send octets to a SIP URI, once and without waiting for anything."""
        return await self._send(ctx, uri, to_octets(data))

    @function("sendx", routes=ANY)
    async def sendx(self, ctx: Context, uri: str, socket: str, data: str) -> bool:
        """Like `send_data()`, from this listening socket (`udp:ip:port`) where there is one."""
        try:
            source = find_socket(ctx, socket)
        except ScriptError:
            source = None
        return await self._send(ctx, uri, to_octets(data), source=source)

    async def _send_as(self, ctx: Context, target: str, transport: str) -> bool:
        uri = f"sip:{target}" if target else ctx.dst_uri or ctx.new_uri or ctx.msg.uri
        return await self._send(ctx, uri, ctx.msg.data, transport=transport)

    async def _send(
        self, ctx: Context, uri: str, data: bytes, *, transport: str = "", source: Socket | None = None
    ) -> bool:
        server, parts = cast("Server", self.server), uri_text.parts(uri)
        if parts is None or not parts.host:
            return False
        kind = transport or (uri_text.param(parts.params, "transport") or "udp").lower()
        try:
            port = int(parts.port) if parts.port else None
            address = await self._address(parts.host.strip("[]"), port, kind)
            if source is None or source.transport != kind:
                source = next((each for each in sockets(ctx) if each.transport == kind), None)
            if kind == "udp":
                return source is not None and server.send(Flow("udp", source.address, address), data)
            return server.send(server.transports.flow_to(kind, address, source), data)
        except (TransportError, ValueError) as error:
            logger.error("nothing can be sent to %s: %s", uri, error)
            return False

    async def _address(self, host: str, port: int | None, transport: str) -> Address:
        """Raises TransportError for a name that leads nowhere."""
        try:
            ip_address(host)
        except ValueError:
            resolver = cast("Server", self.server).transports.resolver
            return (await resolver.resolve(host, port, transport))[0].address
        return Address(host, port or DEFAULT_PORTS.get(transport, 5060))
