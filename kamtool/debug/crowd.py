"""The client's end of a debugging session with a server of several workers: a session in each, seen as one.

The number of a message tells its worker. Breakpoints are set in all of them in the same order, and so have
the same numbers everywhere.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from kamtool.debug.client import Client, Gone
from kamtool.debug.words import Mistake
from kamtool.errors import UsageError

ALL = frozenset(
    ("break", "delete", "clear", "change", "options", "release", "breakpoints", "parked", "visits")
)
"""Commands for every worker."""


def place_of(path: Path, worker: int) -> Path:
    """Where a worker's debugger listens: worker 0's on the control socket itself."""
    return path.with_name(f"{path.name}.{worker}") if worker else path


class Crowd(Client):
    """Attached to every worker of a server, or to the one with the number `worker`."""

    def __init__(self, worker: int | None = None) -> None:
        super().__init__()
        self.worker = worker
        self._others: dict[int, Client] = {}
        self._once: set[int] = set()
        self._tasks: set[asyncio.Task[Any]] = set()

    async def attach(self, path: Path) -> dict[str, Any]:
        """Attach to the server behind a control socket. Raises UsageError."""
        hello = await super().attach(place_of(path, self.worker or 0))
        size = hello.get("workers", 1)
        if self.worker is None:
            for number in range(1, size):
                other = Client()
                other.on_event = partial(self._from, number)
                try:
                    await other.attach(place_of(path, number))
                except UsageError:
                    await self.close()
                    raise
                self._others[number] = other
        return hello

    async def call(self, command: str, /, **arguments: Any) -> Any:
        """Ask the worker that has the message, or all of them. Raises Mistake, Gone."""
        if not self._others:
            return await super().call(command, **arguments)
        if command in ALL:
            return await self._all(command, arguments)
        of = arguments.get("of")
        other = self._others.get((of - 1) % self.hello["workers"]) if isinstance(of, int) else None
        return await (other.call if other is not None else super().call)(command, **arguments)

    async def _all(self, command: str, arguments: dict[str, Any]) -> Any:
        answers = [await super().call(command, **arguments)]
        for other in list(self._others.values()):
            with suppress(Gone):
                answers.append(await other.call(command, **arguments))
        if command == "break" and answers[0]["once"]:
            self._once.add(answers[0]["number"])
        if command in ("parked", "visits"):
            return [row for answer in answers for row in answer]
        if command == "release":
            return sum(answers)
        if command == "breakpoints":
            return [_counted(rows) for rows in zip(*answers, strict=False)]
        return answers[0]

    def _from(self, worker: int, event: str, facts: dict[str, Any]) -> None:
        """Something happened in another worker."""
        if not event:
            if self._others.pop(worker, None) is not None and not self.gone:
                self.on_event("lost", {"worker": worker})
        elif event != "reloaded":  # worker 0 has said so
            self._passed_on(worker, event, facts)

    def _heard(self, said: dict[str, Any]) -> None:
        if "method" in said and self._others:
            self._passed_on(0, said["method"], said["params"])
        else:
            super()._heard(said)

    def _passed_on(self, worker: int, event: str, facts: dict[str, Any]) -> None:
        number = facts.get("breakpoint")
        if event == "stopped" and number in self._once:
            self._once.discard(facts["breakpoint"])
            task = asyncio.ensure_future(self._forget(facts["breakpoint"], worker))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        self.on_event(event, facts)

    async def _forget(self, number: int, worker: int) -> None:
        """A breakpoint for one hit has had it, in this worker: none of the others is to stop there."""
        calls = [
            partial(other.call, "delete", number=number)
            for place, other in self._others.items()
            if place != worker
        ]
        if worker:
            calls.append(partial(Client.call, self, "delete", number=number))
        for call in calls:
            with suppress(Mistake, Gone):
                await call()

    async def close(self) -> None:
        """Leave; what these sessions had parked goes on."""
        others, self._others = self._others, {}
        for each in others.values():
            await each.close()
        await super().close()


def _counted(rows: tuple[dict[str, Any], ...]) -> dict[str, Any]:
    """One breakpoint, its hits in all workers."""
    return {
        **rows[0],
        "hits": sum(row["hits"] for row in rows),
        "trouble": next((row["trouble"] for row in rows if row["trouble"]), ""),
    }
