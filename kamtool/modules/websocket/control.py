"""The RPC of the module websocket."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from kamtool.errors import RpcError
from kamtool.module import rpc
from kamtool.transport.stream import Connection
from kamtool.transport.websocket import WebSocketCutter

if TYPE_CHECKING:
    from kamtool.modules.websocket import Websocket

ORDERS = ("id_hash", "used_desc", "used_asc")


class Control:
    """`ws.*`."""

    def _websocket(self) -> Websocket:
        return cast("Websocket", self)

    def _find(self, number: int) -> tuple[Connection, WebSocketCutter]:
        for connection, cutter in self._websocket().open_connections():
            if connection.flow.connection == number:
                return connection, cutter
        raise RpcError(404, f"no WebSocket {number}")

    @rpc("ws.dump", workers="join")
    def rpc_dump(self, order: str = "id_hash") -> dict[str, Any]:
        """Every WebSocket; the order is id_hash, used_desc or used_asc (by last use)."""
        if order not in ORDERS:
            raise RpcError(400, f"the order is {', '.join(ORDERS)}, not {order!r}")
        host = self._websocket().host
        now = host.now()
        found = [connection for connection, _ in self._websocket().open_connections()]
        if order != "id_hash":
            found.sort(key=lambda each: each.used_at, reverse=order == "used_desc")
        rows = [
            {
                "id": each.flow.connection,
                "transport": each.flow.transport,
                "src": str(each.flow.remote),
                "dst": str(each.flow.local),
                "state": "OPEN" if cast(WebSocketCutter, each.framer).is_open else "CLOSING",
                "last_used": int(now - each.used_at),
                "sub_protocol": "sip",
            }
            for each in found
        ]
        return {"connections": rows, "info": {"wscounter": len(rows)}}

    @rpc("ws.close", workers="any")
    def rpc_close(self, id: int) -> str:  # noqa: A002
        """Close the WebSocket with this number."""
        connection, cutter = self._find(id)
        self._websocket().end(connection, cutter, 1000, "Normal closure")
        return "Ok."

    @rpc("ws.ping", workers="any")
    def rpc_ping(self, id: int) -> str:  # noqa: A002
        """Ping the WebSocket with this number."""
        connection, cutter = self._find(id)
        connection.write_raw(cutter.ping(self._websocket().ping_application_data.encode()))
        return "Ok."

    @rpc("ws.pong", workers="any")
    def rpc_pong(self, id: int) -> str:  # noqa: A002
        """Send an unasked pong to the WebSocket with this number."""
        connection, cutter = self._find(id)
        connection.write_raw(cutter.pong())
        return "Ok."

    @rpc("ws.enable", workers="all")
    def rpc_enable(self) -> str:
        """Take handshakes again."""
        self._websocket().is_enabled = True
        return "Ok."

    @rpc("ws.disable", workers="all")
    def rpc_disable(self) -> str:
        """Refuse new handshakes; open WebSockets stay."""
        self._websocket().is_enabled = False
        return "Ok."
