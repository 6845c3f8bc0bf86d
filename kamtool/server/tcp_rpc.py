"""`core.tcp_*`: the connections of the control plane's view, TLS and WebSocket among them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kamtool.errors import RpcError
from kamtool.transport.tls import TlsConnection

if TYPE_CHECKING:
    from kamtool.server.rpc import RpcTable
    from kamtool.server.server import Server


def register(table: RpcTable, server: Server) -> None:
    """Offer the methods that look at, and close, the server's connections."""
    methods = TcpRpc(server)
    table.register("core.tcp_info", methods.info, workers="sum")
    table.register("core.tcp_list", methods.list, workers="join")
    table.register("core.tcp_options", methods.options)
    table.register("core.tcp_kill", methods.kill, workers="any")


class TcpRpc:
    """The methods, for one server."""

    def __init__(self, server: Server) -> None:
        self.server = server

    def info(self) -> dict[str, int]:
        """How many connections there may be and are, and what waits to be sent."""
        tcp = self.server.transports.tcp
        return {
            "readers": 1,
            "max_connections": tcp.options.max_connections,
            "max_tls_connections": tcp.options.max_tls_connections,
            "opened_connections": len(tcp.connections),
            "opened_tls_connections": tcp.tls_count,
            "write_queued_bytes": tcp.queued_bytes,
        }

    def list(self) -> list[dict[str, Any]]:
        """Every connection: what it is, between whom, how long it may still be idle."""
        tcp = self.server.transports.tcp
        now = self.server.now()
        rows = []
        for connection in tcp:
            lifetime = tcp.options.lifetime if connection.lifetime is None else connection.lifetime
            secure = isinstance(connection, TlsConnection) and connection.flow.transport == "tls"
            rows.append(
                {
                    "id": connection.flow.connection,
                    "type": "TLS" if secure else connection.flow.transport.upper(),
                    "state": "CONN_CONNECT" if connection.connecting else "CONN_OK",
                    "timeout": max(0, int(lifetime - (now - connection.used_at))),
                    "lifetime": int(lifetime),
                    "src_ip": connection.flow.remote.host,
                    "src_port": connection.flow.remote.port,
                    "dst_ip": connection.flow.local.host,
                    "dst_port": connection.flow.local.port,
                }
            )
        return rows

    def options(self) -> dict[str, Any]:
        """The limits and habits in force."""
        options = self.server.transports.tcp.options
        return {
            "connect_timeout": options.connect_timeout,
            "send_timeout": options.send_timeout,
            "connection_lifetime": options.lifetime,
            "max_connections(soft)": options.max_connections,
            "max_tls_connections(soft)": options.max_tls_connections,
            "no_connect": int(options.no_connect),
            "conn_wq_max": options.max_queue_bytes,
            "wq_max": options.max_total_bytes,
            "defer_accept": options.defer_accept,
            "keepalive": int(any(value for _, _, value in options.kernel)),
            "crlf_ping": int(options.crlf_pong),
            "reuse_port": int(options.reuse_port),
        }

    def kill(self, id: int) -> str:  # noqa: A002
        """Close the connection with this number (core.tcp_list shows it)."""
        connection = self.server.transports.tcp.connections.get(id)
        if connection is None:
            raise RpcError(404, f"no connection {id}")
        connection.close("closed by core.tcp_kill")
        return "Ok."
