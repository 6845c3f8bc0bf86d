"""How long parts of a script take."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from kamtool.errors import ConfigError, RpcError
from kamtool.module import ANY, ONSEND_ROUTE, Host, Module, Param, Plain, Value, function, pv, rpc
from kamtool.script.levels import python_level
from kamtool.script.values import wrap

if TYPE_CHECKING:
    from kamtool.script.context import Context
    from kamtool.script.program import Script

logger = logging.getLogger("kamtool.modules.benchmark")

STARTS: Final = "benchmark.starts"


@dataclass(slots=True)
class Span:
    """Durations in microseconds: how many, their sum, the least and the greatest."""

    count: int = 0
    total: int = 0
    least: int = 0
    most: int = 0

    def add(self, duration: int) -> None:
        self.least = min(self.least, duration) if self.count else duration
        self.most = max(self.most, duration)
        self.count += 1
        self.total += duration

    @property
    def mean(self) -> float:
        return self.total / self.count if self.count else 0.0

    def __str__(self) -> str:
        return f"{self.count}/{self.total}/{self.least}/{self.most}/{self.mean:f}"


@dataclass(slots=True)
class Timer:
    """One name: what runs now, the last whole period, and all since the start."""

    name: str
    number: int
    enabled: bool
    started_at: float | None = None
    period: Span = field(default_factory=Span)
    last: Span = field(default_factory=Span)
    overall: Span = field(default_factory=Span)


class Benchmark(Module):
    """Measure the microseconds between `bm_start_timer` and `bm_log_timer`, and log them now and then."""

    live = ("loglevel",)

    enable = Param(0, "1 all timers run, 0 those that `benchmark.enable_timer` switched on, -1 none")
    granularity = Param(1, "log every so many calls of bm_log_timer")
    loglevel = Param(2, "the level of the log lines: -1 errors … 3 debug")
    register = Param("", "a timer to have from the start", repeat=True)

    def __init__(self, server: Host) -> None:
        super().__init__(server)
        self.timers: dict[str, Timer] = {}
        self.difference = 0

    def verify(self, script: Script) -> Iterable[ConfigError]:
        """The numbers are in range."""
        self._check()
        return ()

    async def start(self) -> None:
        """Make the registered timers."""
        self._check()
        for name in self.__dict__["register"]:
            self._timer(name)

    def _check(self) -> None:
        if self.enable not in (-1, 0, 1):
            raise ConfigError(f"enable is -1, 0 or 1, not {self.enable}", code="KT1201")
        if self.granularity < 1:
            raise ConfigError(f"granularity is 1 or more, not {self.granularity}", code="KT1201")

    def _timer(self, name: str) -> Timer:
        timer = self.timers.get(name)
        if timer is None:
            timer = self.timers[name] = Timer(name, len(self.timers), enabled=self.enable > 0)
        return timer

    def _runs(self, timer: Timer) -> bool:
        return self.enable > 0 or (self.enable == 0 and timer.enabled)

    @function("bm_start_timer", routes=ANY & ~ONSEND_ROUTE)
    def bm_start_timer(self, ctx: Context, name: Plain) -> int:
        """Start a timer. Each message has its own start, so messages that wait do not disturb each other."""
        timer = self._timer(name)
        if self._runs(timer):
            timer.started_at = time.perf_counter()
            ctx.scratch.setdefault(STARTS, {})[name] = timer.started_at
        return 1

    @function("bm_log_timer", routes=ANY & ~ONSEND_ROUTE)
    def bm_log_timer(self, ctx: Context, name: Plain) -> int:
        """Stop a timer: count its time, and log all of them every `granularity` calls.

        A timer that was never started counts nothing.
        """
        timer = self._timer(name)
        if not self._runs(timer):
            return 1
        # A reply has a message of its own: then the last start is the one that is meant.
        started_at = ctx.scratch.get(STARTS, {}).get(name, timer.started_at)
        if started_at is not None:
            self._count(timer, int((time.perf_counter() - started_at) * 1_000_000))
        return 1

    def _count(self, timer: Timer, duration: int) -> None:
        self.difference = duration
        timer.overall.add(duration)
        timer.period.add(duration)
        if timer.period.count >= self.granularity:
            timer.last, timer.period = timer.period, Span()
            logger.log(
                python_level(self.loglevel),
                "benchmark (timer %s [%d]): %d [ msgs/total/min/max/avg - LR: %s | GB: %s]",
                timer.name, timer.number, duration, timer.last, timer.overall,
            )  # fmt: skip

    @pv("BM_time_diff", kind=int)
    def get_difference(self, ctx: Context) -> Value:
        """The microseconds that the last `bm_log_timer` counted; 0 before the first."""
        return wrap(self.difference)

    # Over RPC

    def _known(self, name: str) -> Timer:
        if name not in self.timers:
            raise RpcError(500, f"no timer {name!r}")
        return self.timers[name]

    @rpc("benchmark.enable_global", workers="all")
    def rpc_enable_global(self, mode: int) -> None:
        """1 all timers run, 0 those that are switched on, -1 none."""
        if mode not in (-1, 0, 1):
            raise RpcError(500, "Invalid Parameter Value")
        self.enable = mode

    @rpc("benchmark.enable_timer", workers="all")
    def rpc_enable_timer(self, name: str, mode: int) -> None:
        """Switch one timer on (1) or off (0); it counts while `enable` is 0."""
        if mode not in (0, 1):
            raise RpcError(500, "Invalid Parameter Value")
        self._known(name).enabled = bool(mode)

    @rpc("benchmark.granularity", workers="all")
    def rpc_granularity(self, calls: int) -> None:
        """Log every so many calls."""
        if calls < 1:
            raise RpcError(500, "Invalid Parameter Value")
        self.granularity = calls

    @rpc("benchmark.loglevel", workers="all")
    def rpc_loglevel(self, level: int) -> None:
        """The level of the log lines, -5 to 3."""
        if not -5 <= level <= 3:
            raise RpcError(500, "Invalid Parameter Value")
        self.loglevel = level

    @rpc("benchmark.timer_list", workers="join")
    def rpc_timer_list(self) -> list[dict[str, Any]]:
        """Every timer: its last whole period, and all since the start."""
        return [self._shown(timer) for timer in self.timers.values()]

    @rpc("benchmark.timer_name_list")
    def rpc_timer_name_list(self, name: str) -> dict[str, Any]:
        """One timer, as `benchmark.timer_list` shows it."""
        return self._shown(self._known(name))

    def _shown(self, timer: Timer) -> dict[str, Any]:
        last, overall = timer.last, timer.overall
        return {
            "name": timer.name,
            "state": "enabled" if timer.enabled else "disabled",
            "id": timer.number,
            "granularity": self.granularity,
            "period_sum": str(last.total),
            "period_min": str(last.least),
            "period_max": str(last.most),
            "period_media": last.total / self.granularity,
            "calls": str(overall.count),
            "sum": str(overall.total),
            "global_min": str(overall.least),
            "global_max": str(overall.most),
            "global_media": overall.mean,
        }
