"""`dbg.bp`: Kamailio's way to stop at every statement, with only the stopped message waiting."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kamtool.module import Host
from kamtool.modules.debugger.actions import short
from kamtool.script.guards import Action

if TYPE_CHECKING:
    from kamtool.script.context import Context
    from kamtool.server.server import Server

logger = logging.getLogger("kamtool.modules.debugger")

INIT, WAIT, NEXT = 0, 1, 2
PATIENCE = 20.0
"""Seconds that `next` waits for the message to come to its next statement: step_usleep * step_loops."""


@dataclass(slots=True)
class Stopped:
    """The message that waits, the statement before which it does, and what lets it go on."""

    ctx: Context
    action: Action
    go: asyncio.Future[None]


class Stepper:
    """Stops one message before each of its statements while `on`; what comes meanwhile is not stopped.

    Kamailio parks a whole process here, and with it every message that the kernel gives it.
    """

    def __init__(self, server: Host) -> None:
        self.server = server
        self.on = False
        self.state = INIT
        self.stopped: Stopped | None = None
        self.last: Action | None = None
        self._following: Context | None = None
        self._changed = asyncio.Event()

    def at(self, action: Action, ctx: Context) -> Awaitable[None] | None:
        """A statement comes: stop here, unless another message is stopped or followed."""
        if not self.on and ctx is not self._following:
            return None
        if self.stopped is not None or (self._following is not None and ctx is not self._following):
            return None
        return self._stop(action, ctx)

    async def _stop(self, action: Action, ctx: Context) -> None:
        if self.state == INIT:
            logger.error(
                "breakpoint hit: p=[%d] c=[%s] l=%d a=%s", _pid(), action.span.file, action.line,
                short(action).partition(" a=")[2],
            )  # fmt: skip
        observers = _server(self.server).observers
        held = observers.park(ctx)
        self.stopped = Stopped(ctx, action, asyncio.get_running_loop().create_future())
        self.state, self._following, self.last = WAIT, None, action
        self._changed.set()
        try:
            await self.stopped.go
        finally:
            self.stopped = None
            observers.release(held)

    async def next(self) -> Action | None:
        """Let the statement run and stop before the one that follows; the statement."""
        stopped = self.stopped
        if stopped is None:
            return None
        self._following, self.state = stopped.ctx, NEXT
        self._changed.clear()
        stopped.go.set_result(None)
        try:
            await asyncio.wait_for(self._changed.wait(), 0.2)
        except TimeoutError:
            self._following = None  # it was the last statement: what comes next is stopped again
        return stopped.action

    def release(self) -> None:
        """Let the message go, and stop no more."""
        self.on, self._following, self.state = False, None, INIT
        if self.stopped is not None and not self.stopped.go.done():
            self.stopped.go.set_result(None)


def _pid() -> int:
    import os

    return os.getpid()


def _server(host: Host) -> Server:
    return host  # type: ignore[return-value]  # every Host that runs a script is a Server
