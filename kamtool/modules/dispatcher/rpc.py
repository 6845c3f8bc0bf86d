"""The RPC methods `dispatcher.*`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kamtool.errors import ParseError, RpcError
from kamtool.module import rpc
from kamtool.modules.dispatcher.base import Sets
from kamtool.modules.dispatcher.destination import Destination, Set, destination
from kamtool.modules.dispatcher.hashing import hash_of
from kamtool.script.values import wrap

if TYPE_CHECKING:
    Tree = dict[str, Any]

NULL = "<null string>"


class DispatcherRpc(Sets):
    """What the control plane may ask of dispatcher."""

    ping_active: bool
    reload_delta: int
    ds_ping_latency_stats: int
    _reloaded_at: float | None

    @rpc("dispatcher.list")
    def rpc_list(self, mode: str = "") -> Tree:
        """The sets and their destinations, `short` or `full`."""
        if not self.sets:
            raise RpcError(500, "No Destination Sets")
        records = [
            {
                "SET": {
                    "ID": number,
                    "TARGETS": [{"DEST": self._row(each, mode)} for each in group.destinations],
                }
            }
            for number, group in self.sets.items()
        ]
        return {"NRSETS": len(self.sets), "RECORDS": records}

    def _row(self, each: Destination, mode: str) -> Tree:
        row: Tree = {"URI": each.uri, "FLAGS": each.letters, "PRIORITY": each.priority}
        if mode == "full":
            row |= {
                "HOST": each.parsed.host,
                "IPADDR": min(each.addresses, default=""),
                "PORT": each.parsed.port or 0,
                "PROTO": each.parsed.transport,
            }
        if mode != "short" and each.body:
            row["ATTRS"] = {
                "BODY": each.body,
                "DUID": each.attributes.get("duid", NULL),
                "MAXLOAD": each.number("maxload"),
                "WEIGHT": each.number("weight"),
                "RWEIGHT": each.number("rweight"),
                "SOCKET": each.attributes.get("socket", NULL),
                "SOCKNAME": each.attributes.get("sockname", NULL),
                "OBPROXY": each.attributes.get("obproxy", NULL),
            }
        if self.ds_ping_latency_stats:
            row["LATENCY"] = {
                "AVG": each.average, "STD": each.deviation, "EST": each.estimate, "MAX": each.slowest,
                "TIMEOUT": each.timeouts,
            }  # fmt: skip
        row["RUNTIME"] = {"DLGLOAD": each.load}
        return row

    def _set(self, found: list[Destination], state: str) -> str:
        flags = self.flags_of(state)
        if flags is None:
            raise RpcError(500, "Unknown State Value")
        for each in found:
            each.count = 1 << 30  # an order from outside waits for no threshold
            self.change(each, flags)
            each.count = 0
        return "Ok. Dispatcher state updated."

    @rpc("dispatcher.set_state", workers="all")
    def rpc_set_state(self, state: str, group: int, address: str) -> str:
        """Set the state (`a`, `i`, `t`, `d`, each also with `p`) of a destination, or of `all` in a set."""
        found = [each for _, each in self.all(group)] if address == "all" else self.find(group, address)
        if not found and address != "all" and self.flags_of(state) is not None:
            raise RpcError(500, "State Update Failed")
        return self._set(found, state)

    @rpc("dispatcher.set_duid_state", workers="all")
    def rpc_set_duid_state(self, state: str, group: int, duid: str) -> str:
        """Set the state of the destinations of a set whose attribute `duid` is this."""
        found = [each for _, each in self.all(group) if each.attributes.get("duid") == duid]
        if not found and self.flags_of(state) is not None:
            raise RpcError(500, "State Update Failed")
        return self._set(found, state)

    @rpc("dispatcher.reload", workers="all")
    async def rpc_reload(self) -> str:
        """Read the list again; a destination whose row is the same keeps its state."""
        now = self.server.now()
        if self._reloaded_at is not None and now - self._reloaded_at < self.reload_delta:
            raise RpcError(500, "Ongoing reload")
        self._reloaded_at = now
        trouble = await self.read_again()
        if trouble:
            raise RpcError(500, f"Reload Failed: {trouble}")
        return "Ok. Dispatcher successfully reloaded."

    @rpc("dispatcher.ping_active", workers="all")
    def rpc_ping_active(self, state: int | None = None) -> Tree:
        """Whether pings are sent; 0 stops them, 1 lets them go on."""
        old = {"OldPingState": int(self.ping_active)}
        if state is None:
            return old
        self.ping_active = bool(state)
        return {"NewPingState": int(self.ping_active), **old}

    @rpc("dispatcher.add", workers="all")
    def rpc_add(self, group: int, address: str, flags: int = 0, priority: int = 0, attrs: str = "") -> str:
        """Add a destination, until the list is read again."""
        try:
            new = destination(address, flags, priority, attrs)
        except ParseError as error:
            raise RpcError(500, f"Adding dispatcher dst failed: {error}") from error
        found = self.sets.setdefault(group, Set(group))
        found.add(new)
        found.prepare()
        return "Ok. Dispatcher destination added."

    @rpc("dispatcher.remove", workers="all")
    def rpc_remove(self, group: int, address: str) -> str:
        """Remove a destination, until the list is read again."""
        found = self.sets.get(group)
        if found is not None:
            found.destinations = [each for each in found.destinations if each.uri != address]
            found.prepare()
            if not found.destinations:
                del self.sets[group]
        return "Ok. Dispatcher destination removed."

    @rpc("dispatcher.hash")
    def rpc_hash(self, slots: int, first: str, second: str = "") -> Tree:
        """The hash of a text, or of a user and a domain, and the place it has among so many."""
        number = hash_of(first, second)
        return {"hashid": wrap(number), "slot": number % slots if slots > 0 else 0}
