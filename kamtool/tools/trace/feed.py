"""The server's end of a trace: what the tap sees and the script does, in batches, to one client.

A client that does not read in time loses messages, never the server its memory: what it lost is counted,
and it is told as soon as it reads again.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kamtool.debug.attach import is_owner
from kamtool.debug.history import route_of
from kamtool.errors import TransportError
from kamtool.module import Routes
from kamtool.script.context import Context
from kamtool.script.guards import Action
from kamtool.sip.flow import Flow
from kamtool.tools.captured import LARGEST_PATH
from kamtool.tools.trace.frames import (
    DROPPED,
    END_OF_BATCH,
    END_OF_PAST,
    FACTS,
    FLOW,
    HEAD,
    IN,
    OUT,
    PLACE,
    RECORDS,
)  # fmt: skip
from kamtool.transport import records

if TYPE_CHECKING:
    from kamtool.server.server import Server

log = logging.getLogger("kamtool.server")

INTERVAL = 0.02
"""Seconds between batches."""
MOST_UNREAD = 16 << 20
"""Octets that may wait for a client; what comes beyond is dropped."""
MOST_NUMBERED = 65_536
_DROPPABLE = (IN, OUT, FACTS, RECORDS + records.IN, RECORDS + records.OUT)


class Feed:
    """One client's batches. `saw` is the tap's watcher and runs for every message."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        self.loop = asyncio.get_running_loop()
        self.dropped = 0
        self.place = 0
        """The number of the statement that runs now, and the Call-ID of the message it runs for."""
        self.call_id = b""
        self._pieces: list[bytes] = []
        self._messages = 0
        self._flows: dict[int, tuple[int, Flow]] = {}
        self._places: dict[int, tuple[int, Action]] = {}
        self._is_armed = False

    def saw(self, at: float, inbound: bool, flow: Flow, data: bytes) -> None:
        """A message on its way."""
        known = self._flows.get(id(flow))
        number = known[0] if known is not None else self._number_of(flow)
        pieces = self._pieces
        if inbound:
            pieces.append(HEAD.pack(IN, at, number, 0, len(data)))
        else:
            place = self.place if self.place and self.call_id in data else 0
            pieces.append(HEAD.pack(OUT, at, number, place, len(data)))
        pieces.append(data)
        self._messages += 1
        if not self._is_armed:
            self.arm()

    def recorded(self, at: float, kind: int, flow: Flow, before: int, data: bytes) -> None:
        """Something of a TLS connection that is recorded."""
        known = self._flows.get(id(flow))
        number = known[0] if known is not None else self._number_of(flow)
        self._pieces.append(HEAD.pack(RECORDS + kind, at, number, before & 0xFFFFFFFF, len(data)))
        self._pieces.append(data)
        self._messages += kind in (records.IN, records.OUT)
        if not self._is_armed:
            self.arm()

    def arm(self) -> None:
        self._is_armed = True
        self.loop.call_later(INTERVAL, self.flush)

    def _number_of(self, flow: Flow) -> int:
        if len(self._flows) >= MOST_NUMBERED:
            self._flows.clear()
        number = len(self._flows) + 1
        self._flows[id(flow)] = number, flow  # which keeps it: no other gets its id
        facts = [flow.transport, *flow.local, *flow.remote, flow.connection]
        self.tell(FLOW, number, json.dumps(facts).encode())
        return number

    def number_of_action(self, action: Action) -> int:
        """The number of a statement, told once."""
        known = self._places.get(id(action))
        if known is not None:
            return known[0]
        number = len(self._places) + 1
        self._places[id(action)] = number, action
        kind = "request_route" if action.kind is Routes.REQUEST else str(action.kind.name).lower() + "_route"
        route = (
            f"route[{action.route}]"
            if action.route and action.kind is Routes.REQUEST
            else (f"{kind}[{action.route}]" if action.route else kind)
        )
        facts = [action.span.file, action.span.line, action.name, route]
        self.tell(PLACE, number, json.dumps(facts).encode())
        return number

    def tell(self, kind: int, number: int, data: bytes, at: float = 0.0) -> None:
        """A frame that is no message."""
        self._pieces.append(HEAD.pack(kind, at, number, 0, len(data)))
        self._pieces.append(data)
        if not self._is_armed:
            self.arm()

    def flush(self) -> None:
        """Send what has gathered, or drop its messages when the client is too far behind."""
        self._is_armed = False
        pieces, self._pieces = self._pieces, []
        messages, self._messages = self._messages, 0
        if self.writer.is_closing():
            return
        if self.writer.transport.get_write_buffer_size() > MOST_UNREAD:
            self.dropped += messages
            # Numbers must reach the client even so: later frames lean on them.
            pieces = [
                each for head, data in zip(pieces[::2], pieces[1::2], strict=True)
                if head[0] not in _DROPPABLE for each in (head, data)
            ]  # fmt: skip
            if not pieces:
                self.arm()  # to tell of the loss even if nothing more comes
                return
        elif self.dropped:
            pieces += (HEAD.pack(DROPPED, 0.0, self.dropped, 0, 0), b"")
            self.dropped = 0
        pieces += (HEAD.pack(END_OF_BATCH, 0.0, 0, 0, 0), b"")
        self.writer.write(b"".join(pieces))


