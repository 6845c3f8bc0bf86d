"""What is kept in a local only to be read by the next statement is written there instead.

`t1 = method == 'ACK'` and `if t1:` become one test, for which Python has an instruction of its own; so do
the steps of `is_method("INVITE") && !t_is_set("failure_route")`, which code generation computes one by one.
"""

from __future__ import annotations

import ast

Function = ast.FunctionDef | ast.AsyncFunctionDef
Statements = list[ast.stmt]


def join(function: Function) -> None:
    """Change a generated function."""
    _Joining(function).block(function.body)


class _Joining:
    def __init__(self, function: Function) -> None:
        self.loads: dict[str, int] = {}
        for node in ast.walk(function):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                self.loads[node.id] = self.loads.get(node.id, 0) + 1

    def block(self, statements: Statements) -> None:
        """Change a row of statements, what is inside them first."""
        for statement in statements:
            for owner in (statement, *getattr(statement, "handlers", ())):
                for field in ("body", "orelse", "finalbody"):
                    self.block(getattr(owner, field, None) or [])
        place = 0
        while place + 1 < len(statements):
            first, then = statements[place : place + 2]
            name = _kept(first)
            if name and self._continues(first, then, name):
                del statements[place + 1]
            elif name and self.loads.get(name) == 1 and _put(then, name, _value(first)):
                del statements[place]
                place = max(place - 1, 0)
            elif name and name not in self.loads and isinstance(_value(first), ast.Constant):
                del statements[place]
            else:
                place += 1

    def _continues(self, first: ast.stmt, then: ast.stmt, name: str) -> bool:
        """`t1 = a`, `if t1: t1 = b` is `t1 = a and b`; with `if not t1` it is `a or b`."""
        match then:
            case ast.If(test=test, body=[ast.Assign() as more], orelse=[]) if _kept(more) == name:
                pass
            case _:
                return False
        is_or = isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not)
        asked = test.operand if isinstance(test, ast.UnaryOp) and is_or else test
        if not _is(asked, name) or any(_is(node, name) for node in ast.walk(more.value)):
            return False
        assert isinstance(first, ast.Assign)
        word = ast.Or() if is_or else ast.And()
        first.value = ast.copy_location(ast.BoolOp(word, [first.value, more.value]), first.value)
        self.loads[name] -= 1
        return True


def _kept(statement: ast.stmt) -> str:
    """The temporary local that a statement sets, and nothing else; "" for another statement."""
    match statement:
        case ast.Assign(targets=[ast.Name(id=name)]) if name[0] == "t" and name[1:].isdigit():
            return name
    return ""


def _value(statement: ast.stmt) -> ast.expr:
    assert isinstance(statement, ast.Assign)
    return statement.value


def _is(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Load)


def _put(statement: ast.stmt, name: str, value: ast.expr) -> bool:
    """Write a value in the place of a local, where that is the first thing that the statement reads."""
    match statement:
        case ast.If():
            owner, field = _first(statement, "test")
        case ast.Assign() | ast.Return(value=ast.expr()):
            owner, field = _first(statement, "value")
        case _:
            return False
    found = getattr(owner, field)
    if isinstance(found, list):
        if not _is(found[0], name):
            return False
        found[0] = value
        return True
    if not _is(found, name):
        return False
    setattr(owner, field, value)
    return True


def _first(owner: ast.AST, field: str) -> tuple[ast.AST, str]:
    """Where the part stands that is evaluated first, as far as that is simple."""
    while True:
        match getattr(owner, field):
            case ast.UnaryOp() as node:
                owner, field = node, "operand"
            case ast.Compare() as node:
                owner, field = node, "left"
            case ast.IfExp() as node:
                owner, field = node, "test"
            case ast.BoolOp(values=[ast.Name(), *_]) as node:
                return node, "values"
            case _:
                return owner, field
