"""The life of a server: in what order its parts start, and how they stop."""

from __future__ import annotations

import asyncio
import gc
import logging
import re
from typing import TYPE_CHECKING

from kamtool.module import declaration
from kamtool.server import handover, ignored, listen, relief
from kamtool.sip.transaction import COMPLETED

if TYPE_CHECKING:
    from kamtool.server.server import Server

log = logging.getLogger("kamtool.server")

GC_THRESHOLDS = 10_000, 5_000, 1_000
"""A look at 10,000 new objects takes 4 ms in which no message is served; at a million contacts, 400 ms.
Hardly anything that runs for a message makes cycles, so the old are looked at seldom."""


async def start(server: Server) -> None:
    """Make and start the modules in the order of their loadmodule lines, then read the sockets.

    Raises ConfigError, StoreError or TransportError, and leaves nothing open then.
    """
    server.now = server.transactions.now = server.options.clock or asyncio.get_running_loop().time
    try:
        _make(server)
        _bind(server)
        await _start_modules(server)
        await _begin_reading(server)
    except BaseException:
        await server.stop(drain=0)
        raise
    server.say_who()
    server.sweeps.start()
    if server.link is not None:
        server.link.open()
    for name in ("htable:mod-init", "core:worker-one-init"):
        if name in server.program.event_routes:
            server.run_event(name, {})
    server.every(relief.EVERY, relief.Relief(server.transactions.__len__).look)
    if server.options.freeze:
        gc.collect()
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLDS)
        if (give_back := relief.trimmer()) is not None:
            give_back()  # what only the start needed


def _make(server: Server) -> None:
    """The modules with their parameters, and the script linked to them."""
    ignored.tell(server.settings, alone=server.team is None)
    server.make_modules()
    for param in server.script.modparams:
        for name, module in server.modules.items():
            if re.fullmatch(param.modules, name) and param.name in declaration(type(module)).params:
                module.set_param(param.name, param.value)
    ignored.tell_params(server.script, server.modules)
    server.program = server.script.link(server)


def _bind(server: Server) -> None:
    """The sockets, not read yet: what comes meanwhile waits, for half the modules are half a server."""
    options, team = server.options, server.team
    if server.link is not None and team is not None:
        server.link.hold()
        server.link.start(late=team.is_late)
    bound = team.own_bound if team and team.bound else options.bound
    wanted = list(team.own_bound) if team and team.bound else []
    server.transports.start(wanted or listen.wanted_by(server.script, list(options.listens)), bound)
    server.transports.pause()
    handover.listen_to_worker_0(server, options.estate)
    if server.blocklist is not None:
        server.transports.watch_errors()
    server.set_sockets()


async def _start_modules(server: Server) -> None:
    for module in list(server.modules.values()):
        if not (server.worker and module.alone):
            await module.start()
        if server.team and not server.worker and module.per_worker:
            name = declaration(type(module)).name
            log.warning("%s: each of the %d workers %s", name, server.team.size, module.per_worker)


async def _begin_reading(server: Server) -> None:
    """First what others know: the workers, and the server whose place this one takes."""
    estate, is_late = server.options.estate, server.team is not None and server.team.is_late
    if is_late and server.link is not None:
        await server.link.catch_up()
    if estate is not None and server.worker == 0:
        await estate.take(server)
    if estate is None or is_late:
        server.transports.resume()


async def stop(server: Server, drain: float | None = None) -> None:
    """Wait up to `drain` seconds for running transactions, then close everything in reverse order."""
    loop = asyncio.get_running_loop()
    server.gate.drain()
    end = loop.time() + (server.options.drain if drain is None else drain)
    while _runs_on(server) and loop.time() < end:  # noqa: ASYNC110
        await asyncio.sleep(0.02)
    for module in reversed(list(server.modules.values())):
        if server.worker and module.alone:
            continue
        try:
            await module.stop()
        except Exception:
            log.exception("module %s did not stop in good order", declaration(type(module)).name)
    await server.tasks.end()
    server.transports.stop()
    if server.link is not None:
        server.link.stop()
    await server.databases.close()
    server.sweeps.stop()


def _runs_on(server: Server) -> bool:
    """Whether a transaction waits for its answer, here or at another worker."""
    busy = _is_busy(server)
    if server.team is None:
        return busy
    server.team.done[server.worker] = not busy
    return not server.team.all_done


def _is_busy(server: Server) -> bool:
    """Whether a transaction waits for its final response, or for the ACK to one that it sent."""
    return any(
        not tx.is_answered or (tx.state == COMPLETED and tx.method == "INVITE")
        for tx in server.transactions.by_label.values()
    )
