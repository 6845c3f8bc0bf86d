"""What the session answers, as lines for people."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePath
from typing import Any

from kamtool.repl.paint import Paint, printable

Facts = Mapping[str, Any]


def value(found: Any) -> str:
    """A value as the cfg would write it."""
    if found is None:
        return "$null"
    return f'"{printable(found)}"' if isinstance(found, str) else str(found)


def effect(facts: Facts) -> str:
    """One change, `$du: $null → "sip:10.0.0.9"`."""
    old, new = facts["old"], facts["new"]
    if new is None:
        return f"{facts['what']}: {value(old)} is gone"
    if old is None:
        return f"{facts['what']} = {value(new)}"
    return f"{facts['what']}: {value(old)} → {value(new)}"


def effects(paint: Paint, found: Iterable[Facts]) -> list[str]:
    """Changes, `$rc` aside when it is not alone."""
    rows = [each for each in found if each["what"] != "$rc"]
    return [f"      {paint(effect(each), 'yellow')}" for each in rows]


def short(file: str) -> str:
    """A file's last name."""
    return PurePath(file).name


class Source:
    """The cfg's text, to be shown in pieces."""

    def __init__(self, paint: Paint) -> None:
        self.paint = paint
        self.files: dict[str, list[str]] = {}

    def piece(self, file: str, line: int, around: int) -> list[str]:
        """Some lines around one, which an arrow marks."""
        lines = self.files.get(file, [])
        first, last = max(line - around, 1), min(line + around, len(lines))
        found = []
        for number in range(first, last + 1):
            mark = self.paint("→", "bold", "green") if number == line else " "
            shown = self.paint(f"{number:5}", "bold" if number == line else "dim")
            found.append(f"{mark}{shown}  {self.paint.cfg(lines[number - 1])}")
        return found


def stopped(paint: Paint, source: Source, facts: Facts, *, moved: bool = False) -> list[str]:
    """A message has stopped; after a step only what is new. `moved` when it is in another route now."""
    stepped = facts["reason"] == "step"
    lines = []
    if not stepped:
        lines += [
            f"{paint('■', 'red')} {paint(str(facts['id']), 'bold')} {paint(facts['message'], 'bold')}"
            f" from {facts['source']}",
            f"  {facts['reason']}, {_place(facts)}",
        ]  # fmt: skip
    lines += effects(paint, facts["changes"])
    if stepped and moved:
        lines.append(paint(f"  {_place(facts)}, {facts['message']}", "magenta"))
    return lines + source.piece(facts["file"], facts["line"], 0 if stepped else 2)


def _place(facts: Facts) -> str:
    route = facts["stack"][0]["route"] if facts["stack"] else facts["route"]
    return f"{route} at {short(facts['file'])}:{facts['line']}" if facts["line"] else route


def where(paint: Paint, facts: Facts) -> list[str]:
    """The open routes, innermost first."""
    return [
        f"  #{number} {paint(place['route'], 'bold')} at {short(place['file'])}:{place['line']}"
        for number, place in enumerate(facts["stack"])
    ] or ["  between two routes"]


def backtrace(paint: Paint, facts: Facts) -> list[str]:
    """The open routes, and the call's routes until now."""
    lines = [*where(paint, facts), "  the call until now:"]
    for visit in facts["visits"]:
        lines.append("  " + visited(paint, visit))
    return lines if facts["visits"] else [*lines[:-1], "  nothing was recorded (see `help history`)"]


def visited(paint: Paint, visit: Facts) -> str:
    """One run of a route, in a line."""
    at = time.strftime("%H:%M:%S", time.localtime(visit["began"]))
    through = "".join(f" → {route}" for route in visit["routes"] if f"[{route}]" not in visit["route"])
    line = f"{visit['number']:4} {at} {paint(visit['route'], 'bold')}{through}"
    line += f"  {printable(visit['message'])}"
    if visit["replied"]:
        line += paint(f"  ⇒ {visit['replied']}", "yellow")
    if visit["error"]:
        line += paint(f"  {visit['error']}", "red")
    return line if visit["ended"] else line + paint("  here", "green")


def breakpoints(paint: Paint, found: Sequence[Facts]) -> list[str]:
    """A line each."""
    lines = []
    for each in found:
        line = f"{each['number']:3} {paint(each['text'], 'bold')}"
        line += f" if {each['condition']}" if each["condition"] else ""
        line += f"  at {short(each['place'])}" if each["place"] else ""
        line += f"  log {value(each['log'])}" if each["log"] else ""
        line += "  once" if each["once"] else ""
        line += f"  after {each['ignore']}" if each["ignore"] else ""
        line += "" if each["enabled"] else "  off"
        line += f"  hit {each['hits']} times" if each["hits"] != 1 else "  hit once"
        line += paint(f"  {each['trouble']}", "red") if each["trouble"] else ""
        lines.append(line)
    return lines or ["there are none: `break request_route` stops every request"]


def table(found: Any) -> list[str]:
    """Facts of any shape: names and values, or rows."""
    if isinstance(found, Mapping):
        width = max(map(len, found), default=0)
        return [f"  {name:<{width}}  {_plain(each)}" for name, each in found.items()] or ["  none"]
    if isinstance(found, list) and found and all(isinstance(each, Mapping) for each in found):
        columns = list(found[0])
        rows = [columns, *([_plain(each[name]) for name in columns] for each in found)]
        widths = [max(len(row[place]) for row in rows) for place in range(len(columns))]
        return ["  " + "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
                for row in rows]  # fmt: skip
    if isinstance(found, list):
        return [f"  {_plain(each)}" for each in found] or ["  none"]
    return [_plain(found)]


def _plain(found: Any) -> str:
    if isinstance(found, list):
        return ", ".join(map(_plain, found)) or "-"
    return "-" if found is None else printable(str(found))


def history(paint: Paint, rows: Sequence[Facts], source: Source) -> list[str]:
    """What each statement did."""
    lines = []
    for row in rows:
        text = source.files.get(row["file"], [])
        shown = text[row["line"] - 1].strip() if 0 < row["line"] <= len(text) else row["name"]
        lines.append(f"{row['number']:4} {short(row['file'])}:{row['line']:<4} {paint.cfg(shown)}")
        lines += effects(paint, row["effects"])
    return lines or ["nothing was recorded"]
