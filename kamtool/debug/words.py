"""What a client may say wrong, and the names it may have meant."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

from kamtool.errors import KamtoolError

ROUTE = re.compile(
    r"(?:route|request_route|reply_route|onreply_route|failure_route|branch_route|onsend_route|event_route)"
    r"(?:\[[^\]]*\])?"
)


class Mistake(KamtoolError):
    """The client asked for what cannot be: one line, and a hint."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


def near(name: str, names: Iterable[str]) -> str:
    """A hint with the name that was probably meant, "" when none is near."""
    known = sorted(set(names))
    found = difflib.get_close_matches(name, known, 1, 0.6)
    if found:
        return f"did you mean `{found[0]}`?"
    return f"there are {', '.join(known)}" if 0 < len(known) <= 6 else ""