@dataclass(slots=True)
class _Run:
    """One run of a route, and the one it is part of."""

    route: str
    call_id: bytes
    outer: int
    place: int
    path: list[int] = field(default_factory=list)
    replied: list[int] = field(default_factory=list)


class Watch:
    """Watches the script for a feed: which statements ran for a message, and which one sent another."""

    visits = True

    def __init__(self, feed: Feed) -> None:
        self.feed = feed
        self._running: dict[int, _Run] = {}
        self._current = 0

    def wants(self, action: Action) -> bool:
        return True

    def at(self, action: Action, ctx: Context) -> Awaitable[None] | None:
        number = self.feed.place = self.feed.number_of_action(action)
        running = self._running.get(id(ctx))
        if running is not None:
            self._current, self.feed.call_id = id(ctx), running.call_id
            if len(running.path) < LARGEST_PATH:
                running.path.append(number)
        return None

    def entered(self, ctx: Context) -> Awaitable[None] | None:
        call_id = ctx.msg.call_id.encode("utf-8", "surrogateescape")
        self._running[id(ctx)] = _Run(route_of(ctx), call_id, self._current, self.feed.place)
        return None

    def left(self, ctx: Context, error: Exception | None) -> Awaitable[None] | None:
        running = self._running.pop(id(ctx), None)
        outer = self._running.get(running.outer) if running is not None else None
        if running is None or outer is None:
            self._current = self.feed.place = 0
        else:  # a branch_route within a t_relay: what is sent now is the t_relay's
            self._current, self.feed.place, self.feed.call_id = running.outer, running.place, outer.call_id
        if running is None or not (running.path or error):
            return None
        msg = ctx.msg
        facts: dict[str, Any] = {
            "call_id": msg.call_id, "cseq": msg.cseq, "method": msg.cseq_method,
            "status": 0 if msg.is_request else msg.status, "route": running.route, "path": running.path,
            "replied": running.replied, "error": f"{type(error).__name__}: {error}" if error else "",
        }  # fmt: skip
        self.feed.tell(FACTS, 0, json.dumps(facts).encode())
        return None

    def failed(self, ctx: Context, error: Exception) -> None:
        pass

    def replied(self, ctx: Context, status: int) -> None:
        running = self._running.get(id(ctx))
        if running is not None:
            running.replied.append(status)

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
    if before and recorder is not None:
        for at, inbound, flow, data in recorder.since(before):
            feed.saw(at, inbound, flow, data)
        feed.tell(END_OF_PAST, recorder.forgotten, b"")
    if with_cfg:
        await server.observers.add(watch)
    server.tap.add(feed.saw)
    log.log(25, "a trace is attached%s", ", with the keys of TLS connections" if with_records else "")
    try:
        while await reader.read(4096):
            pass
    finally:
        server.tap.remove(feed.saw)
        server.tap.record_no_more(feed.recorded)
        if with_cfg:
            server.observers.remove(watch)
        feed.flush()
        log.log(25, "the trace has left")
