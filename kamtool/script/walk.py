"""Visiting a tree: every statement, expression, call and route name in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from kamtool.script.fold import chain, fold, spine
from kamtool.script.nodes import (
    Assign,
    AssignValue,
    Binary,
    Block,
    BlockValue,
    Call,
    Do,
    Expression,
    If,
    Leave,
    Number,
    RouteCall,
    Selval,
    Statement,
    String,
    Switch,
    Test,
    Unary,
    While,
    Word,
)

Found = list[Expression | Statement]


def inside(expression: Expression | None) -> Found:
    """An expression and all within it, blocks and their statements included."""
    found: Found = []
    _expression(expression, found)
    return found


def walk(block: Block) -> Found:
    """Every statement of a block and every expression in them, in the order of the text."""
    found: Found = []
    _block(block, found)
    return found


def visit(statement: Statement) -> Found:
    """One statement and all within it."""
    found: Found = []
    _statement(statement, found)
    return found


# A check walks every block ten times: a list that is passed down takes a third of what generators within
# generators do, and a table less than asking for one class after the other.


def _expression(expression: Expression | None, found: Found) -> None:
    if expression is not None:
        found.append(expression)
        if within := _WITHIN.get(type(expression)):
            within(expression, found)


def _block(block: Block | None, found: Found) -> None:
    if block is not None:
        for statement in block.statements:
            _statement(statement, found)


def _statement(statement: Statement, found: Found) -> None:
    found.append(statement)
    _WITHIN[type(statement)](statement, found)


def _binary(node: Binary, found: Found) -> None:
    found.extend(reversed(spine(node)[:-1]))
    for operand in chain(node):
        _expression(operand, found)


def _selval(node: Selval, found: Found) -> None:
    for part in (node.condition, node.positive, node.otherwise):
        _expression(part, found)


def _call(node: Call, found: Found) -> None:
    for argument in node.arguments:
        _expression(argument, found)


def _assigned(node: AssignValue, found: Found) -> None:
    found.append(node.assignment)
    _assign(node.assignment, found)


def _assign(node: Assign, found: Found) -> None:
    _expression(node.target, found)
    _expression(node.value, found)


def _if(node: If, found: Found) -> None:
    _expression(node.condition, found)
    _block(node.then, found)
    _block(node.otherwise, found)


def _while(node: While, found: Found) -> None:
    _expression(node.condition, found)
    _block(node.body, found)


def _switch(node: Switch, found: Found) -> None:
    _expression(node.subject, found)
    for case in node.cases:
        _expression(case.label.value, found)
        for inner in case.body:
            _statement(inner, found)


_WITHIN: dict[type, Callable[[Any, Found], None]] = {
    Unary: lambda node, found: _expression(node.operand, found),
    Binary: _binary,
    Selval: _selval,
    Test: lambda node, found: _expression(node.right, found),
    Call: _call,
    RouteCall: lambda node, found: _expression(node.name, found),
    BlockValue: lambda node, found: _block(node.body, found),
    AssignValue: _assigned,
    Do: lambda node, found: _expression(node.call, found),
    Assign: _assign,
    If: _if,
    While: _while,
    Switch: _switch,
    Leave: lambda node, found: _expression(node.value, found),
}


def calls_in(block: Block) -> Iterator[Call]:
    """Every function call in a block."""
    return (node for node in walk(block) if isinstance(node, Call))


def routes_in(block: Block) -> Iterator[str | None]:
    """The name in every `route(…)`, None for one that is only known at run time."""
    for node in walk(block):
        if isinstance(node, RouteCall):
            name = fold(node.name)
            yield str(name.value) if isinstance(name, Word | String | Number) else None
