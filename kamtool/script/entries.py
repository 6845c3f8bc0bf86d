"""How the blocks of a program are entered from outside: coroutine functions that raise Exit.

Behind each may stand a function that costs less to call, for who knows what it returns: `plain` and `inner`.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from kamtool.script.context import Context, Exit

RouteFunction = Callable[[Context], Coroutine[Any, Any, int]]


def entry_of(function: Callable[[Any], Any], waits: bool, *, ends_by_code: bool) -> RouteFunction:
    """The coroutine function for a compiled block, which `waits` when it is one itself.

    With `ends_by_code`, `exit` is a returned None and a code of 0 is False.
    """
    if not ends_by_code and waits:
        return function
    run = _raising(function, waits) if ends_by_code else _waiting(function)
    run.__name__ = run.__qualname__ = function.__name__
    return run


def plain(route: RouteFunction) -> Callable[[Context], int] | None:
    """The same route without a coroutine around it, where it has nothing to wait for; it raises Exit."""
    return getattr(route, "plain", None)


def inner(route: RouteFunction | None) -> tuple[Callable[[Context], Any] | None, bool]:
    """What a request_route runs, and whether that is a coroutine function: its end is a returned value."""
    return getattr(route, "inner", None), getattr(route, "waits", False)


def _waiting(function: Callable[[Any], int]) -> RouteFunction:
    async def run(ctx: Context) -> int:
        return function(ctx)

    run.plain = function  # type: ignore[attr-defined]
    return run


def _raising(function: Callable[[Any], Any], waits: bool) -> RouteFunction:
    async def run(ctx: Context) -> int:
        code = await function(ctx) if waits else function(ctx)
        if code is None or code is False:
            raise Exit(int(code is None))
        return int(code)

    run.inner, run.waits = function, waits  # type: ignore[attr-defined]
    return run
