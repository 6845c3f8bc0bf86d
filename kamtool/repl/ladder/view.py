"""What the trace's screen shows and where its cursor is; no terminal here. Lines hold (style, text)."""

from __future__ import annotations

from pathlib import Path

from kamtool.errors import UsageError
from kamtool.repl.ladder.pages import HELP, compare_page, list_row, message_page, sdp_page
from kamtool.repl.ladder.state import COMPARE, HELP_PAGE, LADDER, LIST, MESSAGE, SDP, State
from kamtool.tools.captured import Captured
from kamtool.tools.ladder.calls import Calls
from kamtool.tools.ladder.picture import printable
from kamtool.tools.ladder.text import draw
from kamtool.tools.trace.save import save

Line = list[tuple[str, str]]
SPLIT_WIDTH = 130
"""A terminal this wide shows the message beside its ladder."""
KEYS = {
    LIST: "Enter ladder  / search  f filter  s save  p pause  c clear  ? help  q quit",
    LADDER: "Enter message  Space compare  d SDP  n cfg lines  / search  s save  Esc back  ? help",
    MESSAGE: "←→ other messages  d SDP  s save  Esc back",
    COMPARE: "↑↓ scroll  Esc back",
    SDP: "←→ other messages  Esc back",
    HELP_PAGE: "Esc back",
}


class View(State):
    """The screen. `take` gives it messages, `key` a key, `page` asks what to show."""

    # Keys

    def key(self, key: str, height: int) -> bool:
        """What a key does; false when it means to quit. Keys are prompt-toolkit's names."""
        self.said = ""
        if key in ("q", "escape", "c-c", "f10"):
            if key == "c-c" or not self.leave():
                return False
        elif key in ("?", "f1") and self.mode != HELP_PAGE:
            self.enter(HELP_PAGE)
        elif key in _STEPS:
            self._move(_STEPS[key], height)
        elif key in ("/", "f", "s", "f2"):
            self.asking = {"/": "search", "f": "filter"}.get(key, "save")
        elif key == "p":
            self.pause()
        elif self.mode == LIST:
            self._list_key(key)
        else:
            self._message_key(key)
        return True

    def _list_key(self, key: str) -> None:
        shown = self.shown
        if key == "enter" and shown:
            self.call = shown[min(self.at.get(LIST, 0), len(shown) - 1)]
            self.at[LADDER], self.marked = 0, None
            self.enter(LADDER)
        elif key == "c":
            self.calls = Calls()
            self._verdicts.clear()
            self.at[LIST] = 0

    def _message_key(self, key: str) -> None:
        if key in ("left", "right"):
            last = len(self.picture.arrows) - 1
            self.at[LADDER] = max(0, min(last, self.at.get(LADDER, 0) + (1 if key == "right" else -1)))
            self.top[self.mode] = 0
        elif key == "d" and self.mode in (LADDER, MESSAGE):
            if self.message is not None and self.message.has_sdp:
                self.enter(SDP)
            else:
                self.said = "this message has no SDP"
        elif self.mode == LADDER:
            if key == "enter" and self.message is not None:
                self.enter(MESSAGE)
            elif key == " ":
                self._mark()
            elif key == "n":
                self.show_notes = not self.show_notes

    def _mark(self) -> None:
        here = self.message
        if self.marked is None or self.marked is here:
            self.marked = None if self.marked is here else here
            self.said = "marked: Space on another message compares the two" if self.marked else ""
        else:
            self.enter(COMPARE)

    def _move(self, step: tuple[int, int, int], height: int) -> None:
        by = step[0] + step[1] * max(1, height - 2)
        if self.mode in (LIST, LADDER):
            count = len(self.shown) if self.mode == LIST else len(self.picture.arrows)
            at = {1: 10**9, -1: 0}.get(step[2], self.at.get(self.mode, 0) + by)
            self.at[self.mode] = max(0, min(count - 1, at))
            if self.mode == LIST:
                self.follows = self.at[LIST] >= count - 1
        else:
            self.top[self.mode] = max(0, {1: 10**9, -1: 0}.get(step[2], self.top.get(self.mode, 0) + by))

    def answer(self, text: str) -> None:
        """What was typed at the bottom line."""
        asked, self.asking = self.asking, ""
        try:
            if asked == "filter":
                self.narrow(expression=text)
            elif asked == "search" and self.mode == LIST:
                self.narrow(search=text)
            elif asked == "search":
                self._find(text)
            elif asked == "save" and text.strip():
                calls = [self.call] if self.call is not None and self.mode != LIST else self.shown
                self.said = save(Path(text.strip()).expanduser(), calls)
        except UsageError as error:
            self.said = f"{error}" + (f" ({error.hint})" if error.hint else "")

    def _find(self, text: str) -> None:
        arrows, wanted = self.picture.arrows, text.lower().encode()
        start = self.at.get(LADDER, 0)
        for step in range(1, len(arrows) + 1):
            at = (start + step) % len(arrows)
            if wanted in arrows[at].seen.data.lower():
                self.at[LADDER] = at
                return
        self.said = f"no message of this call holds {text!r}"

    # Pages

    def page(self, width: int, height: int) -> list[Line]:
        """Exactly `height` lines, none longer than `width`."""
        lines = self._list(width, height) if self.mode == LIST else self._call(width, height)
        lines = [clip(line, width) for line in lines[:height]]
        return lines + [[]] * (height - len(lines))

    def _list(self, width: int, height: int) -> list[Line]:
        shown = self.shown
        if self.follows:
            self.at[LIST] = max(0, len(shown) - 1)
        at = self.at[LIST] = max(0, min(self.at.get(LIST, 0), len(shown) - 1))
        top = self._window(LIST, at, len(shown), height - 1)
        lines = [list_row(None, width, False)]
        for number, call in enumerate(shown[top : top + height - 1], top):
            lines.append(list_row(call, width, number == at))
        if not shown:
            what = "no call fits" if len(self.calls) else "no call yet: what passes the server shows up here"
            lines += [[], [("class:dim", f"  {what}")]]
        return lines

    def _window(self, mode: str, at: int, count: int, height: int) -> int:
        top = self.top.get(mode, 0)
        top = max(0, min(at, max(top, at - height + 1), max(0, count - height)))
        self.top[mode] = top
        return top

    def _call(self, width: int, height: int) -> list[Line]:
        if self.mode == LADDER:
            return self._ladder(width, height)
        seen = self.message
        if self.mode == HELP_PAGE:
            lines: list[Line] = [[("", text)] for text in HELP.split("\n")]
        elif seen is None:
            lines = []
        elif self.mode == COMPARE:
            lines = compare_page(self.marked or seen, seen, width)
        elif self.mode == SDP:
            lines = sdp_page(seen)
        else:
            lines = message_page(seen)
        top = self.top[self.mode] = max(0, min(self.top.get(self.mode, 0), len(lines) - height))
        return lines[top:]

    def _ladder(self, width: int, height: int) -> list[Line]:
        wide = width >= SPLIT_WIDTH
        room = width * 3 // 5 if wide else width
        picture = self.picture
        drawn = draw(picture, room, notes=self.show_notes)
        heads = [line.text for line in drawn if line.kind == "head"]
        body = [line for line in drawn if line.kind != "head"]
        at = self.at[LADDER] = max(0, min(self.at.get(LADDER, 0), len(picture.arrows) - 1))
        first = next((place for place, line in enumerate(body) if line.arrow == at), 0)
        rows = height - len(heads)
        last = next((place for place in range(len(body) - 1, -1, -1) if body[place].arrow == at), first)
        self._window(LADDER, min(last, first + rows - 1), len(body), rows)
        top = self.top[LADDER] = min(self.top[LADDER], first)
        lines: list[Line] = [[("class:head", text[:room])] for text in heads]
        for line in body[top : top + rows]:
            style = "class:note" if line.kind == "note" else style_of(picture.arrows[line.arrow or 0].seen)
            if line.arrow == at:
                style += " class:cursor"
            if self.marked is not None and picture.arrows[line.arrow or 0].seen is self.marked:
                style += " class:marked"
            lines.append([(style, line.text[:room].ljust(room if line.arrow == at else 0))])
        if wide and self.message is not None:
            lines = _beside(lines, message_page(self.message), room, height)
        return lines


