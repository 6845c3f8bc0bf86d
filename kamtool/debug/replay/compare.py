"""Two replays of one recording: which messages would take another way, and where it parts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest

from kamtool.debug.replay.run import Came, Replayed, Step


@dataclass(slots=True)
class Parted:
    """A message that takes another way: the first step that differs, and what leaves."""

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
    """Every message whose way or whose effect is another one."""
    for one, two in zip(old.came, new.came, strict=True):
        for was, becomes in zip_longest(one.way, two.way):
            if (was and was.text) != (becomes and becomes.text):
                yield Parted(one, two, was, becomes)
                break
        else:
            if one.left != two.left:
                yield Parted(one, two, one.way[-1] if one.way else None, two.way[-1] if two.way else None)
