"""Code generation for what has a value: operators, calls, and the variables of codegen_references.

An expression becomes one Python expression. What it does on the way (calls, route calls, blocks) becomes
statements before it, in the order of evaluation, so that `$rc` and `exit` need no extra call at run time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kamtool.script.codegen_references import ReferenceCode
from kamtool.script.fold import has_calls, is_null
from kamtool.script.nodes import (
    AssignValue,
    Binary,
    BlockValue,
    Call,
    Expression,
    Number,
    PvNode,
    RouteCall,
    SelectNode,
    Selval,
    String,
    Test,
    Unary,
    Word,
)
from kamtool.script.operands import Operand, as_int, as_str, equality, nonzero, of_constant, plain, raw, truth
from kamtool.script.scope import Scope

IGNORE_CASE = 2
RELATIONS = {"<": "<", "<=": "<=", ">": ">", ">=": ">="}
ARITHMETIC = {
    "-": "subtract",
    "*": "multiply",
    "/": "div",
    "mod": "mod",
    "<<": "shift_left",
    ">>": "shift_right",
}


class ValueCode(ReferenceCode):
    """Writes Python for values into `lines`, names into `names`."""

    def value(self, expression: Expression) -> Operand:
        """A folded expression as Python; what must happen first is written before."""
        match expression:
            case Number(value=number):
                return of_constant(number)
            case String(value=text) | Word(value=text):
                return of_constant(text)
            case PvNode():
                return self.pv_node(expression)
            case SelectNode(parts=parts):
                return self._select(parts)
            case Call():
                return self.call(expression)
            case RouteCall():
                return self.route_call(expression)
            case BlockValue():
                return self.block_value(expression)
            case AssignValue(assignment=assignment):
                self.assignment(assignment)
                return of_constant(1)
            case Unary():
                return self._unary(expression)
            case Binary():
                return self._binary(expression)
            case Selval():
                return self._selval(expression)
            case Test():
                return self.test(expression)
        raise TypeError(f"no code for {expression!r}")

    def pv_node(self, node: PvNode) -> Operand:
        """A pseudo-variable, or in the older dialects an attribute."""
        key = attribute_key(node, self.scope)
        if key is None:
            return self.reference(self.scope.variable(node.text))
        if node.index is not None:
            return Operand(f"ctx.avps.get({key!r}, {node.index})", "value")
        return Operand(f"(None if ctx._avps is None else ctx._avps.top({key!r}))", "value")

    def _select(self, parts: tuple[str | int, ...]) -> Operand:
        text = select_text(parts)
        evaluate = self.names.object("select", "select", _select_evaluate, "value")
        return Operand(f"{evaluate}(ctx, {text!r})", "str?")

    def call(self, node: Call) -> Operand:
        raise NotImplementedError

    def route_call(self, node: RouteCall) -> Operand:
        raise NotImplementedError

    def block_value(self, node: BlockValue) -> Operand:
        raise NotImplementedError

    def test(self, node: Test) -> Operand:
        raise NotImplementedError

    def assignment(self, node: Any) -> None:
        raise NotImplementedError

    def _unary(self, node: Unary) -> Operand:
        operator = node.operator
        if operator == "defined":
            return self._defined(node.operand, True)
        operand = self.value(node.operand)
        match operator:
            case "!":
                return Operand(_negation(operand), "bool")
            case "-":
                return Operand(f"negate({as_int(operand)})", "int")
            case "~":
                return Operand(f"(~{as_int(operand)})", "int")
            case "(int)":
                return Operand(as_int(operand), "int")
            case "(str)":
                return Operand(as_str(operand), "str")
            case "strlen":
                return Operand(f"length({as_str(operand)})", "int")
            case _:
                return Operand(f"(not {as_str(operand)})", "bool")

    def _defined(self, expression: Expression, positive: bool) -> Operand:
        operand = self.value(expression)
        if not isinstance(expression, PvNode | SelectNode):
            return of_constant(int(positive))
        return Operand(f"({operand.code} is {'not ' if positive else ''}None)", "bool")

    def _sides(self, node: Binary) -> tuple[Operand, Operand]:
        left = plain(self.value(node.left))
        if has_calls(node.right) and not left.is_constant:
            held = self.temporary()
            self.lines.put(f"{held} = {left.code}")
            left = Operand(held, left.type)
        return left, plain(self.value(node.right))

    def _binary(self, node: Binary) -> Operand:
        operator = node.operator
        if operator in ("&&", "||"):
            return self._logical(node)
        if operator in ("==", "!=") and is_null(node.right):
            return self._defined(node.left, operator == "!=")
        if operator == "=~":
            return self._match(node)
        left, right = self._sides(node)
        if operator in ("==", "!="):
            return Operand(f"({equality(left, right, operator == '==')})", "bool")
        if operator in ("eq", "ne"):
            return Operand(f"({as_str(left)} {'==' if operator == 'eq' else '!='} {as_str(right)})", "bool")
        if operator in ("ieq", "ine"):
            return Operand(f"({as_int(left)} {'==' if operator == 'ieq' else '!='} {as_int(right)})", "bool")
        if operator in RELATIONS:
            return Operand(f"({as_int(left)} {operator} {as_int(right)})", "bool")
        if operator in "|&^":
            return Operand(f"({as_int(left)} {operator} {as_int(right)})", "int")
        if operator == "+":
            return self._plus(left, right)
        return Operand(f"{ARITHMETIC[operator]}({as_int(left)}, {as_int(right)})", "int")

    def _plus(self, left: Operand, right: Operand) -> Operand:
        if left.type == "int":
            return Operand(f"add_ints({as_int(left)}, {as_int(right)})", "int")
        if left.type in ("str", "str?", "null"):
            return Operand(f"({as_str(left)} + {as_str(right)})", "str")
        return Operand(f"add({left.code}, {right.code})", "value")

    def _match(self, node: Binary) -> Operand:
        if isinstance(node.right, String):
            test = self.names.pattern(node.right.value, IGNORE_CASE)
            return Operand(f"{test}({as_str(plain(self.value(node.left)))})", "bool")
        left, right = self._sides(node)
        return Operand(f"matches({as_str(right)}, {as_str(left)})", "bool")

    def _logical(self, node: Binary) -> Operand:
        """A chain of one operator, as one expression as far as no operand needs statements of its own."""
        word = "and" if node.operator == "&&" else "or"
        operands: list[Expression] = [node.right]
        left = node.left
        while isinstance(left, Binary) and left.operator == node.operator:
            operands.append(left.right)
            left = left.left
        code, held = [nonzero(self.value(left))], ""
        for operand in reversed(operands):
            if not has_calls(operand):
                code.append(nonzero(self.value(operand)))
                continue
            if not held and len(code) == 1 and code[0].isidentifier():
                held = code[0]  # a call's own local, which nothing else reads
            else:
                held = held or self.temporary()
                self.lines.put(f"{held} = {f' {word} '.join(code)}")
            self.lines.put(f"if {held}:" if word == "and" else f"if not {held}:")
            self.lines.indent += 1
            self.lines.put(f"{held} = {nonzero(self.value(operand))}")
            self.lines.indent -= 1
            code = [held]
        return Operand(f"({f' {word} '.join(code)})" if len(code) > 1 else code[0], "bool")

    def _selval(self, node: Selval) -> Operand:
        condition = truth(self.value(node.condition))
        if not has_calls(node.positive) and not has_calls(node.otherwise):
            positive, otherwise = raw(self.value(node.positive)), raw(self.value(node.otherwise))
            return Operand(f"({positive} if {condition} else {otherwise})", "value")
        held = self.temporary()
        self.lines.put(f"if {condition}:")
        self.lines.indent += 1
        self.lines.put(f"{held} = {raw(self.value(node.positive))}")
        self.lines.indent -= 1
        self.lines.put("else:")
        self.lines.indent += 1
        self.lines.put(f"{held} = {raw(self.value(node.otherwise))}")
        self.lines.indent -= 1
        return Operand(held, "value")


def _negation(operand: Operand) -> str:
    code = nonzero(operand)
    if code.endswith(" != 0") and operand.type in ("int", "int?", "value", "str?"):
        return f"({code[:-5]} == 0)"
    if operand.type == "code" and operand.code.isidentifier() and operand.truth == f"{operand.code} > 0":
        return f"({operand.code} <= 0)"
    return f"(not {code})"


def _select_evaluate() -> Callable[[Any, str], str | None]:
    from kamtool.script.selects import evaluate

    return evaluate


def select_text(parts: tuple[str | int, ...]) -> str:
    """A select's dotted spelling: names, and their numbers in brackets."""
    text = ""
    for part in parts:
        text += f"[{part}]" if isinstance(part, int) else f"{'.' if text else ''}{part}"
    return text


def attribute_key(node: PvNode, scope: Scope) -> str | None:
    """The key of an old SER attribute, None for a pseudo-variable. `$f.x` and `$fu.x` are the caller's."""
    name = node.text[1:]
    if "(" in name:
        return None
    if "." in name:
        owner, _, attribute = name.partition(".")
        return f"{owner[0]}.{attribute}"
    return None if name in scope.pvs else name
