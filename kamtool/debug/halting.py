"""What is parked: how a message stops, what is kept of it, and how it goes on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from kamtool.debug import stack
from kamtool.debug.breakpoints import Breakpoint
from kamtool.debug.effects import of_moment
from kamtool.debug.freeze import freeze, thaw
from kamtool.debug.history import Key, Recorder, State, Visit, key_of, route_of
from kamtool.debug.parking import Options, Parked
from kamtool.debug.stepping import Step
from kamtool.debug.words import Mistake
from kamtool.module import Routes
from kamtool.script.context import Context, Exit
from kamtool.script.guards import Action

if TYPE_CHECKING:
    from kamtool.server.server import Server

Tell = Callable[[str, dict[str, Any]], None]


class Halting:
    """A session's parked messages, and the calls that are stepped through."""

    def __init__(self, server: Server, tell: Tell) -> None:
        self.server, self.tell = server, tell
        self.options = Options()
        self.parked: dict[int, Parked] = {}
        self.steps: dict[Key, Step] = {}
        self.recorder = Recorder(server)
        self.attached = False
        self.passed = 0
        """Hits that did not stop because enough messages were parked."""
        self._workers = server.team.size if server.team else 1
        self._count = 1 + server.worker - self._workers
        self._numbers: dict[Key, int] = {}

    def rearm(self) -> None:
        """What is wanted has changed."""
        raise NotImplementedError

    # Stepping

    def _follow(self, step: Step, ctx: Context) -> None:
        """The route in which somebody steps has ended: go on with the call, if it goes on."""
        if step.ctx is not ctx:
            return
        tx = ctx.transaction
        if step.follow(tx, self.server.transactions.by_label):
            self.tell("left", {"route": route_of(ctx), "call_id": step.key[0], "follows": True})
            asyncio.get_running_loop().call_later(1.0, self._tidy)
        else:
            self._unstep(step)
            self.tell("left", {"route": route_of(ctx), "call_id": step.key[0], "follows": False})

    def _unstep(self, step: Step) -> None:
        if self.steps.get(step.key) is step:
            del self.steps[step.key]
            self.rearm()

    def _tidy(self) -> None:
        """Follow no transaction that has ended."""
        for step in [each for each in self.steps.values() if each.is_over(self.server.transactions.by_label)]:
            self._unstep(step)
            self.tell("over", {"call_id": step.key[0]})
        if self.steps and self.attached:
            asyncio.get_running_loop().call_later(1.0, self._tidy)

    # Parking

    async def _stop(self, action: Action | None, ctx: Context, reason: str, hit: Breakpoint | None) -> None:
        if len(self.parked) >= self.options.most:
            self.passed += 1
            self.tell("passed", {"reason": reason, "parked": len(self.parked), "passed": self.passed})
            return
        parked = self._park(action, ctx, reason, hit)
        loop = asyncio.get_running_loop()
        budget = self.options.budget
        alarm = loop.call_later(budget, self._over_budget, parked) if budget else None
        held = self.server.observers.park(ctx)
        if ctx.transaction is not None:
            parked.frozen = freeze(ctx.transaction, self.server.now())
        if self.options.trying:
            self._trying(ctx)
        self.tell("stopped", parked.facts())
        how: str = "continue"
        try:
            how, what = await parked.go
        finally:
            if alarm is not None:
                alarm.cancel()
            self.parked.pop(parked.number, None)
            self.server.observers.release(held)
            if parked.frozen is not None:
                thaw(parked.frozen, self.server.transactions, self.server.now())
        if how == "drop":
            raise Exit(0, True)
        if how == "reply":
            status, phrase = what
            self.server.reply(ctx, status, phrase)
            raise Exit(0)

    def _park(self, action: Action | None, ctx: Context, reason: str, hit: Breakpoint | None) -> Parked:
        places = stack.places()
        visit = self.recorder.visit_of(ctx) or self._last_visit(ctx)
        key, go = key_of(ctx), asyncio.get_running_loop().create_future()
        parked = Parked(
            self._number(key), ctx, action, reason, key, route_of(ctx), places, len(places), time.time(), go,
            visit, hit,
        )  # fmt: skip
        step = self.steps.pop(parked.key, None)
        if step is not None:
            self.rearm()
        parked.changes = self._changes(parked)
        self.parked[parked.number] = parked
        return parked

    def _number(self, key: Key) -> int:
        """A call keeps its number from stop to stop, unless another of its routes is stopped already."""
        number = self._numbers.get(key)
        if number is None or number in self.parked:
            self._count += self._workers  # a number of one worker is none of another
            number = self._numbers[key] = self._count
            if len(self._numbers) > 1000:
                del self._numbers[next(iter(self._numbers))]
        return number

    def _last_visit(self, ctx: Context) -> Visit | None:
        return next((each for each in reversed(self.recorder.visits) if each.key == key_of(ctx)), None)

    def _changes(self, parked: Parked) -> list[dict[str, Any]]:
        """What the statement before this one did."""
        visit = parked.visit
        if visit is None or len(visit.moments) < 2:
            return []
        return of_moment(visit.moments[-2], visit.moments[-1].state)

    def _over_budget(self, parked: Parked) -> None:
        self.tell("budget", {"id": parked.number, "seconds": self.options.budget})
        self.resume(parked, "continue")

    def _trying(self, ctx: Context) -> None:
        """100 for a request that nobody has answered yet (RFC 3261 §16.2)."""
        if not ctx.msg.is_request or ctx.msg.method == "ACK" or ctx.route_kind is not Routes.REQUEST:
            return
        if ctx.transaction is None:
            self.server.replies.stateless(ctx, 100, "Trying")
        elif not ctx.transaction.status:
            self.server.replies.stateful(ctx.transaction, 100, "Trying")

    def find(self, number: int | None) -> Parked:
        """A parked message; without a number the one that was parked last. Raises Mistake."""
        if not self.parked:
            raise Mistake("no message is parked", "`break request_route` stops the next one")
        if number is None:
            return self.parked[max(self.parked)]
        if number not in self.parked:
            raise Mistake(f"no message {number} is parked", f"parked: {', '.join(map(str, self.parked))}")
        return self.parked[number]

    def resume(self, parked: Parked, how: str, what: Any = None) -> None:
        """Let it go on: `continue`, `drop`, `reply`; or `into`, `over`, `out`, `until` and stop again."""
        if parked.go.done():
            return
        if how in ("into", "over", "out", "until"):
            step = Step(parked.key, how, parked.depth, parked.ctx, what or 0, parked.action)
            self.steps[parked.key] = step
            self.rearm()
            if parked.action is None:  # the route has ended or not begun: the call goes on elsewhere
                step.how = "into"
                asyncio.get_running_loop().call_later(1.0, self._tidy)
                step.follow(parked.ctx.transaction, self.server.transactions.by_label)
        parked.go.set_result((how, what))

    def state(self, parked: Parked) -> State:
        """The state that is looked at: the present, or the moment the cursor is on."""
        if parked.cursor is not None and parked.visit is not None:
            return parked.visit.moments[parked.cursor].state
        return self.recorder.state(parked.ctx)
