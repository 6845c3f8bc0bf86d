"""Where a message is in the script: Python's own stack, read as that of the cfg.

Compiled routes are coroutines whose code carries the cfg's file and lines; while one runs, everything that
waits for it is below it on the stack. So nothing needs to keep count of calls.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from types import FrameType
from typing import Any


@dataclass(frozen=True, slots=True)
class Place:
    """One open route: its name as the cfg writes it, and the line it is at."""

    route: str
    file: str
    line: int

    def facts(self) -> dict[str, Any]:
        """For a client."""
        return {"route": self.route, "file": self.file, "line": self.line}


def depth() -> int:
    """How many routes are open around the statement that is being observed."""
    count, frame = 0, _caller()
    while frame is not None:
        if "observe" in frame.f_globals:
            count += 1
        frame = frame.f_back
    return count


def places() -> list[Place]:
    """The open routes, innermost first."""
    found, frame = [], _caller()
    while frame is not None:
        if "observe" in frame.f_globals:
            code = frame.f_code
            found.append(Place(code.co_name, code.co_filename, frame.f_lineno))
        frame = frame.f_back
    return found


def _caller() -> FrameType | None:
    return sys._getframe(2)
