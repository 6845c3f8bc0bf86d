"""pv: functions on pseudo-variables and on the static branch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kamtool.module import ANY, Host, Plain, Variable, function
from kamtool.script.branches import append_copy

if TYPE_CHECKING:
    from kamtool.script.context import Context

_STATIC = "pv.sbranch"


class VariableFunctions:
    """Pseudo-variables asked for and changed by functions."""

    server: Host

    @function("pv_isset", routes=ANY)
    def pv_isset(self, ctx: Context, variable: Variable) -> bool:
        """True when the pseudo-variable is defined."""
        return variable.get(ctx) is not None

    @function("pv_unset", routes=ANY)
    def pv_unset(self, ctx: Context, variable: Variable) -> int:
        """Assign `$null` to the pseudo-variable."""
        variable.set(ctx, None)
        return 1

    @function("is_int", routes=ANY)
    def is_int(self, ctx: Context, variable: Variable) -> bool:
        """True when the pseudo-variable holds an int, not a text of digits."""
        return type(variable.get(ctx)) is int

    @function("typeof", routes=ANY)
    def typeof(self, ctx: Context, variable: Variable, kind: Plain) -> bool:
        """True when the pseudo-variable is of the kind `int`, `str`, or `null` (also `none`)."""
        value = variable.get(ctx)
        if value is None:
            return kind in ("null", "none")
        return kind == ("int" if type(value) is int else "str")

    @function("not_empty", routes=ANY)
    def not_empty(self, ctx: Context, variable: Variable) -> bool:
        """True when the pseudo-variable holds a text that is not empty."""
        value = variable.get(ctx)
        return type(value) is str and value != ""

    @function("pv_evalx", routes=ANY)
    def pv_evalx(self, ctx: Context, variable: Variable, text: str) -> bool:
        """Evaluate `text` twice, first as a format and then what came of it, and assign the result."""
        from kamtool.errors import ConfigError

        try:
            made = self.server.format(text)
        except ConfigError:
            return False
        variable.set(ctx, made(ctx))
        return True

    @function("sbranch_set_ruri", routes=ANY)
    def sbranch_set_ruri(self, ctx: Context) -> bool:
        """Make the static branch, `$sbranch(…)`, the R-URI and what goes with it."""
        held = ctx.scratch.get(_STATIC)
        if held is None or not held.uri:
            return False
        ctx.new_uri, ctx.dst_uri, ctx.path, ctx.q = held.uri, held.dst_uri, held.path, held.q
        ctx.branch_flags, ctx.send_socket = held.flags, held.send_socket or ctx.send_socket
        ctx.ruid, ctx.user_agent, ctx.connection = held.ruid, held.user_agent, held.connection
        return True

    @function("sbranch_append", routes=ANY)
    def sbranch_append(self, ctx: Context) -> bool:
        """Add the static branch to the destination set."""
        held = ctx.scratch.get(_STATIC)
        return held is not None and append_copy(ctx, held)

    @function("sbranch_reset", routes=ANY)
    def sbranch_reset(self, ctx: Context) -> int:
        """Forget the static branch."""
        ctx.scratch.pop(_STATIC, None)
        return 1
