"""Checks of what stands inside routes: names, calls, arguments, types."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING

from kamtool.errors import ConfigError, Span
from kamtool.module import Kind, Pv, Routes
from kamtool.script.codegen_calls import Plans, RoutePlan
from kamtool.script.codegen_values import attribute_key, select_text
from kamtool.script.emit import Lines
from kamtool.script.fold import constant, fold, has_calls
from kamtool.script.linker import CheckedCode
from kamtool.script.nodes import (
    Assign,
    Binary,
    Call,
    Case,
    Expression,
    Leave,
    Network,
    Number,
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
from kamtool.script.scope import ROUTE_NAMES, route_names
from kamtool.script.types import mismatch
from kamtool.script.variables import parse_variable
from kamtool.script.walk import walk

if TYPE_CHECKING:
    from kamtool.script.check_routes import RouteChecker
    from kamtool.script.checker import Checker

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
    ]
)
ARMED_BY = {
    "t_on_failure": Routes.FAILURE,
    "t_on_branch": Routes.BRANCH,
    "t_on_reply": Routes.ONREPLY,
}
CONSTANT_ONLY = frozenset(
    [
        "sl_send_reply",
        "send_reply",
        "sl_reply_error",
        "t_reply",
        "xlog",
        "xlogl",
        "xdbg",
        "xdbgl",
        "xinfo",
        "xnotice",
        "xwarn",
        "xerr",
        "xcrit",
        "xbug",
        "xalert",
        "append_hf",
        "insert_hf",
        "append_to_reply",
        "remove_hf",
        "is_present_hf",
    ]
)
"""Functions that Kamailio gives nothing but constants; it refuses to start with another expression there."""


_VARIABLE = re.compile(r"\$(?:\(|[A-Za-z_])")


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
                self._call(node)
            case RouteCall():
                self._route_call(node)
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

    def _report(self, error: ConfigError, span: Span, place: Span | None = None) -> None:
        if not error.span.file:
            error = ConfigError(
                error.message, span, hint=error.hint, code=error.code, severity=error.severity, place=place
            )
        if self.checker.missing and not error.hint and error.code in ("KT1130", "KT1150"):
            return  # a module that is missing may well have it
        self.checker.report(error)

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
            scope.variable(node.text)
        except ConfigError as error:
            self._report(error, node.span)

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
            near = difflib.get_close_matches(right.value.upper(), METHODS, 1, 0.7)
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

    # Calls --------------------------------------------------------------------------------------------

    def _call(self, node: Call) -> None:
        end = Span(
            node.span.file,
            node.span.end_line,
            max(node.span.end_column - 1, 1),
            node.span.end_line,
            node.span.end_column,
        )
        name_span = Span(
            node.span.file,
            node.span.line,
            node.span.column,
            node.span.line,
            node.span.column + len(node.name),
        )
        for argument in node.arguments:
            if has_calls(argument):
                self.checker.error(
                    "a function cannot be called inside the arguments of another",
                    argument.span,
                    "KT1157",
                    "keep its result in a `$var` first",
                )
                return
        found = self.checker.scope.function(node.name, len(node.arguments))
        if found is None:
            message, hint = self.checker.scope.unknown_function(node.name, len(node.arguments))
            self._report(ConfigError(message, hint=hint, code="KT1150"), name_span, end)
            return
        function = found[1]
        if not function.routes & self.kind and self.kind is not Routes.EVENT:  # there all may be called
            self.checker.error(
                f"`{node.name}` cannot be used in {ROUTE_NAMES[self.kind]}",
                name_span,
                "KT1156",
                f"it is for {route_names(function.routes)}",
                end,
            )
        for place, argument in enumerate(node.arguments):
            self._argument(node, place, argument)
        if node.name == "is_method" and isinstance(argument := node.arguments[0], String):
            self._methods(argument)

    def _argument(self, node: Call, place: int, argument: Expression) -> None:
        found = self.checker.scope.function(node.name, len(node.arguments))
        assert found is not None
        function = found[1]
        if place < len(function.parameters):
            kind = function.parameters[place].kind
        else:
            kind = function.rest or Kind.VALUE
        folded = fold(argument)
        if isinstance(argument, Word) and kind not in (Kind.FLAG, Kind.ROUTE) and found[0] != "core":
            self.checker.error(
                f"`{argument.value}` is neither a string nor a define",
                argument.span,
                "KT1158",
                f'did you mean "{argument.value}"?',
            )
            return
        if node.name in CONSTANT_ONLY and not isinstance(folded, Number | String):
            self.checker.error(
                f"`{node.name}` takes a constant here", argument.span, "KT1158", _as_format(argument)
            )
            return
        if kind is Kind.PLAIN and isinstance(folded, String) and _VARIABLE.search(folded.value):
            self._as_written(node.name, folded)
        try:
            code = self.code.argument_of(function, place, argument, node.span)
        except ConfigError as error:
            self._report(error, argument.span)
            return
        if kind is Kind.FLAG and code.lstrip("-").isdigit() and not 0 <= int(code) < 32:
            self.checker.error("flags are numbered 0 to 31", argument.span, "KT1152")
        if kind is Kind.ROUTE and isinstance(folded, String | Word):
            self.routes.armed(ARMED_BY.get(node.name, Routes.REQUEST), folded.value, argument.span, node.name)

    def _as_written(self, name: str, argument: String) -> None:
        """A variable in a text that is not expanded: a header cannot even be called so."""
        if name == "is_present_hf":
            self.checker.error(
                f"`{argument.value}` is no header", argument.span, "KT1158", "a name is expected here"
            )
            return
        self.checker.warn(
            f"`{name}` takes its argument as written: the variable in it stays text", argument.span, "KT1319"
        )

    def _methods(self, node: String) -> None:
        for method in node.value.split("|"):
            if method.strip() and "$" not in method and method.strip().upper() not in METHODS:
                near = difflib.get_close_matches(method.strip().upper(), METHODS, 1, 0.7)
                self.checker.error(
                    f"is_method() knows no method {method.strip()!r}",
                    node.span,
                    "KT1159",
                    f"did you mean {near[0]}?" if near else "use `$rm ==` for others",
                )

    def _route_call(self, node: RouteCall) -> None:
        target = fold(node.name)
        if isinstance(target, Word | String | Number):
            self.routes.called(str(target.value), node.name.span)
        else:
            self.routes.is_dynamic = True


def _as_format(argument: Expression) -> str:
    if isinstance(argument, PvNode):
        return f'variables may stand in a string: "{argument.text}"'
    return "put the value into a `$var` and write the string with it"
