"""The prompt itself: a line, its answer, and what happens in between."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from kamtool.debug.client import Client, Gone
from kamtool.errors import UsageError
from kamtool.repl.batch import batch
from kamtool.repl.paint import Paint
from kamtool.repl.sitting import GONE, Sitting, edit, prompt_of, typed_before
from kamtool.repl.words import Leave, Words


class Interrupted(Exception):
    """Ctrl-C at the prompt: what was typed is forgotten."""


async def interactive(client: Client, socket: Path, *, coloured: bool) -> int:
    """A session at a terminal; its exit code."""
    from prompt_toolkit import PromptSession, print_formatted_text
    from prompt_toolkit.formatted_text import ANSI
    from prompt_toolkit.patch_stdout import patch_stdout
    from prompt_toolkit.styles import Style

    from kamtool.repl.complete import Names, toolbar

    await client.attach(socket)
    words = Words(client, Paint(coloured), edit)

    def say(lines: Iterable[str]) -> None:
        for line in lines:
            print_formatted_text(ANSI(line))

    sitting = Sitting(words, say, changed=lambda: prompt.app.invalidate())
    for number in (signal.SIGHUP, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, sitting.over)
    say(await words.begin())
    names = Names(await client.call("names"), words)
    prompt: PromptSession[str] = PromptSession(
        history=typed_before(), completer=names, complete_while_typing=True,
        interrupt_exception=Interrupted, reserve_space_for_menu=6,
        style=Style.from_dict({"bottom-toolbar": "noreverse bg:#303030 #d0d0d0"}),
        bottom_toolbar=lambda: toolbar(words, {}),
    )  # fmt: skip
    client.on_event = sitting.heard
    try:
        with patch_stdout(raw=True):
            return await _read(prompt, sitting)
    finally:
        await client.close()


async def _read(prompt: Any, sitting: Sitting) -> int:
    """Lines until the user leaves, the server goes or the terminal dies."""
    while True:
        reading = asyncio.ensure_future(prompt.prompt_async(lambda: prompt_of(sitting.words)))
        await asyncio.wait({reading, sitting.ended}, return_when=asyncio.FIRST_COMPLETED)
        if sitting.ended.done():
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            if sitting.ended.result():
                sitting.say([sitting.ended.result()])
            return sitting.code
        try:
            line = reading.result()
        except Interrupted:
            continue
        except (EOFError, OSError):
            return 0
        try:
            await sitting.do(line)
        except Leave:
            return 0
        except Gone:
            sitting.say([GONE])
            return 5


def run(
    client: Client, socket: Path, *, script: Path | None, as_json: bool, coloured: bool, full: bool = False
) -> int:
    """The prompt, the full screen, or the lines of `script` or of a piped stdin; the exit code."""
    if script is not None:
        lines = script.read_text().splitlines()
        return asyncio.run(batch(client, socket, lines, as_json=as_json, out=sys.stdout))
    if full and not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("--tui needs a terminal", hint="without it, lines are read from stdin")
    if as_json or not sys.stdin.isatty():
        return asyncio.run(batch(client, socket, sys.stdin, as_json=as_json, out=sys.stdout))
    if full:
        from kamtool.repl.screen.app import screen

        return asyncio.run(screen(client, socket, coloured=coloured))
    return asyncio.run(interactive(client, socket, coloured=coloured))
