"""The line that `kamtool --version` prints."""

from __future__ import annotations

import importlib.util
import sys

from kamtool import __version__


def version() -> str:
    """One line: the version, which kernel parses messages, what runs them, which loop waits for them."""
    from kamtool import compiled, speed

    kernel = "native kernel" if speed.NATIVE else "pure Python kernel"
    if compiled.STATE == "compiled":
        kernel += ", compiled core"
    elif compiled.STATE == "edited":
        kernel += ", core edited since it was compiled"
    loop = "uvloop" if importlib.util.find_spec("uvloop") else "asyncio"
    return f"kamtool {__version__} ({kernel}, {loop}, Python {sys.version.split()[0]})"
