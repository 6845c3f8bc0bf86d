"""Visiting a tree: every statement, expression, call and route name in it."""

from __future__ import annotations

from collections.abc import Iterator

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


def inside(expression: Expression | None) -> Iterator[Expression | Statement]:
    """An expression and all within it, blocks and their statements included."""
    if expression is None:
        return
    yield expression
    match expression:
        case Unary(operand=operand):
            yield from inside(operand)
        case Binary():
            yield from reversed(spine(expression)[:-1])
            for operand in chain(expression):
                yield from inside(operand)
        case Selval(condition=condition, positive=positive, otherwise=otherwise):
            for part in (condition, positive, otherwise):
                yield from inside(part)
        case Test(right=right):
            yield from inside(right)
        case Call(arguments=arguments):
            for argument in arguments:
                yield from inside(argument)
        case RouteCall(name=name):
            yield from inside(name)
        case BlockValue(body=body):
            yield from walk(body)
        case AssignValue(assignment=assignment):
            yield assignment
            yield from inside(assignment.target)
            yield from inside(assignment.value)


def walk(block: Block) -> Iterator[Expression | Statement]:
    """Every statement of a block and every expression in them, in the order of the text."""
    for statement in block.statements:
        yield from visit(statement)


def visit(statement: Statement) -> Iterator[Expression | Statement]:
    """One statement and all within it."""
    yield statement
    match statement:
        case Do(call=call):
            yield from inside(call)
        case Assign(target=target, value=value):
            yield from inside(target)
            yield from inside(value)
        case If(condition=condition, then=then, otherwise=otherwise):
            yield from inside(condition)
            yield from walk(then)
            if otherwise is not None:
                yield from walk(otherwise)
        case While(condition=condition, body=body):
            yield from inside(condition)
            yield from walk(body)
        case Switch(subject=subject, cases=cases):
            yield from inside(subject)
            for case in cases:
                yield from inside(case.label.value)
                for inner in case.body:
                    yield from visit(inner)
        case Leave(value=value):
            yield from inside(value)


def calls_in(block: Block) -> Iterator[Call]:
    """Every function call in a block."""
    return (node for node in walk(block) if isinstance(node, Call))


def routes_in(block: Block) -> Iterator[str | None]:
    """The name in every `route(…)`, None for one that is only known at run time."""
    for node in walk(block):
        if isinstance(node, RouteCall):
            name = fold(node.name)
            yield str(name.value) if isinstance(name, Word | String | Number) else None
