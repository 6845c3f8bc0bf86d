"""The debugger's screen on a terminal: prompt-toolkit draws the panes, keys and lines go to the session."""

from __future__ import annotations

import asyncio
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

from prompt_toolkit.application import Application
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.key_binding import KeyBindings
from prompt_toolkit.layout import (
    BufferControl,
    CompletionsMenu,
    Float,
    FloatContainer,
    FormattedTextControl,
    HSplit,
    Layout,
    Window,
)
from prompt_toolkit.layout.processors import BeforeInput
from prompt_toolkit.output import ColorDepth
from prompt_toolkit.styles import Style

from kamtool.debug.client import Client, Gone
from kamtool.repl import show
from kamtool.repl.complete import Names
from kamtool.repl.paint import Paint
from kamtool.repl.screen.board import Board
from kamtool.repl.screen.panes import KEYS, page
from kamtool.repl.sitting import GONE, Sitting, edit, prompt_of, typed_before
from kamtool.repl.words import Leave, Words

STYLE = Style.from_dict({
    "bar": "bg:#1f4f8f #ffffff bold", "foot": "bg:#303030 #d0d0d0", "rule": "#888888", "dim": "#888888",
    "number": "#888888", "here": "bg:#005f5f", "arrow": "bold ansigreen", "mark": "bold ansired",
    "new": "ansigreen", "gone": "ansired",
})  # fmt: skip
HUNG_UP = 129
PRESSED = {"f1": "help", "f4": "back", "f5": "continue", "f7": "step", "f8": "next"}
"""What a key types."""


class AtScreen(Sitting):
    """A sitting whose stops are seen in the panes: what is said of them is short."""

    def shown(self, event: str, facts: dict[str, Any]) -> list[str]:
        """What there is to say of it."""
        lines = self.words.heard(event, facts)
        if event != "stopped":
            return lines
        return show.stopped(self.words.paint, show.Source(self.words.paint), facts, moved=True)


class Screen:
    """One application over one session."""

    def __init__(self, words: Words, names: Names, *, coloured: bool) -> None:
        self.words, self.board = words, Board(words)
        self.sitting = AtScreen(words, self.board.say, changed=self.changed, displays=False)
        self.lines: asyncio.Queue[str] = asyncio.Queue()
        self.stale = asyncio.Event()
        self.typed = Buffer(
            completer=names, complete_while_typing=True, history=typed_before(), multiline=False,
            accept_handler=self._accept,
        )  # fmt: skip
        control = BufferControl(self.typed, input_processors=[BeforeInput(lambda: prompt_of(words))])
        root = FloatContainer(
            HSplit([
                Window(FormattedTextControl(self._page), wrap_lines=False),
                Window(control, height=1),
                Window(FormattedTextControl(lambda: f" {KEYS}"), height=1, style="class:foot"),
            ]),
            [Float(CompletionsMenu(max_height=6), xcursor=True, ycursor=True)],
        )  # fmt: skip
        self.app: Application[int] = Application(
            Layout(root, focused_element=control), key_bindings=self._keys(), full_screen=True, style=STYLE,
            color_depth=None if coloured else ColorDepth.DEPTH_1_BIT,
        )  # fmt: skip
        self.app.ttimeoutlen = 0.05

    def _page(self) -> StyleAndTextTuples:
        size = self.app.output.get_size()
        fragments: StyleAndTextTuples = []
        for line in page(self.board, size.columns, max(1, size.rows - 2)):
            fragments += [*line, ("", "\n")]
        return fragments[:-1]

    def _accept(self, buffer: Buffer) -> bool:
        self.lines.put_nowait(buffer.text)
        return False

    def _keys(self) -> KeyBindings:
        keys = KeyBindings()
        for name, line in PRESSED.items():
            keys.add(name)(lambda event, line=line: self.lines.put_nowait(line))
        keys.add("f9")(lambda event: self.lines.put_nowait(self.board.breakpoint_line()))
        keys.add("f6")(lambda event: self.board.next_zoom())
        keys.add("c-up")(lambda event: self.board.move(-1))
        keys.add("c-down")(lambda event: self.board.move(1))
        keys.add("pageup")(lambda event: self.board.scroll(5))
        keys.add("pagedown")(lambda event: self.board.scroll(-5))
        keys.add("c-c")(lambda event: self.typed.reset())

        @keys.add("c-d")
        def _(event: Any) -> None:
            if not self.typed.text:
                self.leave(0)

        return keys

    def changed(self) -> None:
        """Something is to be shown anew."""
        self.stale.set()

    def leave(self, code: int) -> None:
        """End it, unless it is ending."""
        if self.app.is_running and not self.app.future.done():  # type: ignore[union-attr]  # it runs
            self.app.exit(result=code)

    # At work

    async def run(self) -> int:
        """Until the user leaves, the server goes or the terminal dies; the exit code."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGHUP, signal.SIGTERM):
            loop.add_signal_handler(number, self.sitting.over)
        self.sitting.ended.add_done_callback(lambda _: self.leave(self.sitting.code))
        self.changed()
        try:
            return await self.app.run_async(pre_run=self._begin, handle_sigint=False)
        except (EOFError, OSError):
            return HUNG_UP

    def _begin(self) -> None:
        self.app.create_background_task(self._do())
        self.app.create_background_task(self._refresh())

    async def _do(self) -> None:
        """What is typed, one line after the other."""
        while True:
            line = await self.lines.get()
            if line.strip():
                self.board.say([f"{self.words.paint(prompt_of(self.words) + line, 'dim')}"])
            try:
                await self.sitting.do(line)
            except Leave:
                self.leave(0)
            except Gone:
                self.sitting.over(GONE)
            self.changed()

    async def _refresh(self) -> None:
        """What is shown, whenever something has changed."""
        with suppress(Gone):
            while True:
                await self.stale.wait()
                self.stale.clear()
                await self.board.look()
                self.app.invalidate()


async def screen(client: Client, socket: Path, *, coloured: bool) -> int:
    """A session on the whole terminal; its exit code."""
    await client.attach(socket)
    words = Words(client, Paint(coloured), edit)
    begun = await words.begin()
    names = await client.call("names")
    shown = Screen(words, Names(names, words), coloured=coloured)
    shown.board.begin(names["routes"].get("request_route", ""), begun)
    client.on_event = shown.sitting.heard
    try:
        code = await shown.run()
        if shown.sitting.ended.done() and shown.sitting.ended.result():
            print(shown.sitting.ended.result())
        return code
    finally:
        await client.close()
