"""Run routes of the script on a timer."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from kamtool.errors import ConfigError
from kamtool.module import Host, Module, Param, Routes
from kamtool.script.context import Exit
from kamtool.server.listen import event_context

if TYPE_CHECKING:
    from kamtool.script.program import Script
    from kamtool.server.server import Server

logger = logging.getLogger("kamtool.modules.rtimer")


@dataclass(slots=True)
class Timer:
    """One timer: the seconds between its rounds, and the routes of a round in order."""

    name: str
    interval: float
    routes: list[str] = field(default_factory=list)


class Rtimer(Module):
    """Run route blocks every so many seconds or microseconds, on a message that nobody sent.

    Each timer runs its routes one after the other, and the next round begins when the last is done.
    """

    alone = True

    default_interval = Param(120, "seconds between rounds for the timers that follow and name no interval")
    timer = Param(
        "",
        "a timer: `name=ta;interval=10;mode=1`, interval in seconds, or `100000u` for microseconds",
        repeat=True,
    )
    exec = Param("", "a route that a timer runs: `timer=ta;route=NAME`", repeat=True)

    def __init__(self, server: Host) -> None:
        super().__init__(server)
        self.timers: dict[str, Timer] = {}

    def set_param(self, name: str, value: int | str) -> None:
        """The order counts: an exec names a timer above it, a timer takes the default_interval above it."""
        super().set_param(name, value)
        if name == "timer":
            self._add_timer(str(value))
        elif name == "exec":
            self._add_route(str(value))

    def _add_timer(self, text: str) -> None:
        fields = _fields(text, ("name", "interval", "mode"))
        name = fields.get("name", "")
        if not name or name in self.timers:
            raise ConfigError(
                f"timer: {text!r} needs a name of its own", hint="name=ta;interval=10", code="KT1201"
            )
        interval = fields.get("interval", str(self.default_interval))
        digits, unit = (interval[:-1], 1e-6) if interval.endswith("u") else (interval, 1.0)
        if not digits.isascii() or not digits.isdigit() or not int(digits):
            raise ConfigError(f"timer: {interval!r} is no interval", hint="10, or 100000u", code="KT1201")
        self.timers[name] = Timer(name, int(digits) * unit)

    def _add_route(self, text: str) -> None:
        fields = _fields(text, ("timer", "route"))
        timer = self.timers.get(fields.get("timer", ""))
        if timer is None:
            raise ConfigError(
                f"exec: {text!r} names no timer",
                hint="set the `timer` first, then timer=ta;route=NAME",
                code="KT1201",
            )
        timer.routes.append(fields.get("route", ""))

    def verify(self, script: Script) -> Iterable[ConfigError]:
        """The routes exist: a start does without the others, and so nothing happens."""
        there = {route.name for route in script.routes if route.kind is Routes.REQUEST}
        for timer in self.timers.values():
            for name in timer.routes:
                if name not in there:
                    yield ConfigError(f"exec: there is no route[{name}]", code="KT1201", severity="warning")

    async def start(self) -> None:
        """Start the timers that have routes."""
        program = cast("Server", self.server).program
        for timer in self.timers.values():
            for name in [name for name in timer.routes if name not in program.routes]:
                logger.warning("exec: there is no route[%s]", name)
                timer.routes.remove(name)
            if timer.routes:
                self.every(timer.interval, self._round(timer))

    def reload(self, program: Any, changed: Mapping[str, Any]) -> Callable[[], None] | None:
        """The timers go on; their routes must be in the new cfg too."""
        for timer in self.timers.values():
            for name in timer.routes:
                if name not in program.routes:
                    raise ConfigError(f"exec: there is no route[{name}]", code="KT1201")
        return None

    def _round(self, timer: Timer) -> Callable[[], Awaitable[None]]:
        async def run() -> None:
            for name in timer.routes:
                await self.run(name)

        return run

    async def run(self, name: str) -> None:
        """Run one route; what it raises is logged and ends that route alone."""
        server = cast("Server", self.server)
        ctx = event_context(server)
        ctx.route_kind, ctx.route_name, ctx.program = Routes.REQUEST, name, server.program
        try:
            await ctx.program.routes[name](ctx)
        except Exit:
            pass
        except Exception:
            # The edge between a timer and the script, as the receive loop is for messages.
            logger.exception("route[%s] failed", name)


def _fields(text: str, names: tuple[str, ...]) -> dict[str, str]:
    """`a=1;b=2;` by name. Raises ConfigError for others than `names`."""
    fields = {}
    for part in filter(None, (part.strip() for part in text.split(";"))):
        name, equals, value = part.partition("=")
        if not equals or name.strip() not in names:
            raise ConfigError(f"{part!r} in {text!r}", hint=f"known are {', '.join(names)}", code="KT1201")
        fields[name.strip()] = value.strip()
    return fields
