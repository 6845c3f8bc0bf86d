"""Counters that a script keeps, and every counter of the server over RPC."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from kamtool.errors import ConfigError, RpcError
from kamtool.module import ANY, BRANCH_ROUTE, Host, Module, Param, Plain, function, rpc
from kamtool.script.nodes import String
from kamtool.script.values import wrap

if TYPE_CHECKING:
    from kamtool.script.context import Context
    from kamtool.script.program import Script

logger = logging.getLogger("kamtool.modules.counters")

NO_DESCRIPTION = "custom script counter."
_DECLARATION = re.compile(
    r"\s*(?:(?P<group>[\w-]+)\.)?(?P<name>[\w-]+)(?:\s*[: ]\s*(?P<help>.*))?", re.DOTALL
)


class Counters(Module):
    """Counters for scripts, and `cnt.*` to read and reset every counter that the server keeps."""

    script_cnt_grp_name = Param("script", "the group of counters that name none")
    script_counter = Param("", "a new counter: `[group.]name[ description]`", repeat=True)

    def __init__(self, server: Host) -> None:
        super().__init__(server)
        self.declared: dict[str, str] = {}
        """Description by `group:name`."""

    def verify(self, script: Script) -> Iterable[ConfigError]:
        """Counters have names, and those that the script changes are declared."""
        self._declare()
        for call in script.calls("cnt_inc", "cnt_add", "cnt_reset"):
            name = call.arguments[0]
            if isinstance(name, String) and self._known(name.value) not in self.declared:
                yield ConfigError(
                    f"no script_counter {name.value!r} is declared", name.span, code="KT1211",
                    hint=f'modparam("counters", "script_counter", "{name.value}")',
                )  # fmt: skip

    async def start(self) -> None:
        """Make the counters."""
        self._declare()
        for key in self.declared:
            self.server.stats.setdefault(key, 0)

    def _declare(self) -> None:
        for text in self.__dict__["script_counter"]:
            found = _DECLARATION.fullmatch(text)
            if found is None:
                raise ConfigError(
                    f"script_counter: {text!r} names no counter",
                    hint="[group.]name[ description]",
                    code="KT1201",
                )
            key = f"{found['group'] or self.script_cnt_grp_name}:{found['name']}"
            self.declared[key] = (found["help"] or "").strip() or NO_DESCRIPTION

    def _known(self, name: str) -> str:
        return name.replace(".", ":", 1) if "." in name else f"{self.script_cnt_grp_name}:{name}"

    def _key(self, name: str) -> str | None:
        """The key of a counter of this module; None, and a line in the log, for any other."""
        key = self._known(name)
        if key in self.declared:
            return key
        logger.error("no script_counter %r is declared", name)
        return None

    @function("cnt_inc", routes=ANY & ~BRANCH_ROUTE)
    def cnt_inc(self, ctx: Context, name: Plain) -> bool:
        """Add 1 to a counter declared with `script_counter`; false when there is none of that name."""
        return self._add(name, 1)

    @function("cnt_add", routes=ANY & ~BRANCH_ROUTE)
    def cnt_add(self, ctx: Context, name: Plain, number: int) -> bool:
        """Add a number, which may be negative, to a counter."""
        return self._add(name, number)

    @function("cnt_reset", routes=ANY & ~BRANCH_ROUTE)
    def cnt_reset(self, ctx: Context, name: Plain) -> bool:
        """Set a counter to 0."""
        key = self._key(name)
        if key is not None:
            self.server.stats[key] = 0
        return key is not None

    def _add(self, name: str, number: int) -> bool:
        key = self._key(name)
        if key is not None:
            self.server.count(key, number)
        return key is not None

    # Over RPC

    def _find(self, group: str, name: str) -> str:
        key = f"{group}:{name}"
        if key not in self.server.stats:
            raise RpcError(400, f"non-existent counter {group}.{name}")
        return key

    @rpc("cnt.get", workers="sum")
    def rpc_get(self, group: str, name: str = "") -> int | dict[str, int]:
        """The value of a counter; without a name, of every counter of the group."""
        return wrap(self.server.stats[self._find(group, name)]) if name else self.rpc_get_vars(group)

    @rpc("cnt.get_raw", workers="sum")
    def rpc_get_raw(self, group: str, name: str) -> int:
        """The value of a counter as it is kept, not cut to 32 bits."""
        return self.server.stats[self._find(group, name)]

    @rpc("cnt.reset", workers="all")
    def rpc_reset(self, group: str, name: str) -> None:
        """Set a counter to 0."""
        self.server.stats[self._find(group, name)] = 0

    @rpc("cnt.list_groups", "cnt.grps_list")
    def rpc_list_groups(self) -> list[str]:
        """The groups that have counters."""
        return sorted({key.partition(":")[0] for key in self.server.stats})

    @rpc("cnt.list_vars", "cnt.var_list")
    def rpc_list_vars(self, group: str) -> list[str]:
        """The names of the counters of a group."""
        return sorted(key.partition(":")[2] for key in self.server.stats if key.partition(":")[0] == group)

    @rpc("cnt.get_vars", "cnt.grp_get_all", workers="sum")
    def rpc_get_vars(self, group: str) -> dict[str, int]:
        """The counters of a group with their values."""
        return {name: wrap(self.server.stats[f"{group}:{name}"]) for name in self.rpc_list_vars(group)}

    @rpc("cnt.help")
    def rpc_help(self, group: str, name: str) -> str:
        """What a counter counts; empty for those that modules keep."""
        return self.declared.get(self._find(group, name), "")
