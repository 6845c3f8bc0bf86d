"""SIP over WebSocket (RFC 7118), on the ports that speak HTTP."""

from __future__ import annotations

import base64
import binascii
import logging
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, cast

from wsproto.utilities import generate_accept_token

from kamtool.errors import ConfigError
from kamtool.module import ANY, Host, Module, Param, Routes, Value, function, pv
from kamtool.modules.websocket.control import Control
from kamtool.modules.xhttp import REQUEST, Xhttp, write
from kamtool.script.context import Context
from kamtool.sip.flow import Flow
from kamtool.transport.http import HttpCutter, HttpRequest
from kamtool.transport.stream import Connection
from kamtool.transport.websocket import WebSocketCutter

if TYPE_CHECKING:
    from kamtool.server.server import Server

log = logging.getLogger("kamtool.modules.websocket")

CLOSED: Final = "websocket:closed"
NONE, PING, PONG, CONCURRENT = range(4)
SIP, MSRP = 1, 2
VERSION = "13"

_INVALID_HOST = re.compile(
    rb"\n(?:contact|m)[ \t]*:[^\r\n]*?[@:]([a-z0-9][a-z0-9.-]{0,200}\.invalid)(?=[>;:?\s])", re.IGNORECASE
)


class Websocket(Control, Module):
    """Lets browsers speak SIP: ws_handle_handshake() in event_route[xhttp:request] makes a WebSocket.

    The connection then carries SIP like any other; `$pr` is `ws`, or `wss` over TLS. A contact with
    `transport=ws` is reached by the connection that it registered from; so is, while that connection is open,
    the `.invalid` host that a browser puts into its Contact. Needs the module xhttp before it:

        event_route[xhttp:request] {
            if ($hdr(Upgrade) =~ "websocket") ws_handle_handshake();
            else xhttp_reply("404", "Not Found");
        }
    """

    depends = ("xhttp",)
    events = (CLOSED,)

    sub_protocols = Param(1, "what to speak: 1 SIP; 2, MSRP, needs a module that kamtool does not have")
    keepalive_mechanism = Param(1, "for idle connections: 0 nothing, 1 pings, 2 pongs, 3 as 1")
    keepalive_timeout = Param(180, "seconds after which a connection counts as idle")
    keepalive_processes = Param(1, "accepted; one timer serves all")
    keepalive_interval = Param(1, "seconds between looks for idle connections")
    timer_interval = Param(1, "accepted, as keepalive_interval")
    rm_delay_interval = Param(5, "accepted; what is closed is gone at once")
    ping_application_data = Param("kamtool", "what a ping carries")
    cors_mode = Param(0, "Access-Control-Allow-Origin in the handshake: 0 none, 1 any, 2 the client's")
    verbose_list = Param(0, "accepted; ws.dump shows all there is")
    event_callback = Param("", "accepted; there is no KEMI script whose function could be called")

    def __init__(self, server: Host) -> None:
        super().__init__(server)
        self.is_enabled = True
        """`ws.disable` refuses new handshakes."""

    @property
    def host(self) -> Server:
        return cast("Server", self.server)

    @property
    def xhttp(self) -> Xhttp:
        return cast(Xhttp, self.server.modules["xhttp"])

    async def start(self) -> None:
        """Make ws and wss known as transports of the TCP and TLS sockets."""
        if self.sub_protocols & ~SIP or not self.sub_protocols & SIP:
            raise ConfigError("websocket speaks SIP only", hint="sub_protocols 1", code="KT1202")
        for name, carrier in (("ws", "tcp"), ("wss", "tls")):
            self.host.transports.add_streams(name, carrier)  # type: ignore[arg-type]
            for socket in self.host.sockets:
                if socket.transport == carrier:
                    for host, port in {socket.address, socket.shown}:
                        self.host.myself.add(name, host, port)
        self.host.closed_watchers.append(self.closed)
        if self.keepalive_mechanism != NONE:
            self.every(max(1, self.keepalive_interval), self.keep_alive)

    def count(self, name: str) -> None:
        self.host.count(f"websocket:{name}")

    # The handshake

    @function("ws_handle_handshake", routes=Routes.EVENT)
    def ws_handle_handshake(self, ctx: Context) -> int:
        """Make the connection of this HTTP request a WebSocket, or answer what is wrong with it.

        1 when it is one now; -1 when the request was refused; it is answered in both cases.
        """
        connection = self.xhttp.connection_of(ctx)
        if connection is None or not isinstance(connection.framer, HttpCutter):
            return -1
        request: HttpRequest = ctx.scratch[REQUEST]
        fields = dict(request.headers)
        status, reason, extra = self._objection(request, fields)
        if status:
            self.count("ws_failed_handshakes")
            log.info("websocket: %s refused: %s", connection.flow.remote, reason)
            self.xhttp.reply(ctx, status, reason, "", b"", extra)
            return -1
        self._upgrade(ctx, connection, fields)
        return 1

    def _objection(
        self, request: HttpRequest, fields: dict[str, str]
    ) -> tuple[int, str, list[tuple[str, str]]]:
        """Status, reason and headers of a refusal (RFC 6455 §4.2.1, RFC 7118 §4); 0 for a good handshake."""
        if not self.is_enabled:
            return 503, "Service Unavailable", []
        if request.method != "GET" or "websocket" not in _words(fields.get("upgrade", "")):
            return 426, "Upgrade Required", [("Upgrade", "websocket"), ("Sec-WebSocket-Protocol", "sip")]
        if "upgrade" not in _words(fields.get("connection", "")):
            return 400, "Bad Request", []
        if fields.get("sec-websocket-version") != VERSION:
            return 426, "Upgrade Required", [("Sec-WebSocket-Version", VERSION)]
        try:
            key = base64.b64decode(fields.get("sec-websocket-key", ""), validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if len(key) != 16:
            return 400, "Bad Request", []
        if "sip" not in _words(fields.get("sec-websocket-protocol", "")):
            return 400, "Bad Request", [("Sec-WebSocket-Protocol", "sip")]
        return 0, "", []

    def _upgrade(self, ctx: Context, connection: Connection, fields: dict[str, str]) -> None:
        http = cast(HttpCutter, connection.framer)
        headers = [
            ("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Protocol", "sip"),
            ("Sec-WebSocket-Accept", generate_accept_token(fields["sec-websocket-key"].encode()).decode()),
        ]  # fmt: skip
        if self.cors_mode:
            origin = "*" if self.cors_mode == 1 else fields.get("origin", "")
            headers += [("Access-Control-Allow-Origin", origin)] if origin else []
        for name, _, value in (line.partition(":") for line in ctx.reply_headers):
            headers.append((name.strip(), value.strip()))
        data, rest = http.switch(headers)
        connection.encode = None
        connection.write_raw(data)
        if not connection.is_open:
            return
        tcp = self.host.transports.tcp
        flow = tcp.change_transport(connection, "wss" if connection.flow.transport == "tls" else "ws")
        cutter = WebSocketCutter(tcp.options.max_body_bytes)

        def heard(message: bytes) -> None:
            found = _INVALID_HOST.search(message)
            if found:
                tcp.add_name(connection, found[1].decode().lower())

        cutter.heard = heard
        connection.encode = cutter.frame
        if self.keepalive_mechanism != NONE:
            connection.lifetime = max(tcp.options.lifetime, 2.5 * self.keepalive_timeout)
        ctx.flow = flow
        self.count("ws_successful_handshakes")
        connection.go_on_with(cutter, rest)

    # Life

    def open_connections(self) -> Iterator[tuple[Connection, WebSocketCutter]]:
        """Every open WebSocket."""
        for connection in list(self.host.transports.tcp.connections.values()):
            if isinstance(connection.framer, WebSocketCutter):
                yield connection, connection.framer

    def keep_alive(self) -> None:
        """Ping, or pong, what is idle; close what did not answer the last ping."""
        now = self.host.now()
        for connection, cutter in self.open_connections():
            if now - connection.used_at < self.keepalive_timeout:
                continue
            if self.keepalive_mechanism == PONG:
                connection.write_raw(cutter.pong())
            elif cutter.is_alive:
                connection.write_raw(cutter.ping(self.ping_application_data.encode()))
            else:
                self.count("ws_failed_connections")
                connection.close("no pong")

    def end(self, connection: Connection, cutter: WebSocketCutter, code: int, reason: str) -> None:
        """Say goodbye and close."""
        write(connection, cutter.close(code, reason))

    def closed(self, flow: Flow) -> None:
        """A connection is gone: event_route[websocket:closed] hears of the WebSockets among them."""
        if flow.transport not in ("ws", "wss"):
            return
        self.count("ws_closed_connections")
        program = self.host.program
        if program is not None and CLOSED in program.event_routes:
            from kamtool.server.listen import event_context

            ctx = event_context(self.host)
            ctx.flow = flow
            self.host.run_event(CLOSED, {}, ctx)

    # The script

    @function("ws_close", routes=ANY)
    def ws_close(
        self, ctx: Context, status: int = 1000, reason: str = "Normal closure", connection_id: int = 0
    ) -> bool:
        """Close this message's WebSocket, or that with the number; false when there is none."""
        number = connection_id or ctx.flow.connection
        for connection, cutter in self.open_connections():
            if connection.flow.connection == number:
                self.end(connection, cutter, status, reason)
                return True
        return False

    @pv("ws_conid", kind=int)
    def ws_conid(self, ctx: Context) -> Value:
        """The number of this message's WebSocket."""
        return ctx.flow.connection if ctx.flow.transport in ("ws", "wss") else None


def _words(value: str) -> list[str]:
    return [word.strip().lower() for word in value.split(",")]
