"""A ladder before it is drawn: columns for the endpoints, arrows in order, retransmissions folded."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from kamtool.sip.flow import Address
from kamtool.tools.captured import Captured, Place

OWN = "kamtool"


@dataclass(slots=True)
class Arrow:
    """One message, with its retransmissions. `source` and `target` are numbers of columns."""

    seen: Captured
    source: int
    target: int
    since: float
    """Seconds since the arrow before."""
    again: list[Captured] = field(default_factory=list)

    @property
    def label(self) -> str:
        """`INVITE sdp ×3`."""
        text = self.seen.label or "?"
        if self.seen.has_sdp:
            text += " sdp"
        return f"{text} ×{len(self.again) + 1}" if self.again else text

    @property
    def notes(self) -> list[str]:
        """What the script did for it, and why it went out."""
        seen = self.seen
        lines = []
        if seen.malformed:
            lines.append(f"malformed: {seen.malformed}")
        if seen.sent_by is not None:
            lines.append(f"sent by {seen.sent_by} in {seen.sent_by.route}")
        if seen.path:
            lines.append(path_text(seen))
        if seen.error:
            lines.append(f"error: {seen.error}")
        if seen.comment and not seen.path and seen.sent_by is None:
            lines += [line for line in seen.comment.split("\n") if not line.startswith("kamtool: ")]
        return lines


@dataclass(slots=True)
class Ladder:
    """`columns` are the names of the endpoints, from the left."""

    columns: list[str] = field(default_factory=list)
    arrows: list[Arrow] = field(default_factory=list)

    @property
    def began(self) -> float:
        return self.arrows[0].seen.at if self.arrows else 0.0


def ladder(messages: Sequence[Captured]) -> Ladder:
    """The ladder of some messages, by their times."""
    messages = sorted(messages, key=lambda seen: seen.at)
    own = {seen.target if seen.inbound else seen.source for seen in messages if seen.inbound is not None}
    picture = Ladder()
    places: dict[Address | str, int] = {}
    known: dict[tuple[int, int, bytes], Arrow] = {}

    def column(address: Address) -> int:
        key: Address | str = OWN if address in own else address
        if key not in places:
            places[key] = len(picture.columns)
            picture.columns.append(f"{OWN} {address}" if key == OWN and len(own) == 1 else str(key))
        return places[key]

    before = messages[0].at if messages else 0.0
    for seen in messages:
        source, target = column(seen.source), column(seen.target)
        same = known.get((source, target, seen.data))
        if same is not None:
            same.again.append(seen)
            continue
        arrow = known[source, target, seen.data] = Arrow(seen, source, target, seen.at - before)
        picture.arrows.append(arrow)
        before = seen.at
    return picture


def path_text(seen: Captured) -> str:
    """The statements that ran, by route: `request_route kamailio.cfg:41-43, 50 → route[RELAY] 80 t_relay`."""
    pieces: list[str] = []
    at = 0
    path = seen.path
    file = ""
    while at < len(path):
        end = at
        while end < len(path) and path[end].route == path[at].route and path[end].file == path[at].file:
            end += 1
        name = path[at].file.rpartition("/")[2]
        shown = _lines(path[at:end])
        pieces.append(f"{path[at].route} {shown if name == file else f'{name}:{shown}'}")
        file, at = name, end
    text = " → ".join(pieces)
    last = path[-1].name if path else ""
    return f"{text} {last}" + (f" → {seen.replied}" if seen.replied else "")


def _lines(path: Sequence[Place]) -> str:
    runs: list[list[int]] = []
    for place in path:
        if runs and place.line == runs[-1][-1]:
            continue
        if runs and place.line == runs[-1][-1] + 1:
            runs[-1].append(place.line)
        else:
            runs.append([place.line])
    return ", ".join(f"{run[0]}-{run[-1]}" if run[-1] != run[0] else str(run[0]) for run in runs)


def clock(at: float) -> str:
    """`14:03:07.123456`, local time."""
    return time.strftime("%H:%M:%S", time.localtime(at)) + f".{int(at % 1 * 1_000_000):06d}"


def delay(seconds: float) -> str:
    """`+0.4ms`, `+12ms`, `+1.53s`, `+2m05s`."""
    if seconds < 0.0095:
        return f"+{max(0.0, seconds) * 1000:.1f}ms"
    if seconds < 0.9995:
        return f"+{seconds * 1000:.0f}ms"
    if seconds < 60:
        return f"+{seconds:.2f}s"
    return f"+{int(seconds // 60)}m{int(seconds % 60):02d}s"


def printable(text: str) -> str:
    """What came from the network moves no cursor."""
    text = text.replace("\t", "    ")
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "replace").decode() for c in text)
