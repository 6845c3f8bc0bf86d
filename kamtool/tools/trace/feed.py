"""The server's end of a trace: what the tap sees and the script does, in batches, to one client.

A client that does not read in time loses messages, never the server its memory: what it lost is counted,
and it is told as soon as it reads again.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from kamtool.debug.attach import is_owner
from kamtool.debug.history import route_of
from kamtool.errors import TransportError
from kamtool.module import Routes
from kamtool.script.context import Context
from kamtool.script.guards import Action
from kamtool.sip.flow import Flow
from kamtool.speed.taping import Steps, Tape
from kamtool.tools.captured import LARGEST_PATH
from kamtool.tools.trace.frames import (
    DROPPED,
    END_OF_BATCH,
    END_OF_PAST,
    FACTS,
    FLOW,
    PLACE,
    RECORDS,
    ROUTE,
    facts,
)  # fmt: skip
from kamtool.transport import records

if TYPE_CHECKING:
    from kamtool.server.server import Server
    from kamtool.sip.message import Message
    from kamtool.speed.tape import Visit
    from kamtool.tools.trace.recorder import Recorder

log = logging.getLogger("kamtool.server")

INTERVAL = 0.02
"""Seconds between batches."""
MOST_UNREAD = 16 << 20
"""Octets that may wait for a client; what comes beyond is dropped."""
MOST_NUMBERED = 65_536


class Feed:
    """One client's frames: they gather on a tape, which costs a copy of their octets, and go in batches."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        self.loop = asyncio.get_running_loop()
        self.tape = Tape(MOST_UNREAD, self._number_of)
        self._kept: list[Flow] = []
        """The flows that have numbers: while they are here no other gets their id."""
        self._places: list[Action] = []
        """The statements that have numbers, from 1 on."""
        self._routes: dict[tuple[Routes, str], int] = {}
        self._beat: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Send what gathers from now on."""
        self._beat = self.loop.call_later(INTERVAL, self._again)

    def stop(self) -> None:
        """Send the rest."""
        if self._beat is not None:
            self._beat.cancel()
        self.flush(is_last=True)

    def _again(self) -> None:
        self.flush()
        self._beat = self.loop.call_later(INTERVAL, self._again)

    def tell_past(self, recorder: Recorder, seconds: float) -> None:
        """What the flight recorder has of the last so many seconds: however much, it is all there already."""
        limit, self.tape.limit = self.tape.limit, sys.maxsize
        for seen in recorder.since(seconds):
            self.tape(seen)
        self.tape.limit = limit
        self.tell(END_OF_PAST, recorder.forgotten, b"")
        self.tell(END_OF_BATCH, 0, b"")
        self.writer.write(self.tape.take())

    def recorded(self, at: float, kind: int, flow: Flow, before: int, data: bytes) -> None:
        """Something of a TLS connection that is recorded."""
        if kind in (records.IN, records.OUT) and not self._has_room_for(data):
            return
        number = self.tape.numbers.get(id(flow)) or self._number_of(flow)
        self.tape.put(RECORDS + kind, at, number, before & 0xFFFFFFFF, data)

    def _has_room_for(self, data: bytes) -> bool:
        if len(self.tape) + len(data) <= self.tape.limit:
            return True
        self.tape.dropped += 1
        return False

    def _number_of(self, flow: Flow) -> int:
        numbers = self.tape.numbers
        if len(numbers) >= MOST_NUMBERED:  # those that are still in use are told anew
            self.tape.number_anew()
            self._kept.clear()
        number = numbers[id(flow)] = len(numbers) + 1
        self._kept.append(flow)
        ends = [flow.transport, *flow.local, *flow.remote, flow.connection]
        self.tell(FLOW, number, json.dumps(ends).encode())
        return number

    def number_of_action(self, action: Action) -> int:
        """The number of a statement, which is told."""
        self._places.append(action)
        number = len(self._places)
        kind = "request_route" if action.kind is Routes.REQUEST else str(action.kind.name).lower() + "_route"
        route = (
            f"route[{action.route}]"
            if action.route and action.kind is Routes.REQUEST
            else (f"{kind}[{action.route}]" if action.route else kind)
        )
        where = [action.span.file, action.span.line, action.name, route]
        self.tell(PLACE, number, json.dumps(where).encode())
        return number

    def tell(self, kind: int, number: int, data: bytes) -> None:
        """A frame that is no message."""
        self.tape.put(kind, 0.0, number, 0, data)

    def number_of_route(self, ctx: Context) -> int:
        """The number of the block that runs, told once."""
        kind = ctx.route_kind, ctx.route_name
        number = self._routes.get(kind)
        if number is None:
            number = self._routes[kind] = len(self._routes) + 1
            self.tell(ROUTE, number, route_of(ctx).encode())
        return number

    def tell_facts(self, msg: Message, visit: Visit, path: bytes, error: str) -> None:
        """What the script did for a message; not when that would be dropped as well."""
        if len(self.tape) <= self.tape.limit:
            status = 0 if msg.is_request else msg.status
            body = facts(status, visit.call_id, msg.cseq_method, path, visit.replied, error)
            self.tape.put(FACTS, 0.0, msg.cseq & 0xFFFFFFFF, visit.route, body)

    def flush(self, *, is_last: bool = False) -> None:
        """Send what has gathered, once what was sent before is gone."""
        tape, writer = self.tape, self.writer
        if writer.is_closing():
            tape.take()
            return
        if not (len(tape) or tape.dropped):
            return
        if writer.transport.get_write_buffer_size() and not is_last:
            # Numbers and secrets have room whatever waits: later frames lean on them. But not for ever.
            if len(tape) > 4 * tape.limit:
                writer.transport.abort()
            return
        if tape.dropped:
            self.tell(DROPPED, tape.dropped, b"")
            tape.dropped = 0
        self.tell(END_OF_BATCH, 0, b"")
        writer.write(tape.take())


class Watch:
    """Watches the script for a feed: which statements ran for a message, and which one sent another."""

    visits = True

    def __init__(self, feed: Feed) -> None:
        self.feed = feed
        self.steps = Steps(feed.tape, feed.number_of_action, LARGEST_PATH)
        self.at: Callable[[Action, Context], None] = self.steps.at

    def wants(self, action: Action) -> bool:
        return True

    def entered(self, ctx: Context) -> Awaitable[None] | None:
        route = self.feed.number_of_route(ctx)
        self.steps.begin(ctx, ctx.msg.call_id.encode("utf-8", "surrogateescape"), route)
        return None

    def left(self, ctx: Context, error: Exception | None) -> Awaitable[None] | None:
        visit = self.steps.end(ctx)
        if visit is not None:
            path = visit.path
            if path or error:
                said = f"{type(error).__name__}: {error}" if error else ""
                self.feed.tell_facts(ctx.msg, visit, path, said)
        return None

    def failed(self, ctx: Context, error: Exception) -> None:
        pass

    def replied(self, ctx: Context, status: int) -> None:
        visit = self.steps.of(ctx)
        if visit is not None:
            visit.replied.append(status & 0xFFFF)

    def relinked(self) -> None:
        pass


async def converse(
    server: Server, first: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Serve one tracer until it leaves. Its first line says what it wants: `cfg`, `before` seconds."""

    def answer(value: dict[str, Any]) -> None:
        writer.write(json.dumps({"jsonrpc": "2.0", "id": 1, **value}).encode() + b"\n")

    if not is_owner(writer):
        answer({"error": {"code": 403, "message": "not the owner"}})
        return
    try:
        wanted = json.loads(first).get("params", {})
        with_cfg, before = bool(wanted.get("cfg")), float(wanted.get("before", 0))
        with_records = bool(wanted.get("records"))
    except (ValueError, AttributeError, TypeError, RecursionError):
        answer({"error": {"code": -32600, "message": "this is no request"}})
        return
    recorder = server.tap.recorder
    if before and recorder is None:
        answer({"error": {"code": 404, "message": "no flight recorder runs: see serve --flight-recorder"}})
        return
    feed = Feed(writer)
    watch = Watch(feed)
    try:
        if with_records:
            server.tap.record(feed.recorded)
    except TransportError as error:
        answer({"error": {"code": 501, "message": str(error)}})
        return
    sockets = [f"{each.transport}:{each.address}" for each in server.sockets]
    answer({
        "result": {
            "sockets": sockets, "script": server.script.name, "worker": server.worker,
            "workers": server.team.size if server.team is not None else 1,
        }
    })  # fmt: skip
    if with_cfg:
        await server.observers.add(watch)
    if before and recorder is not None:
        feed.tell_past(recorder, before)
    server.tap.add(feed.tape)
    feed.start()
    log.log(25, "a trace is attached%s", ", with the keys of TLS connections" if with_records else "")
    try:
        while await reader.read(4096):
            pass
    finally:
        server.tap.remove(feed.tape)
        server.tap.record_no_more(feed.recorded)
        if with_cfg:
            server.observers.remove(watch)
        feed.stop()
        log.log(25, "the trace has left")
