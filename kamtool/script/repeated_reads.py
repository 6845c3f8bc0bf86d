"""What a route reads of its message more than once is read once: `c1 := ctx.msg.method`, then `c1`.

An attribute of a compiled object costs as much as five statements. Of those in FIXED none changes while a
route runs, but for functions that put another message or flow into the context: no plain module has one.
"""

from __future__ import annotations

import ast
from copy import deepcopy

FIXED = frozenset({
    "ctx.msg", "ctx.flow", "ctx.flow.remote",
    "ctx.msg.method", "ctx.msg.to_tag", "ctx.msg.from_tag", "ctx.msg.call_id", "ctx.flow.transport",
    "ctx.flow.remote.host", "ctx.flow.remote.port", "ctx.flow.local.host", "ctx.flow.local.port",
})  # fmt: skip

Known = dict[str, str]


def keep_reads(function: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
    """Change a generated function."""
    counts: dict[str, int] = {}
    for node in ast.walk(function):
        text = _spelling(node)
        if text in FIXED:
            counts[text] = counts.get(text, 0) + 1
    names = [text for text, count in counts.items() if count > 1]
    if names:
        keeping = _Keeping({text: f"c{number}" for number, text in enumerate(names, 1)})
        function.body, _ = keeping.block(function.body, {})


class _Keeping:
    """Walks a function as it runs. `known` is what has been read on every way to a place; None: no way."""

    def __init__(self, names: dict[str, str]) -> None:
        self.names = names
        self.breaks: list[list[Known]] = []
        """What is known at the ways out of each open loop."""

    def block(self, statements: list[ast.stmt], known: Known) -> tuple[list[ast.stmt], Known | None]:
        """The statements, and what is known behind them."""
        now: Known | None = dict(known)
        done: list[ast.stmt] = []
        for statement in statements:
            if now is None:
                done.append(statement)
                continue
            if isinstance(statement, ast.Try):
                done += self.before(statement, now)
            now = self.statement(statement, now)
            done.append(statement)
        return done, now

    def before(self, node: ast.Try, known: Known) -> list[ast.stmt]:
        """What a `try` reads for certain is read before it: then it is known behind it, whatever happens."""
        read = dict(known)
        self.statement(deepcopy(node.body[0]), read)
        done: list[ast.stmt] = []
        for text in read:
            if text not in known:
                value = ast.parse(text, mode="eval").body
                for part in ast.walk(value):
                    ast.copy_location(part, node.body[0])
                named = self.expression(value, known, True)
                assert isinstance(named, ast.NamedExpr)
                done.append(ast.copy_location(ast.Assign([named.target], named.value), node.body[0]))
        return done

    def statement(self, node: ast.stmt, known: Known) -> Known | None:
        match node:
            case ast.If():
                node.test = self.expression(node.test, known, True)
                node.body, then = self.block(node.body, known)
                node.orelse, otherwise = self.block(node.orelse, known)
                return _common(then, otherwise)
            case ast.While():
                self.breaks.append([])
                node.body, _ = self.block(node.body, known)
                ways = self.breaks.pop()
                # One with a condition also ends by that, after any number of rounds.
                return _common(*ways) if isinstance(node.test, ast.Constant) else known
            case ast.Try():
                ends: list[Known | None] = []
                for handler in node.handlers:
                    handler.body, end = self.block(handler.body, known)
                    ends.append(end)
                node.body, end = self.block(node.body, known)
                if node.finalbody:
                    node.finalbody, end = self.block(node.finalbody, known)
                    return end
                return _common(end, *ends)
            case ast.Break():
                self.breaks[-1].append(dict(known))
                return None
            case ast.Return() | ast.Raise() | ast.Continue():
                self.fields(node, known, True)
                return None
        self.fields(node, known, True)
        return known

    def expression(self, node: ast.expr, known: Known, certain: bool) -> ast.expr:
        """The expression with its reads replaced; `certain` is whether all of it is evaluated for certain."""
        text = _spelling(node)
        if text in known:
            return ast.copy_location(ast.Name(known[text], ast.Load()), node)
        if text in self.names and certain:
            self.fields(node, known, True)  # it may begin with one that is kept too
            known[text] = self.names[text]
            name = ast.copy_location(ast.Name(known[text], ast.Store()), node)
            return ast.copy_location(ast.NamedExpr(name, node), node)
        match node:
            case ast.BoolOp(values=[first, *rest]):
                node.values = [self.expression(first, known, certain)]
                node.values += [self.expression(value, known, False) for value in rest]
            case ast.IfExp():
                node.test = self.expression(node.test, known, certain)
                node.body = self.expression(node.body, known, False)
                node.orelse = self.expression(node.orelse, known, False)
            case ast.Compare(comparators=[_, _, *_]) | ast.Lambda():
                pass
            case _:
                self.fields(node, known, certain)
        return node

    def fields(self, node: ast.AST, known: Known, certain: bool) -> None:
        """The parts of a node, in the order in which they are evaluated."""
        values = ["value", "targets"] if isinstance(node, ast.Assign) else node._fields
        for name in values:
            part = getattr(node, name, None)
            if isinstance(part, ast.expr):
                setattr(node, name, self.expression(part, known, certain))
            elif isinstance(part, list):
                kept = [
                    self.expression(each, known, certain) if isinstance(each, ast.expr) else each
                    for each in part
                ]
                setattr(node, name, kept)


def _common(*ways: Known | None) -> Known | None:
    """What is known on all ways that go on."""
    going = [way for way in ways if way is not None]
    if not going:
        return None
    return {text: name for text, name in going[0].items() if all(text in way for way in going)}


def _spelling(node: ast.AST) -> str:
    """`ctx.msg.method` of a read; "" for what is no row of names that begins with `ctx`."""
    names: list[str] = []
    while isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
        names.append(node.attr)
        node = node.value
    return ".".join(["ctx", *reversed(names)]) if isinstance(node, ast.Name) and node.id == "ctx" else ""
