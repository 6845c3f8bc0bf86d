"""Statistic variables that a script defines."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from kamtool.errors import ConfigError
from kamtool.module import ANY, Host, Module, Param, function
from kamtool.script.values import to_int

if TYPE_CHECKING:
    from kamtool.script.context import Context

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

    async def start(self) -> None:
        """Make the variables, in the group `script`."""
        for text in self.__dict__["variable"]:
            name, *flags = text.split("/")
            if not name or any(flag.lower() != "no_reset" for flag in flags):
                raise ConfigError(f"variable: {text!r}", hint="name or name/no_reset", code="KT1201")
            key = name if ":" in name else f"{GROUP}:{name}"
            self.server.stats.setdefault(key, 0)
            if flags:
                self.kept.add(key)

    def _find(self, name: str) -> str | None:
        """The counter `name`, of whatever group; None, and a line in the log, when there is none."""
        stats = self.server.stats
        own = f"{GROUP}:{name}"
        if own in stats or name in stats:
            return own if own in stats else name
        ending = f":{name}"
        found = next((key for key in stats if key.endswith(ending)), None)
        if found is None:
            logger.error("variable <%s> not defined", name)
        return found

    @function("update_stat", routes=ANY)
    def update_stat(self, ctx: Context, variable: str, value: str) -> bool:
        """Add `value`, as `+1` or `-1`, to a variable; false when there is no such variable.

        A value that is no number adds 0, as a pseudo-variable that holds none does.
        """
        key = self._find(variable)
        if key is None:
            return False
        self.server.stats[key] += to_int(value)
        return True

    @function("reset_stat", routes=ANY)
    def reset_stat(self, ctx: Context, variable: str) -> bool:
        """Set a variable to 0, unless it is `no_reset`; false when there is no such variable."""
        key = self._find(variable)
        if key is None:
            return False
        if key not in self.kept:
            self.server.stats[key] = 0
        return True
