"""The script run for a message: stepped at once, a task made only where it waits, its loose ends tied."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from kamtool.module import Routes
from kamtool.script.context import Context, Exit
from kamtool.server.driver import resume
from kamtool.server.listen import event_context
from kamtool.server.transaction import ServerTransaction
from kamtool.sip.message import Message
from kamtool.speed import ENDED, step

if TYPE_CHECKING:
    from kamtool.server.core import Core

log = logging.getLogger("kamtool.server")

# What is Final, compiled code need not look up.
_step: Final = step
_ENDED: Final = ENDED

ERROR_REASONS = {
    500: "I'm terribly sorry, server error occurred (6/TM)",
    477: "Unfortunately error on sending to next hop occurred (477/TM)",
    478: "Unresolvable destination (478/TM)",
}
CONTINUED_REASON = "I'm terribly sorry, server error occurred (1/TM)"


class Running:
    """Runs the routes of one server."""

    def __init__(self, server: Core) -> None:
        self.server = server

    def request(self, program: Any, ctx: Context) -> None:
        """Run the request_route of `program`, if it has one, on a request that has come."""
        entry = program.entry
        if entry is None:
            if program.request_route is not None:
                self.run(program.request_route, ctx)
            return
        try:
            begun = entry(ctx)
            if program.entry_waits:
                waiting = _step(begun)
                if waiting is not _ENDED:
                    self._goes_on(begun, waiting, ctx)
                    return
        except Exit:
            pass
        except Exception as error:
            self.script_failed(ctx, error)
        if ctx.transaction is not None or ctx._scratch is not None:
            self.routed(ctx)

    def run(self, route: Callable[[Context], Coroutine[Any, Any, int]], ctx: Context) -> None:
        """Run a route as the request_route. A task is made only if it waits."""
        coroutine = route(ctx)
        try:
            waiting = _step(coroutine)
            if waiting is not _ENDED:
                self._goes_on(coroutine, waiting, ctx)
                return
        except Exit:
            pass
        except Exception as error:
            self.script_failed(ctx, error)
        if ctx.transaction is not None or ctx._scratch is not None:
            self.routed(ctx)

    def _goes_on(self, coroutine: Coroutine[Any, Any, Any], waiting: Any, ctx: Context) -> None:
        if ctx.program is None:
            ctx.program = self.server.program  # it ends on this one, whatever is reloaded meanwhile
        self.server.spawn(self._go_on(coroutine, waiting, ctx), "request_route")

    async def _go_on(self, coroutine: Coroutine[Any, Any, Any], waiting: Any, ctx: Context) -> None:
        try:
            await resume(coroutine, waiting)
        except Exit:
            pass
        except Exception as error:
            self.script_failed(ctx, error)
        self.routed(ctx)

    def routed(self, ctx: Context) -> None:
        """The request_route has ended: what becomes of a transaction that it made and left."""
        server = self.server
        if ctx._scratch is not None and "core.tcp_alias" in ctx._scratch:
            port = ctx._scratch["core.tcp_alias"] or ctx.msg.via_port or 5060
            server.transports.add_alias(ctx.flow, port, forced=True)
        if ctx._scratch is not None and "core.reply_close" in ctx._scratch and ctx.flow.connection:
            server.transports.finish(ctx.flow)
        tx: ServerTransaction | None = ctx.transaction
        if tx is None:
            return
        if not tx.suspended:
            ctx.transaction = None  # tx.ctx points here: together they would be a cycle
        if not tx.script_running:
            return
        tx.script_running = False
        if tx.is_answered or tx.suspended:
            return
        if tx.failing:
            tx.failing = False
            server.responses.finish(tx)
        elif tx.error and not any(client.status < 200 for client in tx.branches):
            if tx.no_internal_reply:
                return
            reason = ERROR_REASONS.get(tx.error, "Server Internal Error")
            server.replies.stateful(tx, tx.error, reason)
        elif tx.continued and not any(client.status < 200 for client in tx.branches):
            server.replies.stateful(tx, 500, CONTINUED_REASON)
        elif not tx.branches and not tx.released:
            log.debug("%s: the script made a transaction and left it: released", ctx.msg.call_id)
            server.transactions.forget(tx)

    def drive(self, work: Coroutine[Any, Any, None], msg: Message | None) -> None:
        """Run what a response or a timer set off; what it raises is logged with the Call-ID."""
        try:
            waiting = _step(work)
        except Exception as error:
            self.log_failure(msg, error)
            return
        if waiting is not _ENDED:
            self.server.spawn(self._drive_on(work, waiting, msg), "route")

    async def _drive_on(self, work: Coroutine[Any, Any, None], waiting: Any, msg: Message | None) -> None:
        try:
            await resume(work, waiting)
        except Exception as error:
            self.log_failure(msg, error)

    def event(self, name: str, scratch: dict[str, Any], ctx: Context | None = None) -> None:
        """Run the event_route `name` if the cfg has one, on a message of its own when none is given."""
        program = self.server.program if ctx is None or ctx.program is None else ctx.program
        route = program.event_routes.get(name)
        if route is None:
            return
        own = ctx.fork() if ctx is not None else event_context(self.server)
        own.route_kind, own.route_name, own.program = Routes.EVENT, name, program
        own.scratch.update(scratch)
        self.drive(self.alone(route, own), own.msg)

    async def alone(self, route: Callable[[Context], Coroutine[Any, Any, int]], ctx: Context) -> None:
        """Run a route that nothing follows: it may end as it likes."""
        with suppress(Exit):
            await route(ctx)

    def log_failure(self, msg: Message | None, error: Exception) -> None:
        """A route raised what it should not have."""
        self.server.count("core:script_errors")
        log.error("%s: the script failed: %s", msg.call_id if msg else "-", error, exc_info=error)

    def script_failed(self, ctx: Context, error: Exception) -> None:
        """Ours or the script's mistake: logged with the Call-ID; the request is answered 500 if it can be."""
        self.log_failure(ctx.msg, error)
        if ctx.route_kind is Routes.REQUEST and ctx.msg.is_request and ctx.msg.method != "ACK":
            tx = ctx.transaction
            if tx is None or not (tx.is_answered or tx.branches):
                self.server.reply(ctx, 500, "Server Internal Error")
