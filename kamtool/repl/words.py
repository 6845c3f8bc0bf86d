"""A typed line into a call of the session and its answer into lines: what the prompt and -x files share."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from kamtool.debug.client import Client
from kamtool.debug.words import Mistake, near
from kamtool.repl import help as manual
from kamtool.repl import show
from kamtool.repl.paint import Paint

REPEATED = ("step", "next", "back", "forward")
HISTORY = 32
"""How many routes are kept from the beginning."""
_LOG = re.compile(r'(?P<place>.+?)\s+(?P<text>"(?:\\.|[^"\\])*")\s*(?:if\s+(?P<condition>.+))?')

Handler = Callable[["Words", str], Awaitable[Any]]


class Leave(Exception):
    """The user has had enough."""


class Words:
    """Understands what is typed. `edit(text)` lets the user edit a text, None where that cannot be."""

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
            self.source.files[found["file"]] = found["text"].split("\n")
        self.history = (await self.client.call("options", history=HISTORY))["history"]
        where = ", ".join(hello["listening"])
        return [
            f"attached to kamtool {hello['version']}, process {hello['pid']}, on {where}",
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

    # Lines

    async def do(self, line: str) -> Any:
        """Carry out one line; what there is to print. Raises Mistake, Leave."""
        line = line.strip() or (self.last if self.last.split(" ")[0] in REPEATED else "")
        if not line or line.startswith("#"):
            return []
        word, _, rest = line.partition(" ")
        command = manual.BY_NAME.get(word)
        if command is None:
            if word.startswith("$"):
                return await self.do(f"print {line}")
            raise Mistake(f"there is no command {word!r}", near(word, manual.BY_NAME) or "`help` lists them")
        self.last = " ".join((command.names[0], rest)).strip()
        handler: Handler = getattr(Words, f"do_{command.names[0]}")
        return await handler(self, rest.strip())

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

    # Session

    async def do_options(self, rest: str) -> list[str]:
        words = rest.split()
        if len(words) % 2:
            raise Mistake("options come with a value each", "options budget 60 trying on")
        changes: dict[str, Any] = {}
        for name, text in zip(words[::2], words[1::2], strict=True):
            changes[name] = text in ("on", "yes", "1") if name == "trying" else self._number(text)
        return show.table(await self._call("options", **changes))

    async def do_rpc(self, rest: str) -> list[str]:
        try:
            method, *params = shlex.split(rest)
        except ValueError as error:
            raise Mistake(f"{error}" if rest else "a method is missing", "rpc core.uptime") from None
        found = await self._call("rpc", method=method, params=[_argument(each) for each in params])
        return json.dumps(found, indent=2, ensure_ascii=False).split("\n")

    async def do_help(self, rest: str) -> list[str]:
        if not rest:
            return manual.overview()
        command = manual.BY_NAME.get(rest)
        if command is None:
            raise Mistake(f"there is no command {rest!r}", near(rest, manual.BY_NAME))
        return manual.about(command)

    async def do_quit(self, rest: str) -> list[str]:
        raise Leave


def _argument(word: str) -> int | str:
    try:
        return int(word)
    except ValueError:
        return word.removeprefix("s:")
