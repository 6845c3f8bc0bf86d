"""Requests that wait without holding up others: see `Async`."""  # noqa: N999

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, cast

from kamtool.errors import ConfigError
from kamtool.module import ANY, Module, Param, Routes, Value, function, pv
from kamtool.modules.tm.base import REQUEST_OR_FAILURE
from kamtool.modules.tm.suspending import ids_of, suspending_of
from kamtool.script.context import Exit
from kamtool.server.listen import event_context

if TYPE_CHECKING:
    from kamtool.script.context import Context
    from kamtool.server.server import Server

log = logging.getLogger("kamtool.modules.async")

MOST_SECONDS, MOST_MS = 100, 30_000
DATA, GROUP = "async.data", "async.group"
NO_MS_TIMER = "%s: %s needs modparam ms_timer"


class Async(Module):
    """Let a request wait, or go on elsewhere, while others are served.

    A request that waits has a transaction, so its retransmissions are absorbed; unless it goes on within
    fr_timer it is answered 408. Nothing blocks here, so `workers` processes are not needed.
    """

    depends = ("tm",)
    live = ("return",)

    workers = Param(1, "accepted: what waits here needs no process of its own")
    ms_timer = Param(
        0, "above 0, async_ms_sleep and async_ms_route work; they wait exactly, in no steps of this"
    )
    locals()["return"] = Param(
        0, "the code of async_route and its kin on success: 0 ends the script, as exit does"
    )

    def verify(self, script: Any) -> Iterable[ConfigError]:
        """`ms_timer` and `workers` are no negative numbers."""
        for name in ("workers", "ms_timer"):
            value = getattr(self, name)
            if value < 0:
                yield ConfigError(f"{name}: {value} is below zero", code="KT1201")

    @property
    def _host(self) -> Server:
        return cast("Server", self.server)

    # With a transaction ------------------------------------------------------------------------------------

    @function("async_route", routes=REQUEST_OR_FAILURE)
    def async_route(self, ctx: Context, routename: str, seconds: int) -> int:
        """Go on in `route[routename]` after so many seconds, 0 to 100, and end the script here.

        False when it cannot be. AVPs and XAVPs are there afterwards.
        """
        if not 0 <= seconds <= MOST_SECONDS:
            log.error("%s: async_route: %d is not 0 to %d seconds", ctx.msg.call_id, seconds, MOST_SECONDS)
            return -1
        return self._later(ctx, routename, float(seconds))

    @function("async_ms_route", routes=REQUEST_OR_FAILURE)
    def async_ms_route(self, ctx: Context, routename: str, milliseconds: int) -> int:
        """Like async_route, in milliseconds, 0 to 30000. It needs ms_timer."""
        return self._later(ctx, routename, milliseconds / 1000) if self._ms(ctx, milliseconds) else -1

    @function("async_task_route", routes=REQUEST_OR_FAILURE)
    def async_task_route(self, ctx: Context, routename: str) -> int:
        """Go on in `route[routename]` as soon as what is being done is done, and end the script here."""
        return self._later(ctx, routename, 0.0)

    @function("async_task_group_route", routes=REQUEST_OR_FAILURE)
    def async_task_group_route(self, ctx: Context, routename: str, groupname: str) -> int:
        """Like async_task_route; `groupname` names workers that are not needed here."""
        return self._later(ctx, routename, 0.0)

    def _ms(self, ctx: Context, milliseconds: int) -> bool:
        if self.ms_timer <= 0:
            log.error(NO_MS_TIMER, ctx.msg.call_id, "waiting for milliseconds")
            return False
        if not 0 <= milliseconds <= MOST_MS:
            log.error("%s: %d is not 0 to %d ms", ctx.msg.call_id, milliseconds, MOST_MS)
            return False
        return True

    def _later(self, ctx: Context, name: str, seconds: float) -> int:
        program = ctx.program or self._host.program
        if name not in program.routes:
            log.error("%s: there is no route[%s]", ctx.msg.call_id, name)
            return -1
        suspending = suspending_of(self._host)
        code = suspending.suspend(ctx)
        if code <= 0:
            return code
        loop = asyncio.get_running_loop()
        loop.call_later(seconds, suspending.resume, ids_of(ctx.transaction), name)
        return int(getattr(self, "return"))

    @function("async_sleep", routes=REQUEST_OR_FAILURE)
    async def async_sleep(self, ctx: Context, seconds: int) -> int:
        """Wait for so many seconds, 0 to 100, and go on with the next line. False when it cannot be."""
        if not 0 <= seconds <= MOST_SECONDS:
            log.error("%s: async_sleep: %d is not 0 to %d seconds", ctx.msg.call_id, seconds, MOST_SECONDS)
            return -1
        return await self._wait(ctx, float(seconds))

    @function("async_ms_sleep", routes=REQUEST_OR_FAILURE)
    async def async_ms_sleep(self, ctx: Context, milliseconds: int) -> int:
        """Like async_sleep, in milliseconds, 0 to 30000. It needs ms_timer."""
        return await self._wait(ctx, milliseconds / 1000) if self._ms(ctx, milliseconds) else -1

    async def _wait(self, ctx: Context, seconds: float) -> int:
        relay = self._host.relay
        if ctx.transaction is None:
            if ctx.msg.method == "ACK":
                return -1
            if relay.create(ctx) is None:
                return 0
        relay.trying(ctx, ctx.transaction)
        await asyncio.sleep(seconds)
        return 1

    # Without a message -------------------------------------------------------------------------------------

    @function("async_task_data", routes=ANY)
    def async_task_data(self, ctx: Context, routename: str, data: str) -> bool:
        """Run `route[routename]` on a message that nobody sent; it finds `data` in `$async(data)`."""
        return self._task(ctx, routename, data, "")

    @function("async_task_group_data", routes=ANY)
    def async_task_group_data(self, ctx: Context, routename: str, groupname: str, data: str) -> bool:
        """Like async_task_data; the route finds `groupname` in `$async(gname)`."""
        return self._task(ctx, routename, data, groupname)

    def _task(self, ctx: Context, name: str, data: str, group: str) -> bool:
        host = self._host
        route = (ctx.program or host.program).routes.get(name)
        if route is None:
            log.error("%s: there is no route[%s]", ctx.msg.call_id, name)
            return False
        inner = event_context(host)
        inner.route_kind, inner.route_name = Routes.REQUEST, name
        inner.program = ctx.program or host.program
        inner.scratch.update({DATA: data, GROUP: group})
        host.spawn(_run(route, inner), f"async_task_data {name}")
        return True

    @pv("async", inner_required=True, form="data|gname")
    def about(self, ctx: Context, inner: str) -> Value:
        """`$async(data)`: what async_task_data was given; `$async(gname)`: the name of the group."""
        found: Value = ctx._scratch.get(DATA if inner == "data" else GROUP) if ctx._scratch else None
        return found


async def _run(route: Callable[[Context], Any], ctx: Context) -> None:
    try:
        await route(ctx)
    except Exit:
        return
