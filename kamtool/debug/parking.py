"""A message that waits, and how long and how many may."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from kamtool.debug.breakpoints import Breakpoint
from kamtool.debug.freeze import Frozen
from kamtool.debug.history import Key, Visit
from kamtool.debug.stack import Place
from kamtool.script.context import Context
from kamtool.script.guards import Action


@dataclass(slots=True)
class Options:
    """How long and how many messages may be parked. Times are seconds."""

    budget: float = 300.0
    """After so long a parked message goes on by itself; 0 means never."""
    most: int = 16
    trying: bool = False
    """Send 100 Trying for a request that is parked, so that the caller stops repeating it."""


@dataclass(slots=True, eq=False)
class Parked:
    """A message that is stopped. `action` is None where no statement follows: at an arrival, at the end."""

    number: int
    ctx: Context
    action: Action | None
    reason: str
    key: Key
    route: str
    stack: list[Place]
    depth: int
    since: float
    go: asyncio.Future[tuple[str, Any]]
    visit: Visit | None
    breakpoint: Breakpoint | None = None
    frozen: Frozen | None = None
    cursor: int | None = None
    """The moment of its visit that is looked at, None for the present."""
    changes: list[dict[str, Any]] = field(default_factory=list)

    def where(self) -> dict[str, Any]:
        """The file and line at which it stands."""
        if self.action is not None:
            span = self.action.span
            return {"file": span.file, "line": span.line, "column": span.column, "name": self.action.name}
        place = self.stack[0] if self.stack else None
        return {
            "file": place.file if place else "",
            "line": place.line if place else 0,
            "column": 1,
            "name": "",
        }

    def facts(self) -> dict[str, Any]:
        """For a client."""
        data = self.ctx.msg.data
        return {
            "id": self.number, "reason": self.reason, "route": self.route, **self.where(),
            "message": data[: data.find(b"\r\n")].decode("utf-8", "replace"),
            "call_id": self.key[0], "cseq": f"{self.key[1]} {self.key[2]}",
            "source": f"{self.ctx.flow.transport}:{self.ctx.flow.remote}",
            "stack": [place.facts() for place in self.stack], "since": self.since,
            "visit": self.visit.number if self.visit else 0, "changes": self.changes,
            "commands": list(self.breakpoint.commands) if self.breakpoint else [],
            "breakpoint": self.breakpoint.number if self.breakpoint else 0,
        }  # fmt: skip