_STEPS: dict[str, tuple[int, int, int]] = {
    "up": (-1, 0, 0), "down": (1, 0, 0), "k": (-1, 0, 0), "j": (1, 0, 0), "pageup": (0, -1, 0),
    "pagedown": (0, 1, 0), "home": (0, 0, -1), "end": (0, 0, 1), "g": (0, 0, -1), "G": (0, 0, 1),
}  # fmt: skip


def _beside(left: list[Line], right: list[Line], room: int, height: int) -> list[Line]:
    lines = []
    for number in range(height):
        line = left[number] if number < len(left) else []
        used = sum(len(text) for _, text in line)
        more = right[number] if number < len(right) else []
        lines.append([*line, ("", " " * max(0, room - used)), ("class:dim", "│ "), *more])
    return lines


def clip(line: Line, width: int) -> Line:
    """The line, no longer than this."""
    clipped: Line = []
    for style, text in line:
        if width <= 0:
            break
        clipped.append((style, text[:width]))
        width -= len(text)
    return clipped


def style_of(seen: Captured) -> str:
    """The colour of a message."""
    return {0: "class:request", 1: "class:provisional", 2: "class:success"}.get(
        seen.status // 100, "class:failure"
    )


def title(view: View, width: int) -> Line:
    """The line at the top."""
    if view.mode == LIST:
        text = f" kamtool trace  {len(view.calls)} calls, {view.calls.count} messages"
    elif view.call is not None:
        call = view.call
        text = (
            f" {call.method} {call.caller} → {call.callee}  {call.state} {call.status or ''}  {call.call_id}"
        )
    else:
        text = " kamtool trace"
    more = [f"/{view.search}"] * bool(view.search) + [view.filter_text] * bool(view.filter_text)
    more += ["paused"] * view.paused + [view.ended] * bool(view.ended)
    right = "  ".join([*more, view.name if view.mode == LIST else ""]).strip() + " "
    room = max(0, width - len(right) - 1)
    text = printable(text)
    text = text if len(text) <= room else text[: max(0, room - 1)] + "…"
    return clip([("class:bar", text.ljust(room) + " " + printable(right))], width)
