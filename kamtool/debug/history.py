"""What each statement did to the message: its state before every statement, for the last messages.

A state is a copy of all that a script can change, small because a context holds only what differs from rest.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from kamtool.errors import Span
from kamtool.module import Routes
from kamtool.script.avp import Avps, Record
from kamtool.script.context import Context
from kamtool.script.guards import Action
from kamtool.script.scope import ROUTE_NAMES

if TYPE_CHECKING:
    from kamtool.server.server import Server

_LISTS = frozenset(("edits", "branches", "reply_headers"))
MOST_MOMENTS = 5000
"""Statements that are kept of one run of a route; a loop may not eat the memory."""

NAMES = (
    "host", "msg", "flow", "route_kind", "route_name", "line", "new_uri", "dst_uri", "path", "send_socket",
    "connection", "q", "ruid", "user_agent", "instance", "branches", "flags", "branch_flags", "script_flags",
    "edits", "reply_headers", "record_route", "route_params", "rc", "depth", "force_rport",
    "add_local_rport", "advertised_host", "advertised_port", "authorized", "on_failure", "on_reply",
    "on_branch", "transaction", "branch_index", "reply", "program", "_avps", "_scratch",
)  # fmt: skip
"""All that a context holds; compiled, it has slots and no dict."""
_held = attrgetter(*NAMES)

Key = tuple[str, int, str]
"""A request with its responses: Call-ID, CSeq number and method."""


def key_of(ctx: Context) -> Key:
    """By which the routes of one call are known to belong together."""
    msg = ctx.msg
    return msg.call_id, msg.cseq, msg.cseq_method


def route_of(ctx: Context) -> str:
    """The block that the server runs, as the cfg writes it: `failure_route[BUSY]`, `request_route`."""
    if ctx.route_kind is Routes.REQUEST:
        return f"route[{ctx.route_name}]" if ctx.route_name else "request_route"
    word = ROUTE_NAMES[ctx.route_kind]
    return f"{word}[{ctx.route_name}]" if ctx.route_name else word


@dataclass(slots=True)
class State:
    """A message as it was at one moment."""

    own: dict[str, Any] | tuple[Any, ...]
    """What its context held: its dict, or, compiled, the values of NAMES."""
    avps: Avps | None
    variables: dict[str, Any]
    """`$var` and its kin, which belong to the process."""
    status: int
    """The last response of its transaction, 0 for none."""
    sent: int
    """How many branches its transaction had."""

    @property
    def held(self) -> dict[str, Any]:
        """All that its context held, by name."""
        if isinstance(self.own, dict):
            return {name: getattr(Context, name) for name in NAMES[3:]} | self.own
        return dict(zip(NAMES, self.own, strict=True))


@dataclass(slots=True)
class Moment:
    """The state before a statement; `action` is None at the end of the route."""

    action: Action | None
    state: State
    replied: int = 0
    """A response that the statement made, 0 for none."""

    @property
    def action_span(self) -> Span | None:
        """Where the statement stands."""
        return None if self.action is None else self.action.span


@dataclass(slots=True)
class Visit:
    """One run of a route by the server: `request_route` for a request, a failure_route later on."""

    number: int
    key: Key
    route: str
    first_line: str
    source: str
    began: float
    moments: list[Moment] = field(default_factory=list)
    lost: int = 0
    """Moments that were dropped, the oldest first."""
    ended: bool = False
    error: str = ""
    mishaps: list[tuple[int, str]] = field(default_factory=list)
    """Statements that could not be carried out: their places in `moments`, and why."""

    def facts(self) -> dict[str, Any]:
        """For a client."""
        return {
            "number": self.number, "call_id": self.key[0], "cseq": f"{self.key[1]} {self.key[2]}",
            "route": self.route, "message": self.first_line, "source": self.source,
            "began": self.began, "steps": self.lost + len(self.moments), "ended": self.ended,
            "error": self.error,
            "replied": next((m.replied for m in reversed(self.moments) if m.replied), 0),
        }  # fmt: skip


class Recorder:
    """Keeps the last visits. While `keeping` is 0 it keeps none."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.visits: deque[Visit] = deque()
        self.keeping = 0
        self._running: dict[int, Visit] = {}
        self._count = 0
        self._store = _variables_of(server)

    def keep(self, visits: int) -> None:
        """Keep so many of the last visits from now on."""
        self.keeping = visits
        while len(self.visits) > visits:
            self.visits.popleft()
        if not visits:
            self._running.clear()

    def visit_of(self, ctx: Context) -> Visit | None:
        """The visit that a message is on."""
        return self._running.get(id(ctx))

    def find(self, number: int) -> Visit | None:
        """A visit by its number."""
        return next((visit for visit in self.visits if visit.number == number), None)

    def begin(self, ctx: Context) -> Visit:
        """The server has begun a route."""
        self._count += 1
        data = ctx.msg.data
        first = data[: data.find(b"\r\n")].decode("utf-8", "replace")
        visit = Visit(self._count, key_of(ctx), route_of(ctx), first, _shown(ctx), time.time())
        self.visits.append(visit)
        while len(self.visits) > self.keeping:
            self.visits.popleft()
        self._running[id(ctx)] = visit
        return visit

    def note(self, action: Action | None, ctx: Context) -> None:
        """The state before a statement, or at the end."""
        visit = self._running.get(id(ctx))
        if visit is None:
            visit = self.begin(ctx)  # its route began before anybody watched
        visit.moments.append(Moment(action, capture(ctx, self._store)))
        if len(visit.moments) > MOST_MOMENTS:
            del visit.moments[0]
            visit.lost += 1

    def end(self, ctx: Context, error: Exception | None) -> None:
        """The route has ended."""
        visit = self._running.get(id(ctx))
        if visit is None:
            return
        self.note(None, ctx)
        del self._running[id(ctx)]
        visit.ended, visit.error = True, f"{type(error).__name__}: {error}" if error is not None else ""

    def replied(self, ctx: Context, status: int) -> None:
        """The statement that runs has made a response."""
        visit = self._running.get(id(ctx))
        if visit is not None and visit.moments:
            visit.moments[-1].replied = status

    def state(self, ctx: Context) -> State:
        """The state right now."""
        return capture(ctx, self._store)

    @contextmanager
    def revived(self, state: State) -> Iterator[Context]:
        """A context as the message's was then; `$var` reads as it did, for as long as this lasts."""
        held = state.held
        ctx = Context(held["host"], held["msg"], held["flow"])
        for name, value in held.items():
            if name == "_origin":
                continue
            setattr(ctx, name, list(value) if value and name in _LISTS else value)
        ctx._avps = _copy(state.avps) or Avps()
        now = dict(self._store)
        self._store.clear()
        self._store.update(state.variables)
        try:
            yield ctx
        finally:
            self._store.clear()
            self._store.update(now)


