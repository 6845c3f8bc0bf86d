"""Constant folding: what an expression is worth before any message comes, exactly as Kamailio folds it."""

from __future__ import annotations

from collections.abc import Callable

from kamtool.errors import ScriptError
from kamtool.module import Value
from kamtool.script import values
from kamtool.script.nodes import (
    AssignValue,
    Binary,
    BlockValue,
    Call,
    Expression,
    Number,
    PvNode,
    RouteCall,
    Selval,
    String,
    Test,
    Unary,
)

OPERATORS: dict[str, Callable[[Value, Value], Value | bool]] = {
    "+": values.add, "-": values.subtract, "*": values.multiply, "/": values.div, "mod": values.mod,
    "|": values.bit_or, "&": values.bit_and, "^": values.bit_xor,
    "<<": values.shift_left, ">>": values.shift_right,
    "==": values.equal, "!=": values.unequal, "eq": values.str_equal,
    "ne": lambda left, right: not values.str_equal(left, right),
    "ieq": values.int_equal, "ine": lambda left, right: not values.int_equal(left, right),
    "<": values.less, "<=": values.less_equal, ">": values.greater, ">=": values.greater_equal,
    "=~": lambda left, right: values.matches(right, left),
    "&&": lambda left, right: values.to_int(left) != 0 and values.to_int(right) != 0,
    "||": lambda left, right: values.to_int(left) != 0 or values.to_int(right) != 0,
}  # fmt: skip
UNARY: dict[str, Callable[[Value], Value | bool]] = {
    "!": lambda value: values.to_int(value) == 0,
    "-": values.negate,
    "~": values.invert,
    "(int)": values.to_int,
    "(str)": values.to_str,
    "strlen": values.length,
    "strempty": values.empty,
    "defined": lambda value: 1,
}


def has_calls(expression: Expression | None) -> bool:
    """Whether reading the value does something: calls a function or route, runs a block, assigns."""
    match expression:
        case Call() | RouteCall() | BlockValue() | AssignValue():
            return True
        case Unary(operand=operand):
            return has_calls(operand)
        case Binary():
            return any(map(has_calls, chain(expression)))
        case Selval(condition=condition, positive=positive, otherwise=otherwise):
            return has_calls(condition) or has_calls(positive) or has_calls(otherwise)
        case Test(right=right):
            return has_calls(right)
    return False


def chain(node: Binary) -> list[Expression]:
    """All operands down the left side of an operator: of `a || b || c` the three, whatever the operators."""
    operands: list[Expression] = []
    left: Expression = node
    while isinstance(left, Binary):
        operands.append(left.right)
        left = left.left
    return [left, *reversed(operands)]


def spine(node: Binary) -> list[Binary]:
    """The operators down the left side, the innermost first."""
    found: list[Binary] = []
    left: Expression = node
    while isinstance(left, Binary):
        found.append(left)
        left = left.left
    return found[::-1]


def is_null(expression: Expression) -> bool:
    """Whether it is the plain variable `$null`."""
    return isinstance(expression, PvNode) and expression.text in ("$null", "$(null)")


def constant(expression: Expression) -> int | str | None:
    """The value of a folded expression that is a literal, None for any other."""
    return expression.value if isinstance(expression, Number | String) else None


def fold(expression: Expression) -> Expression:
    """The expression with everything computed that needs no message."""
    match expression:
        case Unary(span, operator, operand):
            operand = fold(operand)
            value = constant(operand)
            if value is not None:
                return literal(expression, UNARY[operator](value))
            return Unary(span, operator, operand)
        case Binary():
            operators = spine(expression)
            result = fold(operators[0].left)
            for node in operators:
                right = fold(node.right)
                result = _binary(Binary(node.span, node.operator, result, right, node.operator_span))
            return result
        case Selval(span, condition, positive, otherwise):
            condition, positive, otherwise = fold(condition), fold(positive), fold(otherwise)
            value = constant(condition)
            if value is not None:
                return positive if values.truth(value) else otherwise
            return Selval(span, condition, positive, otherwise)
    return expression


def literal(at: Expression, value: Value | bool) -> Expression:
    """A value as a literal standing where `at` stands."""
    return String(at.span, value) if isinstance(value, str) else Number(at.span, int(value or 0))


def _binary(node: Binary) -> Expression:
    left, right = constant(node.left), constant(node.right)
    if left is not None and right is not None:
        try:
            return literal(node, OPERATORS[node.operator](left, right))
        except ScriptError:
            return node  # a division by zero stays to fail when it runs; a bad regex is the checker's
    if node.operator in ("&&", "||") and (left is not None or right is not None):
        return _logical(node, left, right)
    return node


def _logical(node: Binary, left: Value, right: Value) -> Expression:
    """`$x && 1` is `$x` itself, not made 0 or 1; a call that decides nothing still runs."""
    known = left if left is not None else right
    other = node.right if left is not None else node.left
    neutral = (values.to_int(known) != 0) is (node.operator == "&&")
    if neutral:
        return other
    if left is not None or not has_calls(other):
        return Number(node.span, int(node.operator == "||"))
    return node
