"""Checks of what stands inside routes: names, calls, arguments, types."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kamtool.errors import ConfigError, Span
from kamtool.module import Kind, Pv, Routes
from kamtool.script.codegen_calls import Plans, RoutePlan
from kamtool.script.codegen_values import attribute_key, select_text
from kamtool.script.emit import Lines
from kamtool.script.fold import constant, fold
from kamtool.script.likely import likely
from kamtool.script.linker import CheckedCode
from kamtool.script.nodes import (
    Assign,
    Binary,
    Call,
    Case,
    Expression,
    Leave,
    Network,
    PvNode,
    Route,
    RouteCall,
    SelectNode,
    Statement,
    String,
    Switch,
    Test,
    Word,
)
from kamtool.script.regex import compile_ere
from kamtool.script.slip import is_slip
from kamtool.script.types import mismatch
from kamtool.script.variables import parse_variable
from kamtool.script.walk import walk

if TYPE_CHECKING:
    from kamtool.script.check_routes import RouteChecker
    from kamtool.script.checker import Checker

FROM_MODULES = frozenset(["KT1130", "KT1132", "KT1150"])
"""What is unknown because the module that brings it is missing, perhaps."""
METHODS = frozenset(
    [
        "INVITE",
        "CANCEL",
        "ACK",
        "BYE",
        "INFO",
        "REGISTER",
        "SUBSCRIBE",
        "NOTIFY",
        "MESSAGE",
        "OPTIONS",
        "PRACK",
        "UPDATE",
        "REFER",
        "PUBLISH",
        "KDMQ",
        "GET",
        "POST",
        "PUT",
        "DELETE",
        "REPLY",
    ]
)


class ValueChecker:
    """Checks one route after the other, in the scope of its place."""

    def __init__(self, checker: Checker, routes: RouteChecker) -> None:
        self.checker, self.routes = checker, routes
        self.kind = Routes.REQUEST
        self.code: CheckedCode

    def route(self, item: Route) -> None:
        """All that one block says."""
        self.kind = item.kind
        plans = Plans(flags=self.checker.settings.flags)
        plans.main = RoutePlan("main", False)
        self.code = CheckedCode(self.checker.scope, plans, Lines())
        for node in walk(item.body):
            self._node(node)

    def _node(self, node: Expression | Statement) -> None:
        match node:
            case Call():
                self.call(node)
            case RouteCall():
                self.route_call(node)
            case PvNode():
                self._variable(node)
            case SelectNode():
                self._select(node)
            case Assign():
                self._assign(node)
            case Binary(operator="=~", right=String() as pattern):
                self._pattern(pattern.value, pattern.span)
                self._types(node)
            case Binary():
                self._types(node)
            case Test():
                self._test(node)
            case Switch():
                self._switch(node)
            case Leave():
                self._leave(node)
            case Word():
                pass
            case _:
                if not isinstance(node, Statement):
                    self._types(node)

    def call(self, node: Call) -> None:
        """A function call; the call checker has it."""
        raise NotImplementedError

    def route_call(self, node: RouteCall) -> None:
        """`route(…)`; the call checker has it."""
        raise NotImplementedError

    def _report(self, error: ConfigError, span: Span, place: Span | None = None) -> None:
        if not error.span.file:
            error = ConfigError(
                error.message, span, hint=error.hint, code=error.code, severity=error.severity, place=place
            )
        if self.checker.missing and error.code in FROM_MODULES and not self._is_certain(error):
            return  # a module that is missing may well have it
        self.checker.report(error)

    def _is_certain(self, error: ConfigError) -> bool:
        """Whether a name is wrong whatever the missing modules have: known elsewhere, or a slip."""
        name = error.message.split("`")[1]
        if error.hint.startswith(f"`{name}` comes with"):
            return True
        scope, bare = self.checker.scope, name.strip("${}")
        known = (*scope.functions, *scope.pvs, *scope.transformations)
        return any(bare == each or is_slip(bare, each) for each in known)

    # Variables ----------------------------------------------------------------------------------------

    def _variable(self, node: PvNode) -> None:
        scope = self.checker.scope
        if attribute_key(node, scope) is not None:
            if not self.checker.mode.knows_attributes:
                self._report(scope.unknown_pv(parse_variable(node.text, scope.limit)), node.span)
            elif "." not in node.text:
                error = scope.unknown_pv(parse_variable(node.text, scope.limit))
                self.checker.warn(
                    f"{error.message}: without `#!KAMAILIO` it is an attribute of old SER",
                    node.span,
                    "KT1304",
                    error.hint,
                )
            return
        try:
            reference = scope.variable(node.text)
        except ConfigError as error:
            self._report(error, node.span)
            return
        pv = scope.pvs[reference.name][1]
        if pv.inner_kind is Kind.PLAIN and reference.inner_text.startswith("$"):
            self.checker.warn(
                f"`${pv.name}(…)` takes its name as written: the variable in it stays text",
                node.span,
                "KT1319",
                "`$avp(…)` takes a variable for a name",
            )

    def _select(self, node: SelectNode) -> None:
        from kamtool.script.selects import known

        text = select_text(node.parts)
        if not known(text):
            self.checker.error(f"there is no select `@{text}`", node.span, "KT1133")

    def _assign(self, node: Assign) -> None:
        target = node.target
        scope = self.checker.scope
        key = attribute_key(target, scope)
        if key is not None:
            if key.startswith("g."):
                self.checker.error("`$g.` attributes are read-only", target.span, "KT1154")
            return
        try:
            reference = scope.variable(target.text)
        except ConfigError:
            return  # said already, where the variable was met
        pv: Pv = scope.pvs[reference.name][1]
        if reference.steps:
            self.checker.error(
                "a transformation cannot stand left of `=`",
                target.span,
                "KT1154",
                f"assign `${reference.name}` itself",
            )
        elif not pv.setter:
            self.checker.error(f"`{target.text}` is read-only", target.span, "KT1154")

    # Types and patterns -------------------------------------------------------------------------------

    def _types(self, node: Expression) -> None:
        found = mismatch(node)
        if found is not None:
            self.checker.error(
                f"`{found.operator}` takes {found.wanted}, not {found.given}",
                found.span,
                "KT1160",
                "(int) and (str) convert",
                node.span,
            )

    def _pattern(self, text: str, span: Span) -> None:
        try:
            compile_ere(text)
        except ConfigError as error:
            self._report(error, span)

    def _test(self, node: Test) -> None:
        right = node.right
        if right is None:
            if node.keyword in ("uri", "from_uri", "to_uri", "method", "proto", "src_ip", "dst_ip"):
                self.checker.error(f"`{node.keyword}` must be compared with something", node.span, "KT1108")
            return
        if isinstance(right, Word) and node.keyword == "method" and right.value not in METHODS:
            near = likely(right.value.upper(), METHODS, 1, 0.7)
            self.checker.warn(
                f"`{right.value}` is no method known here",
                right.span,
                "KT1305",
                f"did you mean {near[0]}?" if near else "",
            )
        if node.operator == "=~" and isinstance(right, String):
            self._pattern(right.value, right.span)
        if isinstance(right, Network):
            try:
                self.code.value(node)
            except ConfigError as error:
                self._report(error, right.span)

    # Statements ---------------------------------------------------------------------------------------

    def _leave(self, node: Leave) -> None:
        if node.value is not None and isinstance(fold(node.value), String):
            self.checker.error(f"`{node.word}` takes a number, not a string", node.value.span, "KT1161")
        if node.word == "drop" and self.kind is Routes.FAILURE:
            self.checker.warn(
                "in a failure_route `drop` is the same as `exit`: the reply is sent all the same",
                node.span,
                "KT1306",
                "t_reply() sends another one",
            )

    def _switch(self, node: Switch) -> None:
        kinds: set[type] = set()
        defaults: list[Case] = []
        values: dict[int | str, Span] = {}
        for case in node.cases:
            label = case.label
            if label.value is None:
                defaults.append(case)
                continue
            value = constant(fold(label.value))
            if value is None:
                self.checker.error(
                    "a `case` must be a constant", label.value.span, "KT1162", "use if and else if"
                )
                continue
            kinds.add(type(value))
            if label.is_regex:
                self._pattern(str(value), label.value.span)
            elif value in values:
                self.checker.warn(
                    f"`case {value!r}` stands a second time: it is never reached",
                    label.span,
                    "KT1307",
                    f"the first one is at line {values[value].line}",
                )
            else:
                values[value] = label.span
        if len(kinds) > 1:
            self.checker.error("the cases of a switch are all numbers or all strings", node.span, "KT1162")
        if len(defaults) > 1:
            self.checker.error("a switch has one `default`", defaults[1].label.span, "KT1162")
        if not node.cases:
            self.checker.warn("this switch has no cases", node.span, "KT1308")
