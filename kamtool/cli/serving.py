"""The way of `kamtool serve` from the cfg to running processes: log, user, database, workers."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

import click

from kamtool.cli import recording
from kamtool.cli.announcing import announce
from kamtool.cli.living import live
from kamtool.cli.output import coloured
from kamtool.cli.wishes import Wishes, apply, be_who_the_cfg_says, load
from kamtool.errors import UsageError

if TYPE_CHECKING:
    import socket

    from kamtool.script.program import Script
    from kamtool.script.settings import Settings
    from kamtool.server.handover import Estate
    from kamtool.server.workers import Team
    from kamtool.sip.flow import Socket

log = logging.getLogger("kamtool.server")


def serve(wishes: Wishes) -> None:
    """Run until told to stop. Raises ConfigErrors, StoreError and UsageError: a clear line for each."""
    from kamtool.cli import crew
    from kamtool.server import handover, process

    recording.prepare(wishes.record)
    if wishes.workdir and wishes.file:
        wishes.file = wishes.file.absolute()  # to find it again from there
    loaded = load(wishes)
    ready = process.go_to_background(keep_stderr=wishes.log_stderr) if wishes.in_background else None
    install_log(wishes, loaded.settings)
    apply(wishes, loaded.settings)
    be_who_the_cfg_says(wishes, loaded.settings)
    size = crew.size_of(wishes.workers, loaded.settings)
    bound, bound_team = give_up_root(wishes, loaded, size)
    database = prepare_database(wishes)
    tell_limits(loaded)
    if wishes.workdir:
        os.chdir(wishes.workdir)
    with ExitStack() as files:
        if wishes.pid_file:
            files.enter_context(process.PidFile(wishes.pid_file, heir=wishes.take_over))
        if wishes.pgid_file:
            files.enter_context(process.PidFile(wishes.pgid_file, os.getpgrp, heir=wishes.take_over))
        recording.alone(wishes.record, size)
        estate = handover.ask(wishes.control_socket()) if wishes.take_over else None
        if size == 1:
            if estate is not None and len(estate.rows) != 1:
                raise UsageError(f"the running server has {len(estate.rows)} workers", hint="say --workers")
            process.run(live(wishes, loaded, database, ready, estate=estate, bound=bound))
            return
        crew.tell_apart(wishes.flight_recorder, wishes.history)
        team = bound_team or crew.make(size, wishes.dispatch, loaded, estate)
        code = serve_with(team, wishes, loaded, database, ready, estate)
    if code:
        raise SystemExit(code)


def serve_with(
    team: Team, wishes: Wishes, loaded: Script, database: str, ready: Callable[[], None] | None,
    estate: Estate | None,
) -> int:  # fmt: skip
    """Run several workers; the exit code of the whole."""
    from kamtool.cli import crew
    from kamtool.server import process
    from kamtool.server.notify import Notify
    from kamtool.server.workers_parent import Parent

    def work(member: Team, tell: Callable[[], None]) -> int:
        return crew.guarded(lambda: process.run(live(wishes, loaded, database, tell, member, estate)))

    def running() -> None:
        announce(wishes, team.listening, database, wishes.control_socket(), team.size)
        if ready:
            ready()

    notify = Notify()
    upgrade = partial(process.successor, notify.path, wishes.chroot)
    return Parent(team, work, running, notify, upgrade).run()


def give_up_root(
    wishes: Wishes, loaded: Script, size: int
) -> tuple[Mapping[Socket, socket.socket], Team | None]:
    """With -u, -g or -t: bind first, then be another. What was bound, for one server or for several."""
    from kamtool.cli import crew
    from kamtool.server import listen, privileges
    from kamtool.transport.tcp_options import tcp_options

    who = privileges.identity(wishes.user, wishes.group)
    bound: Mapping[Socket, socket.socket] = {}
    team = None
    if (wishes.user or wishes.group or wishes.chroot) and not wishes.take_over:
        if size == 1:
            options = tcp_options(lambda name, default: loaded.settings.values.get(name, default))
            bound = privileges.bind_early(listen.wanted_by(loaded, []), options)
        else:
            team = crew.make(size, wishes.dispatch, loaded)
    if wishes.chroot or who.uid:
        privileges.bring(load.name for load in loaded.loads)
    if wishes.chroot:
        privileges.enter(wishes.chroot)
    privileges.become(who)
    return bound, team


def prepare_database(wishes: Wishes) -> str:
    """Make or bring up to date the database of default.cfg; what became of it, "" without one."""
    if not wishes.database:
        return ""
    from kamtool.store.migrate import migrate

    is_new = not wishes.database.exists()
    applied = migrate(wishes.database)
    return "created" if is_new else f"{len(applied)} migrations applied" if applied else "found"


def install_log(wishes: Wishes, settings: Settings) -> None:
    """Log to stderr, but from the background to syslog unless -E asks for stderr."""
    from kamtool.server import log

    debug = wishes.debug or settings.number("debug")
    handler = log.to_stream(coloured=wishes.colours or coloured(sys.stderr))
    if wishes.in_background and not wishes.log_stderr and not settings.number("log_stderror"):
        try:
            handler = log.to_syslog(
                settings.text("log_facility") or "LOG_DAEMON", settings.text("log_name") or "kamtool"
            )
        except OSError:
            click.echo("there is no syslog here: nothing will be logged (-E logs to stderr)", err=True)
            handler = logging.NullHandler()
    log.install(handler, debug)


def tell_limits(loaded: Script) -> None:
    """Say on the log which limits of the system the cfg's own may meet."""
    from kamtool.server import limits
    from kamtool.transport.tcp_options import tcp_options

    options = tcp_options(lambda name, default: loaded.settings.values.get(name, default))
    files = options.max_connections + limits.OWN_FILES
    allowed = limits.raise_open_files(loaded.settings.number("open_files_limit") or files)
    for complaint in limits.complaints(options, allowed, limits.memory_allowed()):
        log.warning(complaint)
