"""Who watches the script run: the traced program in the place of the plain one, for as long as anybody does.

With nobody watching, `server.program` is the plain program, the very object that was linked at start. With
somebody, it is a second one whose statements can be armed one by one and whose entries can be visited.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from kamtool.module import Routes
from kamtool.script.context import Context, Exit
from kamtool.script.guards import Action
from kamtool.script.program import Program, RouteFunction, Script

if TYPE_CHECKING:
    from kamtool.server.server import Server
    from kamtool.speed.taping import Passing

Held = str | tuple[Any, ...]
"""By what a parked message is known when it is sent again."""


class Observer(Protocol):
    """Somebody who watches. What `at`, `entered` and `left` return is awaited unless it is None."""

    visits: bool
    """Whether it is told of the begin and the end of each run of a route."""

    def wants(self, action: Action) -> bool:
        """Whether to be told of this statement."""

    def at(self, action: Action, ctx: Context) -> Awaitable[None] | None:
        """A statement is about to run."""

    def entered(self, ctx: Context) -> Awaitable[None] | None:
        """The server begins a route."""

    def left(self, ctx: Context, error: Exception | None) -> Awaitable[None] | None:
        """The route has ended, with the error that it died of."""

    def failed(self, ctx: Context, error: Exception) -> None:
        """A statement could not be carried out; its code will be -1."""

    def replied(self, ctx: Context, status: int) -> None:
        """The server has made a response to this request."""

    def relinked(self) -> None:
        """Another script has taken over: `actions` are its statements now."""


class Observers:
    """Those who watch one server's script."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.watching: list[Observer] = []
        self.absorbed = 0
        """Repeated requests and responses that met their first copy parked."""
        self._visitors: list[Observer] = []
        self._parked: dict[Held, int] = {}
        self._plain: Program | None = None
        self._traced: Program | None = None

    @property
    def actions(self) -> tuple[Action, ...]:
        """Every statement of the script, in order; () before anybody has watched."""
        return self._traced.actions if self._traced is not None else ()

    @cached_property
    def at(self) -> Passing:
        """What the traced program calls for a statement that somebody wants to be told of."""
        from kamtool.speed.taping import Passing  # who is never watched has no need of it

        return Passing(self._at_all)

    # Coming and going

    async def add(self, observer: Observer) -> None:
        """Let it watch from the next message on. The first to come waits for the traced program."""
        while self._traced is None:
            script = self.server.script
            loop = asyncio.get_running_loop()
            traced = await loop.run_in_executor(None, self._traced_of, script)
            if script is self.server.script:  # else it was reloaded meanwhile
                self._traced = self._traced or traced
        self.watching.append(observer)
        self.rearm()
        if self._plain is None:
            self._plain, self.server.program = self.server.program, self._traced
            self.server.replies.told = self.replied

    def remove(self, observer: Observer) -> None:
        """It watches no more; after the last one the plain program is back in its place."""
        if observer in self.watching:
            self.watching.remove(observer)
        self.rearm()
        if not self.watching and self._plain is not None:
            self.server.program, self._plain = self._plain, None
            self.server.replies.told = None

    def traced(self, script: Script) -> Program | None:
        """The traced program of a script that is about to take over, None when nobody watches."""
        return self._traced_of(script) if self.watching else None

    def _traced_of(self, script: Script) -> Program:
        return self._visited(script.link(self.server, observer=self))

    def take_over(self, plain: Program, traced: Program | None) -> None:
        """Another script is the server's: those who watched the old one watch it."""
        self._traced, self._plain = traced, None
        if self.watching and traced is not None:
            self._plain, plain = plain, traced
        self.server.program = plain
        for observer in self.watching:
            observer.relinked()
        self.rearm()

    def rearm(self) -> None:
        """Ask everybody anew what to be told of."""
        watching = self.watching
        self.at.to = watching[0].at if len(watching) == 1 else self._at_all
        self._visitors = [each for each in watching if each.visits]
        for action in self.actions:
            action.armed = any(each.wants(action) for each in watching)

    def replied(self, ctx: Context, status: int) -> None:
        """A response was made here."""
        for observer in self._visitors:
            observer.replied(ctx, status)

    # What the traced program calls

    def _at_all(self, action: Action, ctx: Context) -> Awaitable[None] | None:
        for place, observer in enumerate(self.watching):
            waiting = observer.at(action, ctx)
            if waiting is not None:
                rest = self.watching[place + 1 :]
                return _and_then(waiting, lambda each: each.at(action, ctx), rest) if rest else waiting
        return None

    def failed(self, ctx: Context, error: Exception) -> None:
        """A statement that could not be carried out."""
        for observer in self.watching:
            observer.failed(ctx, error)

    def _visited(self, program: Program) -> Program:
        def each(routes: Mapping[str, RouteFunction]) -> dict[str, RouteFunction]:
            return {name: self._visit(route) for name, route in routes.items()}

        return replace(
            program,
            request_route=program.request_route and self._visit(program.request_route),
            # Also where the script has none: a debugger can wait for a response there.
            reply_route=self._visit(program.reply_route or _nothing),
            onsend_route=program.onsend_route and self._visit(program.onsend_route),
            routes=each(program.routes), failure_routes=each(program.failure_routes),
            branch_routes=each(program.branch_routes), onreply_routes=each(program.onreply_routes),
            event_routes=each(program.event_routes),
        )  # fmt: skip

    def _visit(self, route: RouteFunction) -> RouteFunction:
        def visit(ctx: Context) -> Coroutine[Any, Any, int]:
            return self._run(route, ctx) if self._parked or self._visitors else route(ctx)

        return visit

    async def _run(self, route: RouteFunction, ctx: Context) -> int:
        if self._parked and self._absorbs(ctx):
            raise Exit(0, True)
        for visitor in self._visitors:
            waiting = visitor.entered(ctx)
            if waiting is not None:
                await waiting
        mishap: Exception | None = None
        try:
            return await route(ctx)
        except Exit:
            raise
        except Exception as error:
            mishap = error
            raise
        finally:
            for visitor in self._visitors:
                waiting = visitor.left(ctx, mishap)
                if waiting is not None:
                    await waiting

    # Parked messages

    def park(self, ctx: Context) -> Held:
        """From now on, copies of this message are absorbed. `release` with what this returns."""
        held = self._key(ctx)
        self._parked[held] = self._parked.get(held, 0) + 1
        return held

    def release(self, held: Held) -> None:
        """The message goes on: its copies are what they always were."""
        left = self._parked.pop(held, 0) - 1
        if left > 0:
            self._parked[held] = left

    def _key(self, ctx: Context) -> Held:
        msg = ctx.msg
        if msg.is_request:
            return self.server.transactions.key(msg, msg.method)
        return (msg.branch, msg.cseq, msg.cseq_method, msg.status)

    def _absorbs(self, ctx: Context) -> bool:
        """A copy of a parked message: what its transaction said last is said again, and that is all."""
        if ctx.route_kind not in (Routes.REQUEST, Routes.REPLY) or self._key(ctx) not in self._parked:
            return False
        self.absorbed += 1
        if ctx.msg.is_request:
            known = self.server.transactions.find(ctx.msg)
            if known is not None:
                self.server.transactions.repeated(known)
        return True


async def _nothing(ctx: Context) -> int:
    return 1


async def _tell(visitors: list[Observer], call: Callable[[Observer], Awaitable[None] | None]) -> None:
    for visitor in visitors:
        waiting = call(visitor)
        if waiting is not None:
            await waiting


async def _and_then(
    first: Awaitable[None], call: Callable[[Observer], Awaitable[None] | None], rest: list[Observer]
) -> None:
    await first
    await _tell(rest, call)
