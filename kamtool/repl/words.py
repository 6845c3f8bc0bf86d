"""A typed line into a call of the session and its answer into lines: what the prompt and -x files share."""

from __future__ import annotations

import json
import shlex
from collections.abc import Awaitable, Callable
from typing import Any

from kamtool.debug.words import Mistake, near
from kamtool.repl import help as manual
from kamtool.repl import show
from kamtool.repl.looking import Looking

REPEATED = ("step", "next", "back", "forward")

Handler = Callable[["Words", str], Awaitable[Any]]


class Leave(Exception):
    """The user has had enough."""


class Words(Looking):
    """Understands what is typed."""

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
