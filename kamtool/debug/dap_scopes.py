"""The half of the adapter that looks: stack frames, scopes, variables, expressions."""

from __future__ import annotations

from typing import Any

from kamtool.debug.client import Client
from kamtool.debug.words import Mistake

Json = dict[str, Any]

FRAMES = 1000
"""A frame's number is its thread's times this, plus its place in the stack."""
SCOPES = ("Message", "Variables", "AVPs", "Routing", "Branches", "Transaction", "Flags")
MESSAGE = (
    "$rm", "$ru", "$rU", "$rd", "$du", "$fu", "$fU", "$fd", "$tu", "$tU", "$ci", "$cs", "$si", "$sp", "$Ri",
    "$pr", "$ua", "$rs", "$rr", "$rc", "$T_branch_idx",
)  # fmt: skip


class Scopes:
    """What can be seen of a parked message, in the words of DAP."""

    client: Client
    first_line: int
    names: dict[str, dict[str, str]]

    def __init__(self) -> None:
        super().__init__()
        self.names = {}

    def source_of(self, file: str) -> Json:
        """A file for the editor."""
        raise NotImplementedError

    async def on_stackTrace(self, arguments: Json) -> Json:  # noqa: N802
        """The open routes, and below them what the call has been through."""
        thread = arguments["threadId"]
        where = await self.client.call("where", of=thread)
        stack = where["stack"] or [{"route": where["route"], "file": "", "line": 0}]
        if where["line"]:
            stack = [{**stack[0], "file": where["file"], "line": where["line"]}, *stack[1:]]
        frames: list[Json] = [
            self._frame(thread * FRAMES + place, each["route"], each["file"], each["line"])
            for place, each in enumerate(stack)
        ]
        earlier = (await self.client.call("backtrace", of=thread))["visits"]
        for visit in reversed([each for each in earlier if each["ended"]]):
            text = f"earlier: {visit['route']} {visit['message']}"
            frame = self._frame(thread * FRAMES + len(frames), text, visit["file"], visit["line"])
            frames.append({**frame, "presentationHint": "subtle"})
        total, start = len(frames), arguments.get("startFrame") or 0
        levels = arguments.get("levels") or total
        return {"stackFrames": frames[start : start + levels], "totalFrames": total}

    def _frame(self, number: int, name: str, file: str, line: int) -> Json:
        frame: Json = {"id": number, "name": name, "line": 0, "column": 0}
        if line:
            frame |= {"line": line - 1 + self.first_line, "column": 1, "source": self.source_of(file)}
        return frame

    async def on_scopes(self, arguments: Json) -> Json:
        """The same for every frame: a message is one."""
        thread = arguments["frameId"] // FRAMES
        return {
            "scopes": [
                {"name": name, "variablesReference": thread * FRAMES + place + 1, "expensive": place > 2}
                for place, name in enumerate(SCOPES)
            ]
        }

    async def on_variables(self, arguments: Json) -> Json:
        """What a scope holds."""
        thread, place = divmod(arguments["variablesReference"], FRAMES)
        scope = SCOPES[place - 1]
        if scope == "Message":
            found = await self._values(thread, [each for each in MESSAGE if each in self.names["variables"]])
        elif scope == "Variables":
            found = await self._values(thread, sorted(self.names["targets"]))
        else:
            facts = await self.client.call("information", what=scope.lower(), of=thread)
            if isinstance(facts, list):
                facts = {str(number): _row(row) for number, row in enumerate(facts)}
            found = facts
        return {
            "variables": [
                {"name": name, "value": _shown(value), "type": _type(value), "variablesReference": 0,
                 **({"evaluateName": name} if name.startswith("$") else {})}
                for name, value in found.items()
            ]
        }  # fmt: skip

    async def _values(self, thread: int, names: list[str]) -> Json:
        found: Json = {}
        for name in names:
            try:
                found[name] = (await self.client.call("evaluate", text=name, of=thread))["value"]
            except Mistake as mistake:
                found[name] = f"({mistake.message})"
        return found

    async def on_setVariable(self, arguments: Json) -> Json:  # noqa: N802
        """Assign, as the cfg would."""
        thread = arguments["variablesReference"] // FRAMES
        name = arguments["name"]
        await self.client.call("execute", text=f"{name} = {arguments['value']}", of=thread)
        value = (await self.client.call("evaluate", text=name, of=thread))["value"]
        return {"value": _shown(value), "type": _type(value), "variablesReference": 0}

    async def on_evaluate(self, arguments: Json) -> Json:
        """An expression of the cfg; from the debug console also a statement."""
        frame = arguments.get("frameId")
        which = {} if frame is None else {"of": frame // FRAMES}
        text = arguments["expression"].strip()
        try:
            value = (await self.client.call("evaluate", text=text, **which))["value"]
        except Mistake:
            if arguments.get("context") != "repl":
                raise
            done = await self.client.call("execute", text=text, **which)
            changes = [f"{each['what']} = {_shown(each['new'])}" for each in done["effects"]]
            return {"result": "; ".join(changes) or f"returned {done['code']}", "variablesReference": 0}
        return {"result": _shown(value), "type": _type(value), "variablesReference": 0}

    async def on_completions(self, arguments: Json) -> Json:
        """Variables and functions that begin as the text does."""
        text = arguments["text"][: max(arguments["column"] - self.first_line, 0)]
        start = max(text.rfind(mark) for mark in (" ", "(", ",", "=", "!")) + 1
        word = text[start:]
        known = {**self.names["variables"], **self.names["functions"]} if word else {}
        return {
            "targets": [
                {"label": name, "start": start, "length": len(word), "detail": known[name][:80]}
                for name in sorted(known)
                if name.startswith(word)
            ][:200]
        }


def _shown(value: Any) -> str:
    if value is None:
        return "$null"
    return f'"{value}"' if isinstance(value, str) else str(value)


def _type(value: Any) -> str:
    return "null" if value is None else "int" if isinstance(value, int) else "str"


def _row(row: Json) -> str:
    return ", ".join(f"{name} {value}" for name, value in row.items() if value not in ("", None))
