"""What the trace's screen shows: lines of (style, text); no terminal here."""

from __future__ import annotations

from kamtool.repl.ladder.pages import HELP, compare_page, list_row, message_page, sdp_page
from kamtool.repl.ladder.state import COMPARE, HELP_PAGE, LADDER, LIST, SDP, State
from kamtool.tools.captured import Captured
from kamtool.tools.ladder.picture import printable
from kamtool.tools.ladder.text import draw

Line = list[tuple[str, str]]
SPLIT_WIDTH = 130
"""A terminal this wide shows the message beside its ladder."""


class Drawing(State):
    """The screen as it is now. `page` asks what to show."""

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


def title(view: Drawing, width: int) -> Line:
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
