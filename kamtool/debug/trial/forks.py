"""Every case in a process of its own: each begins with the server as it was right after its start."""

from __future__ import annotations

import gc
import json
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

Work = Callable[[], Any]
"""What to do in a process of its own; what it returns must be fit for JSON."""


def each(works: Iterable[Work], together: int = 0) -> Iterator[Any]:
    """The results, in order; None for one whose process died."""
    most = together or os.cpu_count() or 1
    running: list[tuple[int, int]] = []
    gc.collect()
    gc.freeze()
    try:
        for work in works:
            running.append(_begin(work))
            if len(running) >= most:
                yield _end(*running.pop(0))
        while running:
            yield _end(*running.pop(0))
    finally:
        gc.unfreeze()
        for pid, reading in running:
            os.close(reading)
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def _begin(work: Work) -> tuple[int, int]:
    reading, writing = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writing)
        return pid, reading
    code = 1
    try:
        gc.disable()
        os.close(reading)
        with os.fdopen(writing, "wb") as out:
            out.write(json.dumps(work()).encode())
        code = 0
    finally:
        os._exit(code)


def _end(pid: int, reading: int) -> Any:
    with os.fdopen(reading, "rb") as result:
        data = result.read()
    os.waitpid(pid, 0)
    try:
        return json.loads(data)
    except ValueError:
        return None


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """What something returns, and the seconds that it took."""
    began = time.perf_counter()
    return work(), time.perf_counter() - began
