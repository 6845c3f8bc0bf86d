"""Pseudo-variables of the clock."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from kamtool.errors import ScriptError
from kamtool.module import Value, pv
from kamtool.script.values import wrap

if TYPE_CHECKING:
    from kamtool.script.context import Context


def message_time(ctx: Context) -> float:
    """Unix time as first asked for during this message; later asking gets the same."""
    known: float | None = ctx.scratch.get("pv.time")
    if known is None:
        known = ctx.scratch["pv.time"] = time.time()
    return known


def part(moment: time.struct_time, name: str) -> int:
    """A part of a time as `$time(name)` gives it: months 1 to 12, Sunday is 1, days of the year from 1."""
    if name == "mon":
        return moment.tm_mon
    if name == "year":
        return moment.tm_year
    if name == "wday":
        return (moment.tm_wday + 1) % 7 + 1
    if name == "yday":
        return moment.tm_yday
    if name == "sec":
        return moment.tm_sec
    if name in ("min", "hour", "mday", "isdst"):
        return int(getattr(moment, f"tm_{name}"))
    raise ScriptError(f"no part of a time is called {name!r}")


class TimeVariables:
    """`$Ts $TS $Tb $Tf $TF $TV(…) $time(…) $timef(…)`."""

    started: float

    @pv("Ts", kind=int)
    def get_Ts(self, ctx: Context) -> Value:  # noqa: N802
        """Unix time, the same throughout one message."""
        return wrap(int(message_time(ctx)))

    @pv("TS", kind=int)
    def get_TS(self, ctx: Context) -> Value:  # noqa: N802
        """Unix time now."""
        return wrap(int(time.time()))

    @pv("Tb", kind=int)
    def get_Tb(self, ctx: Context) -> Value:  # noqa: N802
        """Unix time when the server started."""
        return wrap(int(self.started))

    @pv("Tf", kind=str)
    def get_Tf(self, ctx: Context) -> Value:  # noqa: N802
        """The time of this message as text, e.g. `Mon Nov 23 00:42:46 2026`."""
        return time.ctime(message_time(ctx))

    @pv("TF", kind=str)
    def get_TF(self, ctx: Context) -> Value:  # noqa: N802
        """The time now as text."""
        return time.ctime()

    @pv("TV", inner_required=True, form="s|u|sn|un|Sn")
    def get_TV(self, ctx: Context, inner: str) -> Value:  # noqa: N802
        """Time to the microsecond: `s` and `u` of the message, `sn` and `un` now, `Sn` now as `s.u`."""
        moment = message_time(ctx) if inner in ("s", "u") else time.time()
        seconds, micro = divmod(int(moment * 1_000_000), 1_000_000)
        if inner in ("s", "sn"):
            return wrap(seconds)
        if inner in ("u", "un"):
            return micro
        if inner == "Sn":
            return f"{seconds}.{micro:06d}"
        raise ScriptError(f"$TV({inner}): not one of s u sn un Sn")

    @pv("time", kind=int, inner_required=True, form="sec|min|hour|mday|mon|year|wday|yday|isdst")
    def get_time(self, ctx: Context, inner: str) -> Value:
        """A part of the local time: `sec min hour mday mon year wday yday isdst`."""
        return part(time.localtime(message_time(ctx)), inner)

    @pv("utime", kind=int, inner_required=True, form="sec|min|hour|mday|mon|year|wday|yday|isdst")
    def get_utime(self, ctx: Context, inner: str) -> Value:
        """A part of the universal time: `sec min hour mday mon year wday yday isdst`."""
        return part(time.gmtime(message_time(ctx)), inner)

    @pv("timef", kind=str, inner_required=True)
    def get_timef(self, ctx: Context, inner: str) -> Value:
        """The local time in a strftime format."""
        return formatted(inner, time.localtime(message_time(ctx)))

    @pv("utimef", kind=str, inner_required=True)
    def get_utimef(self, ctx: Context, inner: str) -> Value:
        """The universal time in a strftime format."""
        return formatted(inner, time.gmtime(message_time(ctx)))


def formatted(pattern: str, moment: time.struct_time) -> str:
    """strftime. Raises ScriptError when the C library refuses the pattern."""
    try:
        return time.strftime(pattern, moment)
    except (ValueError, UnicodeError) as error:
        raise ScriptError(f"bad time format {pattern!r}") from error
