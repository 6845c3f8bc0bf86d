"""Checks of calls: the function, where it may stand, and each of its arguments."""

from __future__ import annotations

import re

from kamtool.errors import ConfigError, Span
from kamtool.module import Kind, Routes
from kamtool.script.check_values import METHODS, ValueChecker
from kamtool.script.fold import fold, has_calls
from kamtool.script.likely import likely
from kamtool.script.nodes import Call, Expression, Number, PvNode, RouteCall, String, Word
from kamtool.script.scope import ROUTE_NAMES, route_names

ARMED_BY = {
    "t_on_failure": Routes.FAILURE,
    "t_on_branch": Routes.BRANCH,
    "t_on_reply": Routes.ONREPLY,
}
CONSTANT_ONLY = frozenset(
    """
    add_rr_param append_hf append_hf_value assign_hf_value assign_hf_value2 auth_get_www_authenticate
    avp_printf bm_log_timer bm_start_timer cnt_add cnt_inc cnt_reset core_hash exclude_hf_value fnmatch
    get_body_part get_body_part_raw has_body hf_value_exists include_hf_value insert_hf insert_hf_value
    is_direction is_gflag is_method is_privacy is_supported lookup lookup_branches lookup_to_dset
    pv_auth_check pv_evalx pv_printf pv_proxy_authenticate pv_proxy_authorize pv_www_authenticate
    rand_set_prob record_route_advertised_address record_route_preset reg_fetch_contacts regex_substring
    registered remove_hf_value remove_hf_value2 reset_gflag reset_stat save send_reply set_gflag
    sl_reply sl_send_reply subst subst_body subst_uri subst_user t_cancel_callid t_check_status
    t_continue t_forward_nonack t_forward_nonack_sctp t_forward_nonack_tcp t_forward_nonack_tls
    t_forward_nonack_to t_forward_nonack_udp t_is_set t_on_branch t_on_failure t_on_reply t_relay
    t_relay_to t_relay_to_avp t_relay_to_sctp t_relay_to_tcp t_relay_to_tls t_relay_to_udp
    t_replicate_sctp t_replicate_tcp t_replicate_tls t_replicate_to t_replicate_udp t_reply
    t_reply_callid t_write_req t_write_unix tel2sip unregister update_stat xalert xavp_copy xbug xcrit
    xdbg xdbgl xerr xinfo xlog xlogl xnotice xwarn
    """.split()  # noqa: SIM905
)
"""Functions that Kamailio 5.6.3 refuses to start with when an argument is more than a constant; recorded."""
_VARIABLE = re.compile(r"\$(?:\(|[A-Za-z_])")


class CallChecker(ValueChecker):
    """Checks calls, beside everything that a ValueChecker checks."""

    def call(self, node: Call) -> None:
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
            if isinstance(argument, String):
                self.routes.mentioned.add(argument.value)
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
        # An event route may call what a request route may.
        here = self.kind if self.kind is not Routes.EVENT else Routes.EVENT | Routes.REQUEST
        routes = function.routes_of(len(node.arguments))
        if not routes & here:
            self.checker.error(
                f"`{node.name}` cannot be used in {ROUTE_NAMES[self.kind]}",
                name_span,
                "KT1156",
                f"it is for {route_names(routes)}",
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
        if (
            kind in (Kind.PLAIN, Kind.PHRASE)
            and isinstance(folded, String)
            and _VARIABLE.search(folded.value)
        ):
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
                near = likely(method.strip().upper(), METHODS, 1, 0.7)
                self.checker.error(
                    f"is_method() knows no method {method.strip()!r}",
                    node.span,
                    "KT1159",
                    f"did you mean {near[0]}?" if near else "use `$rm ==` for others",
                )

    def route_call(self, node: RouteCall) -> None:
        target = fold(node.name)
        if isinstance(target, Word | String | Number):
            self.routes.called(str(target.value), node.name.span)
        else:
            self.routes.is_dynamic = True


def _as_format(argument: Expression) -> str:
    if isinstance(argument, PvNode):
        return f'variables may stand in a string: "{argument.text}"'
    return "put the value into a `$var` and write the string with it"
