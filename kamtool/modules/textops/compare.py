"""textops: texts compared, and the transformation re.subst."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from kamtool.errors import ConfigError, ScriptError
from kamtool.module import ANY, ONSEND_ROUTE, Plain, Value, Variable, function, transformation
from kamtool.script.values import to_octets, to_str

if TYPE_CHECKING:
    from kamtool.script.context import Context


class CompareFunctions:
    """Two texts side by side."""

    @function("cmp_str", routes=ANY)
    def cmp_str(self, ctx: Context, one: str, other: str) -> bool:
        """True when the texts are the same."""
        return one == other

    @function("cmp_istr", routes=ANY)
    def cmp_istr(self, ctx: Context, one: str, other: str) -> bool:
        """True when the texts are the same but for the case of ASCII letters."""
        return to_octets(one).lower() == to_octets(other).lower()

    @function("starts_with", routes=ANY)
    def starts_with(self, ctx: Context, text: str, prefix: str) -> bool:
        """True when `text` starts with `prefix`."""
        return text.startswith(prefix)

    @function("ends_with", routes=ANY)
    def ends_with(self, ctx: Context, text: str, suffix: str) -> bool:
        """True when `text` ends with `suffix`."""
        return text.endswith(suffix)

    @function("str_find", routes=ANY)
    def str_find(self, ctx: Context, text: str, needle: str) -> int:
        """The place of `needle` in `text`, counted from 1; -1 when it is not there."""
        return to_octets(text).find(to_octets(needle)) + 1 or -1

    @function("str_ifind", routes=ANY)
    def str_ifind(self, ctx: Context, text: str, needle: str) -> int:
        """Like `str_find`, whatever the case of ASCII letters."""
        return to_octets(text).lower().find(to_octets(needle).lower()) + 1 or -1

    @function("in_list", routes=ANY)
    def in_list(self, ctx: Context, subject: str, members: str, separator: Plain) -> bool:
        """True when `subject` is one of the members of a list, e.g. `in_list("$fU", "a,b,c", ",")`."""
        return subject in _members(members, separator)

    @function("in_list_prefix", routes=ANY)
    def in_list_prefix(self, ctx: Context, subject: str, members: str, separator: Plain) -> bool:
        """True when `subject` starts with one of the members of a list."""
        return any(subject.startswith(member) for member in _members(members, separator) if member)

    @function("regex_substring", routes=ANY & ~ONSEND_ROUTE)
    def regex_substring(
        self, ctx: Context, text: str, pattern: str, index: int, count: int, variable: Variable
    ) -> bool:
        """Store group `index` of the first match; `count` is how many groups are looked at."""
        from kamtool.script.regex import compile_ere

        try:
            found = compile_ere(pattern, 0).search(text)
        except ConfigError as error:
            raise ScriptError(error.message) from error
        if found is None or not 0 <= index <= min(count, len(found.groups())) or found[index] is None:
            return False
        variable.set(ctx, found[index])
        return True

    @transformation("re.subst")
    def re_subst(self, value: Value, expression: Value) -> Value:
        r"""Substitute as sed does: `{re.subst,/^00(.*)/+\1/}`; flags `g`, `i`, `s`."""
        if value is None:
            return None
        changed = _substitution(to_str(expression)).apply(None, to_str(value))
        return value if changed is None else str(changed)


def _members(text: str, separator: str) -> list[str]:
    return [member.strip(" \t") for member in text.split(separator or ",")]


@lru_cache(maxsize=256)
def _substitution(text: str) -> Any:
    from kamtool.script.substitution import compile_substitution

    try:
        return compile_substitution(text)
    except ConfigError as error:
        raise ScriptError(error.message) from error
