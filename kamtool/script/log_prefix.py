"""The global parameter `log_prefix`: what each line begins with that is logged while a message is handled.

As Kamailio does it: the prefix is made of a message as it came, anew as a failure_route begins, and with
`log_prefix_mode` 1 of the message as it is at the moment. What no message set off has none; in mode 1 the
route of a timer or an event has that of the message which it runs on.
"""

from __future__ import annotations

import types
from collections.abc import Coroutine, Generator
from typing import Any

from kamtool.module import Routes
from kamtool.script.context import Context
from kamtool.script.entries import RouteFunction, inner, plain
from kamtool.script.handled import Handled, Meeting, Prefix, Receive, Receiving, handled_now

_BEGINS = (Routes.REPLY, Routes.ONREPLY)
"""The routes that a message meets first, beside the request_route."""


class LogPrefix:
    """The prefix of one server on the way of a message."""

    def __init__(self, host: Any) -> None:
        self.prefix = Prefix(host)

    def receiving(self, receive: Receive) -> Receive:
        """The same, and while it runs every line has the prefix."""
        return Receiving(self.prefix, receive).message

    def entering(self, kind: Routes, name: str, route: RouteFunction, *, is_live: bool) -> RouteFunction:
        """The same route; what it logs has the prefix."""
        begins = kind in _BEGINS or (kind is Routes.REQUEST and not name)
        if not (begins or is_live or kind is Routes.FAILURE):
            return route

        def enter(ctx: Context) -> Coroutine[Any, Any, int]:
            handled = handled_now.get() if begins else None
            if handled is not None:
                handled.meet(ctx)
                return route(ctx)
            handled = Handled(self.prefix, b"", None)
            handled.meet(ctx)
            return _run(route(ctx), handled)

        enter.__name__ = enter.__qualname__ = getattr(route, "__name__", "route")
        if begins:
            self._keep_short(enter, route)
        return enter

    def _keep_short(self, enter: Any, route: RouteFunction) -> None:
        """What costs less to call than the route costs less to enter, too."""
        function, waits = inner(route)
        if function is not None:
            enter.inner, enter.waits = Meeting(self.prefix, function, _run if waits else None).begin, waits
        at_once = plain(route)
        if at_once is not None:
            enter.plain = Meeting(self.prefix, at_once, None).begin


async def _run(coroutine: Coroutine[Any, Any, int], handled: Handled) -> int:
    try:
        return await _within(coroutine, handled)
    finally:
        handled.is_over = True


@types.coroutine
def _within(coroutine: Coroutine[Any, Any, int], handled: Handled) -> Generator[Any, Any, int]:
    """Run a coroutine step by step: who steps it, and what runs in between, is about something else."""
    step: Any = coroutine.send
    argument: Any = None
    while True:
        token = handled_now.set(handled)
        try:
            waiting = step(argument)
        except StopIteration as end:
            code: int = end.value
            return code
        finally:
            handled_now.reset(token)
        try:
            argument = yield waiting
            step = coroutine.send
        except BaseException as error:
            step, argument = coroutine.throw, error
