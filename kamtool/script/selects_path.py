"""The path of a select: names joined by dots, each with an optional `[key]`: `via[1].host`."""

from __future__ import annotations

import re
from functools import lru_cache

from kamtool.errors import ScriptError

Step = tuple[str, str | None]
"""A name and the key in its brackets."""

_STEP = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_]*)((?:\[[^\]]*\])*)\s*(?:\.|$)")


@lru_cache(maxsize=512)
def path(text: str) -> tuple[Step, ...]:
    """The steps of a select. Raises ScriptError when it is not well formed."""
    steps: list[Step] = []
    position = 0
    while position < len(text):
        found = _STEP.match(text, position)
        if found is None or (found.end() == len(text) and text.endswith(".")):
            raise ScriptError(f"bad select {text!r}")
        steps.append((found[1], found[2][1:-1].strip("\"'") if found[2] else None))
        position = found.end()
    if not steps:
        raise ScriptError("empty select")
    return tuple(steps)


def wrong(steps: tuple[Step, ...]) -> ScriptError:
    """The error for steps that lead nowhere."""
    return ScriptError(f"no select {'.'.join(name for name, _ in steps)!r}")
