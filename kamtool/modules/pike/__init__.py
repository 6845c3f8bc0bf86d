"""pike: who sends too much."""

from __future__ import annotations

import logging
import socket
from functools import lru_cache
from typing import Any

from kamtool.errors import RpcError
from kamtool.module import ONREPLY_ROUTE, REQUEST_ROUTE, Host, Module, Param, function, rpc
from kamtool.modules.pike.tree import NEWLY_RED, RED, Tree
from kamtool.script.context import Context
from kamtool.script.levels import python_level

logger = logging.getLogger("kamtool.modules.pike")

FINE, BLOCKED, NEWLY_BLOCKED = 1, -1, -2


@lru_cache(8192)
def octets(address: str) -> bytes:
    """The octets of an IP address as text, brackets allowed; empty when it is none."""
    try:
        if ":" in address:
            return socket.inet_pton(socket.AF_INET6, address.strip("[]"))
        return socket.inet_pton(socket.AF_INET, address)
    except (OSError, ValueError):
        return b""


class Pike(Module):
    """Count requests by source address and tell which addresses send too many.

    Nothing is done about them: the script decides. Addresses are counted in a tree by their octets, so an
    address that nobody has seen has to send up to three times the limit over IPv4, nine times over IPv6,
    and its neighbours are found sooner.
    """

    sampling_time_unit = Param(2, "seconds in which requests are counted")
    reqs_density_per_unit = Param(30, "requests that an address may send in that time")
    remove_latency = Param(120, "seconds after its last request that an address is remembered")
    pike_log_level = Param(0, "the level at which blocking and unblocking are logged, 0 is L_WARN")

    def __init__(self, server: Host) -> None:
        super().__init__(server)
        self.tree = Tree(self.reqs_density_per_unit, self.remove_latency)
        self._link: Any = None

    async def start(self) -> None:
        """Begin counting."""
        self.tree = Tree(max(1, self.reqs_density_per_unit), max(1, self.remove_latency))
        self._level = python_level(self.pike_log_level)
        self._link = getattr(self.server, "link", None)
        if self._link is not None:
            self._link.on("pike", lambda sender, key: self.tree.mark(key, self.server.now()))
        self.every(max(1, self.sampling_time_unit), self.next_unit)
        self.every(1, self.forget)

    def next_unit(self) -> None:
        """Begin a new unit of time; who was quiet in the last one is free again."""
        for address in self.tree.next_unit():
            logger.log(self._level, "PIKE - UNBLOCKing ip %s", shown(address))

    def forget(self) -> None:
        """Drop the addresses that have not been heard of for `remove_latency` seconds."""
        self.tree.forget(self.server.now())

    def check(self, address: str) -> int:
        """Count one request from `address`: 1, -1 blocked, -2 blocked by this one."""
        key = octets(address)
        if not key:
            return FINE
        if self._link is not None:
            self._link.publish("pike", key)
        state = self.tree.mark(key, self.server.now())
        if not state:
            return FINE
        if state == NEWLY_RED:
            logger.log(self._level, "PIKE - BLOCKing ip %s", address)
            return NEWLY_BLOCKED
        return BLOCKED if state == RED else FINE

    @function("pike_check_req", routes=REQUEST_ROUTE | ONREPLY_ROUTE)
    def pike_check_req(self, ctx: Context) -> int:
        """Count the source address: 1 fine, -1 it sends too much, -2 it has just begun to.

        Call it before anything that costs: `if (!pike_check_req()) exit;`
        """
        return self.check(ctx.flow.remote.host)

    @function("pike_check_ip", routes=REQUEST_ROUTE | ONREPLY_ROUTE)
    def pike_check_ip(self, ctx: Context, address: str) -> int:
        """Count an address, with the codes of pike_check_req; -1 too for what is no address."""
        if not octets(address):
            logger.error("pike_check_ip: %r is no IP address", address)
            return BLOCKED
        return self.check(address)

    @rpc("pike.top", "pike.list")
    def top(self, which: str = "HOT") -> dict[str, object]:
        """The addresses that are over the limit, or `WARM`: over a quarter of it, or `ALL`, busiest first."""
        if which not in ("ALL", "HOT", "WARM"):
            raise RpcError(500, "Bad argument. Select: ALL, HOT or WARM")
        tree, now = self.tree, self.server.now()
        rows = []
        for node in tree.leaves():
            before, current = tree.leaf_hits(node)
            status = "HOT" if tree.is_hot(before, current) else "WARM" if current >= tree.limit >> 2 else ""
            if which in ("ALL", status):
                rows.append((before + current, current, status, node))
        rows.sort(key=lambda row: row[:2], reverse=True)
        return {
            "max_hits": tree.limit,
            "list": [
                {
                    "ip_addr": shown(node.key),
                    "leaf_hits_prev": total - current,
                    "leaf_hits_curr": current,
                    "expires": max(0, round(tree.expires_at(node) - now)),
                    "status": status,
                }
                for total, current, status, node in rows
            ],
            "number_of_rows": len(rows),
        }


def shown(key: bytes) -> str:
    """An address as text."""
    return socket.inet_ntop(socket.AF_INET if len(key) == 4 else socket.AF_INET6, key)
