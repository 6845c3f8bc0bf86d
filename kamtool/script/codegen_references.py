"""Code generation for variables, and for formats that are made of them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from kamtool.module import Pv, Routes
from kamtool.script.binding import Namespace
from kamtool.script.emit import Lines
from kamtool.script.operands import Operand, as_int, as_str, of_constant, raw
from kamtool.script.scope import Scope
from kamtool.script.substitution import compile_substitution
from kamtool.script.variables import Reference, Step, Template

ALWAYS = frozenset({
    "ctx.msg.method", "ctx.flow.transport", "ctx.flow.remote.host", "ctx.flow.remote.port",
    "ctx.flow.local.host", "ctx.flow.local.port",
})  # fmt: skip
"""What is never undefined."""


class ReferenceCode:
    """Writes Python for pseudo-variables into `lines`, names into `names`."""

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
