"""One server of `kamtool serve`, or one worker of it, from its start to its orderly stop."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from kamtool.cli import recording
from kamtool.cli.announcing import announce
from kamtool.cli.wishes import Wishes, load_again
from kamtool.errors import TransportError, UsageError
from kamtool.server import control

if TYPE_CHECKING:
    import asyncio
    import socket

    from kamtool.script.program import Script
    from kamtool.script.settings import Settings
    from kamtool.server.handover import Estate
    from kamtool.server.notify import Notify
    from kamtool.server.reload import Reloader
    from kamtool.server.server import Server
    from kamtool.server.workers import Team
    from kamtool.sip.flow import Socket

log = logging.getLogger("kamtool.server")


async def live(
    wishes: Wishes, loaded: Script, database: str, ready: Callable[[], None] | None,
    team: Team | None = None, estate: Estate | None = None,
    bound: Mapping[Socket, socket.socket] | None = None,
) -> None:  # fmt: skip
    """Serve until told to stop; `ready` is called once it runs. Raises UsageError when it cannot."""
    from kamtool.debug.watching import Watching
    from kamtool.server.notify import Notify

    recorder = recording.begin(wishes.record)
    server = _made(wishes, loaded, team, estate, bound, recorder.clock if recorder else None)
    reloader = _reloader(wishes, server)
    rpc = _control(wishes, server)
    watching = Watching(server)
    if recorder:
        recorder.attach(server, str(wishes.script_file()), dict(wishes.defines()))
    try:
        await server.start()
    except TransportError as error:
        raise UsageError(str(error), exit_code=1, hint="-l chooses other addresses") from error
    try:
        if recorder:
            recorder.started(server)
        if wishes.history:
            await watching.history(wishes.history)
        if wishes.coverage:
            await watching.coverage("on")
        start_recorder(wishes, server)
        await rpc.start(patience=5.0 if estate is not None or server.worker else 0.0)

        def running() -> None:
            if team is None:
                announce(wishes, server.sockets, database, rpc.path)
            if ready:
                ready()

        await _until_told(wishes, server, reloader, Notify(), running, ready if team else None)
    finally:
        watching.stop(wishes.coverage)
        await rpc.stop()
        await server.stop()
        if recorder:
            recorder.close()


def _made(
    wishes: Wishes, loaded: Script, team: Team | None, estate: Estate | None,
    bound: Mapping[Socket, socket.socket] | None, clock: Callable[[], float] | None,
) -> Server:  # fmt: skip
    from kamtool.server.listen import wanted_by
    from kamtool.server.options import RUNTIME_FOLDER, Options
    from kamtool.server.server import Server

    options = Options(
        clock=clock,
        team=team,
        estate=None if team is not None and team.is_late else estate,
        bound=bound or ({} if estate is None or team else dict(estate.bound(wanted_by(loaded, [])))),
        drain=wishes.drain,
        runtime_folder=wishes.runtime_folder or RUNTIME_FOLDER,
        gather=wishes.gather / 1000,
        overload_late=wishes.overload_late / 1000,
        overload_queue=wishes.overload_queue,
        overload_transactions=_most_transactions(wishes, team.size if team is not None else 1),
    )
    return Server(loaded, options=options)


def _most_transactions(wishes: Wishes, workers: int) -> int:
    from kamtool.server.limits import most_transactions

    if wishes.overload_transactions is None:
        return most_transactions() // workers
    return -(-wishes.overload_transactions // workers)


def _reloader(wishes: Wishes, server: Server) -> Reloader:
    from kamtool.server import core_rpc
    from kamtool.server.reload import Reloader

    core_rpc.register(server.rpc, server)
    reloader = Reloader(server, lambda: load_again(wishes))
    reloader.register(server.rpc)
    reloader.on_reloaded.append(lambda script: set_log_level(wishes, script.settings))
    return reloader


def _control(wishes: Wishes, server: Server) -> control.ControlSocket:
    from kamtool.server import handover

    place = wishes.control_socket()
    if server.worker:  # who asks one worker asks them all; a debugger goes to each
        place = place.with_name(f"{place.name}.{server.worker}")
    rpc = control.ControlSocket(server.rpc, place)
    rpc.takers[b'"core.hand_over"'] = partial(handover.give, server)
    rpc.takers[b'"debug.attach"'] = partial(talk, "kamtool.debug.attach", server)
    rpc.takers[b'"trace.attach"'] = partial(talk, "kamtool.tools.trace.feed", server)
    return rpc


async def _until_told(
    wishes: Wishes, server: Server, reloader: Reloader, notify: Notify,
    running: Callable[[], None], reloaded: Callable[[], None] | None,
) -> None:  # fmt: skip
    """Say that it runs, and hear the signals until one of them is to stop."""
    import asyncio

    from kamtool.server.process import successor, until_told

    def begun() -> None:
        running()
        notify.say(f"READY=1\nMAINPID={os.getpid()}")
        notify.every(asyncio.get_running_loop().call_later)

    async def again() -> None:
        notify.reloading()
        await reloader.reload_and_log()
        notify.say("READY=1")
        if reloaded:
            reloaded()

    await until_told(
        lambda: server.spawn(log_statistics(server), "statistics"),
        begun,
        lambda: server.spawn(again(), "reload"),
        None if server.team else partial(successor, notify.path, wishes.chroot),
    )
    notify.say("STOPPING=1")
    log.info("stopping")


def set_log_level(wishes: Wishes, settings: Settings) -> None:
    """The log level of a cfg that has taken over; -d goes before it."""
    from kamtool.script.levels import python_level

    logging.getLogger("kamtool").setLevel(python_level(wishes.debug or settings.number("debug")))


async def talk(
    module: str, server: Server, first: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """A debugger or tracer attaches. Nothing of it is loaded before the first does; calls go on meanwhile."""
    import asyncio
    from importlib import import_module

    attach = await asyncio.get_running_loop().run_in_executor(None, import_module, module)
    await attach.converse(server, first, reader, writer)


def start_recorder(wishes: Wishes, server: Server) -> None:
    """The flight recorder, if one is wanted."""
    if wishes.flight_recorder:
        from kamtool.cli.trace import size_of
        from kamtool.tools.trace import recorder

        recorder.start(server, size_of(wishes.flight_recorder))


async def log_statistics(server: Server) -> None:
    """Log every counter that has counted, of all workers."""
    values = await server.rpc.call("stats.fetchn")
    counted = sorted((name.replace(".", ":", 1), value) for name, value in values.items() if value)
    log.warning(
        "statistics: %s", ", ".join(f"{name}={value}" for name, value in counted) or "nothing counted yet"
    )
