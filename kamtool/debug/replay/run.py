"""One replay: every entry at its time, and what the server sent compared with what it had sent."""

from __future__ import annotations

import asyncio
import re
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from kamtool.debug.breakpoints import block_of
from kamtool.debug.offline.loop import OfflineLoop
from kamtool.debug.offline.server import Offline
from kamtool.debug.offline.wire import Sent
from kamtool.debug.record.file import FLOW, Entry, Recording
from kamtool.debug.replay.answers import Answers, RecordedDatabases
from kamtool.debug.replay.capture import with_our_via
from kamtool.errors import KamtoolError, Span, UsageError
from kamtool.script.context import Context
from kamtool.script.guards import Action
from kamtool.script.nodes import If, Switch, While
from kamtool.script.program import Script
from kamtool.script.walk import inside, walk
from kamtool.sip.flow import Address, Flow, Socket

DAY = 86_400.0


@dataclass(slots=True)
class Step:
    """A statement that ran: what it says, and where it stands."""

    text: str
    span: Span
    block: str
    name: str
    asks: bool
    """It is a condition or part of one: what it leads to counts, not its words."""

    @property
    def key(self) -> str:
        """By which two ways are compared."""
        return self.name if self.asks else self.text


@dataclass(slots=True)
class Came:
    """A message that came, the way it took, and what left because of it."""

    number: int
    data: bytes
    at: float
    way: list[Step] = field(default_factory=list)
    left: list[str] = field(default_factory=list)

    @property
    def first_line(self) -> str:
        """The request or status line."""
        return self.data.partition(b"\r\n")[0].decode("utf-8", "replace")

    @property
    def call_id(self) -> str:
        """Its Call-ID, "" when it has none."""
        for line in self.data.split(b"\r\n"):
            name, _, value = line.partition(b":")
            if name.strip().lower() in (b"call-id", b"i"):
                return value.strip().decode("utf-8", "replace")
        return ""


@dataclass(slots=True)
class Replayed:
    """What came of a replay. `difference` is the first one in what was sent, "" when there is none."""

    came: list[Came] = field(default_factory=list)
    sent: list[Sent] = field(default_factory=list)
    recorded: list[Sent] = field(default_factory=list)
    missing: dict[str, int] = field(default_factory=dict)
    cut: str = ""

    @property
    def difference(self) -> str:
        """In words."""
        for number, (mine, theirs) in enumerate(zip(self.sent, self.recorded, strict=False), 1):
            if mine != theirs:
                return f"message {number} that left: {_compared(mine, theirs)}"
        if len(self.sent) != len(self.recorded):
            return f"{len(self.sent)} messages left, and {len(self.recorded)} had left when it was recorded"
        return ""


def _compared(mine: Sent, theirs: Sent) -> str:
    if mine.data == theirs.data:
        return f"{mine.first_line} went to {mine.flow.remote} and had gone to {theirs.flow.remote}"
    for now, then in zip(mine.data.split(b"\r\n"), theirs.data.split(b"\r\n"), strict=False):
        if now != then:
            return f"{now.decode(errors='replace')!r} was {then.decode(errors='replace')!r}"
    return f"{mine.first_line} is {len(mine.data)} octets and was {len(theirs.data)}"


class Way:
    """The observer that writes down which statements each message ran."""

    visits = True

    def __init__(self, script: Script) -> None:
        self.script = script
        self.by_data: dict[bytes, Came] = {}
        self._texts: dict[Action, Step] = {}
        self._asking = frozenset(asking(script))
        self._now: dict[int, Came] = {}

    def wants(self, action: Action) -> bool:
        """All of them."""
        return True

    def at(self, action: Action, ctx: Context) -> None:
        """One more step."""
        came = self._now.get(id(ctx))
        if came is not None:
            step = self._texts.get(action)
            if step is None:
                step = self._texts[action] = self._step(action)
            came.way.append(step)

    def _step(self, action: Action) -> Step:
        span = action.span
        return Step(_text(self.script, action), span, block_of(action), action.name, span in self._asking)

    def entered(self, ctx: Context) -> Awaitable[None] | None:
        """A route begins: that of a message that came, perhaps long ago."""
        came = self.by_data.get(ctx.msg.data)
        if came is not None:
            self._now[id(ctx)] = came
        return None

    def left(self, ctx: Context, error: Exception | None) -> Awaitable[None] | None:
        """A route has ended."""
        self._now.pop(id(ctx), None)
        return None

    def failed(self, ctx: Context, error: Exception) -> None:
        """The way shows it."""

    def replied(self, ctx: Context, status: int) -> None:
        """It is seen on the wire."""

    def relinked(self) -> None:
        """The recorded reload is not done again."""


