"""`kamtool serve` with several workers: how many, and what becomes of the errors of one."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from kamtool.errors import KamtoolError, TransportError, UsageError

if TYPE_CHECKING:
    from kamtool.script.program import Script
    from kamtool.script.settings import Settings
    from kamtool.server.workers import Team


def size_of(wanted: str, settings: Settings) -> int:
    """How many workers: as said, or with `auto` the cfg's `children` but no more than there are CPUs."""
    if wanted != "auto":
        return int(wanted)
    return max(1, min(settings.number("children"), len(os.sched_getaffinity(0))))


def make(size: int, dispatch: str, loaded: Script) -> Team:
    """The team, its sockets bound. Raises UsageError when they cannot be."""
    from kamtool.server import listen
    from kamtool.server.workers import Team

    team = Team(size, dispatch=dispatch)
    try:
        team.bind(listen.wanted_by(loaded, []))
    except TransportError as error:
        raise UsageError(str(error), exit_code=1, hint="-l chooses other addresses") from error
    return team


def guarded(run: Callable[[], None]) -> int:
    """The exit code of one worker; its error is shown as the command line shows errors."""
    from kamtool.cli.main import report

    try:
        run()
    except KamtoolError as error:
        return report(error)
    except KeyboardInterrupt:
        return 130
    return 0
