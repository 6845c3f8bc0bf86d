"""The base of every module."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

from kamtool.errors import ConfigError
from kamtool.module.host import Host
from kamtool.module.reading import declaration


class Module:
    """The base of every module. Its docstring is the first paragraph of the module's manual.

    Life: at start the server makes the instance, sets its parameters, and awaits `start` in the order of the
    `loadmodule` lines; at stop it awaits `stop` in the reverse order.
    """

    depends: tuple[str, ...] = ()
    """Modules that must be loaded before this one."""
    tables: tuple[str, ...] = ()
    """Database tables this module reads or writes; their SQL stands in db/<module>/."""
    events: tuple[str, ...] = ()
    """Event routes this module runs, e.g. `htable:expired:*`."""
    live: tuple[str, ...] = ()
    """Parameters that a reload may change: they are read each time they are used."""

    alone: bool = False
    """Started on one worker only, where there are several: it has a socket of its own, or timers."""
    per_worker: str = ""
    """What it counts for each worker by itself: said at the start where there are several."""

    name: str = ""

    def __init__(self, server: Host) -> None:
        self.server = server
        for parameter in declaration(type(self)).params.values():
            default = [] if parameter.repeat else parameter.default
            self.__dict__[parameter.name] = default

    def set_param(self, name: str, value: int | str) -> None:
        """Set a parameter as `modparam` does. The checker has seen to the name and the type."""
        if declaration(type(self)).params[name].repeat:
            self.__dict__[name].append(value)
        else:
            self.__dict__[name] = value

    def verify(self, script: Any) -> Iterable[ConfigError]:
        """What is wrong with the parameters set, or with what `script` (a kamtool.script.Script) asks of this
        module: for `kamtool check` and before each start, so nothing may be opened here.

        An error without a span is placed at the modparam whose value or name its message holds. The
        instance is thrown away; to raise is to yield and stop.
        """
        return ()

    async def start(self) -> None:
        """Bind to other modules, read tables, start timers. Raises ConfigError or StoreError."""

    def reload(self, program: Any, changed: Mapping[str, Any]) -> Callable[[], None] | None:
        """Look at a cfg that is about to take over: its linked program, and new values of `live` parameters.

        Raises ConfigError to refuse it. What is returned is called when it does take over, with the
        parameters set.
        """
        return None

    async def stop(self) -> None:
        """Flush what must not be lost."""

    def state(self) -> Iterable[Any]:
        """What is in memory only, as plain data: for a server that takes over from this one."""
        return ()

    def take_state(self, items: Sequence[Any]) -> None:
        """Remember what the server before this one has remembered."""

    def every(
        self, seconds: float, callback: Callable[[], Awaitable[None] | None], *, alone: bool = False
    ) -> None:
        """Call `callback` every so many seconds until the server stops; `alone`: on one worker only."""
        if not (alone and self.worker):
            self.server.every(seconds, callback)

    @property
    def worker(self) -> int:
        """The number of this worker; 0 where there is only one."""
        return getattr(self.server, "worker", 0)
