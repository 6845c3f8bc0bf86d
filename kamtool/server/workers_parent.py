"""The parent of the workers: it holds the sockets, starts the workers, and replaces one that dies."""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress

from kamtool.server.notify import Notify
from kamtool.server.workers import Team

log = logging.getLogger("kamtool.workers")

HEARD = {
    signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2,
}  # fmt: skip
ENDS = (signal.SIGTERM, signal.SIGINT)
TURN = 0.05
"""Seconds between looks while workers start; then IDLE."""
IDLE = 1.0
TOO_OFTEN = 5
"""So many deaths of young workers in a row mean that none will live."""
YOUNG = 2.0
_PR_SET_PDEATHSIG = 1


class Parent:
    """Runs `work(team, ready)` in each worker until told to stop; `work` returns the exit code.

    `running` is called once every worker has said `ready`.
    """

    def __init__(
        self, team: Team, work: Callable[[Team, Callable[[], None]], int], running: Callable[[], None],
        notify: Notify, successor: Callable[[], int] | None = None,
    ) -> None:  # fmt: skip
        self.team, self.work, self.running, self.notify = team, work, running, notify
        self.successor = successor
        self._pids: dict[int, int] = {}
        """Worker by process."""
        self._born: dict[int, float] = {}
        self._deaths = 0
        self._ready = 0
        self._has_run = False
        self._stopping = False
        self._code = 0

    def run(self) -> int:
        """Until the last worker has ended; the exit code."""
        signal.pthread_sigmask(signal.SIG_BLOCK, HEARD)
        self._pipe = os.pipe()
        os.set_blocking(self._pipe[0], False)
        for number in range(self.team.size):
            self._start(number, late=False)
        while self._pids:
            is_running = self._ready >= self.team.size
            told = signal.sigtimedwait(HEARD, min(IDLE, self.notify.interval or IDLE) if is_running else TURN)
            if told is not None:
                self._told(told.si_signo)
            self._count_ready()
            self.notify.alive()
        return self._code

    def _told(self, number: int) -> None:
        if number == signal.SIGCHLD:
            self._reap()
        elif number in ENDS:
            # The second one finds the workers without a handler, and ends them at once;
            # those that still start hear neither, and may never be ready.
            if not self._stopping:
                self.notify.say("STOPPING=1")
            self._tell_all(signal.SIGKILL if self._stopping and not self._has_run else number)
            self._stopping = True
        elif number == signal.SIGUSR1:  # worker 0 tells the sum of all
            for pid, worker in self._pids.items():
                if worker == 0:
                    os.kill(pid, number)
        elif number == signal.SIGUSR2:
            if self.successor is not None:
                self.successor()
        else:  # SIGHUP: each reads the cfg again, and says when it has
            self.notify.reloading()
            self._ready = 0
            self._tell_all(number)

    def _tell_all(self, number: int) -> None:
        for pid in list(self._pids):
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def _count_ready(self) -> None:
        with suppress(BlockingIOError):
            before = self._ready
            self._ready += len(os.read(self._pipe[0], 64))
            if before < self.team.size <= self._ready:
                if not self._has_run:
                    self.running()
                self._has_run = True
                self.notify.say(f"READY=1\nSTATUS={self.team.size} workers")

    def _reap(self) -> None:
        self._count_ready()  # one that said so before it died had begun
        while self._pids:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid in self._pids:
                self._ended(self._pids.pop(pid), pid, status)

    def _ended(self, worker: int, pid: int, status: int) -> None:
        code = os.waitstatus_to_exitcode(status)
        self.team.done[worker] = 1
        if self._stopping:
            self._code = self._code or max(0, code)
            return
        if not self._has_run:
            # One that cannot start says why; the others could not either.
            self._code, self._stopping = code if code > 0 else 1, True
            self._tell_all(signal.SIGTERM)
            return
        if code == 0:
            # It was told to stop by itself (core.kill): all are meant.
            self._stopping = True
            self._tell_all(signal.SIGTERM)
            return
        self._deaths = self._deaths + 1 if time.monotonic() - self._born[worker] < YOUNG else 1
        how = f"signal {-code}" if code < 0 else f"code {code}"
        log.error("worker %d (process %d) ended with %s and is replaced", worker, pid, how)
        if self._deaths > TOO_OFTEN:
            log.critical("worker %d dies as soon as it is started: the server stops", worker)
            self._code, self._stopping = 1, True
            self._tell_all(signal.SIGTERM)
            return
        self._start(worker, late=True)

    def _start(self, worker: int, *, late: bool) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        parent = os.getpid()
        self.team.done[worker] = 0
        pid = os.fork()
        if pid:
            self._pids[pid] = worker
            self._born[worker] = time.monotonic()
            self.team.pids[worker] = pid
            return
        code = 1
        try:
            _end_with(parent)
            for number in HEARD:
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
            os.close(self._pipe[0])
            self.notify.close()
            self.team.number, self.team.is_late = worker, late

            def ready() -> None:
                # Only now are there handlers: told to stop before, it would leave its files behind.
                signal.pthread_sigmask(signal.SIG_UNBLOCK, HEARD)
                os.write(self._pipe[1], b".")

            code = self.work(self.team, ready)
            sys.stdout.flush()
            sys.stderr.flush()
        except BaseException:
            # The edge of a process: nothing is above us to show it.
            log.exception("worker %d failed", worker)
        finally:
            os._exit(code)


def _end_with(parent: int) -> None:
    """Have the kernel end this process in good order when its parent has died."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)
