"""geoip2: see `Geoip2`."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kamtool.errors import ConfigError, RpcError
from kamtool.module import ANY, Host, Module, Param, Value, function, pv, rpc

if TYPE_CHECKING:
    from geoip2.database import Reader

    from kamtool.script.context import Context

Found = dict[str, Any]

_KEYS: dict[str, Callable[[Found], Any]] = {
    "cc": lambda row: row.get("country", {}).get("iso_code"),
    "cn": lambda row: row.get("country", {}).get("names", {}).get("en"),
    "contc": lambda row: row.get("continent", {}).get("code"),
    "tz": lambda row: row.get("location", {}).get("time_zone"),
    "zip": lambda row: row.get("postal", {}).get("code"),
    "lat": lambda row: row.get("location", {}).get("latitude"),
    "lon": lambda row: row.get("location", {}).get("longitude"),
    "dma": lambda row: row.get("location", {}).get("metro_code"),
    "metro": lambda row: row.get("location", {}).get("metro_code"),
    "city": lambda row: row.get("city", {}).get("names", {}).get("en"),
    "regc": lambda row: (row.get("subdivisions") or [{}])[0].get("iso_code"),
    "regn": lambda row: (row.get("subdivisions") or [{}])[0].get("names", {}).get("en"),
    "asn": lambda row: row.get("autonomous_system_number"),
    "asorg": lambda row: row.get("autonomous_system_organization"),
}


class Geoip2(Module):
    """Where an address is, from a GeoIP2 or GeoLite2 database (`.mmdb`).

    `geoip2_match("$si", "src")` looks an address up, `$gip2(src=>cc)` is what was found: cc (country), cn,
    tz, zip, lat, lon, dma, metro, city, regc and regn (region), contc (continent), nmask (the prefix length),
    ips and ipe (first and last address), and of an ASN database asn and asorg.
    """

    name = "geoip2"
    path = Param("", "the database, e.g. /usr/share/GeoIP/GeoLite2-City.mmdb")

    def __init__(self, server: Host) -> None:
        super().__init__(server)
        self._reader: Reader | None = None

    async def start(self) -> None:
        """Open the database. Raises ConfigError."""
        if not self.path:
            raise ConfigError("geoip2: there is no `path`", hint="name a .mmdb file", code="KT1201")
        self._reader = self._open()

    async def stop(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _open(self) -> Reader:
        from geoip2.database import Reader
        from maxminddb import MODE_MEMORY, InvalidDatabaseError

        path = Path(self.path)
        try:
            return Reader(path, mode=MODE_MEMORY)
        except OSError as error:
            raise ConfigError(
                f"geoip2: {path}: {(error.strerror or str(error)).lower()}", code="KT1201"
            ) from error
        except InvalidDatabaseError as error:
            raise ConfigError(f"geoip2: {path} is no GeoIP2 database", code="KT1201") from error

    @function("geoip2_match", routes=ANY)
    def geoip2_match(self, ctx: Context, address: str, name: str) -> bool:
        """Look `address` up and keep what is found as `name`, for `$gip2(name=>…)`; false if unknown."""
        kept = ctx.scratch.setdefault("geoip2.found", {})
        kept.pop(name, None)
        found = self._look(address.strip("[]"))
        if found is None:
            return False
        kept[name] = found
        return True

    def _look(self, address: str) -> tuple[Found, int, str] | None:
        if self._reader is None:
            return None
        try:
            row, prefix = self._reader._db_reader.get_with_prefix_len(ip_address(address))
        except ValueError:
            return None
        return (row, prefix, address) if isinstance(row, dict) else None

    @pv("gip2", inner_required=True, form=r"[^=>\s]+=>[a-z]+")
    def gip2(self, ctx: Context, inner: str) -> Value:
        """What geoip2_match() found: `$gip2(name=>cc)`; undefined when it found no such thing."""
        name, _, key = inner.partition("=>")
        found = ctx.scratch.get("geoip2.found", {}).get(name)
        if found is None:
            return None
        row, prefix, address = found
        if key == "nmask":
            return int(prefix)
        if key in ("ips", "ipe"):
            network = ip_network(f"{address}/{prefix}", strict=False)
            return str(network[0] if key == "ips" else network[-1])
        value = _KEYS[key](row) if key in _KEYS else None
        return value if value is None or isinstance(value, int) else str(value)

    @rpc("geoip2.reload")
    async def rpc_reload(self) -> str:
        """Open the database again; one that cannot be read leaves the old one in place."""
        import asyncio

        try:
            fresh = await asyncio.to_thread(self._open)
        except ConfigError as error:
            raise RpcError(500, error.message) from error
        old, self._reader = self._reader, fresh
        if old is not None:
            old.close()
        return "Ok. GeoIP database reloaded."
