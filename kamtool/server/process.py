"""A server as a process of the system: signals, pid file, background."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from kamtool.errors import UsageError

log = logging.getLogger("kamtool.server")


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine on uvloop where there is one, else on asyncio's own loop."""
    try:
        import uvloop
    except ImportError:
        asyncio.run(main)
        return
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main)


FOLDER = os.getcwd()
"""Where this process was started: the names on its command line are relative to it."""


def successor(notify_path: str = "", root: Path | None = None) -> int:
    """Start a process that takes over from this one, with the same command line; its number.

    With another root folder none can be, Python is outside: 0, and a line in the log.
    """
    if root is not None:
        log.error("no process can take over from inside %s (chroot): stop the server and start it", root)
        return 0
    words = [*sys.orig_argv, *([] if "--take-over" in sys.orig_argv else ["--take-over"])]
    environment = {**os.environ, **({"NOTIFY_SOCKET": notify_path} if notify_path else {})}
    # Not a child of a worker, nor one that this process has to wait for.
    started = subprocess.Popen(words, cwd=FOLDER, env=environment, start_new_session=True)
    log.warning("process %d is started to take over", started.pid)
    return started.pid


async def until_told(
    statistics: Callable[[], None],
    heard: Callable[[], None],
    again: Callable[[], None],
    upgrade: Callable[[], object] | None = None,
) -> None:
    """Wait for SIGTERM or SIGINT. SIGUSR1 calls `statistics`, SIGHUP `again`, SIGUSR2 `upgrade`.

    `heard` is called once no signal can be missed: then is the time to say that the server runs.
    """
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    loop.add_signal_handler(signal.SIGUSR1, statistics)
    loop.add_signal_handler(signal.SIGHUP, again)
    if upgrade is not None:
        loop.add_signal_handler(signal.SIGUSR2, upgrade)
    heard()
    await told.wait()
    # A second signal finds the default action: who cannot wait for the orderly stop need not.
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.remove_signal_handler(number)


class PidFile:
    """A file with this process's number, gone at the end; that of a living process is not overwritten."""

    def __init__(self, path: Path, number: Callable[[], int] = os.getpid, *, heir: bool = False) -> None:
        self.path, self.number, self.heir = path, number, heir
        """An heir takes the file over with the server that wrote it."""

    def __enter__(self) -> PidFile:
        if not self.heir and (owner := self._living_owner()):
            raise UsageError(f"{self.path} names process {owner}, which is running", exit_code=4)
        try:
            self.path.write_text(f"{self.number()}\n")
        except OSError as error:
            raise UsageError(
                f"cannot write the pid file {self.path}: {error.strerror}", exit_code=1
            ) from error
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError, ValueError):
            if int(self.path.read_text()) == self.number():  # or an heir has it
                self.path.unlink()

    def _living_owner(self) -> int:
        try:
            number = int(self.path.read_text())
            os.kill(number, 0)
        except PermissionError:
            return number
        except (OSError, ValueError, OverflowError):
            return 0
        return 0 if number == self.number() else number


def go_to_background(*, keep_stderr: bool = False) -> Callable[[], None]:
    """Continue in a child without a terminal. The parent waits, and leaves with 0 or with the child's code.

    Call what is returned once the server runs: it lets the parent go and the terminal's streams with it.
    Call this before anything has made a thread.
    """
    reading, writing = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child:
        os.close(writing)
        _leave_when_ready(reading, child)
    os.close(reading)
    os.setsid()

    def ready() -> None:
        nothing = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1) if keep_stderr else (0, 1, 2):
            os.dup2(nothing, stream)
        os.close(nothing)
        os.write(writing, b"ready")
        os.close(writing)

    return ready


def _leave_when_ready(reading: int, child: int) -> NoReturn:
    if os.read(reading, 5) == b"ready":
        os._exit(0)
    _, status = os.waitpid(child, 0)
    os._exit(os.waitstatus_to_exitcode(status) & 0xFF)
