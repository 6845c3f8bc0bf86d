"""The words that stop messages and let them go on."""

from __future__ import annotations

import asyncio
import re
from typing import Any

from kamtool.debug.words import Mistake
from kamtool.repl import show
from kamtool.repl.talk import Talk

_LOG = re.compile(r'(?P<place>.+?)\s+(?P<text>"(?:\\.|[^"\\])*")\s*(?:if\s+(?P<condition>.+))?')


class Stopping(Talk):
    """Breakpoints and steps."""

    # Stop

    async def do_break(self, rest: str, **more: Any) -> list[str]:
        if not rest:
            return await self.do_breakpoints("")
        made = await self._call("break", text=rest, **more)
        return [
            f"breakpoint {made['number']}" + (f" at {show.short(made['place'])}" if made["place"] else "")
        ]

    async def do_tbreak(self, rest: str) -> list[str]:
        return await self.do_break(rest, once=True)

    async def do_log(self, rest: str) -> list[str]:
        found = _LOG.fullmatch(rest)
        if found is None:
            raise Mistake("a log point is a place and a text", 'log fn:t_relay "to $du"')
        text = found["text"][1:-1].replace('\\"', '"')
        return await self.do_break(found["place"], log=text, condition=found["condition"] or "")

    async def do_breakpoints(self, rest: str) -> list[str]:
        return show.breakpoints(self.paint, await self._call("breakpoints"))

    async def do_delete(self, rest: str) -> list[str]:
        if rest:
            await self._call("delete", number=self._number(rest))
            return []
        return [f"{await self._call('clear')} removed"]

    async def do_enable(self, rest: str) -> list[str]:
        return show.breakpoints(
            self.paint, [await self._call("change", number=self._number(rest), enabled=True)]
        )

    async def do_disable(self, rest: str) -> list[str]:
        return show.breakpoints(
            self.paint, [await self._call("change", number=self._number(rest), enabled=False)]
        )

    async def do_ignore(self, rest: str) -> list[str]:
        number, _, count = rest.partition(" ")
        done = await self._call("change", number=self._number(number), ignore=self._number(count))
        return show.breakpoints(self.paint, [done])

    async def do_commands(self, rest: str) -> list[str]:
        number, _, words = rest.partition(" ")
        commands = [each.strip() for each in words.split(";") if each.strip()]
        await self._call("change", number=self._number(number), commands=commands)
        return []

    # Go on

    async def _go(self, how: str, **more: Any) -> list[str]:
        going, facts = self._of(), self.parked.get(self.focus or 0)
        # Before it goes: the next stop may be heard before the answer is.
        if self.focus is not None:
            self._gone(self.focus)
        if how not in ("continue", "drop", "reply"):
            self._arrived = asyncio.Event()
        try:
            await self._call("resume", how=how, **going, **more)
            if self._arrived is None:
                await self.client.call("options")  # once around: what the message logs at once is heard first
        except Mistake:
            if facts is not None:
                self.parked[facts["id"]] = facts
                self.focus = facts["id"]
            raise
        return []

    async def do_step(self, rest: str) -> list[str]:
        return await self._go("into")

    async def do_next(self, rest: str) -> list[str]:
        return await self._go("over")

    async def do_finish(self, rest: str) -> list[str]:
        return await self._go("out")

    async def do_until(self, rest: str) -> list[str]:
        return await self._go("until", line=self._number(rest))

    async def do_continue(self, rest: str) -> list[str]:
        return await self._go("continue")

    async def do_drop(self, rest: str) -> list[str]:
        return await self._go("drop")

    async def do_reply(self, rest: str) -> list[str]:
        status, _, reason = rest.partition(" ")
        return await self._go("reply", status=self._number(status), reason=reason.strip())

    async def do_release(self, rest: str) -> list[str]:
        count = await self._call("release")
        self.parked.clear()
        self.focus = None
        return [f"{count} messages go on" if count != 1 else "1 message goes on"]

    async def do_wait(self, rest: str) -> list[str]:
        try:
            await asyncio.wait_for(self.stops.get(), self._number(rest, 30))
        except TimeoutError:
            raise Mistake(f"no message stopped within {rest or 30} s") from None
        return []
