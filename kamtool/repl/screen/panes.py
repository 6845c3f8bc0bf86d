"""The panes of the debugger's screen, as lines of (style, text)."""

from __future__ import annotations

from collections.abc import Sequence

from prompt_toolkit.formatted_text import ANSI, to_formatted_text
from prompt_toolkit.utils import get_cwidth

from kamtool.repl import show
from kamtool.repl.paint import printable
from kamtool.repl.screen.board import Board

Line = list[tuple[str, str]]
WIDE = 130
"""A terminal this wide has the message beside the source."""
KEYS = "F1 help F4 back F5 continue F6 zoom F7 step F8 next F9 break ^↑↓ line PgUp"


def page(board: Board, width: int, height: int) -> list[Line]:
    """Exactly `height` lines of exactly `width` columns."""
    lines = [title(board, width)]
    room = height - 1
    if board.zoom == "message":
        lines += _headed("message", message(board, room - 1, zoomed=True), width, room)
    elif board.zoom == "said":
        lines += _headed("", said(board, room - 1), width, room)
    elif width >= WIDE:
        lines += _wide(board, width, room)
    else:
        lines += _narrow(board, width, room)
    return [fitted(line, width) for line in lines[:height]]


def _wide(board: Board, width: int, height: int) -> list[Line]:
    left = width * 11 // 20
    right = width - left - 1
    top = max(3, height * 3 // 5)
    columns = _headed(_file(board), source(board, top - 1), left, top)
    columns += _headed("", said(board, height - top - 1), left, height - top)
    side = _side(board, right, max(8, height * 2 // 5))
    side += _headed(_message_title(board), message(board, height - len(side) - 1), right, height - len(side))
    return beside(columns, side, left)


def _narrow(board: Board, width: int, height: int) -> list[Line]:
    below = max(4, height // 4)
    middle = max(3, height * 2 // 7)
    top = max(3, height - middle - below)
    left = width * 5 // 8
    lines = beside(
        _headed(_file(board), source(board, top - 1), left, top), _side(board, width - left - 1, top), left
    )
    lines += _headed(_message_title(board), message(board, middle - 1), width, middle)
    return lines + _headed("", said(board, below - 1), width, below)


def _side(board: Board, width: int, height: int) -> list[Line]:
    places = stack(board)
    top = min(len(places) + 1, max(2, height // 2))
    lines = _headed("stack", places, width, top)
    return lines + _headed("watches", watches(board), width, height - top)


def _headed(name: str, lines: Sequence[Line], width: int, height: int) -> list[Line]:
    """A pane under its name, of exactly this size."""
    head = f"─ {printable(name)} " if name else ""
    lines = [[("class:rule", fit_text(head, width, "─"))], *lines[: max(0, height - 1)]]
    return [fitted(line, width) for line in lines + [[]] * (height - len(lines))][:height]


def beside(left: Sequence[Line], right: Sequence[Line], width: int) -> list[Line]:
    """Two columns; the left one has this width."""
    bars = {(True, True): "┬", (True, False): "┤", (False, True): "├", (False, False): "│"}
    return [
        [*fitted(one, width), ("class:rule", bars[_is_rule(one), _is_rule(two)]), *two]
        for one, two in zip(left, right, strict=True)
    ]


def _is_rule(line: Line) -> bool:
    return bool(line) and line[0][0] == "class:rule"


# One pane each


def title(board: Board, width: int) -> Line:
    """What is parked, and what is kept."""
    words, shown = board.words, []
    for number, facts in list(words.parked.items())[-4:]:
        mark = "■" if number == words.focus else " "
        method = facts["message"].partition(" ")[0]
        route = facts["stack"][0]["route"] if facts["stack"] else facts["route"]
        shown.append(f"{mark}{number} {method} {route}:{facts['line']}")
    right = f"history {words.history} " if words.history else "no history "
    left = f" kamtool debug   {'  '.join(shown) or 'nothing is parked'}"
    return [("class:bar", fit_text(printable(left), width - len(right)) + right)]


def _file(board: Board) -> str:
    if board.facts is not None and "cursor" in board.facts:
        return f"{show.short(board.file)}  as it was before statement {board.facts['cursor']}"
    return show.short(board.file)


def source(board: Board, height: int) -> list[Line]:
    """The cfg around where the message stands, or around the cursor."""
    text = board.words.source.files.get(board.file, [])
    top = max(1, min(board.cursor - height // 2, len(text) - height + 1))
    lines: list[Line] = []
    here = board.line if board.facts is not None else 0
    for number in range(top, min(len(text), top + max(0, height) - 1) + 1):
        found = board.marks.get((board.file, number))
        mark = " " if found is None else "◆" if found["log"] else "●" if found["enabled"] else "○"
        arrow = "→" if number == here else "›" if number == board.cursor else " "
        painted = painted_line(board.words.paint.cfg(text[number - 1]))
        style = "class:here " if number == here else ""
        line: Line = [
            ("class:mark", mark),
            ("class:arrow", arrow),
            ("class:number", f"{number:4} "),
            *painted,
        ]
        lines.append([(style + each, part) for each, part in line])
        if number == here:
            lines[-1].append((style, " " * 200))
    return lines


def stack(board: Board) -> list[Line]:
    """The open routes, innermost first."""
    if board.facts is None:
        return [[("class:dim", " -")]]
    return [
        [("bold" if not number else "", f" {place['route']}"),
         ("class:dim", f" {show.short(place['file'])}:{place['line']}")]
        for number, place in enumerate(board.facts["stack"])
    ] or [[("", " between two routes")]]  # fmt: skip


def watches(board: Board) -> list[Line]:
    """What is displayed, then what the message is headed for."""
    lines = [painted_line(line[1:]) for line in board.watches]
    if board.facts is not None and not board.words.displays:
        lines.append([("class:dim", " `display $du` watches it")])
    return lines or [[("class:dim", " -")]]


def _message_title(board: Board) -> str:
    new, gone = (sum(mark == each for mark, _ in board.message) for each in "+-")
    differs = f", {new} new and {gone} gone" if new or gone else ""
    return f"message{differs}" if board.message else "message"


def message(board: Board, height: int, *, zoomed: bool = False) -> list[Line]:
    """The message as it would leave; a pane too short for it has what differs below its first line."""
    shown = board.message
    if not shown:
        return [[("class:dim", " what is parked is shown here")]]
    if not zoomed and len(shown) > height:
        differs = [each for each in shown[1:] if each[0] != " "]
        shown = [shown[0], *differs] if differs else shown
    styles = {"+": "class:new", "-": "class:gone", " ": ""}
    lines: list[Line] = [[(styles[mark], f"{mark} {printable(text)}")] for mark, text in shown]
    return lines[max(0, min(board.scrolled if zoomed else 0, len(lines) - height)) :]


def said(board: Board, height: int) -> list[Line]:
    """The last lines of what was said."""
    end = len(board.said) - (0 if board.zoom == "message" else min(board.scrolled, len(board.said)))
    return [painted_line(line) for line in board.said[max(0, end - max(1, height)) : max(end, 1)]]


# Text


def painted_line(text: str) -> Line:
    """A painted text as fragments."""
    return [(style, part) for style, part, *_ in to_formatted_text(ANSI(text))]


def fitted(line: Line, width: int) -> Line:
    """The line in exactly so many columns."""
    found: Line = []
    for style, text in line:
        for c in text:
            width -= get_cwidth(c)
            if width < 0:
                return [*found, ("", " " * (width + get_cwidth(c)))]
            if found and found[-1][0] == style:
                found[-1] = (style, found[-1][1] + c)
            else:
                found.append((style, c))
    return [*found, ("", " " * width)]


def fit_text(text: str, width: int, fill: str = " ") -> str:
    """A text in exactly so many columns, what is too much cut off."""
    text = "".join(part for _, part in fitted([("", text)], max(0, width)))
    return text if fill == " " else text.rstrip(" ") + " " * bool(text.strip()) + fill * width
