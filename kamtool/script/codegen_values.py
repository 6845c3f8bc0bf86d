"""Code generation for what has a value: variables, formats, operators, calls.

An expression becomes one Python expression. What it does on the way (calls, route calls, blocks) becomes
statements before it, in the order of evaluation, so that `$rc` and `exit` need no extra call at run time.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from kamtool.module import Pv, Routes
from kamtool.script.binding import Namespace
from kamtool.script.emit import Lines
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
from kamtool.script.substitution import compile_substitution
from kamtool.script.variables import Reference, Step, Template

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

ALWAYS = frozenset({
    "ctx.msg.method", "ctx.flow.transport", "ctx.flow.remote.host", "ctx.flow.remote.port",
    "ctx.flow.local.host", "ctx.flow.local.port",
})  # fmt: skip
"""What is never undefined."""


class ValueCode:
    """Writes Python for values into `lines`, names into `names`."""

    def __init__(self, scope: Scope, names: Namespace, lines: Lines) -> None:
        self.scope, self.names, self.lines = scope, names, lines
        self.temporaries = 0
        self.file_name = ""
        self.route_name = ""
        self.kind = Routes.REQUEST
        self.custom_format: Callable[[str], Callable[[Any], str]] | None = None

    def temporary(self) -> str:
        """A fresh local name."""
        self.temporaries += 1
        return f"t{self.temporaries}"

    # Variables ----------------------------------------------------------------------------------------

    def reference(self, reference: Reference) -> Operand:
        """The value of a pseudo-variable."""
        found = self.scope.pvs.get(reference.name)
        if found is None:
            raise self.scope.unknown_pv(reference)
        module, pv = found
        result = self._plain(module, pv, reference)
        for step in reference.steps:
            result = self._step(result, step)
        return result

    def _plain(self, module: str, pv: Pv, reference: Reference) -> Operand:
        if pv.name == "cfg" and (known := self._place(reference.inner_text)):
            return known
        if pv.name == "null":
            return Operand("None", "null")
        kind = {int: "int?", str: "str?"}.get(pv.kind, "value") if pv.kind else "value"
        if pv.inline and reference.index is None and (not pv.has_inner or reference.inner is not None):
            code = pv.inline
            if "self." in code:
                code = code.replace("self.", self.names.module(module) + ".")
            if pv.has_inner:
                code = re.sub(r"\binner\b", lambda _: self._inner(pv, reference), code)
            if " " in code and not code.startswith("("):
                code = f"({code})"
            if code in ALWAYS:
                kind = kind.rstrip("?")
            return Operand(code, kind)  # type: ignore[arg-type]
        if pv.bound and reference.index is None and (code := self._bound(module, pv, reference.inner or ())):
            return Operand(code, kind)  # type: ignore[arg-type]
        arguments = ["ctx"]
        if pv.has_inner and (reference.inner is not None or reference.index is not None or pv.inner_required):
            arguments.append(self._inner(pv, reference))
        if reference.index is not None and pv.takes > pv.has_inner:
            arguments.append(self.index(reference.index))
        return Operand(f"{self.names.getter(module, pv)}({', '.join(arguments)})", kind)  # type: ignore[arg-type]

    def _bound(self, module: str, pv: Pv, inner: Template) -> str:
        """`$sht(t=>key)` with its table found when linking; "" when what stands before `=>` varies."""
        head = inner[0] if inner else ""
        if not isinstance(head, str) or "=>" not in head:
            return ""
        name, _, rest = head.partition("=>")
        key = self.template((rest, *inner[1:]) if rest else inner[1:])
        return f"{self.names.bound(module, pv, name)}({as_str(key)})"

    def _place(self, inner: str) -> Operand | None:
        if inner == "line" and self.lines.span.line:
            return of_constant(self.lines.span.line)
        if inner == "route" and self.route_name:
            return of_constant(self.route_name)
        if inner in ("file", "name") and self.lines.span.file:
            return of_constant(self.lines.span.file)
        return None

    def _inner(self, pv: Pv, reference: Reference) -> str:
        if pv.inner_kind is not None and pv.inner_kind.value == "plain":
            return repr(reference.inner_text)
        if pv.inner_kind is not None and pv.inner_kind.value == "variable":
            return self.variable_object(reference.inner_text)
        return as_str(self.template(reference.inner or ()))

    def place(self, pv: Pv, reference: Reference) -> list[str]:
        """What a setter is given before the value: the context, and where the value goes."""
        arguments = ["ctx"]
        if pv.has_inner:
            arguments.append(self._inner(pv, reference))
        if pv.takes > pv.has_inner:
            arguments.append(self.index(reference.index))
        return arguments

    def index(self, index: int | str | Reference | None) -> str:
        """The index of a variable as Python."""
        if isinstance(index, Reference):
            return as_int(self.reference(index))
        return repr(index)

    def _step(self, value: Operand, step: Step) -> Operand:
        module, transformation = self.scope.transformations[step.name]
        if step.name == "re.subst" and self.custom_format is not None:
            text, make = step.text, self.custom_format
            name = self.names.object("sub", ("sub", text), lambda: compile_substitution(text, make))
            return Operand(f"substituted(ctx, {name}, {raw(value)})", "value")
        arguments = [raw(value)]
        for argument in step.arguments:
            arguments.append(
                raw(self.reference(argument)) if isinstance(argument, Reference) else repr(argument)
            )
        return Operand(
            f"{self.names.transformation(module, transformation)}({', '.join(arguments)})", "value"
        )

    def variable_object(self, text: str) -> str:
        """The name of a Variable made from a spelling."""
        raise NotImplementedError

    # Formats ------------------------------------------------------------------------------------------

    def template(self, template: Template) -> Operand:
        """A format as a str: undefined prints as `<null>`, behind transformations as nothing."""
        if not template:
            return of_constant("")
        if len(template) == 1 and isinstance(template[0], str):
            return of_constant(template[0])
        text, shown, operands = "", [], []
        for part in template:
            if isinstance(part, str):
                text += part.replace("%", "%%")
            else:
                text += "%s"
                operands.append(self.reference(part))
                shown.append(self._shown(operands[-1], bool(part.steps)))
        if text == "%s" and operands[0].type in ("str", "str?"):
            return Operand(shown[0], "str")
        # CPython compiles `"…%s…" % (…,)` as it does f-strings, and quotes need no care here.
        return Operand(f"({text!r} % ({', '.join(shown)},))", "str")

    def _shown(self, operand: Operand, transformed: bool) -> str:
        if operand.is_constant:
            return repr(operand.constant)
        if operand.type in ("int", "str"):
            return operand.code
        held = self.temporary()
        missing = "" if transformed else "<null>"
        return f"({missing!r} if ({held} := {operand.code}) is None else {held})"

    # Expressions --------------------------------------------------------------------------------------

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
