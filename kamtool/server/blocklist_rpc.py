"""`dst_blocklist.*`, also under its older name `dst_blacklist.*`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kamtool.errors import RpcError
from kamtool.server.blocklist import ADMIN, ENTRY_BYTES, Blocklist
from kamtool.transport.target import is_numeric

if TYPE_CHECKING:
    from kamtool.server.rpc import RpcTable
    from kamtool.server.server import Server

PROTOCOLS = {"1": "udp", "2": "tcp", "3": "tls", "4": "sctp"}


def register(table: RpcTable, server: Server) -> None:
    """Offer the methods that look at, and change, the list of places to be left alone."""
    methods = BlocklistRpc(server)
    for name in ("view", "add", "delete", "delete_all", "mem_info", "stats_get", "debug"):
        for group in ("dst_blocklist", "dst_blacklist"):
            table.register(f"{group}.{name}", getattr(methods, name))


class BlocklistRpc:
    """The methods, for one server."""

    def __init__(self, server: Server) -> None:
        self.server = server

    @property
    def blocklist(self) -> Blocklist:
        found = self.server.blocklist
        if found is None:
            raise RpcError(500, "dst blocklist support disabled: set use_dst_blocklist=yes")
        return found

    def view(self) -> list[dict[str, Any]]:
        """Every place on the list, for how many seconds more, and why.

        2 sending failed, 4 connecting, 8 ICMP, 16 no answer, 32 a 503, 64 put there by hand.
        """
        now = self.blocklist.now()
        return [
            {
                "protocol": transport,
                "ip": host,
                "port": port,
                "expires": int(entry.expires_at - now),
                "flags": entry.flags,
            }
            for (transport, host, port), entry in self.blocklist
        ]

    def add(self, ip: str, port: int, proto: str, flags: int = ADMIN) -> None:
        """Put a place on the list: address, port, transport (`udp` or Kamailio's number), and why."""
        transport = PROTOCOLS.get(proto, proto.lower())
        if not is_numeric(ip) or not 0 < port < 65536 or transport not in PROTOCOLS.values():
            raise RpcError(400, f"no such place: {transport}:{ip}:{port}")
        if not self.blocklist.add(transport, (ip.strip("[]"), port), flags):
            raise RpcError(500, "the list is full, or these events do not count")

    def delete(self, ip: str, port: int, proto: str) -> None:
        """Take a place off the list."""
        if not self.blocklist.delete(PROTOCOLS.get(proto, proto.lower()), (ip.strip("[]"), port)):
            raise RpcError(404, "Not found")

    def delete_all(self) -> None:
        """Take every place off the list."""
        self.blocklist.clear()

    def mem_info(self) -> list[int]:
        """The octets that the list takes, about, and how many it may take (dst_blocklist_mem)."""
        return [len(self.blocklist.entries) * ENTRY_BYTES, self.blocklist.limit * ENTRY_BYTES]

    def stats_get(self) -> dict[str, int]:
        """Places on the list, and how many found no room on it."""
        return {"entries": len(list(self.blocklist)), "bkl_lru_cnt": self.blocklist.rejected}

    def debug(self) -> list[dict[str, Any]]:
        """As dst_blocklist.view."""
        return self.view()
