"""Transformations of parameter lists: `{param.…}` on `a=1;b;c="x;y"`."""

from __future__ import annotations

from functools import lru_cache

from kamtool.module import Value, transformation
from kamtool.script.values import to_str


@lru_cache(maxsize=512)
def pairs(text: str, separator: str) -> tuple[tuple[str, str], ...]:
    """The names and values of a parameter list; quotes hide separators and are taken off values."""
    found = []
    for piece in _split(text, separator):
        name, _, value = piece.partition("=")
        name, value = name.strip(), value.strip()
        if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'":
            value = value[1:-1]
        if name:
            found.append((name, value))
    return tuple(found)


def _split(text: str, separator: str) -> list[str]:
    pieces, start, quote = [], 0, ""
    for place, character in enumerate(text):
        if quote:
            quote = "" if character == quote and text[place - 1] != "\\" else quote
        elif character in "\"'":
            quote = character
        elif character == separator:
            pieces.append(text[start:place])
            start = place + 1
    return [*pieces, text[start:]]


def _pairs(value: Value, separator: Value) -> tuple[tuple[str, str], ...]:
    return pairs(to_str(value), (to_str(separator) or ";")[0])


class ParamTransformations:
    """`{param.value,NAME}` and the other views of a parameter list; `;` separates unless told otherwise."""

    @transformation("param.value")
    def param_value(self, value: Value, name: Value, separator: Value = ";") -> Value:
        """The value of a parameter, whatever the case of its name; empty for a bare or an absent one."""
        if value is None:
            return None
        wanted = to_str(name).lower()
        return next((held for key, held in _pairs(value, separator) if key.lower() == wanted), "")

    @transformation("param.in")
    def param_in(self, value: Value, name: Value, separator: Value = ";") -> Value:
        """1 when there is such a parameter, else 0."""
        if value is None:
            return None
        wanted = to_str(name).lower()
        return int(any(key.lower() == wanted for key, _ in _pairs(value, separator)))

    @transformation("param.valueat")
    def param_valueat(self, value: Value, index: Value, separator: Value = ";") -> Value:
        """The value of the parameter at `index`, negative from the end."""
        return _at(value, index, separator, 1)

    @transformation("param.name")
    def param_name(self, value: Value, index: Value, separator: Value = ";") -> Value:
        """The name of the parameter at `index`, negative from the end."""
        return _at(value, index, separator, 0)

    @transformation("param.count")
    def param_count(self, value: Value, separator: Value = ";") -> Value:
        """How many parameters there are."""
        return None if value is None or value == "" else len(_pairs(value, separator))


def _at(value: Value, index: Value, separator: Value, part: int) -> Value:
    if value is None or type(index) is not int:
        return None
    found = _pairs(value, separator)
    return found[index][part] if -len(found) <= index < len(found) else ""
