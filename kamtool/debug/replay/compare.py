"""Two replays of one recording: which messages would take another way, and where it parts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest

from kamtool.debug.replay.run import Came, Replayed, Step


@dataclass(slots=True)
class Parted:
    """A message that takes another way: the first line that differs, and what leaves."""

    old: Came
    new: Came
    was: Step | None
    becomes: Step | None

    @property
    def place(self) -> str:
        """Where in the new cfg, or in the old one where the new one does nothing more."""
        step = self.becomes or self.was
        return f"{step.span.file}:{step.span.line}" if step is not None else ""


def parted(old: Replayed, new: Replayed) -> Iterator[Parted]:
    """Every message whose way or whose effect is another one; other words for the same way are none."""
    for one, two in zip(old.came, new.came, strict=True):
        for number, (was, becomes) in enumerate(zip_longest(one.way, two.way)):
            if (was and was.key) != (becomes and becomes.key):
                yield Parted(one, two, *_asked(one, two, number, (was, becomes)))
                break
        else:
            if one.left != two.left:
                last = (one.way[-1] if one.way else None), (two.way[-1] if two.way else None)
                yield Parted(one, two, *_asked(one, two, len(one.way), last))


Pair = tuple[Step | None, Step | None]


def _asked(one: Came, two: Came, number: int, otherwise: Pair) -> Pair:
    """The condition that is another one and led there; without one the step itself."""
    for was, becomes in zip(reversed(one.way[:number]), reversed(two.way[:number]), strict=True):
        if was.text != becomes.text:
            return was, becomes
        if not was.asks:
            break
    if number and one.way[number - 1].asks:
        return one.way[number - 1], two.way[number - 1]
    return otherwise
