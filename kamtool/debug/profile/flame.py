"""A flame graph as one SVG file: width is time, what calls stands below what is called."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from html import escape
from pathlib import PurePath

from kamtool.debug.profile.record import Profile

WIDTH, ROW, LETTER = 1200, 18, 6.6
NARROW = 0.3
"""Narrower boxes are left out."""


@dataclass(slots=True)
class Box:
    """One name in one place: its time and what it called."""

    name: str
    spent: int = 0
    above: dict[str, Box] = field(default_factory=dict)

    def add(self, path: list[str], spent: int) -> None:
        """Time of a stack."""
        self.spent += spent
        if path:
            self.above.setdefault(path[0], Box(path[0])).add(path[1:], spent)

    @property
    def height(self) -> int:
        """How many boxes stand on each other."""
        return 1 + max((box.height for box in self.above.values()), default=0)


def flame(profile: Profile, title: str) -> str:
    """The picture."""
    whole = Box("all messages")
    for (routes, file, line, name), (spent, _) in profile.stacks.items():
        whole.add([*routes, f"{name} {PurePath(file).name}:{line}"], spent)
    height = whole.height * ROW + 40
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="monospace" '
        f'font-size="11"><rect width="{WIDTH}" height="{height}" fill="#fffdf5"/>'
        f'<text x="{WIDTH / 2}" y="18" text-anchor="middle" font-size="14">{escape(title)}</text>'
    ]
    _draw(parts, whole, 0.0, height - ROW - 4, WIDTH / (whole.spent or 1), whole.spent or 1)
    return "\n".join([*parts, "</svg>", ""])


def _draw(parts: list[str], box: Box, x: float, y: int, scale: float, whole: int) -> None:
    width = box.spent * scale
    if width < NARROW:
        return
    words = f"{box.name}: {box.spent / 1e6:.2f} ms, {100 * box.spent / whole:.1f} %"
    room = int((width - 6) / LETTER)
    shown = box.name if len(box.name) <= room else f"{box.name[: room - 1]}…" if room > 3 else ""
    parts.append(
        f'<g><title>{escape(words)}</title><rect x="{x:.1f}" y="{y}" width="{max(width - 0.5, 0.3):.1f}" '
        f'height="{ROW - 1}" rx="2" fill="{_colour(box.name)}"/>'
        f'<text x="{x + 3:.1f}" y="{y + 13}">{escape(shown)}</text></g>'
    )
    for above in sorted(box.above.values(), key=lambda each: each.name):
        _draw(parts, above, x, y - ROW, scale, whole)
        x += above.spent * scale


def _colour(name: str) -> str:
    number = zlib.crc32(name.encode("utf-8", "surrogateescape"))
    return f"hsl({20 + number % 35}, {70 + number // 64 % 25}%, {62 + number // 4096 % 16}%)"
