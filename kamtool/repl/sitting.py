"""A user at a session: what happens is said, what is typed is done, and the commands of a breakpoint too."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kamtool.debug.client import Gone
from kamtool.debug.words import Mistake
from kamtool.repl.paint import Paint
from kamtool.repl.words import Leave, Words

if TYPE_CHECKING:
    from prompt_toolkit.history import History

GONE = "the server has gone"
Say = Callable[[Iterable[str]], None]


class Sitting:
    """What the prompt and the full screen share. `ended` has why it is over, "" when the terminal died."""

    def __init__(self, words: Words, say: Say, *, changed: Callable[[], None], displays: bool = True) -> None:
        self.words, self.say, self.changed, self.displays = words, say, changed, displays
        self.ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._later: set[asyncio.Task[None]] = set()

    def over(self, why: str = "") -> None:
        """End it, unless it has ended."""
        if not self.ended.done():
            self.ended.set_result(why)

    @property
    def code(self) -> int:
        """The exit code of what has ended."""
        return 5 if self.ended.result() else 129

    def heard(self, event: str, facts: dict[str, Any]) -> None:
        """Something happened unasked."""
        if not event:
            self.over(GONE)
            return
        self.say(self.shown(event, facts))
        self.changed()
        if event == "stopped" and (facts["commands"] or (self.displays and self.words.displays)):
            task = asyncio.ensure_future(self._stopped(facts))
            self._later.add(task)
            task.add_done_callback(self._later.discard)

    def shown(self, event: str, facts: dict[str, Any]) -> list[str]:
        """What there is to say of it."""
        return self.words.heard(event, facts)

    async def _stopped(self, facts: dict[str, Any]) -> None:
        with suppress(Mistake, Gone, Leave):
            if self.displays:
                self.say(await self.words.displayed())
            for command in facts["commands"]:
                self.say([f"({command})", *await self.words.do(command)])
                self.changed()

    async def do(self, line: str) -> None:
        """What was typed. Raises Leave, Gone."""
        try:
            self.say(await self.words.do(line))
        except Mistake as mistake:
            self.say(failure(self.words.paint, mistake))


def prompt_of(words: Words) -> str:
    """What stands before the line that is typed."""
    return f"({words.focus}) " if words.focus is not None else "kamtool> "


def failure(paint: Paint, mistake: Mistake) -> list[str]:
    """A mistake in a line, and its hint in another."""
    lines = [f"{paint('error:', 'red')} {mistake.message.splitlines()[0]}"]
    return [*lines, f"   hint: {mistake.hint}"] if mistake.hint else lines


def history_file() -> Path:
    """Where what was typed is kept: $XDG_STATE_HOME/kamtool/debug.history."""
    base = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(base) / "kamtool" / "debug.history"


def typed_before() -> History:
    """What was typed in earlier sessions, where it can be kept."""
    from prompt_toolkit.history import FileHistory, InMemoryHistory

    with suppress(OSError):
        history_file().parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return FileHistory(str(history_file()))
    return InMemoryHistory()


async def edit(text: str) -> str | None:
    """The text as the user leaves it in $VISUAL or $EDITOR; None when the editor fails."""
    from prompt_toolkit.application import run_in_terminal

    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    with tempfile.NamedTemporaryFile("w", suffix=".sip", encoding="utf-8", errors="surrogateescape") as file:
        file.write(text)
        file.flush()

        def run() -> int:
            import shlex
            import subprocess

            return subprocess.call([*shlex.split(editor), file.name])

        if await run_in_terminal(run, in_executor=True):
            return None
        with open(file.name, encoding="utf-8", errors="surrogateescape") as changed:  # noqa: ASYNC230
            return changed.read()
