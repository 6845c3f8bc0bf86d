"""Work in processes of its own: one that dies takes only its own result with it."""

from __future__ import annotations

import gc
import json
import os
import signal
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, Any

Work = Callable[[], Any]
"""What to do there; what it returns must be fit for JSON."""
MOST_EACH = 100
"""Works a process does before another takes its place: nobody collects its garbage."""


def each(works: Sequence[Work], together: int = 0, row: int = MOST_EACH) -> Iterator[Any]:
    """The results, in order; None for one whose process died. A process does up to `row` of them."""
    most = together or os.cpu_count() or 1
    row = max(1, min(row, -(-len(works) // most)))
    waiting = [works[begin : begin + row] for begin in range(0, len(works), row)]
    running: list[_Child] = []
    gc.collect()
    gc.freeze()
    try:
        while waiting or running:
            while waiting and len(running) < most:
                running.append(_Child(waiting.pop(0)))
            yield from running[0].results()
            running.pop(0)
    finally:
        gc.unfreeze()
        for child in running:
            child.kill()


@dataclass(slots=True)
class _Child:
    """A process that does some works, one after the other, and writes a line for each."""

    works: Sequence[Work]
    pid: int = 0
    lines: IO[bytes] | None = None

    def __post_init__(self) -> None:
        self._begin()

    def results(self) -> Iterator[Any]:
        """What came of each. Those after one that died are done by another process."""
        while self.works:
            assert self.lines is not None
            line = self.lines.readline()
            self.works = self.works[1:]
            yield json.loads(line) if line.endswith(b"\n") else None
            if not line.endswith(b"\n") and self.works:
                self.kill()
                self._begin()
        self.kill()

    def kill(self) -> None:
        """End it; it may have ended already."""
        if self.lines is not None:
            self.lines.close()
            self.lines = None
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)

    def _begin(self) -> None:
        reading, writing = os.pipe()
        self.pid = os.fork()
        if self.pid:
            os.close(writing)
            self.lines = os.fdopen(reading, "rb")
            return
        code = 1
        try:
            gc.disable()
            os.close(reading)
            with os.fdopen(writing, "wb", 0) as out:
                for work in self.works:
                    out.write(json.dumps(work()).encode() + b"\n")
            code = 0
        except Exception:
            traceback.print_exc()
        finally:
            os._exit(code)
