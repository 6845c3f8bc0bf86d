"""Running coroutines by hand: most never wait, and a task costs more than all they do."""

from __future__ import annotations

import types
from collections.abc import Coroutine, Generator
from typing import Any, TypeVar

T = TypeVar("T")


@types.coroutine
def resume(coroutine: Coroutine[Any, Any, T], waiting: Any) -> Generator[Any, Any, T]:
    """Go on with a coroutine that has been stepped once and gave `waiting`. Await it in a task."""
    while True:
        try:
            value = yield waiting
        except BaseException as error:
            step: Any = coroutine.throw
            argument: Any = error
        else:
            step, argument = coroutine.send, value
        try:
            waiting = step(argument)
        except StopIteration as end:
            result: T = end.value
            return result
