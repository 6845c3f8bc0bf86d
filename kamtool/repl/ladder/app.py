"""The trace's screen on a terminal: prompt-toolkit draws what the View says and brings it the keys."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress

from prompt_toolkit.application import Application, get_app
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.filters import Condition
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.keys import Keys
from prompt_toolkit.layout import ConditionalContainer, HSplit, Layout, VSplit, Window
from prompt_toolkit.layout.controls import BufferControl, FormattedTextControl
from prompt_toolkit.output import ColorDepth
from prompt_toolkit.styles import Style

from kamtool.errors import ParseError
from kamtool.repl.ladder.drawing import title
from kamtool.repl.ladder.view import KEYS, View
from kamtool.tools.captured import Captured
from kamtool.tools.trace.filter import Filter, bench
from kamtool.tools.trace.redact import Redactor

STYLE = Style.from_dict({
    "bar": "bg:#1f4f8f #ffffff bold", "foot": "bg:#303030 #d0d0d0", "columns": "bold underline",
    "head": "bold", "cursor": "reverse", "marked": "bold underline", "note": "#888888", "dim": "#888888",
    "request": "ansicyan", "provisional": "ansiyellow", "success": "ansigreen", "failure": "ansired",
    "first": "bold", "name": "ansicyan", "body": "ansigreen", "changed": "ansiyellow bold",
})  # fmt: skip
HUNG_UP = 129
ASKS = {
    "search": " search: ", "filter": " filter, as in the cfg ($rm == \"INVITE\"): ",
    "save": " save as (.pcapng .html .svg .md .txt): ",
}  # fmt: skip
PER_SECOND = 8
"""How often the screen is drawn anew for what comes in."""


class Screen:
    """One application. The source is read in a thread of its own: it may block."""

    def __init__(self, view: View, *, coloured: bool = True) -> None:
        self.view = view
        self.typed = Buffer(multiline=False, accept_handler=self._accept)
        asking = Condition(lambda: bool(view.asking))
        body = Window(FormattedTextControl(self._body, focusable=True, show_cursor=False), wrap_lines=False)
        ask = VSplit([
            Window(FormattedTextControl(lambda: ASKS.get(view.asking, "")), dont_extend_width=True, height=1),
            Window(BufferControl(self.typed), height=1),
        ])  # fmt: skip
        root = HSplit([
            Window(FormattedTextControl(self._title), height=1),
            body,
            ConditionalContainer(ask, asking),
            ConditionalContainer(
                    Window(FormattedTextControl(self._foot), height=1, style="class:foot"), ~asking
                ),
        ])  # fmt: skip
        self.body = body
        self.app: Application[int] = Application(
            layout=Layout(root, focused_element=body), key_bindings=self._keys(asking), full_screen=True,
            style=STYLE, min_redraw_interval=1 / PER_SECOND, mouse_support=False,
            color_depth=None if coloured else ColorDepth.DEPTH_1_BIT,
        )  # fmt: skip
        self.app.ttimeoutlen = 0.05

    @property
    def width(self) -> int:
        return self.app.output.get_size().columns

    @property
    def height(self) -> int:
        return max(1, self.app.output.get_size().rows - 2)

    def _title(self) -> StyleAndTextTuples:
        return [*title(self.view, self.width)]

    def _body(self) -> StyleAndTextTuples:
        fragments: StyleAndTextTuples = []
        for line in self.view.page(self.width, self.height):
            fragments += [*line, ("", "\n")]
        return fragments[:-1]

    def _foot(self) -> str:
        return f" {self.view.said or KEYS[self.view.mode]}"[: self.width]

    def _accept(self, buffer: Buffer) -> bool:
        self.view.answer(buffer.text)
        get_app().layout.focus(self.body)
        return False

    def _keys(self, asking: Condition) -> KeyBindings:
        keys = KeyBindings()

        @keys.add(Keys.Any, filter=~asking)
        def _(event: KeyPressEvent) -> None:
            self._pressed(event.key_sequence[0].key)

        for name in (
            "up", "down", "left", "right", "pageup", "pagedown", "home", "end", "enter", "f1", "f2", "f10",
        ):  # fmt: skip
            keys.add(name, filter=~asking)(lambda event, name=name: self._pressed(name))
        keys.add("escape", filter=~asking, eager=True)(lambda event: self._pressed("escape"))
        keys.add("c-c")(lambda event: self.app.exit(result=0))

        @keys.add("escape", filter=asking, eager=True)
        @keys.add("c-g", filter=asking)
        def _(event: KeyPressEvent) -> None:
            self.view.asking = ""
            self.typed.reset()
            event.app.layout.focus(self.body)

        return keys

    def _pressed(self, key: str) -> None:
        if not self.view.key(str(getattr(key, "value", key)), self.height):
            self.app.exit(result=0)
            return
        if self.view.asking:
            kept = {"search": self.view.search, "filter": self.view.filter_text}.get(self.view.asking, "")
            self.typed.text = kept
            self.typed.cursor_position = len(kept)
            self.app.layout.focus(self.typed)

    async def run(self, start: Callable[[asyncio.AbstractEventLoop], None]) -> int:
        """Until the user leaves or the terminal dies; the exit code."""
        loop = asyncio.get_running_loop()

        def hung_up() -> None:
            if self.app.is_running:
                self.app.exit(result=HUNG_UP)

        for number in (signal.SIGHUP, signal.SIGTERM):
            loop.add_signal_handler(number, hung_up)
        start(loop)
        try:
            return await self.app.run_async(handle_sigint=False)
        except (EOFError, OSError):
            return HUNG_UP


def browse(
    batches: Iterator[list[Captured]], wanted: Filter, redactor: Redactor | None, problems: Counter[str], *,
    name: str, coloured: bool = True, dropped: Callable[[], int] = lambda: 0,
) -> int:  # fmt: skip
    """Show messages as they come until the user leaves; the exit code."""
    view = View(name)
    screen = Screen(view, coloured=coloured)

    def took(messages: list[Captured]) -> None:
        view.take(messages)
        if lost := dropped():
            view.said = f"the server dropped {lost} messages: this terminal reads too slowly"
        screen.app.invalidate()

    def ended(why: str) -> None:
        view.ended = why
        if problems:
            count = sum(problems.values())
            view.said = f"{count} packets were not read: " + ", ".join(
                f"{n} {p}" for p, n in problems.most_common(3)
            )
        screen.app.invalidate()

    def pump(loop: asyncio.AbstractEventLoop) -> None:
        why = "the end"
        with suppress(RuntimeError):  # the loop has closed: we are leaving
            try:
                for batch in batches:
                    kept = [seen if redactor is None else redactor(seen) for seen in batch if wanted(seen)]
                    if kept:
                        loop.call_soon_threadsafe(took, kept)
            except ParseError as error:
                why = str(error)
            loop.call_soon_threadsafe(ended, why)

    def start(loop: asyncio.AbstractEventLoop) -> None:
        threading.Thread(target=pump, args=(loop,), daemon=True).start()
        threading.Thread(target=bench, daemon=True).start()  # so that the first filter is there at once

    return asyncio.run(screen.run(start))
