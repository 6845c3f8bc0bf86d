"""`kamtool serve` with several workers: how many, and what becomes of the errors of one."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from kamtool.errors import KamtoolError, TransportError, UsageError

if TYPE_CHECKING:
    from kamtool.script.program import Script
    from kamtool.script.settings import Settings
    from kamtool.server.handover import Estate
    from kamtool.server.workers import Team

log = logging.getLogger("kamtool.server")


def size_of(wanted: str, settings: Settings) -> int:
    """How many workers: as said, or with `auto` the cfg's `children` but no more than there are CPUs."""
    if wanted != "auto":
        return int(wanted)
    return max(1, min(settings.number("children"), len(os.sched_getaffinity(0))))


def tell_apart(flight_recorder: str, history: int) -> None:
    """Say what every worker keeps for itself."""
    if flight_recorder:
        log.info(
            "--flight-recorder: every worker has one of this size; `kamtool trace --before` reads them all"
        )
    if history:
        log.info("--history: every worker keeps %d; `kamtool why` and `explain` ask them all", history)


def make(size: int, dispatch: str, loaded: Script, estate: Estate | None = None) -> Team:
    """The team, its sockets bound, or taken from `estate`. Raises UsageError when they cannot be."""
    from kamtool.server import listen
    from kamtool.server.workers import Team

    team = Team(size, dispatch=dispatch)
    if estate is not None:
        wanted = listen.wanted_by(loaded, [])
        if len(estate.rows) != size:
            raise UsageError(f"the running server has {len(estate.rows)} workers, not {size}", exit_code=1)
        team.inherit([estate.bound(wanted, worker) for worker in range(size)])
        if missing := [each for each in wanted if each not in team.listening]:
            raise UsageError(f"the running server does not listen on {missing[0].address}", exit_code=1)
        return team
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
