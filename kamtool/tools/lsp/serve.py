"""A session on two streams: a thread reads, so that the clock is heard while the editor is silent."""

from __future__ import annotations

import queue
import threading
import time
from typing import Any, BinaryIO

from kamtool.tools.lsp import wire
from kamtool.tools.lsp.session import Session

Heard = dict[str, Any] | wire.WireError | None


def serve(reading: BinaryIO, writing: BinaryIO, defines: dict[str, str | None] | None = None) -> int:
    """Run one session to its end; the exit code: 0 after `shutdown` and `exit`, else 1."""
    heard: queue.SimpleQueue[Heard] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(reading, heard), daemon=True).start()
    session = Session(lambda message: wire.write(writing, message), defines)
    try:
        while session.exit_code is None:
            _once(session, heard)
    except BrokenPipeError:
        return 1  # the editor has gone
    return session.exit_code


def _read(reading: BinaryIO, heard: queue.SimpleQueue[Heard]) -> None:
    try:
        while (message := wire.read(reading)) is not None:
            heard.put(message)
        heard.put(None)
    except wire.WireError as error:
        heard.put(error)
    except (OSError, ValueError):
        heard.put(None)


def _once(session: Session, heard: queue.SimpleQueue[Heard]) -> None:
    due = session.due_at
    try:
        # What has been said comes before a check: it may change what is to be checked.
        message = heard.get(timeout=None if due is None else max(due - time.monotonic(), 0.001))
    except queue.Empty:
        session.tick(time.monotonic())
        return
    if message is None:
        session.exit_code = 1  # no `exit`: the editor died
    elif isinstance(message, wire.WireError):
        session.broken(str(message), message.code)
    else:
        session.handle(message, time.monotonic())
