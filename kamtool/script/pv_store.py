"""Pseudo-variables that remember: `$var`, `$shv`, `$avp` and the XAVP family."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from kamtool.errors import ScriptError
from kamtool.module import Index, Plain, Value, pv
from kamtool.script.avp import Key

if TYPE_CHECKING:
    from kamtool.script.context import Context

_XAVP = re.compile(r"\s*([^\s\[\]=>]+)\s*(?:\[([^\]]*)\])?\s*(?:=>\s*([^\s\[\]]+)\s*(?:\[([^\]]*)\])?)?\s*")

_COUNTED = re.compile(r"\$?\(?(avp|xavp|xavi)\(([^()]*)\)\)?")


def _index(text: str | None) -> Index:
    if text is None:
        return None
    text = text.strip()
    if text == "*":
        return "*"
    try:
        return int(text)
    except ValueError:
        raise ScriptError(f"bad index {text!r}") from None


@lru_cache(maxsize=1024)
def xavp_path(inner: str) -> tuple[str, Index, str | None, Index]:
    """The name, index, field and field index of `name[i]=>field[j]`. Raises ScriptError."""
    found = _XAVP.fullmatch(inner)
    if found is None:
        raise ScriptError(f"bad xavp name {inner!r}")
    return found[1], _index(found[2]), found[3], _index(found[4])


class VariableStore:
    """`$var $vn $vz`, which outlive the message, and `$shv`, which all share."""

    variables: dict[str, int | str]
    nullable: dict[str, int | str]
    shared: dict[str, int | str]

    @pv("var", "vz", setter="set_var", inner_required=True, inline="self.variables.get(inner, 0)")
    def get_var(self, ctx: Context, inner: Plain) -> Value:
        """A variable of this process, which outlives the message; unset or `$null` is 0. The name is taken as
        written: `$var($x)` is the variable named `$x`.
        """
        return self.variables.get(inner, 0)

    def set_var(self, ctx: Context, inner: Plain, value: Value) -> None:
        self.variables[inner] = 0 if value is None else value

    @pv("vn", setter="set_vn", inner_required=True, inline="self.nullable.get(inner)")
    def get_vn(self, ctx: Context, inner: Plain) -> Value:
        """Like `$var`, but undefined until it is set."""
        return self.nullable.get(inner)

    def set_vn(self, ctx: Context, inner: Plain, value: Value) -> None:
        if value is None:
            self.nullable.pop(inner, None)
        else:
            self.nullable[inner] = value

    @pv("shv", setter="set_shv", inner_required=True, inline="self.shared.get(inner, 0)")
    def get_shv(self, ctx: Context, inner: Plain) -> Value:
        """A variable that every process shares; 0 until it is set."""
        return self.shared.get(inner, 0)

    def set_shv(self, ctx: Context, inner: Plain, value: Value) -> None:
        self.shared[inner] = 0 if value is None else value


class AvpStore:
    """`$avp`: a stack of values a name, kept with the message and then its transaction."""

    aliases: dict[str, Key]

    def avp_key(self, inner: str) -> Key:
        """The key of `$avp(inner)`: `s:` or nothing before a text, `i:` before a number, or an alias."""
        if inner[1:2] == ":":
            if inner[0] == "s":
                return inner[2:]
            if inner[0] == "i":
                try:
                    return int(inner[2:])
                except ValueError:
                    raise ScriptError(f"$avp({inner}) needs a number after `i:`") from None
        return self.aliases.get(inner.removeprefix("$"), inner) if self.aliases else inner

    @pv("avp", setter="set_avp", inner_required=True)
    def get_avp(self, ctx: Context, inner: str, index: Index = None) -> Value:
        """The newest value; `$(avp(x)[1])` the next older, `[-1]` the oldest, `[*]` all. Assigning pushes."""
        if ctx._avps is None:
            return None
        key = self.avp_key(inner)
        return ctx._avps.top(key) if index is None else ctx._avps.get(key, index)

    def set_avp(self, ctx: Context, inner: str, index: Index, value: Value) -> None:
        ctx.avps.set(self.avp_key(inner), index, value)

    @pv("cnt", kind=int, inner_required=True, form=r"\s*\$?\(?(avp|xavp|xavi)\([^()]*\)\)?\s*")
    def get_cnt(self, ctx: Context, inner: Plain) -> Value:
        """How many values an AVP, or records and values an XAVP has: `$cnt($avp(x))`."""
        found = _COUNTED.fullmatch(inner.strip())
        if found is None:
            raise ScriptError(f"$cnt({inner}) counts $avp(…), $xavp(…) and $xavi(…)")
        if ctx._avps is None:
            return 0
        if found[1] == "avp":
            return ctx._avps.count(self.avp_key(found[2]))
        name, index, field, _ = xavp_path(found[2])
        return (ctx._avps.xavps if found[1] == "xavp" else ctx._avps.xavis).count(name, index, field)


class XavpStore:
    """`$xavp $xavi $xavu`: records of named fields."""

    @pv("xavp", setter="set_xavp", inner_required=True)
    def get_xavp(self, ctx: Context, inner: str) -> Value:
        """`$xavp(name[i]=>field[j])`: a field of a record, newest first on both levels."""
        return None if ctx._avps is None else ctx._avps.xavps.get(*xavp_path(inner))

    def set_xavp(self, ctx: Context, inner: str, value: Value) -> None:
        if not ctx.avps.xavps.set(*xavp_path(inner), value) and value is not None:
            raise ScriptError(f"$xavp({inner}) has no such place")

    @pv("xavi", setter="set_xavi", inner_required=True)
    def get_xavi(self, ctx: Context, inner: str) -> Value:
        """Like `$xavp`, with names that ignore case."""
        return None if ctx._avps is None else ctx._avps.xavis.get(*xavp_path(inner))

    def set_xavi(self, ctx: Context, inner: str, value: Value) -> None:
        if not ctx.avps.xavis.set(*xavp_path(inner), value) and value is not None:
            raise ScriptError(f"$xavi({inner}) has no such place")

    @pv("xavu", setter="set_xavu", inner_required=True)
    def get_xavu(self, ctx: Context, inner: str) -> Value:
        """`$xavu(name)` or `$xavu(name=>field)`: one value each, replaced by an assignment."""
        name, _, field, _ = xavp_path(inner)
        return None if ctx._avps is None else ctx._avps.xavus.get(name, field)

    def set_xavu(self, ctx: Context, inner: str, value: Value) -> None:
        name, _, field, _ = xavp_path(inner)
        ctx.avps.xavus.set(name, field, value)
