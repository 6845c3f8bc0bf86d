"""The RPC methods `permissions.*`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kamtool.errors import ConfigError, RpcError, StoreError
from kamtool.module import Host, rpc
from kamtool.modules.permissions.addresses import shown
from kamtool.modules.permissions.trusted import NUMBERS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from kamtool.modules.permissions.addresses import Addresses, Entry
    from kamtool.modules.permissions.by_rule import Pair
    from kamtool.modules.permissions.trusted import Trusted

Tree = dict[str, Any]


class PermissionsRpc:
    """What the control plane may ask of permissions."""

    server: Host
    addresses: Addresses
    trusted: Trusted | None
    reload_delta: int
    _reloaded_at: dict[str, float]

    async def load_addresses(self) -> None:
        raise NotImplementedError

    async def load_trusted(self) -> None:
        raise NotImplementedError

    def pair_named(self, basename: str) -> Pair | None:
        raise NotImplementedError

    async def _reload(self, what: str, load: Callable[[], Awaitable[None]]) -> str:
        times = self.__dict__.setdefault("_reloaded_at", {})
        now = self.server.now()
        if what in times and now - times[what] < self.reload_delta:
            raise RpcError(500, "ongoing reload")
        times[what] = now
        try:
            await load()
        except (StoreError, ConfigError) as error:
            raise RpcError(500, f"Reload failed: {error}") from error
        return "Reload OK"

    @rpc("permissions.addressReload", workers="all")
    async def address_reload(self) -> str:
        """Read the addresses again; what is wrong with the new ones leaves the old in place."""
        return await self._reload("address", self.load_addresses)

    @rpc("permissions.trustedReload", workers="all")
    async def trusted_reload(self) -> str:
        """Read the trusted peers again (with `db_mode` 1)."""
        if self.trusted is None:
            raise RpcError(500, "the trusted peers are not in memory: db_mode is not 1")
        return await self._reload("trusted", self.load_trusted)

    @rpc("permissions.addressDump")
    def address_dump(self) -> list[Tree]:
        """The IP addresses in memory, by group."""
        rows = [entry for entries in self.addresses.exact.values() for entry in entries]
        return [_row("table", entry) for entry in sorted(rows, key=lambda entry: entry.group)]

    @rpc("permissions.subnetDump")
    def subnet_dump(self) -> list[Tree]:
        """The subnets in memory, by group."""
        return [_row("id", subnet.entry, at) for at, subnet in enumerate(self.addresses.subnets)]

    @rpc("permissions.domainDump")
    def domain_dump(self) -> list[Tree]:
        """The names in memory."""
        return [_row("table", entry) for entries in self.addresses.names.values() for entry in entries]

    @rpc("permissions.trustedDump")
    def trusted_dump(self) -> list[Tree]:
        """The trusted peers in memory."""
        if self.trusted is None:
            raise RpcError(500, "the trusted peers are not in memory: db_mode is not 1")
        return [
            {
                "table": 0,
                "item": {
                    "ip": peer.source,
                    "proto": NUMBERS[peer.protocol],
                    "pattern": _or_null(peer.from_pattern),
                    "ruri_pattern": _or_null(peer.ruri_pattern),
                    "tag": _or_null(peer.tag),
                    "priority": peer.priority,
                },
            }
            for peers in self.trusted.by_source.values()
            for peer in peers
        ]

    @rpc("permissions.testUri", "permissions.allowUri")
    def test_uri(self, basename: str, uri: str, contact: str) -> str:
        """Whether `uri` may ask for `contact` by the files of a basename that a route names."""
        pair = self.pair_named(basename)
        if pair is None:
            return "Denied"
        return "Allowed" if pair.allows(uri, contact) else "Denied"


def _or_null(text: str | None) -> str:
    return "NULL" if text is None else text


def _row(counter: str, entry: Entry, number: int = 0) -> Tree:
    item: Tree = {}
    if isinstance(entry.key, str):
        item["domain_name"] = entry.key
    else:
        item["ip"] = shown(entry.key)
        if counter == "id":
            item["mask"] = entry.bits
    item.update(port=entry.port, tag=entry.tag or "NULL")
    return {counter: number, "group": entry.group, "item": item}
