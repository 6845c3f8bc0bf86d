"""Routes stand in the functions that call them, where they are short or called once: a call costs as much as
ten statements, and what one route has read of the message the next one reads again.

How they stand there is `inlined_body`'s; a traceback shows the calls that were written (`inlined_frames`). A
route that recurs is called as before, and so is one of another file: a function has only one.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import chain

from kamtool.script.inlined_body import (
    Body,
    Statements,
    blocks,
    ends,
    is_check,
    is_fit,
    levels_of,
    size_of,
)

Function = ast.FunctionDef | ast.AsyncFunctionDef

LONGEST = 200
"""So many statements may be written more than once because of one route."""
LARGEST = 1500
"""A function of more statements gets nothing more."""
DEEPEST = 16
"""Python allows 20 loops and `try` inside each other; an `except` counts for more than one."""


def inline(
    functions: dict[str, Function], files: Mapping[str, str], shown: Mapping[str, str]
) -> Iterator[tuple[str, Function]]:
    """Change generated functions, the routes of requests by name; each is taken out and given once done.

    `files` tells where each comes from, `shown` what tracebacks call it.
    """
    inlining = _Inlining(functions, files, shown)
    for name in list(functions):
        yield from inlining.finish(name)


def _calls_in(function: Function) -> Iterator[str]:
    for node in ast.walk(function):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield node.func.id


class _Inlining:
    """Trees are large: of a function that is done, only what others still need of it is kept."""

    def __init__(
        self, functions: dict[str, Function], files: Mapping[str, str], shown: Mapping[str, str]
    ) -> None:
        self.functions, self.files, self.shown = functions, files, shown
        self.calls = {name: list(_calls_in(function)) for name, function in functions.items()}
        self.sites = Counter(chain.from_iterable(self.calls.values()))
        self.awaited = Counter(self.sites)
        """The calls of each that were not looked at yet."""
        self.levels: dict[str, int] = {}
        """Of each finished function, how deep routes stand inside routes there; their names begin with it."""
        self.bodies: dict[str, Body] = {}
        self._open: set[str] = set()

    def finish(self, name: str) -> Iterator[tuple[str, Function]]:
        """Put into a function what can stand there, and into that before."""
        if name not in self.functions or name in self._open:
            return
        self._open.add(name)
        for called in self.calls[name]:
            yield from self.finish(called)
        function = self.functions.pop(name)
        self.levels[name] = 0
        self._uses = _loads(function.body)
        function.body = self._block(function.body, name, size_of(function.body), 0)
        self._open.discard(name)
        size = size_of(function.body)
        is_short = self.sites[name] == 1 or self.sites[name] * size <= LONGEST
        if self.awaited[name] and is_short and is_fit(function.body):
            self.bodies[name] = Body(function.body, self.shown[name], size, self.levels[name])
        yield name, function

    def _block(self, statements: Statements, caller: str, size: int, depth: int) -> Statements:
        done: Statements = []
        waiting = list(reversed(statements))
        while waiting:
            statement = waiting.pop()
            deeper = depth + levels_of(statement)
            for owner, field, inside in blocks(statement):
                setattr(owner, field, self._block(inside, caller, size, deeper))
            found = _call(statement)
            if found is None or not waiting or not is_check(waiting[-1], found[0]):
                done.append(statement)
                continue
            held, called = found
            body = self._body(called, caller)
            if body is None or size + body.size > LARGEST or depth + 3 + body.depth > DEEPEST:
                done.append(statement)
                continue
            check = waiting.pop()
            self.levels[caller] = max(self.levels[caller], self.levels[called] + 1)
            # The check reads it three times.
            done += body.copy(held, self._uses.get(held, 0) > 3, statement, check)
            if ends(done):
                break
        return done

    def _body(self, name: str, caller: str) -> Body | None:
        """What stands for a call of this route; None when it has to be called."""
        body = self.bodies.get(name)
        self.awaited[name] -= 1
        if body is not None and not self.awaited[name]:
            body.is_last = True
            del self.bodies[name]
        return None if body is None or self.files[name] != self.files[caller] else body


def _loads(statements: Statements) -> dict[str, int]:
    """How often each name is read."""
    found: dict[str, int] = {}
    for statement in statements:
        for node in ast.walk(statement):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                found[node.id] = found.get(node.id, 0) + 1
    return found


def _call(statement: ast.stmt) -> tuple[str, str] | None:
    """`t1 = route(ctx)`, or the same awaited: the local and the function."""
    match statement:
        case ast.Assign(
            targets=[ast.Name(id=held)],
            value=ast.Call(func=ast.Name(id=called), args=[ast.Name(id="ctx")], keywords=[])
            | ast.Await(value=ast.Call(func=ast.Name(id=called), args=[ast.Name(id="ctx")], keywords=[])),
        ):
            return held, called
    return None
