"""The prompt itself: a line, its answer, and what happens in between; and the same without a terminal."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

from kamtool.debug.client import Client, Gone
from kamtool.debug.words import Mistake
from kamtool.repl.paint import Paint
from kamtool.repl.words import Leave, Words

GONE = "the server has gone"


class Interrupted(Exception):
    """Ctrl-C at the prompt: what was typed is forgotten."""


def history_file() -> Path:
    """Where what was typed is kept: $XDG_STATE_HOME/kamtool/debug.history."""
    base = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(base) / "kamtool" / "debug.history"


async def interactive(socket: Path, *, coloured: bool) -> int:
    """A session at a terminal; its exit code."""
    from prompt_toolkit import PromptSession, print_formatted_text
    from prompt_toolkit.formatted_text import ANSI
    from prompt_toolkit.history import FileHistory, History, InMemoryHistory
    from prompt_toolkit.patch_stdout import patch_stdout
    from prompt_toolkit.styles import Style

    from kamtool.repl.complete import Names, toolbar

    client = Client()
    await client.attach(socket)
    words = Words(client, Paint(coloured), edit)
    loop = asyncio.get_running_loop()
    ended = loop.create_future()
    show_later: set[asyncio.Task[None]] = set()

    def say(lines: Iterable[str]) -> None:
        for line in lines:
            print_formatted_text(ANSI(line))

    async def stopped(facts: dict[str, Any]) -> None:
        say(await words.displayed())
        for command in facts["commands"]:
            say([f"({command})", *await words.do(command)])

    async def after_stop(facts: dict[str, Any]) -> None:
        with suppress(Mistake, Gone, Leave):
            await stopped(facts)

    def heard(event: str, facts: dict[str, Any]) -> None:
        if not event:
            if not ended.done():
                ended.set_result(GONE)
            return
        say(words.heard(event, facts))
        prompt.app.invalidate()
        if event == "stopped" and (words.displays or facts["commands"]):
            task = asyncio.ensure_future(after_stop(facts))
            show_later.add(task)
            task.add_done_callback(show_later.discard)

    def hung_up() -> None:
        if not ended.done():
            ended.set_result("")

    for number in (signal.SIGHUP, signal.SIGTERM):
        loop.add_signal_handler(number, hung_up)
    kept: History = InMemoryHistory()
    with suppress(OSError):
        history_file().parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        kept = FileHistory(str(history_file()))
    say(await words.begin())
    names = Names(await client.call("names"), words)
    prompt: PromptSession[str] = PromptSession(
        history=kept, completer=names, complete_while_typing=True,
        interrupt_exception=Interrupted, reserve_space_for_menu=6,
        style=Style.from_dict({"bottom-toolbar": "noreverse bg:#303030 #d0d0d0"}),
        bottom_toolbar=lambda: toolbar(words, {}),
    )  # fmt: skip
    client.on_event = heard
    try:
        with patch_stdout(raw=True):
            return await _read(prompt, words, ended, say)
    finally:
        await client.close()


async def _read(prompt: Any, words: Words, ended: asyncio.Future[str], say: Any) -> int:
    """Lines until the user leaves, the server goes or the terminal dies."""
    while True:
        reading = asyncio.ensure_future(prompt.prompt_async(lambda: _prompt_of(words)))
        await asyncio.wait({reading, ended}, return_when=asyncio.FIRST_COMPLETED)
        if ended.done():
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            if ended.result():
                say([ended.result()])
            return 5 if ended.result() else 129
        try:
            line = reading.result()
        except Interrupted:
            continue
        except (EOFError, OSError):
            return 0
        try:
            say(await words.do(line))
        except Leave:
            return 0
        except Gone:
            say([GONE])
            return 5
        except Mistake as mistake:
            say(failure(words.paint, mistake))


def _prompt_of(words: Words) -> str:
    return f"({words.focus}) " if words.focus is not None else "kamtool> "


def failure(paint: Paint, mistake: Mistake) -> list[str]:
    """A mistake in a line, and its hint in another."""
    lines = [f"{paint('error:', 'red')} {mistake.message.splitlines()[0]}"]
    return [*lines, f"   hint: {mistake.hint}"] if mistake.hint else lines


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


async def batch(socket: Path, lines: Sequence[str] | TextIO, *, as_json: bool, out: TextIO) -> int:
    """Lines from a file or a pipe, one after the other; 1 when one of them failed."""
    client = Client()
    await client.attach(socket)
    words = Words(client, Paint(False), _no_editor)
    code = 0

    def say(kind: str, value: Any, **more: Any) -> None:
        if as_json:
            out.write(json.dumps({kind: value, **more}, ensure_ascii=False) + "\n")
        else:
            out.write("".join(f"{line}\n" for line in value))
        out.flush()

    def heard(event: str, facts: dict[str, Any]) -> None:
        if event:
            shown = words.heard(event, facts)
            say("event", event if as_json else shown, **({"facts": facts} if as_json else {}))

    client.on_event = heard
    say("hello", client.hello if as_json else await words.begin())
    if as_json:
        await words.begin()
    try:
        for line in lines:
            text = line.strip()
            if not as_json and text:
                out.write(f"> {text}\n")
            words.raw = None
            try:
                found = await words.do(text)
            except Leave:
                break
            except Gone:
                say("error", GONE if as_json else [GONE])
                return 5
            except Mistake as mistake:
                code = 1
                shown = failure(words.paint, mistake)
                say("error", mistake.message if as_json else shown, **(
                    {"hint": mistake.hint, "command": text} if as_json else {}
                ))  # fmt: skip
            else:
                await words.settle()
                if text:
                    say("result", words.raw if as_json else found, **({"command": text} if as_json else {}))
    finally:
        await client.close()
    return code


async def _no_editor(text: str) -> str | None:
    raise Mistake("there is no editor in a batch")


def run(socket: Path, *, script: Path | None, as_json: bool, coloured: bool) -> int:
    """The prompt, or the lines of `script` or of a piped stdin; the exit code."""
    if script is not None:
        lines = script.read_text().splitlines()
        return asyncio.run(batch(socket, lines, as_json=as_json, out=sys.stdout))
    if as_json or not sys.stdin.isatty():
        return asyncio.run(batch(socket, sys.stdin, as_json=as_json, out=sys.stdout))
    return asyncio.run(interactive(socket, coloured=coloured))
