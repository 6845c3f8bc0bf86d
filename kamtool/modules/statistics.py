"""Statistic variables that a script defines."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from kamtool.errors import ConfigError
from kamtool.module import ANY, ONSEND_ROUTE, Host, Module, Param, function
from kamtool.script.nodes import String
from kamtool.script.values import to_int

if TYPE_CHECKING:
    from kamtool.script.context import Context
    from kamtool.script.program import Script

logger = logging.getLogger("kamtool.modules.statistics")

GROUP = "script"


class Statistics(Module):
    """Define statistic variables, change them in the script, read them as `$stat(name)` or over RPC."""

    variable = Param(
        "", "a new variable: `name`, or `name/no_reset` for one that cannot be reset", repeat=True
    )

    def __init__(self, server: Host) -> None:
        super().__init__(server)
        self.kept: set[str] = set()
        self._keys: dict[str, str] = {}
        """The key of each variable that the script has named: none goes away again."""

    def verify(self, script: Script) -> Iterable[ConfigError]:
        """Variables have names; those that the script changes are declared, or the server's own."""
        declared = set(self._declare())
        for call in script.calls("update_stat"):
            name = call.arguments[0]
            if not isinstance(name, String) or "$" in name.value:
                continue
            if not any(key == name.value or key.endswith(f":{name.value}") for key in declared):
                yield ConfigError(
                    f"no variable {name.value!r} is declared", name.span, code="KT1211", severity="warning",
                    hint=f'modparam("statistics", "variable", "{name.value}")',
                )  # fmt: skip

    async def start(self) -> None:
        """Make the variables, in the group `script`."""
        for key in self._declare():
            self.server.stats.setdefault(key, 0)

    def _declare(self) -> Iterator[str]:
        for text in self.__dict__["variable"]:
            name, *flags = text.split("/")
            if not name or any(flag.lower() != "no_reset" for flag in flags):
                raise ConfigError(f"variable: {text!r}", hint="name or name/no_reset", code="KT1201")
            key = name if ":" in name else f"{GROUP}:{name}"
            if flags:
                self.kept.add(key)
            yield key

    def _find(self, name: str) -> str | None:
        """The counter `name`, of whatever group; None, and a line in the log, when there is none."""
        known = self._keys.get(name)
        if known is None:
            known = self._search(name)
            if known is None:
                logger.error("variable <%s> not defined", name)
            else:
                self._keys[name] = known
        return known

    def _search(self, name: str) -> str | None:
        stats = self.server.stats
        own = f"{GROUP}:{name}"
        if own in stats or name in stats:
            return own if own in stats else name
        ending = f":{name}"
        return next((key for key in stats if key.endswith(ending)), None)

    @function("update_stat", routes=ANY)
    def update_stat(self, ctx: Context, variable: str, value: str) -> bool:
        """Add `value`, as `+1` or `-1`, to a variable; false when there is no such variable.

        A value that is no number adds 0, as a pseudo-variable that holds none does.
        """
        key = self._find(variable)
        if key is None:
            return False
        self.server.count(key, to_int(value))
        return True

    @function("reset_stat", routes=ANY & ~ONSEND_ROUTE)
    def reset_stat(self, ctx: Context, variable: str) -> bool:
        """Set a variable to 0, unless it is `no_reset`; false when there is no such variable."""
        key = self._find(variable)
        if key is None:
            return False
        if key not in self.kept:
            self.server.stats[key] = 0
        return True
