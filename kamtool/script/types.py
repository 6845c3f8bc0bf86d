"""The types that an expression can be known to have before it runs, and which mixtures Kamailio refuses."""

from __future__ import annotations

from kamtool.errors import Span
from kamtool.record import Record
from kamtool.script.nodes import (
    Binary,
    Expression,
    PvNode,
    SelectNode,
    Selval,
    String,
    Unary,
)

INT_OPERATORS = frozenset(
    ["-", "*", "/", "mod", "|", "&", "^", "<<", ">>", "<", ">", "<=", ">=", "ieq", "ine", "&&", "||"]
)
TEXT_WORDS = frozenset(["strlen", "strempty", "defined"])


class Mismatch(Record):
    """A side of an operator that has the wrong type."""

    span: Span
    operator: str
    wanted: str
    given: str


def type_of(expression: Expression) -> type | None:
    """int or str where it is certain, None where only a message can tell."""
    match expression:
        case String() | SelectNode():
            return str
        case PvNode() | Selval():
            return None
        case Unary(operator="(str)"):
            return str
        case Binary(operator="+", left=left):
            return type_of(left)
    return int


def mismatch(expression: Expression) -> Mismatch | None:
    """What is wrong with the types at this operator, its sides aside."""
    match expression:
        case Unary(operator=operator, operand=operand):
            given = type_of(operand)
            if operator in ("!", "-", "~") and given is str:
                return Mismatch(operand.span, operator, "an int", "a string")
            if operator in TEXT_WORDS and given is int:
                return Mismatch(operand.span, operator, "a string", "an int")
        case Binary(operator=operator, left=left, right=right) if operator in INT_OPERATORS:
            for side in (left, right):
                if type_of(side) is str:
                    return Mismatch(side.span, operator, "ints", "a string")
        case Binary(operator=operator, left=left, right=right):
            if type_of(left) is int and type_of(right) is str:
                return Mismatch(right.span, operator, "an int on its right when its left is one", "a string")
    return None
