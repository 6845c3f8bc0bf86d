"""The observer that counts: statements, and whether conditions held."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kamtool.debug.breakpoints import block_of
from kamtool.debug.coverage.record import Coverage, File, digest
from kamtool.errors import Span
from kamtool.script.context import Context
from kamtool.script.guards import Action
from kamtool.script.nodes import Block, If, While
from kamtool.script.program import Script
from kamtool.script.walk import inside, walk

if TYPE_CHECKING:
    from kamtool.server.server import Server


@dataclass(slots=True)
class _Fork:
    """A condition: the spans that belong to asking it, and those of what it leads to."""

    span: Span
    asking: frozenset[Span]
    then: frozenset[Span]
    taken: list[int] = field(default_factory=lambda: [0, 0])


def forks_of(script: Script) -> dict[Span, _Fork]:
    """Every `if` and `while` of a cfg by its span."""
    found = {}
    for route in script.routes:
        for node in walk(route.body):
            if isinstance(node, If | While):
                then = node.then if isinstance(node, If) else node.body
                asking = frozenset(each.span for each in inside(node.condition))
                found[node.span] = _Fork(node.span, asking, _spans(then))
    return found


def _spans(block: Block) -> frozenset[Span]:
    return frozenset(node.span for node in walk(block))


class Counting:
    """Counts for as long as it watches; `coverage()` is what it has counted."""

    visits = True

    def __init__(self, server: Server) -> None:
        self.server = server
        self.counts: dict[Action, int] = {}
        self.forks: dict[Span, _Fork] = {}
        self._open: dict[int, list[tuple[_Fork, Action]]] = {}
        self._before: list[Coverage] = []
        self._script: Script | None = None
        self._actions: tuple[Action, ...] = ()

    async def start(self) -> None:
        """Begin to count."""
        await self.server.observers.add(self)
        self._take()

    def _take(self) -> None:
        """The cfg that runs now."""
        self._script, self._actions = self.server.script, self.server.observers.actions
        self.forks = forks_of(self._script)

    def stop(self) -> None:
        """Count no more."""
        self.server.observers.remove(self)

    def coverage(self) -> Coverage:
        """All that was counted, also on the cfgs that were reloaded since."""
        found = Coverage({})
        for each in (*self._before, self._now()):
            found = found.merged(Coverage.of(each.facts()), newest=True)  # a copy: merging adds
        return found

    def _now(self) -> Coverage:
        files: dict[str, File] = {}
        texts = self._script.text.files if self._script is not None else {}
        for action in self._actions:
            span = action.span
            file = files.get(span.file)
            if file is None:
                file = files[span.file] = File(digest(texts.get(span.file, "")))
            count = self.counts.get(action, 0)
            file.lines[span.line] = max(file.lines.get(span.line, 0), count)
            block = block_of(action)
            if block not in file.routes:
                file.routes[block] = (span.line, count)
        for fork in self.forks.values():
            if (file := files.get(fork.span.file)) is not None and fork.span.line in file.lines:
                file.branches.setdefault(fork.span.line, []).append((fork.taken[0], fork.taken[1]))
        return Coverage(files)

    # Observer

    def wants(self, action: Action) -> bool:
        """All of them."""
        return True

    def at(self, action: Action, ctx: Context) -> None:
        """One more."""
        self.counts[action] = self.counts.get(action, 0) + 1
        opened = self._open.get(id(ctx))
        if opened:
            self._settle(opened, action)
        fork = self.forks.get(action.span)
        if fork is not None and action.name in ("if", "while"):
            self._open.setdefault(id(ctx), []).append((fork, action))

    @staticmethod
    def _settle(opened: list[tuple[_Fork, Action]], action: Action) -> None:
        """What follows a condition tells whether it held; what is still part of asking it does not."""
        while opened:
            fork, asked = opened[-1]
            elsewhere = (action.kind, action.route) != (asked.kind, asked.route)
            if action.span in fork.asking or (elsewhere and _calls(fork)):
                return
            opened.pop()
            fork.taken[0 if action.span in fork.then else 1] += 1

    def entered(self, ctx: Context) -> Awaitable[None] | None:
        """A route begins."""
        return None

    def left(self, ctx: Context, error: Exception | None) -> Awaitable[None] | None:
        """A route has ended: conditions that nothing followed did not hold."""
        for fork, _ in self._open.pop(id(ctx), ()):
            fork.taken[1] += 1
        return None

    def failed(self, ctx: Context, error: Exception) -> None:
        """Not counted."""

    def replied(self, ctx: Context, status: int) -> None:
        """Not counted."""

    def relinked(self) -> None:
        """Another cfg runs: what was counted on the old one is kept for the files that did not change."""
        self._before.append(self._now())
        self.counts, self._open = {}, {}
        self._take()


def _calls(fork: _Fork) -> bool:
    """Whether asking the condition may run other routes."""
    return len(fork.asking) > 1
