"""What a short command imports only for its name: such a module is loaded when it is first used.

`kamtool check` declares modules that would open sockets and databases, and opens none. Half of what their
imports cost is asyncio, ssl and sqlite3.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any

HEAVY = (
    "asyncio", "base64", "difflib", "mmap", "multiprocessing", "random", "secrets", "sqlite3", "ssl",
    "subprocess",
)  # fmt: skip


class Idle(ModuleType):
    """Stands for a module until one of its names is wanted; then it hands on what the module has."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # the import statement asks for `__spec__`: that is no use
            raise AttributeError(name)
        wake(self)
        return getattr(sys.modules[self.__name__], name)


def wake(idle: Idle) -> None:
    """Put the true module in the place of the one that stands for it."""
    if sys.modules.get(idle.__name__) is idle:
        del sys.modules[idle.__name__]
    import_module(idle.__name__)


@contextmanager
def imports() -> Iterator[None]:
    """Within this, HEAVY modules that are not there yet stay idle when they are imported; and what is made
    is not searched for cycles: the process ends before it would pay.
    """
    idle = [Idle(name) for name in HEAVY if name not in sys.modules]
    sys.modules.update({each.__name__: each for each in idle})
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        for each in idle:
            if sys.modules.get(each.__name__) is each:
                del sys.modules[each.__name__]
        if collects:
            gc.enable()
