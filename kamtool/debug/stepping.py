"""Going on and stopping again: into a route, over it, out of it, until a line, at the call's next turn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kamtool.debug.history import Key
from kamtool.script.context import Context
from kamtool.script.guards import Action


@dataclass(slots=True)
class Step:
    """Somebody steps through a call. It is followed by its key, for every route has a context of its own."""

    key: Key
    how: str
    depth: int
    ctx: Context
    line: int = 0
    start: Action | None = None
    label: str = ""
    followed: bool = False
    """The route has ended, and what the transaction `label` does next is waited for."""

    def reached(self, action: Action, depth: int) -> bool:
        """Whether to stop before this statement."""
        if self.how == "into":
            return True
        if self.how == "over":
            return depth <= self.depth
        if self.how == "out":
            return depth < self.depth
        same = self.start is None or action.span.file == self.start.span.file
        return depth < self.depth or (depth == self.depth and same and action.span.line >= self.line)

    def follow(self, tx: Any, alive: Mapping[str, Any]) -> bool:
        """The route has ended: stop at the next statement of the same call. False when none can come."""
        self.how, self.followed = "into", True
        self.label = tx.label if tx is not None else ""
        return not self.is_over(alive)

    def is_over(self, alive: Mapping[str, Any]) -> bool:
        """Whether the transaction that is followed has ended."""
        return self.followed and self.label not in alive
