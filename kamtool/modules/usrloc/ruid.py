"""Unique ids of contacts: `uloc-<start>-<process>-<number>`, as Kamailio makes them."""

from __future__ import annotations

import itertools
import os
import time


class Ruids:
    """Makes ids that no other process, and no earlier one, makes."""

    def __init__(self, prefix: str = "uloc", server_id: int = 0) -> None:
        group = f"{server_id:x}-" if server_id else ""
        self._start = f"{prefix}-{group}{int(time.time()):x}-{os.getpid():x}-"
        self._numbers = itertools.count(1)

    def next(self) -> str:
        return f"{self._start}{next(self._numbers):x}"
