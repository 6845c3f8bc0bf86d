"""An event loop whose time passes only when nothing is left to do, and only as far as it is let."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class _Idle(selectors.SelectSelector):
    """Waits for nothing: instead of waiting, the loop's clock moves on."""

    def __init__(self, move: Callable[[float | None], None]) -> None:
        super().__init__()
        self.move = move

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Never anything; a loop that would sleep has its clock moved."""
        if timeout is None or timeout > 0:
            self.move(timeout)
        return []


class OfflineLoop(asyncio.SelectorEventLoop):
    """`go(seconds)` runs everything that falls due in that time. There are no threads and no sockets."""

    def __init__(self, start: float = 1000.0) -> None:
        self._now = self._limit = start
        super().__init__(_Idle(self._move))

    def time(self) -> float:
        """Seconds since some moment."""
        return self._now

    def _move(self, timeout: float | None) -> None:
        target = self._limit + 1 if timeout is None else self._now + timeout
        if target > self._limit:
            self._now = max(self._now, self._limit)
            self.stop()
        else:
            self._now = target

    def go(self, seconds: float = 0.0) -> None:
        """Run what is ready and what falls due within so many seconds."""
        self.go_until(self._now + seconds)

    def go_until(self, moment: float) -> None:
        """Run what is ready and what falls due until then."""
        self._limit = max(moment, self._now)
        self.run_forever()

    def finish(self, work: Coroutine[Any, Any, T], within: float = 3600.0) -> T:
        """Run until this is done, in as much of its time as it needs. Raises what it raises."""
        task = self.create_task(work)
        task.add_done_callback(lambda _: self.stop())
        self._limit = self._now + within
        self.run_forever()
        if not task.done():
            task.cancel()
            self.go()
            raise TimeoutError(f"not done within {within:g} s")
        return task.result()

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]
        """At once and on this thread: what is offline has no reason to wait."""
        done = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:
            done.set_exception(error)
        return done
