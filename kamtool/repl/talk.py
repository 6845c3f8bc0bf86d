"""What a prompt knows of its session: what happened, what is parked, and how to ask."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from kamtool.debug.client import Client
from kamtool.debug.words import Mistake
from kamtool.repl import show
from kamtool.repl.paint import Paint

HISTORY = 32
"""How many routes are kept from the beginning."""


class Talk:
    """The session as its prompt sees it. `edit(text)` lets the user edit a text; None: it cannot be."""

    def __init__(self, client: Client, paint: Paint, edit: Callable[[str], Awaitable[str | None]]) -> None:
        self.client, self.paint, self.edit = client, paint, edit
        self.source = show.Source(paint)
        self.parked: dict[int, dict[str, Any]] = {}
        self.focus: int | None = None
        self.displays: dict[int, str] = {}
        self.history = 0
        self.last = ""
        self._displayed = 0
        self._place = ""
        self._arrived: asyncio.Event | None = None
        self.raw: Any = None
        """What the session answered last, for programs."""
        self.stops: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def begin(self) -> list[str]:
        """Read the cfg, begin to record."""
        hello = self.client.hello
        for file in hello["files"]:
            found = await self.client.call("source", file=file)
            self.source.files[found["file"]] = found["text"].removesuffix("\n").split("\n")
        self.history = (await self.client.call("options", history=HISTORY))["history"]
        where = ", ".join(hello["listening"])
        who = f"process {hello['pid']}"
        if hello["workers"] > 1:
            one = getattr(self.client, "worker", None)
            who = (
                f"worker {one} of {hello['workers']}"
                if one is not None
                else f"all {hello['workers']} workers"
            )
        return [
            f"attached to kamtool {hello['version']}, {who}, on {where}",
            f"{hello['cfg']}: what you stop waits, all else flows.",
            "`help` shows what to type, `quit` leaves no trace.",
        ]

    # Events

    def heard(self, event: str, facts: dict[str, Any]) -> list[str]:
        """What happened, in lines."""
        if self._arrived is not None and event in ("stopped", "left", "over", "budget"):
            self._arrived.set()
        if event == "stopped":
            self.parked[facts["id"]] = facts
            self.focus = facts["id"]
            if self.stops.qsize() < 100:
                self.stops.put_nowait(facts)
            place = f"{facts['stack'][0]['route']} {facts['file']}" if facts["stack"] else facts["route"]
            moved, self._place = place != self._place, place
            return show.stopped(self.paint, self.source, facts, moved=moved)
        if event == "logged":
            return [
                f"{self.paint('log', 'magenta')} {facts['breakpoint']}: {self.paint(facts['text'], 'bold')}"
            ]
        if event == "left":
            more = "the call goes on, step stops there" if facts["follows"] else "nothing more comes of it"
            return [self.paint(f"  {facts['route']} has ended: {more}", "dim")]
        if event == "over":
            return [self.paint(f"  {facts['call_id']}: the transaction has ended", "dim")]
        if event == "budget":
            self._gone(facts["id"])
            return [self.paint(f"{facts['id']} was parked {facts['seconds']:g} s and goes on", "yellow")]
        if event == "lost":
            size = self.client.hello["workers"]
            for number in [each for each in self.parked if (each - 1) % size == facts["worker"]]:
                self._gone(number)
            text = f"worker {facts['worker']} has ended: attach anew to see what takes its place"
            return [self.paint(text, "red")]
        if event == "passed":
            return [self.paint(f"{facts['parked']} messages are parked already: one passed", "yellow")]
        if event == "reloaded":
            lost = [str(each["number"]) for each in facts["breakpoints"] if each["trouble"]]
            return [f"the cfg was reloaded{'; lost: breakpoint ' + ', '.join(lost) if lost else ''}"]
        return []

    async def settle(self, seconds: float = 10.0) -> None:
        """After a step: wait until the message has stopped again or left its route."""
        if self._arrived is None:
            return
        with suppress(TimeoutError):
            await asyncio.wait_for(self._arrived.wait(), seconds)
        self._arrived = None
        while not self.stops.empty():
            self.stops.get_nowait()

    def _gone(self, number: int) -> None:
        self.parked.pop(number, None)
        if self.focus == number:
            self.focus = max(self.parked) if self.parked else None

    async def displayed(self) -> list[str]:
        """The expressions that are shown at every stop."""
        lines = []
        for number, text in self.displays.items():
            try:
                found = await self.client.call("evaluate", text=text, **self._of())
                lines.append(f"  {number}: {text} = {show.value(found['value'])}")
            except Mistake as mistake:
                lines.append(f"  {number}: {text}: {mistake.message}")
        return lines

    # Asking

    def _of(self) -> dict[str, int]:
        return {} if self.focus is None else {"of": self.focus}

    async def _call(self, command: str, **arguments: Any) -> Any:
        self.raw = await self.client.call(command, **arguments)
        return self.raw

    async def _here(self, command: str, **arguments: Any) -> Any:
        return await self._call(command, **self._of(), **arguments)

    @staticmethod
    def _number(text: str, default: int | None = None) -> int:
        if not text and default is not None:
            return default
        try:
            return int(text)
        except ValueError:
            raise Mistake(f"{text!r} is no number" if text else "a number is missing") from None
