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
from typing import TYPE_CHECKING, Any, cast

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
    PLACE,
    RECORDS,
    columns,
)  # fmt: skip
from kamtool.transport import records

if TYPE_CHECKING:
    from kamtool.server.server import Server
    from kamtool.transport.tap import Seen

log = logging.getLogger("kamtool.server")

INTERVAL = 0.02
"""Seconds between batches."""
MOST_UNREAD = 16 << 20
"""Octets that may wait for a client; what comes beyond is dropped."""
MOST_NUMBERED = 65_536
_DROPPABLE = (FACTS, RECORDS + records.IN, RECORDS + records.OUT)


class Feed:
    """One client's batches. What the tap sees goes into `seen`, at the price of one tuple; the rest is done
    for all messages of a batch at once.
    """

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        self.loop = asyncio.get_running_loop()
        self.dropped = 0
        self.place = 0
        """The number of the statement that runs now, and the Call-ID of the message it runs for."""
        self.call_id = b""
        self.seen: list[Seen] = []
        self._sent_by: list[int] = []
        self._pieces: list[bytes] = []
        """Frames that stand before the messages of their batch, and those behind."""
        self._behind: list[bytes] = []
        self._records = 0
        self._flows: dict[int, int] = {}
        self._kept: list[Flow] = []
        """The flows that have numbers: while they are here no other gets their id."""
        self._places: dict[int, tuple[int, Action]] = {}
        self._beat: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Send what gathers from now on."""
        self._beat = self.loop.call_later(INTERVAL, self._again)

    def stop(self) -> None:
        """Send the rest."""
        if self._beat is not None:
            self._beat.cancel()
        self.flush()

    def _again(self) -> None:
        if self.seen or self._pieces or self._behind or self.dropped:
            self.flush()
        self._beat = self.loop.call_later(INTERVAL, self._again)

    def saw(self, seen: Seen) -> None:
        """A message on its way, while the statements that run are known."""
        self.seen.append(seen)
        is_ours = not seen[1] and self.place and self.call_id in seen[3]
        self._sent_by.append(self.place if is_ours else 0)

    def recorded(self, at: float, kind: int, flow: Flow, before: int, data: bytes) -> None:
        """Something of a TLS connection that is recorded."""
        number = self._flows.get(id(flow)) or self._number_of(flow)
        self._pieces.append(HEAD.pack(RECORDS + kind, at, number, before & 0xFFFFFFFF, len(data)))
        self._pieces.append(data)
        self._records += kind in (records.IN, records.OUT)

    def _number_of(self, flow: Flow) -> int:
        number = self._flows[id(flow)] = len(self._flows) + 1
        self._kept.append(flow)
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

    def tell(self, kind: int, number: int, data: bytes) -> None:
        """A frame that is no message: those that messages lean on come before, the others behind."""
        pieces = self._pieces if kind in (FLOW, PLACE) else self._behind
        pieces.append(HEAD.pack(kind, 0.0, number, 0, len(data)))
        pieces.append(data)

    def flush(self) -> None:
        """Send what has gathered, or drop its messages when the client is too far behind."""
        if self.writer.is_closing():
            self._forget()
            return
        unread = self.writer.transport.get_write_buffer_size()
        if unread > MOST_UNREAD:
            self.dropped += len(self.seen) + self._records
            pieces = [*self._pieces, *self._behind]
            self._forget()
            # Numbers and secrets must reach the client even so: later frames lean on them. But not for ever.
            pieces = [
                each for head, data in zip(pieces[::2], pieces[1::2], strict=True)
                if head[0] not in _DROPPABLE for each in (head, data)
            ]  # fmt: skip
            if unread > 4 * MOST_UNREAD:
                self.writer.transport.abort()
            elif pieces:
                self.writer.write(b"".join(pieces))
            return
        messages = self._messages()
        pieces = [*self._pieces, *messages, *self._behind]
        self._forget()
        if self.dropped:
            pieces += (HEAD.pack(DROPPED, 0.0, self.dropped, 0, 0), b"")
            self.dropped = 0
        pieces += (HEAD.pack(END_OF_BATCH, 0.0, 0, 0, 0), b"")
        self.writer.write(b"".join(pieces))
        if len(self._flows) > MOST_NUMBERED:
            self._flows.clear()
            self._kept.clear()

    def _forget(self) -> None:
        # In place: the tap holds the `append` of this very list.
        self.seen.clear()
        self._sent_by.clear()
        self._pieces, self._behind, self._records = [], [], 0

    def _messages(self) -> tuple[bytes, ...]:
        """The frame of the messages that were seen, if any were."""
        if not self.seen:
            return ()
        times, ways, flows, messages = zip(*self.seen, strict=True)
        numbers = list(map(self._flows.get, map(id, flows)))
        if None in numbers:
            numbers = [self._flows.get(id(flow)) or self._number_of(flow) for flow in flows]
        places = self._sent_by or [0] * len(messages)
        return columns(times, ways, cast("list[int]", numbers), places, messages), *messages


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
        feed.seen += recorder.since(before)
        feed.tell(END_OF_PAST, recorder.forgotten, b"")
        feed.flush()
    if with_cfg:
        await server.observers.add(watch)
    watcher = feed.saw if with_cfg else feed.seen.append
    server.tap.add(watcher)
    feed.start()
    log.log(25, "a trace is attached%s", ", with the keys of TLS connections" if with_records else "")
    try:
        while await reader.read(4096):
            pass
    finally:
        server.tap.remove(watcher)
        server.tap.record_no_more(feed.recorded)
        if with_cfg:
            server.observers.remove(watch)
        feed.stop()
        log.log(25, "the trace has left")
