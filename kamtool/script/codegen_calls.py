"""Code generation for calls: arguments by the kind of parameter, return codes, routes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from kamtool.errors import ConfigError, Span
from kamtool.module import Function, Kind, Parameter
from kamtool.script.codegen_tests import TestCode
from kamtool.script.fold import fold
from kamtool.script.guards import Action
from kamtool.script.nodes import (
    BlockValue,
    Call,
    Expression,
    Number,
    PvNode,
    RouteCall,
    String,
    Word,
)
from kamtool.script.operands import Operand, as_str, plain, raw
from kamtool.script.regex import compile_ere
from kamtool.script.substitution import compile_substitution
from kamtool.script.values import text_to_int
from kamtool.script.variables import Reference

_ONE_VARIABLE = re.compile(r"\$(?:\([^$]*\)|[\w?.]+(?:\([^$]*\))?)")


@dataclass(frozen=True, slots=True)
class RoutePlan:
    """What callers need to know of a block: its Python name, whether it waits, and may go in circles."""

    python: str
    waits: bool
    recurs: bool = False


@dataclass(slots=True)
class Plans:
    """The blocks of a program as callers see them."""

    routes: dict[str, RoutePlan] = field(default_factory=dict)
    main: RoutePlan | None = None
    traced: bool = False
    keeps_rc: bool = True
    """Whether anything reads `$rc`: else nothing needs to store it."""
    recursion_limit: int = 256
    loop_limit: int = 100
    flags: Mapping[str, int] = field(default_factory=dict)
    actions: dict[str, Action] = field(default_factory=dict)
    """Of a traced program: every statement that tells the observer of itself, in the order of the code."""


class CallCode(TestCode):
    """Writes calls as statements: `rN = f(ctx, …)`, `ctx.rc = rN`, and the exit when it is 0."""

    plans: Plans
    nesting = 0
    ends_by_code = False
    """Whether who calls this function looks at what it returns: None for `exit`, False for a code of 0."""

    def where(self, span: Span) -> str:
        """A place in the words of a log line."""
        return f"{span.file}:{span.line}"

    def observe(self, span: Span, line: int, name: str, target: str = "", count: int = 0) -> None:
        """In a traced program: tell the observer what comes."""

    # Functions ----------------------------------------------------------------------------------------

    def call(self, node: Call) -> Operand:
        """A call; the operand is the local that holds its return code."""
        found = self.scope.function(node.name, len(node.arguments))
        if found is None:
            message, hint = self.scope.unknown_function(node.name, len(node.arguments))
            raise ConfigError(message, node.span, hint=hint, code="KT1150")
        module, function = found
        shown = _TRACE_NAMES.get(function.name, function.name)
        self.observe(node.span, node.line, shown, count=len(node.arguments))
        held = self.temporary()
        constants = [_constant(argument) for argument in node.arguments]
        if function.inline is not None and (code := function.inline(constants)):
            return self._inline(held, code, module, function)
        self.lines.put("try:")
        self.lines.indent += 1
        guard = function.guard(constants) if function.guard is not None else ""
        if guard:
            self.lines.put(f"{held} = 1")
            self.lines.put(f"if {self.names.module(module)}.{guard}:")
            self.lines.indent += 1
        arguments = ["ctx"]
        for place, argument in enumerate(node.arguments):
            arguments.append(self.argument(parameter_of(function, place), argument, node.span))
        given = f"({', '.join(arguments)})"
        if function.at_once and not self.plans.traced:
            self.lines.put(f"{held} = {self.names.method('f', module, function.at_once)}{given}")
            self.lines.put(f"if type({held}) is not int:")
            self.lines.put(f"    {held} = await {held}")
        else:
            code = f"{self.names.function(module, function)}{given}"
            quick = "" if function.quick is None or function.is_async else function.quick(constants)
            if quick:
                code = f"1 if {self._of(module, quick)} else {code}"
            self.lines.put(f"{held} = {'await ' if function.is_async else ''}{code}")
        self.lines.indent -= 2 if guard else 1
        self.lines.put("except ScriptError as error:")
        self.lines.put(f"    {held} = {self._failure(function, node.span)}")
        return self._code_of(held, module, function)

    def _inline(self, held: str, code: str, module: str, function: Function) -> Operand:
        """The code that a function gave of itself, in the place of a call."""
        *before, code = self._of(module, code).split("\n")
        for line in before:
            self.lines.put(line)
        self.lines.put(f"{held} = {code}")
        return self._code_of(held, module, function)

    def _of(self, module: str, code: str) -> str:
        """Python that a module gave, with the name of its instance for `self`."""
        return code.replace("self.", f"{self.names.module(module)}.") if "self." in code else code

    def _failure(self, function: Function, span: Span) -> str:
        code = f"failed(ctx, error, {f'{self.where(span)}: {function.name}'!r})"
        return f"{code} > 0" if function.is_claim else code

    def _code_of(self, held: str, module: str, function: Function) -> Operand:
        if function.is_claim:
            if module != "core" and self.plans.keeps_rc:
                self.lines.put(f"ctx.rc = 1 if {held} else -1")
            return Operand(f"(1 if {held} else -1)", "code", truth=held)
        if module != "core":
            if self.plans.keeps_rc:
                self.lines.put(f"ctx.rc = {held}")
            self.lines.put(f"if not {held}:")
            self.lines.put(f"    {self.end(0)}")
        return Operand(held, "code", truth=f"{held} > 0")

    def argument(self, parameter: Parameter, node: Expression, call: Span) -> str:
        """One argument as the method wants it. What is wrong with a constant is an error at load."""
        node = fold(node)
        try:
            return self._argument(parameter.kind, node)
        except ConfigError as error:
            if error.span.file:
                raise
            raise ConfigError(error.message, node.span, hint=error.hint, code=error.code) from error

    def _argument(self, kind: Kind, node: Expression) -> str:
        match kind:
            case Kind.FORMAT:
                return self._format_argument(node)
            case Kind.INTEGER:
                return self._integer_argument(node)
            case Kind.VALUE:
                return self._value_argument(node)
            case Kind.PLAIN | Kind.ROUTE:
                return as_str(plain(self.value(node)))
            case Kind.PHRASE:
                if isinstance(node, String) and not _ONE_VARIABLE.fullmatch(node.value):
                    return repr(node.value)
                return self._format_argument(node)
            case Kind.REGEX:
                return self._regex_argument(node)
            case Kind.SUBSTITUTION:
                text = _text(node, "a substitution")
                return self.names.object(
                    "sub", ("sub", text), lambda: compile_substitution(text, self.custom_format)
                )
            case Kind.VARIABLE:
                text = node.text if isinstance(node, PvNode) else _text(node, "a pseudo-variable")
                return self.variable_object(text)
            case Kind.FLAG:
                return self._flag_argument(node)

    def _format_argument(self, node: Expression) -> str:
        if isinstance(node, String):
            return self.template(self.scope.template(node.value)).code
        return as_str(plain(self.value(node)))

    def _integer_argument(self, node: Expression) -> str:
        if isinstance(node, Number):
            return repr(node.value)
        if isinstance(node, String):
            number = text_to_int(node.value)
            if number or (node.value and not node.value.strip("+-0")):
                return repr(number)
            template = self.scope.template(node.value)
            if not any(isinstance(part, Reference) for part in template):
                raise ConfigError(f"{node.value!r} is no number", code="KT1151")
            if len(template) == 1 and isinstance(template[0], Reference):
                return f"integer({raw(plain(self.reference(template[0])))})"
            return f"integer({self.template(template).code})"
        operand = plain(self.value(node))
        return operand.code if operand.type == "int" else f"integer({operand.code})"

    def _value_argument(self, node: Expression) -> str:
        if not isinstance(node, String) or "$" not in node.value:
            return raw(plain(self.value(node)))
        template = self.scope.template(node.value)
        if len(template) == 1 and isinstance(template[0], Reference):
            return raw(self.reference(template[0]))
        return self.template(template).code

    def _regex_argument(self, node: Expression) -> str:
        if isinstance(node, String | Number):
            text = str(node.value)
            return self.names.object("re", ("pattern", text), lambda: search_pattern(text))
        compile_name = self.names.object("pattern", "search_pattern", lambda: search_pattern)
        return f"{compile_name}({as_str(plain(self.value(node)))})"

    def _flag_argument(self, node: Expression) -> str:
        if isinstance(node, Number):
            return repr(node.value)
        if isinstance(node, String | Word):
            number = self.flag(node.value)
            if number is not None:
                return repr(number)
            if isinstance(node, Word):
                raise ConfigError(
                    f"the flag `{node.value}` is not declared",
                    code="KT1152",
                    hint=f"declare it above: flags {node.value}",
                )
        return self._integer_argument(node)

    def flag(self, name: str) -> int | None:
        """The number of a flag: declared, or a number as text."""
        if name in self.plans.flags:
            return self.plans.flags[name]
        return int(name) if name.isascii() and name.isdigit() and int(name) < 32 else None

    # Routes -------------------------------------------------------------------------------------------

    def end(self, code: int) -> str:
        """How the script ends here, with the code 1 or 0. To raise costs as much as a dozen statements."""
        if not self.ends_by_code:
            return f"raise Exit({code})"
        return "return None" if code else "return False"

    def _or_end(self, held: str) -> None:
        """What a route that was called returns ends the script here, too."""
        self.lines.put(f"if {held} is None or {held} is False:")
        self.lines.put(f"    return {held}" if self.ends_by_code else f"    raise Exit(int({held} is None))")

    def route_call(self, node: RouteCall) -> Operand:
        """`route(NAME)`: the code it returns, -1 when there is no such route."""
        self.observe(node.span, node.line, "route")
        target = fold(node.name)
        held = self.temporary()
        if isinstance(target, Word | String | Number):
            self._static_route(held, str(target.value), node)
        else:
            self._dynamic_route(held, as_str(plain(self.value(target))), node)
        return Operand(held, "code", truth=f"{held} > 0")

    def _static_route(self, held: str, name: str, node: RouteCall) -> None:
        plan = self.plans.main if name == "0" else self.plans.routes.get(name)
        if plan is None:
            raise ConfigError(f"there is no route[{name}]", node.name.span, code="KT1153")
        code = f"{'await ' if plan.waits else ''}{plan.python}(ctx)"
        if plan.recurs:
            self._guarded(held, code, node.span)
            return
        self.lines.put(f"{held} = {code}")
        self._or_end(held)
        if self.plans.keeps_rc:
            self.lines.put(f"ctx.rc = {held}")

    def _guarded(self, held: str, code: str, span: Span) -> None:
        levels = self.nesting + 1
        put = self.lines.put
        put(f"ctx.depth += {levels}")
        put(f"if ctx.depth > {self.plans.recursion_limit}:")
        put(f"    {held} = too_deep(ctx, {self.plans.recursion_limit}, {self.where(span)!r})")
        put(f"    ctx.depth -= {levels}")
        put("else:")
        put("    try:")
        put(f"        {held} = {code}")
        put("    finally:")
        put(f"        ctx.depth -= {levels}")
        self._or_end(held)
        put(f"ctx.rc = {held}")

    def _dynamic_route(self, held: str, name: str, node: RouteCall) -> None:
        named = self.temporary()
        put = self.lines.put
        put(f"{named} = {name}")
        put(f"if ({held} := ROUTES.get({named})) is None:")
        put(f"    {held} = no_route(ctx, {named}, {self.where(node.span)!r})")
        put("else:")
        self.lines.indent += 1
        self._guarded(held, f"await {held}(ctx)", node.span)
        self.lines.indent -= 1

    def block_value(self, node: BlockValue) -> Operand:
        held = self.temporary()
        name, waits = self.block_function(node)
        self.lines.put(f"{held} = {'await ' if waits else ''}{name}(ctx)")
        if self.ends_by_code:
            self._or_end(held)
        return Operand(held, "code", truth=f"{held} > 0")

    def block_function(self, node: BlockValue) -> tuple[str, bool]:
        """A block compiled on its own: its name and whether it awaits."""
        raise NotImplementedError


def search_pattern(text: str) -> re.Pattern[str]:
    """A function's pattern: like regcomp's REG_ICASE and REG_NEWLINE, as search() and its kin have it."""
    return compile_ere(text, re.IGNORECASE, line_mode=True)


def parameter_of(function: Function, place: int) -> Parameter:
    """The parameter that the argument at `place` is for."""
    if place < len(function.parameters):
        return function.parameters[place]
    assert function.rest is not None
    return Parameter("rest", function.rest, True)


def _constant(node: Expression) -> str | None:
    """The text of an argument that is the same in every call."""
    node = fold(node)
    return node.value if isinstance(node, String) and "$" not in node.value else None


def _text(node: Expression, what: str) -> str:
    if isinstance(node, String):
        return node.value
    raise ConfigError(f"{what} must be a constant string", code="KT1151")


# What Kamailio's trace calls some core functions.
_TRACE_NAMES = {
    "rewriteuser": "setuser",
    "rewriteuri": "seturi",
    "rewritehost": "sethost",
    "rewritehostport": "sethostport",
    "rewritehostporttrans": "sethostporttrans",
    "rewriteport": "setport",
    "rewriteuserpass": "setuserpass",
    "revert_uri": "reverturi",
    "add_rport": "force_rport",
}