def _shown(ctx: Context) -> str:
    remote = ctx.flow.remote
    return f"{ctx.flow.transport}:{remote.host}:{remote.port}"


def _variables_of(server: Server) -> dict[str, Any]:
    store = getattr(server.modules.get("pv"), "variables", None)
    return store if isinstance(store, dict) else {}


def capture(ctx: Context, variables: dict[str, Any]) -> State:
    """The state of a message now."""
    own: Any = getattr(ctx, "__dict__", None)
    own = own.copy() if own is not None else _held(ctx)
    edits, branches, headers, scratch = ctx.edits, ctx.branches, ctx.reply_headers, ctx._scratch
    if edits or branches or headers or scratch:
        own = own if isinstance(own, dict) else dict(zip(NAMES, own, strict=True))
        own["edits"], own["reply_headers"] = tuple(edits), tuple(headers)
        own["branches"] = tuple(replace(branch) for branch in branches)
        own["_scratch"] = dict(scratch) if scratch else None
    avps = ctx._avps
    if avps is None and ctx._origin is not None:
        avps = ctx._origin._avps
    tx = ctx.transaction
    status, sent = (0, 0) if tx is None else (tx.status, len(tx.branches))
    return State(own, _copy(avps), variables.copy(), status, sent)


def _copy(avps: Avps | None) -> Avps | None:
    """A copy of all AVPs and XAVPs; None when there is none."""
    if avps is None or not (avps.named or avps.xavps.named or avps.xavis.named or avps.xavus.named):
        return None
    twin = Avps()
    twin.named = {name: list(values) for name, values in avps.named.items()}
    for mine, theirs in ((twin.xavps, avps.xavps), (twin.xavis, avps.xavis)):
        mine.named = {name: [_copy_record(each) for each in stack] for name, stack in theirs.named.items()}
    twin.xavus.named = {
        name: dict(held) if isinstance(held, dict) else held for name, held in avps.xavus.named.items()
    }
    return twin


def _copy_record(record: Record) -> Record:
    twin = Record(record.value)
    twin.fields = {name: list(values) for name, values in record.fields.items()}
    return twin
