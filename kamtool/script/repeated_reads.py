"""What a route reads of its message more than once is read once: `c1 := ctx.msg.method`, then `c1`.

An attribute of a compiled object costs as much as five statements. Of those in FIXED none changes while a
route runs, but for functions that put another message or flow into the context: no plain module has one.
"""

from __future__ import annotations

import ast

FIXED = frozenset({
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
        _Keeping({text: f"c{number}" for number, text in enumerate(names, 1)}).block(function.body, {})


class _Keeping:
    """Walks a function as it runs. `known` is what has been read on every way to a place; None: no way."""

    def __init__(self, names: dict[str, str]) -> None:
        self.names = names

    def block(self, statements: list[ast.stmt], known: Known) -> Known | None:
        now: Known | None = dict(known)
        for statement in statements:
            if now is None:
                break
            now = self.statement(statement, now)
        return now

    def statement(self, node: ast.stmt, known: Known) -> Known | None:
        match node:
            case ast.If():
                node.test = self.expression(node.test, known, True)
                return _common(self.block(node.body, known), self.block(node.orelse, known))
            case ast.While():
                self.block(node.body, known)
                return known
            case ast.Try():
                ends = [self.block(handler.body, known) for handler in node.handlers]
                after = _common(self.block(node.body, known), *ends)
                return self.block(node.finalbody, known) if node.finalbody else after
            case ast.Return() | ast.Raise() | ast.Break() | ast.Continue():
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