def asking(script: Script) -> Iterator[Span]:
    """The spans of all conditions, and of what is in them."""
    for route in script.routes:
        for node in walk(route.body):
            if isinstance(node, If | While | Switch):
                yield node.span
                subject = node.subject if isinstance(node, Switch) else node.condition
                yield from (each.span for each in inside(subject))


def _text(script: Script, action: Action) -> str:
    """The words of a statement; of a block, those before its brace."""
    line = script.text.line(action.span.file, action.span.line) or ""
    end = action.span.end_column - 1 if action.span.end_line == action.span.line else len(line)
    words = line[action.span.column - 1 : end].partition("{")[0]
    shown = " ".join(words.split())
    return shown if shown.startswith(action.name) or action.name == "assign" else f"{action.name} {shown}"


class Replay:
    """Does a recording again on a script. Raises what starting a server raises."""

    def __init__(self, recording: Recording, script: Script, *, watch: bool = False) -> None:
        about = recording.about
        self.recording, self.script = recording, script
        self.loop = OfflineLoop(float(about["now"]))
        self.answers = Answers(recording.entries)
        sockets = next((entry.facts["sockets"] for entry in recording.entries if entry.kind == "M"), None)
        if sockets is None:
            raise UsageError("the recording ends before the server had started")
        self.now = self.loop.time()
        self.offline = Offline(
            script, listens=[_socket(*each) for each in sockets], epoch=float(about["day"]),
            seed=str(about["seed"]), query=self.answers.dns, loop=self.loop,
            databases=RecordedDatabases(self.answers),
        )  # fmt: skip
        server = self.offline.server
        began = self.now
        self.offline.chance.now = lambda: float(about["day"]) + self.now - began
        server.options.clock = lambda: self.now
        server.options.sweep_most = 0  # a recording that does not say had no bound
        for name, value in about.get("timers", {}).items():
            setattr(server.options, name, type(getattr(server.options, name))(value))
        server.transports.resolver._hosts = about.get("hosts", {})
        server.sweeps.turn = lambda: None  # type: ignore[method-assign]  # the recording says when
        server.every = self._every  # type: ignore[method-assign]
        self._timers: list[Callable[[], Awaitable[None] | None]] = []
        self._flows: dict[int, Flow] = {}
        for entry in recording.entries:
            if entry.kind == "F":
                _, transport, _, remote, connection = entry.facts
                self.offline.wire.expected.setdefault((transport, Address(*remote)), connection)
        self.way = Way(script) if watch else None
        self.result = Replayed(cut=recording.cut)

    def _every(self, seconds: float, callback: Callable[[], Awaitable[None] | None]) -> None:
        self._timers.append(callback)

    def run(self) -> Replayed:
        """All of it."""
        server, result = self.offline.server, self.result
        self.offline.chance.look()
        entries = iter(self.recording.entries)
        with self.offline.chance():
            starting = self.loop.create_task(server.start())
            for entry in entries:
                if entry.kind == "M":
                    break
                self._happens(entry)
            self.loop.go()
            if not starting.done():
                starting.cancel()
                self.loop.go()
                raise UsageError("the server does not start on what was recorded")
            starting.result()
            if self.way is not None:
                self.loop.finish(server.observers.add(self.way))
            self._taken(None)
            for entry in entries:
                self._happens(entry)
            self.loop.go()
        self._taken(None)
        result.missing = dict(self.answers.missing)
        self.offline.stop()
        return result

    def _happens(self, entry: Entry) -> None:
        """One entry, at its time: what falls due before it comes first."""
        kind = entry.kind
        if kind == "F":
            number, transport, local, remote, connection = entry.facts
            flow = Flow(transport, Address(*local), Address(*remote), connection)
            self._flows[number] = flow
            if connection:
                self.offline.wire.connections[transport, flow.remote] = connection
            return
        if kind == "O":
            self.result.recorded.append(Sent(self._flows[entry.flow], entry.message))
            return
        self.loop.go_until(entry.at)
        self.now = max(self.now, entry.at)
        came: Came | None = None
        server = self.offline.server
        if kind == "I":
            came = Came(len(self.result.came) + 1, entry.message, entry.at)
            self.result.came.append(came)
            if self.way is not None:
                self.way.by_data[came.data] = came
            self.loop.call_soon(server.receive, self._fitting(came.data), self._flows[entry.flow])
        elif kind == "S":
            self.loop.call_soon(server.transactions.sweep, self.now, server.options.sweep_most)
        elif kind in ("Q", "D"):
            self.loop.call_soon(self.answers.comes)
        elif kind == "K":
            self._tick(FLOW.unpack(entry.data)[0])
        elif kind == "R":
            self.loop.create_task(self._rpc(*entry.facts))
        elif kind == "C":
            flow = self._flows[entry.flow]
            self.offline.wire.connections.pop((flow.transport, flow.remote), None)
            self.loop.call_soon(server.closed, flow, entry.message.decode())
        self.loop.go()
        self._taken(came)

    def _fitting(self, data: bytes) -> bytes:
        """A message of a capture: a response answers what this server sent, which had another branch then."""
        if not self.recording.about.get("from_capture") or not data.startswith(b"SIP/2.0 "):
            return data
        key = _key(data)
        for sent in reversed(self.result.sent):
            if not sent.data.startswith(b"SIP/2.0 ") and _key(sent.data) == key:
                fitting = with_our_via(data, sent.data)
                if self.way is not None:
                    self.way.by_data[fitting] = self.result.came[-1]
                return fitting
        return data

    def _tick(self, number: int) -> None:
        if number < len(self._timers):

            async def tick() -> None:
                with suppress(Exception):
                    waiting = self._timers[number]()
                    if waiting is not None:
                        await waiting

            self.loop.create_task(tick())

    async def _rpc(self, method: str, params: Any) -> None:
        with suppress(KamtoolError, asyncio.CancelledError):
            await self.offline.server.rpc.call(method, params)

    def _taken(self, came: Came | None) -> None:
        for sent in self.offline.wire.taken():
            self.result.sent.append(sent)
            if came is not None:
                came.left.append(f"{sent.first_line} → {sent.flow.transport}:{sent.flow.remote}")


_CALL_ID = re.compile(rb"^(?:call-id|i)[ \t]*:[ \t]*([^\r\n]*)", re.IGNORECASE | re.MULTILINE)
_CSEQ = re.compile(rb"^cseq[ \t]*:[ \t]*(\d+)[ \t]+(\w+)", re.IGNORECASE | re.MULTILINE)


def _key(data: bytes) -> tuple[bytes, ...]:
    """By which a response and its request know each other: Call-ID and CSeq."""
    call, cseq = _CALL_ID.search(data), _CSEQ.search(data)
    return (call[1].strip() if call else b"", *(cseq.groups() if cseq else ()))


def by_call(result: Replayed) -> dict[str, list[Came]]:
    """The messages of each call."""
    found: dict[str, list[Came]] = defaultdict(list)
    for came in result.came:
        found[came.call_id].append(came)
    return found


def _socket(transport: Any, address: list[Any], advertised: list[Any] | None, name: str) -> Socket:
    return Socket(transport, Address(*address), Address(*advertised) if advertised else None, name)
