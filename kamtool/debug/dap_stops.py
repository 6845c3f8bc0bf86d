"""The half of the adapter that stops and goes on: breakpoints, threads, steps."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from typing import Any

from kamtool.debug.client import Client
from kamtool.debug.words import ROUTE, Mistake

Json = dict[str, Any]
_IN_BRACES = re.compile(r"\{([^{}]*)\}")


class Stops:
    """Breakpoints and steps, in the words of DAP."""

    client: Client
    paths: dict[str, str]
    first_line: int

    def __init__(self) -> None:
        super().__init__()
        self.paths, self.first_line = {}, 1
        self.parked: dict[int, Json] = {}
        self.past: set[int] = set()
        """Messages that are looked at as they were."""
        self._mine: dict[str, list[int]] = {}

    def event(self, name: str, **body: Any) -> None:
        """Something happened."""
        raise NotImplementedError

    def heard(self, name: str, facts: Json) -> None:
        """What the session says unasked."""
        if name == "stopped":
            number = facts["id"]
            if number not in self.parked:
                self.event("thread", reason="started", threadId=number)
            self.parked[number] = facts
            self.past.discard(number)
            reason = "step" if facts["reason"] == "step" else "breakpoint"
            hits = [facts["breakpoint"]] if facts["breakpoint"] else []
            self.event(
                "stopped", reason=reason, threadId=number, description=facts["reason"],
                allThreadsStopped=False, hitBreakpointIds=hits,
            )  # fmt: skip
        elif name == "logged":
            self.event("output", category="console", output=facts["text"].rstrip("\n") + "\n")
        elif name == "over" or (name == "left" and not facts["follows"]):
            self._forget(facts["call_id"])
        elif name == "budget":
            self.parked.pop(facts["id"], None)
            self.event("continued", threadId=facts["id"], allThreadsContinued=False)
        elif name == "":
            self.event("terminated")

    def _forget(self, call_id: str) -> None:
        for number, facts in list(self.parked.items()):
            if facts["call_id"] == call_id:
                del self.parked[number]
                self.event("thread", reason="exited", threadId=number)

    # Breakpoints

    async def on_setBreakpoints(self, arguments: Json) -> Json:  # noqa: N802
        """All breakpoints of one file."""
        path = arguments["source"].get("path") or arguments["source"].get("name") or ""
        file = self._file_of(path)
        wishes = [
            {
                "text": f"{file}:{each['line'] + 1 - self.first_line}",
                "condition": each.get("condition") or "",
                "ignore": _ignored(each.get("hitCondition")), "log": _format(each.get("logMessage")),
            }
            for each in arguments.get("breakpoints") or []
        ]  # fmt: skip
        return {"breakpoints": await self._set(f"file {path}", wishes)}

    async def on_setFunctionBreakpoints(self, arguments: Json) -> Json:  # noqa: N802
        """Routes, `route[NAME]`, and functions that the cfg calls."""
        wishes = []
        for each in arguments["breakpoints"]:
            name = each["name"].strip()
            kinds = ("fn:", "assign ", "header ", "reply ", "watch ")
            text = name if ROUTE.fullmatch(name) or name.startswith(kinds) else f"fn:{name}"
            wishes.append({"text": text, "condition": each.get("condition") or ""})
        return {"breakpoints": await self._set("functions", wishes)}

    async def on_setExceptionBreakpoints(self, arguments: Json) -> Json:  # noqa: N802
        """`error`, and responses that say no."""
        wishes = []
        if "error" in arguments["filters"]:
            wishes.append({"text": "error"})
        if "reply" in arguments["filters"]:
            wishes += [{"text": f"reply {kind}xx"} for kind in (4, 5, 6)]
        await self._set("exceptions", wishes)
        return {}

    async def _set(self, group: str, wishes: list[Json]) -> list[Json]:
        for number in self._mine.pop(group, []):
            with suppress(Mistake):  # it was to stop once, and has
                await self.client.call("delete", number=number)
        found, mine = [], []
        for wish in wishes:
            try:
                made = await self.client.call("break", **wish)
            except Mistake as mistake:
                found.append({"verified": False, "message": mistake.message})
                continue
            mine.append(made["number"])
            file, _, line = made["place"].rpartition(":")
            here = {"line": int(line) - 1 + self.first_line, "source": self.source_of(file)} if line else {}
            found.append({"id": made["number"], "verified": True, **here})
        self._mine[group] = mine
        return found

    def _file_of(self, path: str) -> str:
        """The cfg's own name for a file that the editor names."""
        for file, absolute in self.paths.items():
            if path in (file, absolute) or Path(path).name == Path(absolute).name:
                return file
        return path

    def source_of(self, file: str) -> Json:
        """A file for the editor."""
        path = self.paths.get(file, file)
        return {"name": Path(path).name, "path": path}

    async def on_loadedSources(self, arguments: Json) -> Json:  # noqa: N802
        """The files of the cfg."""
        return {"sources": [self.source_of(file) for file in self.paths]}

    # Going on

    async def on_threads(self, arguments: Json) -> Json:
        """The messages that are parked."""
        return {
            "threads": [
                {"id": number, "name": f"{facts['message'].removesuffix(' SIP/2.0')}  {facts['call_id']}"}
                for number, facts in self.parked.items()
            ]
        }

    async def on_pause(self, arguments: Json) -> None:
        """The next request stops."""
        await self.client.call("break", text="request_route", once=True)

    async def on_continue(self, arguments: Json) -> Json:
        """Let a message go."""
        number = arguments["threadId"]
        facts = self.parked.pop(number, None)
        await self.client.call("resume", how="continue", of=number)
        if facts is not None:
            self.event("thread", reason="exited", threadId=number)
        return {"allThreadsContinued": False}

    async def on_next(self, arguments: Json) -> None:
        """Over the statement; in the past, one statement later."""
        await self._step(arguments["threadId"], "over")

    async def on_stepIn(self, arguments: Json) -> None:  # noqa: N802
        """Into the route."""
        await self._step(arguments["threadId"], "into")

    async def on_stepOut(self, arguments: Json) -> None:  # noqa: N802
        """Out of the route."""
        await self._step(arguments["threadId"], "out")

    async def _step(self, number: int, how: str) -> None:
        if number in self.past:
            await self._look(number, -1)
        else:
            await self.client.call("resume", how=how, of=number)

    async def on_stepBack(self, arguments: Json) -> None:  # noqa: N802
        """The message as it was a statement earlier."""
        await self._look(arguments["threadId"], 1)

    async def on_reverseContinue(self, arguments: Json) -> None:  # noqa: N802
        """The message as it came."""
        number = arguments["threadId"]
        rows = await self.client.call("history", of=number)
        await self._look_at(number, "goto", number=rows[0]["number"] if rows else 0)

    async def _look(self, number: int, count: int) -> None:
        await self._look_at(number, "back", count=count)

    async def _look_at(self, thread: int, command: str, **arguments: Any) -> None:
        facts = await self.client.call(command, of=thread, **arguments)
        (self.past.add if "cursor" in facts else self.past.discard)(thread)
        self.event(
            "stopped", reason="step", threadId=thread, description="as it was", allThreadsStopped=False
        )


def _ignored(condition: str | None) -> int:
    """How many hits to let pass: `5`, `>5`, `>=5`, `==5`."""
    if not condition:
        return 0
    found = re.fullmatch(r"\s*(>=|>|==|=)?\s*(\d+)\s*", condition)
    if found is None:
        raise Mistake(f"{condition!r} is no hit count", "`5` or `>= 5`")
    return int(found[2]) if found[1] == ">" else max(int(found[2]) - 1, 0)


def _format(message: str | None) -> str:
    """A log message, its `{$ru}` as the cfg's formats have it."""
    return _IN_BRACES.sub(r"\1", message or "")
