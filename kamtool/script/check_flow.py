"""Warnings about what runs but hardly as meant: code never reached, conditions that say too little."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from kamtool.errors import ConfigError, Span
from kamtool.script.codegen_values import attribute_key
from kamtool.script.fold import chain, constant, fold, is_null, spine
from kamtool.script.nodes import (
    AssignValue,
    Binary,
    Block,
    Expression,
    If,
    Leave,
    PvNode,
    Route,
    Statement,
    String,
    Switch,
    Unary,
    While,
)
from kamtool.script.walk import inside, walk

if TYPE_CHECKING:
    from kamtool.script.checker import Checker

NEVER_UNDEFINED = frozenset(["var", "vz", "shv"])
_NUMBER = re.compile(r"[+-]?[0-9]+|0[xX][0-9A-Fa-f]+")


def check_flow(route: Route, checker: Checker) -> None:
    """Every warning of this file for one block."""
    _Flow(checker).block(route.body.statements, False)
    for node in walk(route.body):
        if isinstance(node, Binary) and node.operator in ("==", "!="):
            _comparison(node, checker)


class _Flow:
    def __init__(self, checker: Checker) -> None:
        self.checker = checker

    def block(self, statements: tuple[Statement, ...], in_loop: bool) -> None:
        """The statements of one block, in order."""
        left: Leave | None = None
        for statement in statements:
            if left is not None:
                self.checker.warn(
                    f"this is never reached: line {left.span.line} leaves with `{left.word}`",
                    _first_line(statement.span),
                    "KT1312",
                )
                break
            self._statement(statement, in_loop)
            if isinstance(statement, Leave):
                left = statement

    def _statement(self, statement: Statement, in_loop: bool) -> None:
        match statement:
            case If(condition=condition, then=then, otherwise=otherwise):
                self._condition(condition)
                self._blocks(in_loop, then, otherwise)
            case While(condition=condition, body=body):
                self._assignments(condition)
                self._blocks(True, body, None)
            case Switch(cases=cases):
                for case in cases:
                    self.block(case.body, True)
            case Leave(word="break") if not in_loop:
                self.checker.warn(
                    "`break` outside of a loop or switch ends this route",
                    statement.span,
                    "KT1313",
                    "`return` says so",
                )

    def _blocks(self, in_loop: bool, then: Block, otherwise: Block | None) -> None:
        self.block(then.statements, in_loop)
        if otherwise is not None:
            self.block(otherwise.statements, in_loop)

    # Conditions ---------------------------------------------------------------------------------------

    def _condition(self, condition: Expression) -> None:
        self._assignments(condition)
        folded = fold(condition)
        value = constant(folded)
        if value is not None:
            shown = "true" if isinstance(value, int) and value > 0 else "false"
            if isinstance(value, str):
                hint = "a string counts as the number it writes, else 0"
                self.checker.warn("this condition is a string", condition.span, "KT1314", hint)
            else:
                self.checker.warn(f"this condition is always {shown}", condition.span, "KT1314")
            return
        self._texts(condition)

    def _assignments(self, condition: Expression) -> None:
        for node in inside(condition):
            if isinstance(node, AssignValue):
                self.checker.warn(
                    "an assignment in a condition: its value is always 1",
                    node.span,
                    "KT1315",
                    "to compare, write `==`",
                )

    def _texts(self, condition: Expression) -> None:
        """`if ($rU)` is false for "alice" and true for "123"."""
        match condition:
            case PvNode() if self._is_text(condition):
                self.checker.warn(
                    f"`{condition.text}` is a text: this is true only when it writes a number above 0",
                    condition.span,
                    "KT1316",
                    f"did you mean `{condition.text} != $null`?",
                )
            case Unary(operator="!", operand=operand):
                self._texts(operand)
            case Binary(operator="&&" | "||"):
                for node in spine(condition):
                    if node.operator not in ("&&", "||"):
                        break
                else:
                    for operand in chain(condition):
                        self._texts(operand)

    def _is_text(self, node: PvNode) -> bool:
        if attribute_key(node, self.checker.scope) is not None:
            return False
        try:
            reference = self.checker.scope.variable(node.text)
        except ConfigError:
            return False
        return not reference.steps and self.checker.scope.pvs[reference.name][1].kind is str


def _comparison(node: Binary, checker: Checker) -> None:
    """Comparisons whose outcome the types decide."""
    if not isinstance(node.left, PvNode) or attribute_key(node.left, checker.scope) is not None:
        return
    try:
        reference = checker.scope.variable(node.left.text)
    except ConfigError:
        return
    if reference.steps:
        return
    if is_null(node.right) and reference.name in NEVER_UNDEFINED:
        always = "false" if node.operator == "==" else "true"
        checker.warn(
            f"`{node.left.text}` is never undefined: this is always {always}",
            node.span,
            "KT1317",
            "an unset one is 0; `$vn(…)` and `$avp(…)` can be undefined",
        )
    kind = checker.scope.pvs[reference.name][1].kind
    if kind is int and isinstance(node.right, String) and not _NUMBER.fullmatch(node.right.value):
        checker.warn(f"`{node.left.text}` is a number: the string counts as 0", node.right.span, "KT1318")


def _first_line(span: Span) -> Span:
    if span.end_line == span.line:
        return span
    return Span(span.file, span.line, span.column, span.line, span.column + 1)
