"""What the debugger's screen knows: asked of the session after everything that happens. No terminal here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import SequenceMatcher
from typing import Any

from kamtool.debug.words import Mistake
from kamtool.repl import show
from kamtool.repl.paint import printable
from kamtool.repl.words import Words

KEPT = 2000
"""Lines of what was said."""
ZOOMS = ("", "message", "said")


class Board:
    """The state of the screen. `look` brings it up to date."""

    def __init__(self, words: Words) -> None:
        self.words = words
        self.said: list[str] = []
        self.facts: Mapping[str, Any] | None = None
        """The message that is looked at, None when none is parked."""
        self.file, self.line = "", 0
        """Where it stands, or what was looked at last."""
        self.cursor = 0
        """The line of the source that F9 means."""
        self.watches: list[str] = []
        self.message: list[tuple[str, str]] = []
        """Its lines, each with `+` for new, `-` for gone, or a blank."""
        self.marks: dict[tuple[str, int], Mapping[str, Any]] = {}
        """Breakpoints by their places."""
        self.zoom = ""
        self.scrolled = 0
        """Lines that PageUp went up in what is said or, zoomed, down in the message."""

    # What happens

    def begin(self, place: str, lines: Iterable[str]) -> None:
        """Before anything is parked: this place of the source, and these words."""
        file, _, line = place.rpartition(":")
        self.go(file or next(iter(self.words.source.files), ""), int(line or 1))
        self.say(lines)

    def say(self, lines: Iterable[str]) -> None:
        """Lines for the pane below; it goes to its end."""
        self.said += lines
        del self.said[:-KEPT]
        if self.zoom != "message":
            self.scrolled = 0

    async def look(self) -> None:
        """Ask anew for all that is shown."""
        call, words = self.words.client.call, self.words
        self.marks = {}
        for each in await call("breakpoints"):
            file, _, line = each["place"].rpartition(":")
            if file:
                self.marks[file, int(line)] = each
        self.facts, self.watches, self.message = None, [], []
        if words.focus is not None:
            try:
                await self._message()
            except Mistake:
                self.facts = None  # it has gone on meanwhile

    async def _message(self) -> None:
        call, of = self.words.client.call, {"of": self.words.focus}
        facts = await call("where", **of)
        self.watches = await self.words.displayed()
        routing = await call("information", what="routing", **of)
        avps = await call("information", what="avps", **of)
        shown = {name: value for name, value in {**routing, **avps}.items() if value not in (None, [], "")}
        for name, value in shown.items():
            text = ", ".join(value) if isinstance(value, list) else show.value(value)
            self.watches.append(f"  {name} = {printable(text)}")
        received = await call("message", received=True, **of)
        self.message = marked(received, await call("applied", **of))
        self.facts = facts
        if (facts["file"], facts["line"]) != (self.file, self.line) and facts["line"]:
            self.go(facts["file"], facts["line"])

    def go(self, file: str, line: int) -> None:
        """Show this place of the source."""
        self.file, self.line, self.cursor = file, line, line

    # Keys

    def move(self, by: int) -> None:
        """The cursor of the source, some lines down."""
        count = len(self.words.source.files.get(self.file, ()))
        self.cursor = max(1, min(count, self.cursor + by))

    def scroll(self, by: int) -> None:
        """Back in what was said, or in the message; negative: on."""
        most = len(self.message if self.zoom == "message" else self.said)
        self.scrolled = max(0, min(most, self.scrolled + (-by if self.zoom == "message" else by)))

    def next_zoom(self) -> None:
        """All panes, only the message, only what was said."""
        self.zoom, self.scrolled = ZOOMS[(ZOOMS.index(self.zoom) + 1) % len(ZOOMS)], 0

    def breakpoint_line(self) -> str:
        """What to type to set or remove a breakpoint at the cursor."""
        found = self.marks.get((self.file, self.cursor))
        return f"delete {found['number']}" if found else f"break {self.file}:{self.cursor}"


def marked(before: list[str], after: list[str]) -> list[tuple[str, str]]:
    """The lines of both: gone, new, and the same."""
    found: list[tuple[str, str]] = []
    for tag, a, b, c, d in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if tag == "equal":
            found += [(" ", line) for line in after[c:d]]
        else:
            found += [("-", line) for line in before[a:b]] + [("+", line) for line in after[c:d]]
    return found
