"""The RPC that every server has, whatever it loads: core.*, system.* and stats.*, as Kamailio names them."""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from kamtool import __version__, speed
from kamtool.errors import RpcError
from kamtool.server import blocklist_rpc, dns_rpc, tcp_rpc
from kamtool.server.rpc import RpcTable
from kamtool.transport.raw import DEFAULT_TTL

if TYPE_CHECKING:
    from kamtool.server.server import Server


def register(table: RpcTable, server: Server) -> None:
    """Put the methods of CoreRpc into the table, under the names of their docstrings' first word."""
    core = CoreRpc(table, server)
    for attribute in dir(core):
        group, _, name = attribute.partition("_")
        if group in ("core", "system", "stats"):
            full = f"{group}.{NAMES.get(attribute, name)}"
            table.register(full, getattr(core, attribute), workers=WORKERS.get(attribute, "one"))
    tcp_rpc.register(table, server)
    dns_rpc.register(table, server)
    blocklist_rpc.register(table, server)


WORKERS = {
    "stats_get_statistics": "sum", "stats_fetch": "sum", "stats_fetchn": "sum",
    "stats_reset_statistics": "all", "stats_clear_statistics": "sum",
}  # fmt: skip
NAMES = {"system_list_methods": "listMethods", "system_method_help": "methodHelp"}


def _calendar(epoch: float) -> str:
    return time.strftime("%a %b %e %H:%M:%S %Y", time.localtime(epoch))


class CoreRpc:
    """The methods; each is named group_name for the RPC group.name."""

    def __init__(self, table: RpcTable, server: Server) -> None:
        self.table, self.server = table, server
        self.started_epoch = time.time()
        self.arguments = list(sys.argv)

    def core_version(self) -> str:
        """The name and version of this server."""
        return f"kamtool {__version__} ({platform.machine()}/{sys.platform})"

    def core_uptime(self) -> dict[str, Any]:
        """The time now, the time of the start, and the seconds between."""
        now = time.time()
        return {
            "now": _calendar(now),
            "up_since": _calendar(self.started_epoch),
            "uptime": int(now - self.started_epoch),
        }

    def core_info(self) -> dict[str, Any]:
        """What this server is made of: version, Python, which kernel."""
        return {
            "version": f"kamtool {__version__}",
            "id": "",
            "compiler": f"{platform.python_implementation()} {platform.python_version()}",
            "compiled": "",
            "flags": "NATIVE_KERNEL" if speed.NATIVE else "PURE_KERNEL",
        }

    def core_runinfo(self) -> dict[str, Any]:
        """Version and run time in one answer."""
        uptime = self.core_uptime()
        seconds = uptime["uptime"]
        days, hours, minutes = seconds // 86400, seconds // 3600 % 24, seconds // 60 % 60
        return {
            "name": "kamtool",
            "version": __version__,
            "sourceid": "",
            "compiler": self.core_info()["compiler"],
            "compiled": "",
            "time_now": uptime["now"],
            "time_started": uptime["up_since"],
            "uptime_secs": seconds,
            "utime_days": f"{days}d {hours}h {minutes}m {seconds % 60}s",
        }

    def core_ps(self) -> list[int | str]:
        """The processes of this server: pid and description in turn."""
        return [value for row in self.core_psx() for value in (row["PID"], row["DSC"])]

    def core_psx(self) -> list[dict[str, Any]]:
        """The processes of this server: index, pid and description."""
        team = self.server.team
        if team is None:
            return [{"IDX": 0, "PID": os.getpid(), "DSC": "main process - all sockets"}]
        workers = [
            {"IDX": number + 1, "PID": team.pids[number], "DSC": f"worker {number} - all sockets"}
            for number in range(team.size)
        ]
        return [{"IDX": 0, "PID": os.getppid(), "DSC": "main process - starts the workers"}, *workers]

    def core_arg(self) -> list[str]:
        """The command line that started this server."""
        return self.arguments

    def core_pwd(self) -> str:
        """The working directory."""
        return os.getcwd()

    def core_echo(self, *words: str) -> list[str]:
        """Give back the arguments."""
        return list(words)

    def core_modules(self) -> list[str]:
        """The modules this server has loaded, the last first."""
        return list(reversed(self.server.modules))

    def core_sockets_list(self) -> list[dict[str, Any]]:
        """The sockets this server listens on."""
        return [{"socket": entry} for entry in self._sockets()]

    def _sockets(self) -> Iterator[dict[str, Any]]:
        for socket in self.server.sockets:
            entry: dict[str, Any] = {
                "proto": socket.transport,
                "address": socket.address.host,
                "port": str(socket.address.port),
                "mcast": "no",
                "mhomed": "no",
                "virtual": "no",
            }
            if socket.name:
                entry["name"] = socket.name
            if socket.advertised:
                entry["advertise"] = str(socket.advertised)
            yield entry

    def core_udp4_raw_info(self) -> dict[str, int]:
        """Whether datagrams leave by raw sockets, and how."""
        transports = self.server.transports
        options = transports.udp_options
        return {
            "udp4_raw": int(transports.sends_raw),
            "udp4_raw_mtu": options.raw_mtu,
            "udp4_raw_ttl": options.raw_ttl if options.raw_ttl > 0 else DEFAULT_TTL,
        }

    def core_kill(self) -> None:
        """Stop this server in good order."""
        import signal

        os.kill(os.getpid() if self.server.team is None else os.getppid(), signal.SIGTERM)

    def system_list_methods(self) -> list[str]:
        """The names of all methods."""
        return self.table.names()

    def system_method_help(self, method: str) -> str:
        """What a method does, and how to call it."""
        found = self.table.find(method)
        return f"{found.usage}\n\n{found.doc}" if found.doc else found.usage

    def stats_get_statistics(self, *names: str) -> list[str]:
        """Counters as `group:name = value`; each argument is `all`, `group:` or a counter's name."""
        return [f"{name} = {value}" for name, value in self._chosen(names or ("all",))]

    def stats_fetch(self, *names: str) -> dict[str, str]:
        """Counters as fields `group.name` with the value as text."""
        return {name.replace(":", ".", 1): str(value) for name, value in self._chosen(names or ("all",))}

    def stats_fetchn(self, *names: str) -> dict[str, int]:
        """Counters as fields `group.name` with the value as a number."""
        return {name.replace(":", ".", 1): value for name, value in self._chosen(names or ("all",))}

    def stats_reset_statistics(self, *names: str) -> None:
        """Set counters to 0."""
        for name, _ in self._chosen(names or ("all",)):
            self.server.stats[name] = 0

    def stats_clear_statistics(self, *names: str) -> list[str]:
        """Set counters to 0 and answer with what they were."""
        before = self.stats_get_statistics(*names)
        self.stats_reset_statistics(*names)
        return before

    def _chosen(self, names: tuple[str, ...]) -> list[tuple[str, int]]:
        stats = self.server.stats
        chosen: dict[str, int] = {}
        for name in names:
            if name == "all":
                chosen.update(stats)
            elif name.endswith(":"):
                chosen.update((key, value) for key, value in stats.items() if key.startswith(name))
            else:
                full = name if ":" in name else next((key for key in stats if key.endswith(f":{name}")), name)
                if full not in stats:
                    raise RpcError(404, f"no counter {name!r}")
                chosen[full] = stats[full]
        return sorted(chosen.items())
