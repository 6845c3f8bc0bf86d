"""A ladder in characters, for a terminal, a mail or a bug report."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

from kamtool.tools.captured import Captured
from kamtool.tools.ladder.calls import Call
from kamtool.tools.ladder.picture import Arrow, Ladder, clock, delay, ladder, printable

TIME_WIDTH = 9
NOTE_LINES = 3
NARROWEST = 10


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the drawing and the arrow it belongs to; `kind` is head, arrow or note."""

    text: str
    arrow: int | None
    kind: str


def draw(picture: Ladder, width: int = 80, *, notes: bool = True) -> list[Line]:
    """The lines of a ladder. More columns than fit make it wider than `width`."""
    count = max(1, len(picture.columns))
    longest = max((len(part) for name in picture.columns for part in _host_port(name, 24)), default=0)
    half = min(NARROWEST, longest // 2 + 1)
    step = max(NARROWEST, min(34, (width - TIME_WIDTH - 2 * half) // max(1, count - 1)))
    margin = TIME_WIDTH + half
    spots = [margin + step * number for number in range(count)]
    lines = [Line(text, None, "head") for text in _heads(picture.columns, spots, step)]
    for number, arrow in enumerate(picture.arrows):
        lines.append(Line(_arrow(arrow, spots), number, "arrow"))
        if notes:
            lines += [Line(text, number, "note") for text in _notes(arrow, width)]
    return lines


def _heads(columns: list[str], spots: list[int], step: int) -> list[str]:
    """The names of the columns, over two lines where they are too long for one."""
    split = [_host_port(printable(name), min(step, 24)) for name in columns]
    rows = []
    for row in range(max(map(len, split), default=0)):
        line = ""
        for spot, parts in zip(spots, split, strict=True):
            word = parts[row][: step - 1] if row < len(parts) else ""
            start = max(spot - len(word) // 2, len(line) + bool(line.strip()))
            line = line.ljust(start) + word
        rows.append(line.rstrip())
    rows.append(_rungs(spots))
    return rows


def _host_port(name: str, step: int) -> list[str]:
    if " " in name:
        return name.split(" ", 1)
    if len(name) < step:
        return [name]
    host, colon, port = name.rpartition(":")
    return [host, colon + port] if colon else [name]


def _rungs(spots: list[int]) -> str:
    line = [" "] * (spots[-1] + 1)
    for spot in spots:
        line[spot] = "│"
    return "".join(line)


def _arrow(arrow: Arrow, spots: list[int]) -> str:
    line = list(_rungs(spots))
    time = delay(arrow.since).rjust(TIME_WIDTH - 1)
    line[: len(time)] = time
    left, right = sorted((spots[arrow.source], spots[arrow.target]))
    label = printable(arrow.label)
    if left == right:
        text = f"⟲ {label}"
        line[left + 1 : left + 1] = ""
        return "".join(line[: left + 1]) + text
    room = right - left - 1
    is_right = arrow.target > arrow.source
    shaft = _shaft(label, room - 1)
    line[left + 1 : right] = shaft + ">" if is_right else "<" + shaft
    return "".join(line)


def _shaft(label: str, room: int) -> str:
    if room <= 2:
        return "─" * room
    label = label if len(label) <= room - 2 else label[: room - 3] + "…"
    left = (room - len(label) - 2) // 2
    return f"{'─' * left} {label} {'─' * (room - len(label) - 2 - left)}"


def _notes(arrow: Arrow, width: int) -> list[str]:
    lines = []
    indent = " " * TIME_WIDTH
    for note in arrow.notes:
        wrapped = _shortened(textwrap.wrap(printable(note), max(20, width - TIME_WIDTH - 4)))
        lines += [f"{indent}{'· ' if not place else '  '}{text}" for place, text in enumerate(wrapped)]
    return lines


def title(call: Call) -> str:
    """A call in a line."""
    began = clock(call.began)[:12]
    return printable(
        f"{began} {call.method} {call.caller} → {call.callee}  {call.state} {call.status or ''}".rstrip()
        + f"  {len(call.messages)} messages, {call.lasted:.3f} s  {call.call_id}"
    )


def render(call: Call, width: int = 80) -> str:
    """A call as text: its title and its ladder."""
    return "\n".join([title(call), *(line.text for line in draw(ladder(call.messages), width))]) + "\n"


def message_line(seen: Captured) -> str:
    """`U 2026-11-23 14:03:07.123456 10.0.0.1:5060 -> 10.0.0.2:5060`, as ngrep's users know it."""
    import time

    letter = {"udp": "U", "tcp": "T", "tls": "S", "ws": "W", "wss": "W"}.get(seen.transport, "?")
    day = time.strftime("%Y/%m/%d", time.localtime(seen.at))
    return f"{letter} {day} {clock(seen.at)} {seen.source} -> {seen.target} {seen.transport}"


def message_text(seen: Captured) -> str:
    """A whole message under its line, with what the script did."""
    body = "\n".join(printable(line) for line in seen.data.decode("utf-8", "replace").split("\r\n"))
    notes = "".join(f"  # {printable(note)}\n" for note in Arrow(seen, 0, 0, 0.0).notes)
    return f"{message_line(seen)}\n{notes}{body.rstrip()}\n"


def _shortened(lines: list[str]) -> list[str]:
    """At most `NOTE_LINES`: of a long way through the cfg its beginning and its end, where it was decided."""
    if len(lines) <= NOTE_LINES:
        return lines
    return [f"{lines[0]} …", *lines[1 - NOTE_LINES :]]
