"""The words that look into a message, change it, and look back."""

from __future__ import annotations

from typing import Any

from kamtool.debug.words import Mistake
from kamtool.repl import show
from kamtool.repl.stopping import Stopping


class Looking(Stopping):
    """Expressions, headers, the message, its past."""

    # Look

    async def do_list(self, rest: str) -> list[str]:
        if self.focus is None:
            file, line = next(iter(self.source.files)), self._number(rest, 1)
        else:
            facts = await self._here("where")
            file, line = facts["file"], self._number(rest, facts["line"])
        return self.source.piece(file, line, 7)

    async def do_where(self, rest: str) -> list[str]:
        return show.where(self.paint, await self._here("where"))

    async def do_bt(self, rest: str) -> list[str]:
        return show.backtrace(self.paint, await self._here("backtrace"))

    async def do_print(self, rest: str) -> list[str]:
        if not rest:
            raise Mistake("what is to be printed?", "print $ru")
        found = await self._here("evaluate", text=rest)
        return [self.paint(show.value(found["value"]), "bold")]

    async def do_display(self, rest: str) -> list[str]:
        if rest:
            self._displayed += 1
            self.displays[self._displayed] = rest
        return await self.displayed() if self.focus is not None else [*self.displays.values()]

    async def do_undisplay(self, rest: str) -> list[str]:
        if rest:
            self.displays.pop(self._number(rest), None)
        else:
            self.displays.clear()
        return []

    async def do_info(self, rest: str) -> list[str]:
        if rest.startswith("htable"):
            return show.table(await self._call("information", what=rest))
        if rest in ("b", "breakpoints"):
            return await self.do_breakpoints("")
        return show.table(await self._here("information", what=rest or "message"))

    async def do_msg(self, rest: str) -> list[str]:
        lines = await self._here("message", received=rest == "received")
        return [f"  {self.paint(line)}" for line in lines]

    async def do_diff(self, rest: str) -> list[str]:
        lines = await self._here("difference", step=rest == "step")
        return [f"  {self.paint.diff(line)}" for line in lines] or ["  nothing differs"]

    async def do_parked(self, rest: str) -> list[str]:
        found = await self._call("parked")
        return [
            f"{'*' if each['id'] == self.focus else ' '}{each['id']:3} {each['message']}  {each['route']}"
            f" at {show.short(each['file'])}:{each['line']}  {each['call_id']}"
            for each in found
        ] or ["no message is parked"]

    async def do_select(self, rest: str) -> list[str]:
        facts = await self._call("where", of=self._number(rest))
        self.focus = facts["id"]
        return show.stopped(self.paint, self.source, facts)

    # Change

    async def _execute(self, text: str) -> list[str]:
        done = await self._here("execute", text=text)
        found = show.effects(self.paint, done["effects"])
        return found or [f"      it returned {done['code']} and changed nothing"]

    async def do_set(self, rest: str) -> list[str]:
        if "=" not in rest:
            raise Mistake("an assignment has an `=`", 'set $du = "sip:10.0.0.9"')
        return await self._execute(rest if rest.startswith("$") else f"${rest}")

    async def do_call(self, rest: str) -> list[str]:
        return await self._execute(rest)

    async def do_hdr(self, rest: str) -> list[str]:
        action, _, more = rest.partition(" ")
        name, _, value = more.strip().partition(" ")
        name = name.rstrip(":")
        action = {"rm": "remove", "del": "remove"}.get(action, action)
        lines = await self._here("header", action=action, name=name, value=value.strip())
        return [f"  {self.paint.diff(line)}" for line in lines]

    async def do_edit(self, rest: str) -> list[str]:
        before = "\n".join(await self._here("applied")) + "\n"
        after = await self.edit(before)
        if after is None or after == before:
            return ["nothing changed"]
        lines = await self._here("replace", text=after)
        return [f"  {self.paint.diff(line)}" for line in lines]

    # Backwards

    async def _moved(self, facts: dict[str, Any]) -> list[str]:
        head = f"  statement {facts['number']} of {facts['last']}"
        head += ", as it was" if "cursor" in facts else ", the present"
        lines = [self.paint(head, "magenta"), *self.source.piece(facts["file"], facts["line"], 1)]
        return lines + show.effects(self.paint, facts.get("effects", ()))

    async def do_back(self, rest: str) -> list[str]:
        return await self._moved(await self._here("back", count=self._number(rest, 1)))

    async def do_forward(self, rest: str) -> list[str]:
        return await self._moved(await self._here("back", count=-self._number(rest, 1)))

    async def do_goto(self, rest: str) -> list[str]:
        return await self._moved(await self._here("goto", number=self._number(rest)))

    async def do_now(self, rest: str) -> list[str]:
        return await self._moved(await self._here("now"))

    async def do_who(self, rest: str) -> list[str]:
        found = await self._here("who", text=rest)
        value = show.value(found["value"])
        if found["number"] < 0:
            return [f"{rest} is {value} since the beginning"]
        line = f"{rest} is {value} by {show.short(found['file'])}:{found['line']} in {found['route']}"
        return [line + f", statement {found['number']}; it was {show.value(found['before'])}",
                *self.source.piece(found["file"], found["line"], 0)]  # fmt: skip

    async def do_history(self, rest: str) -> list[str]:
        word, _, count = rest.partition(" ")
        if word in ("keep", "off"):
            keep = self._number(count) if word == "keep" else 0
            self.history = (await self._call("options", history=keep))["history"]
            return [f"the last {keep} routes are kept" if keep else "nothing is recorded"]
        rows = await self._here("history", last=self._number(rest, 0))
        return show.history(self.paint, rows, self.source)

    async def do_visits(self, rest: str) -> list[str]:
        found = await self._call("visits", call_id=rest)
        return [show.visited(self.paint, each) for each in found] or ["none is kept yet"]
