"""The engine of one client: what it wants to stop at, and the observer that sees whether it is reached."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any

from kamtool.debug import stack
from kamtool.debug.breakpoints import LOOKING, STATIC, Breakpoint, Wish, by_action, make
from kamtool.debug.effects import edits_of
from kamtool.debug.halting import Halting, Tell
from kamtool.debug.history import key_of
from kamtool.debug.words import Mistake
from kamtool.errors import ConfigError, ScriptError
from kamtool.module import Routes
from kamtool.script.context import Context
from kamtool.script.guards import Action

if TYPE_CHECKING:
    from kamtool.server.server import Server


class Session(Halting):
    """One client's debugger. `tell(event, facts)` is called for what happens unasked."""

    def __init__(self, server: Server, tell: Tell) -> None:
        super().__init__(server, tell)
        self.breakpoints: dict[int, Breakpoint] = {}
        self._places: dict[Action, tuple[Breakpoint, ...]] = {}
        self._looking: tuple[Breakpoint, ...] = ()
        self._pending: dict[int, tuple[str, Breakpoint | None]] = {}
        self._seen: dict[tuple[int, int], Any] = {}
        self._every = False
        self._last_breakpoint = 0

    # Coming and going

    async def attach(self) -> None:
        """Begin to watch the script. Messages that are in it already run on unwatched."""
        await self.server.observers.add(self)
        self.attached = True
        self.rearm()

    def detach(self) -> None:
        """Let everything go and leave nothing behind."""
        self.attached = False
        self.breakpoints.clear()
        self.steps.clear()
        self.recorder.keep(0)
        for parked in list(self.parked.values()):
            self.resume(parked, "continue")
        self.server.observers.remove(self)

    def rearm(self) -> None:
        """What is wanted has changed."""
        self._choose()
        if self.attached:
            self.server.observers.rearm()

    def _choose(self) -> None:
        self._places = by_action(
            each for each in self.breakpoints.values() if each.kind in STATIC and each.enabled
        )
        for action in self.server.observers.actions:
            if action.name == "dbg_breakpoint" and '"0"' not in self._source_of(action):
                self._places.setdefault(action, (_WRITTEN,))
        live = [each for each in self.breakpoints.values() if each.enabled]
        self._looking = tuple(each for each in live if each.kind in LOOKING)
        others = any(each.kind in ("reply", "error") for each in live)
        self._every = bool(self.recorder.keeping or self.steps or self._looking or others)

    def relinked(self) -> None:
        """The cfg was reloaded: breakpoints are found anew in it, and those that are lost say so."""
        for number, each in list(self.breakpoints.items()):
            wish = Wish(each.text, each.condition, each.once, each.ignore, each.log, each.commands)
            try:
                self.breakpoints[number] = make(number, wish, self.server, self.server.observers.actions)
            except (Mistake, ConfigError) as error:
                each.actions, each.trouble = frozenset(), str(error)
        self.tell("reloaded", {"breakpoints": [each.facts() for each in self.breakpoints.values()]})
        self._choose()

    def _source_of(self, action: Action) -> str:
        return self.server.script.text.line(action.span.file, action.span.line) or ""

    # Breakpoints

    def add_breakpoint(self, wish: Wish) -> Breakpoint:
        """Raises Mistake or ConfigError."""
        made = make(self._last_breakpoint + 1, wish, self.server, self.server.observers.actions)
        self._last_breakpoint += 1
        self.breakpoints[made.number] = made
        self.rearm()
        return made

    def remove_breakpoint(self, number: int) -> None:
        """Raises Mistake."""
        if self.breakpoints.pop(number, None) is None:
            raise Mistake(f"there is no breakpoint {number}", "`breakpoints` lists them")
        self.rearm()

    # Observer

    visits = True

    def wants(self, action: Action) -> bool:
        """Only what it must be told of."""
        return self._every or action in self._places

    def at(self, action: Action, ctx: Context) -> Awaitable[None] | None:
        """A statement is about to run: is there a reason to stop before it?"""
        if not self._every and not self._pending:
            # Nothing but breakpoints on statements: the way of every message that is not meant.
            for each in self._places.get(action, ()) if self.attached else ():
                if each.meets(ctx) and self._stops(each, ctx):
                    return self._stop(action, ctx, _at(each), each)
            return None
        if not self.attached:
            return None
        if self.recorder.keeping:
            self.recorder.note(action, ctx)
        reason, hit = self._reason(action, ctx)
        return None if not reason else self._stop(action, ctx, reason, hit)

    def _reason(self, action: Action | None, ctx: Context) -> tuple[str, Breakpoint | None]:
        if self._pending and (found := self._pending.pop(id(ctx), None)) is not None:
            return found
        if action is not None:
            for each in self._places.get(action, ()):
                if each.meets(ctx) and self._stops(each, ctx):
                    return _at(each), each
        for each in self._looking:
            if why := self._looked(each, ctx):
                return why, each
        step = self.steps.get(key_of(ctx)) if self.steps and action is not None else None
        if step is not None and action is not None and step.reached(action, stack.depth()):
            return "step", None
        return "", None

    def _stops(self, hit: Breakpoint, ctx: Context) -> bool:
        """False for a log point, which has now logged."""
        if hit.shown is not None:
            try:
                text = hit.shown(ctx)
            except (ScriptError, ConfigError) as error:
                text = f"{hit.log}: {error}"
            self.tell("logged", {"breakpoint": hit.number, "text": text, "call_id": ctx.msg.call_id})
            return False
        if hit.once:
            self.breakpoints.pop(hit.number, None)
            self.rearm()
        return True

    def _looked(self, each: Breakpoint, ctx: Context) -> str:
        """Why a breakpoint that compares stops here, "" when it does not."""
        place = (each.number, id(ctx))
        if each.kind == "watch":
            assert each.value is not None
            try:
                now = each.value(ctx)
            except (ScriptError, ConfigError):
                now = None
        else:
            now = edits_of(ctx, each.what) or None
        first = place not in self._seen
        before = self._seen.get(place)
        self._seen[place] = now
        if now == before or (first and each.kind == "watch") or not each.meets(ctx):
            return ""
        if not self._stops(each, ctx):
            return ""
        if each.kind == "watch":
            return f"{each.what} changed from {_quoted(before)} to {_quoted(now)}"
        return f"header {each.what} changed"

    def entered(self, ctx: Context) -> Awaitable[None] | None:
        """A route begins; a `reply 4xx` stops where a response arrives."""
        if not self._every:
            return None
        if self.recorder.keeping:
            self.recorder.begin(ctx)
        if ctx.route_kind is Routes.REPLY:
            for each in list(self.breakpoints.values()):
                if self._is_meant(each, ctx, getattr(ctx.msg, "status", 0)):
                    return self._stop(None, ctx, f"breakpoint {each.number}: a response has come", each)
        return None

    def _is_meant(self, each: Breakpoint, ctx: Context, status: int) -> bool:
        return (
            each.kind == "reply"
            and each.matches_status(status)
            and each.meets(ctx)
            and self._stops(each, ctx)
        )

    def left(self, ctx: Context, error: Exception | None) -> Awaitable[None] | None:
        """A route has ended: with an error, or with something that was to be stopped after."""
        if not self.attached or not self._every:
            return None
        self.recorder.end(ctx, error)
        reason, hit = self._reason(None, ctx)
        for each in list(self.breakpoints.values()) if error is not None else ():
            if each.kind == "error" and each.meets(ctx) and self._stops(each, ctx):
                reason, hit = f"breakpoint {each.number}: {type(error).__name__}: {error}", each
        for place in [place for place in self._seen if place[1] == id(ctx)]:
            del self._seen[place]
        step = self.steps.get(key_of(ctx))
        if step is not None:
            self._follow(step, ctx)
        return self._stop(None, ctx, reason, hit) if reason else None

    def failed(self, ctx: Context, error: Exception) -> None:
        """A statement could not be carried out."""
        for each in list(self.breakpoints.values()):
            if each.kind == "error" and each.meets(ctx) and self._stops(each, ctx):
                self._pending[id(ctx)] = (f"breakpoint {each.number}: {error}", each)

    def replied(self, ctx: Context, status: int) -> None:
        """A response was made here."""
        if not self._every:
            return
        if self.recorder.keeping:
            self.recorder.replied(ctx, status)
        for each in list(self.breakpoints.values()):
            if self._is_meant(each, ctx, status):
                self._pending[id(ctx)] = (f"breakpoint {each.number}: {status} was sent", each)


def _at(each: Breakpoint) -> str:
    return f"breakpoint {each.number}" if each.number else "dbg_breakpoint"


def _quoted(value: Any) -> str:
    return "$null" if value is None else f'"{value}"' if isinstance(value, str) else str(value)


_WRITTEN = Breakpoint(0, "dbg_breakpoint", "function", "dbg_breakpoint")
