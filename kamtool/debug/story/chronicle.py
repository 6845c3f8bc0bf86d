"""What is kept so that a story can be told later: the last routes that ran, and what was answered."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kamtool.debug.history import Key, Recorder, Visit, key_of
from kamtool.script.context import Context
from kamtool.script.guards import Action

if TYPE_CHECKING:
    from kamtool.server.server import Server
    from kamtool.server.transaction import ServerTransaction


@dataclass(slots=True)
class Tried:
    """A branch as it was when the answer was sent."""

    uri: str
    to: str
    status: int
    is_local: bool


@dataclass(slots=True)
class Response:
    """One that went upstream."""

    at: float
    status: int
    reason: str
    stateful: bool
    branches: list[Tried] = field(default_factory=list)
    error: int = 0


class Chronicle:
    """An observer that only keeps: the last `keep` runs of routes, and what their requests were answered."""

    visits = True

    def __init__(self, server: Server, keep: int) -> None:
        self.server = server
        self.recorder = Recorder(server)
        self.recorder.keep(keep)
        self.responses: OrderedDict[Key, list[Response]] = OrderedDict()

    async def start(self) -> None:
        """Begin to keep."""
        await self.server.observers.add(self)
        self.server.transactions.on_created.append(self._created)

    def stop(self) -> None:
        """Keep nothing any more."""
        self.server.observers.remove(self)
        if self._created in self.server.transactions.on_created:
            self.server.transactions.on_created.remove(self._created)

    def visits_of(self, key: Key) -> list[Visit]:
        """The routes that a request and its responses ran."""
        return [visit for visit in self.recorder.visits if visit.key == key]

    def requests(self, call_id: str = "") -> list[Key]:
        """The requests that are known, the oldest first; those of one call."""
        keys = dict.fromkeys(visit.key for visit in self.recorder.visits)
        return [key for key in keys if call_id in ("", key[0])]

    def final(self, key: Key) -> Response | None:
        """The last final response to a request."""
        found = [each for each in self.responses.get(key, ()) if each.status >= 200]
        return found[-1] if found else None

    # Observer

    def wants(self, action: Action) -> bool:
        """All of them."""
        return True

    def at(self, action: Action, ctx: Context) -> None:
        """The state before the statement."""
        self.recorder.note(action, ctx)

    def entered(self, ctx: Context) -> Awaitable[None] | None:
        """A route begins."""
        self.recorder.begin(ctx)
        return None

    def left(self, ctx: Context, error: Exception | None) -> Awaitable[None] | None:
        """A route has ended."""
        self.recorder.end(ctx, error)
        return None

    def failed(self, ctx: Context, error: Exception) -> None:
        """A statement could not be carried out."""
        visit = self.recorder.visit_of(ctx)
        if visit is not None:
            visit.mishaps.append((len(visit.moments) - 1, str(error)))

    def replied(self, ctx: Context, status: int) -> None:
        """A response was made here; a stateful one is told of by its transaction as well."""
        self.recorder.replied(ctx, status)
        if ctx.transaction is None:
            self._keep(key_of(ctx), Response(time.time(), status, "", False))

    def relinked(self) -> None:
        """Another cfg: what was kept speaks of the old one's lines and is forgotten."""
        self.recorder.visits.clear()
        self.responses.clear()

    # Transactions

    def _created(self, tx: ServerTransaction, ctx: Context) -> None:
        tx.watchers = (*tx.watchers, _Watch(self, key_of(ctx)))

    def _keep(self, key: Key, response: Response) -> None:
        self.responses.setdefault(key, []).append(response)
        while len(self.responses) > self.recorder.keeping:
            self.responses.popitem(last=False)


class _Watch:
    """Hears what is answered to one request."""

    def __init__(self, chronicle: Chronicle, key: Key) -> None:
        self.chronicle, self.key = chronicle, key

    def responded(self, tx: Any, status: int, data: bytes) -> None:
        reason = data[12 : data.find(b"\r\n")].decode("utf-8", "replace")
        tried = [
            Tried(each.uri, f"{each.flow.transport}:{each.flow.remote}", each.status, each.is_local)
            for each in tx.branches
        ]
        self.chronicle._keep(self.key, Response(time.time(), status, reason, True, tried, tx.error))

    def failing(self, tx: Any, branch: int) -> None:
        """The failure_route tells more."""
