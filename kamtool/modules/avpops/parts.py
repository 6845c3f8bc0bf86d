"""What the arguments of avpops' functions say: `$avp(a)/$avp(b)/gd`, `gt/i:6/g`, `$fu/username`."""

from __future__ import annotations

import fnmatch
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from kamtool.errors import ConfigError, ScriptError
from kamtool.module import Value
from kamtool.script.avp import Key
from kamtool.script.regex import compile_ere
from kamtool.script.values import div, mod, to_int, to_str, wrap

_AVP = re.compile(r"\$?(?:avp\()?\s*(?:([si]):)?([\w.:-]+)\s*\)?")
_OPERATION = re.compile(r"(\w+)(?:/(.*?))?(?:/([gGiIdDnNsS]+))?", re.DOTALL)


@lru_cache(1024)
def key_of(text: str) -> Key:
    """The name of an AVP: `$avp(s:x)`, `$avp(i:12)`, `s:x`. Raises ScriptError."""
    found = _AVP.fullmatch(text.strip())
    if found is None:
        raise ScriptError(f"{text!r} is no AVP")
    return int(found[2]) if found[1] == "i" and found[2].isdigit() else found[2]


@dataclass(frozen=True, slots=True)
class Names:
    """A source, perhaps a destination, and flags."""

    source: str
    destination: str | None
    flags: str


@lru_cache(1024)
def names_of(text: str) -> Names:
    """Take `source[/destination][/flags]` apart."""
    source, *rest = text.split("/")
    destination = rest.pop(0) if rest and "$" in rest[0] else None
    return Names(source.strip(), destination, rest[0].lower() if rest else "")


@dataclass(frozen=True, slots=True)
class Operation:
    """An operator with its operand, `s:text`, `i:number` or a variable, and flags."""

    operator: str
    operand: Value
    variable: str
    flags: str


@lru_cache(1024)
def operation_of(text: str) -> Operation:
    """Take `gt/i:6/g` apart. Raises ScriptError."""
    found = _OPERATION.fullmatch(text.strip())
    if found is None:
        raise ScriptError(f"{text!r} is no operation")
    name, operand, flags = found[1].lower(), found[2] or "", (found[3] or "").lower()
    if operand.startswith("$"):
        return Operation(name, None, operand, flags)
    if operand.startswith("i:"):
        return Operation(name, to_int(operand[2:]), "", flags)
    return Operation(name, operand.removeprefix("s:"), "", flags)


_ORDER: dict[str, Callable[[int, int], bool]] = {
    "eq": operator.eq, "ne": operator.ne, "lt": operator.lt, "le": operator.le, "gt": operator.gt,
    "ge": operator.ge,
}  # fmt: skip
_BITS: dict[str, Callable[[int, int], int]] = {
    "and": operator.and_, "or": operator.or_, "xor": operator.xor,
}  # fmt: skip


def holds(value: Value, name: str, operand: Value, *, fold: bool) -> bool:
    """Whether a value compares so with an operand; a number only with a number. Raises ScriptError."""
    if name in ("re", "fm"):
        text, pattern = to_str(value), to_str(operand)
        if name == "fm":
            return (
                fnmatch.fnmatchcase(text.lower(), pattern.lower())
                if fold
                else fnmatch.fnmatchcase(text, pattern)
            )
        try:
            return compile_ere(pattern, re.IGNORECASE if fold else 0).search(text) is not None
        except ConfigError as error:
            raise ScriptError(f"bad regular expression {pattern!r}: {error.message}") from error
    if name in _BITS:
        return type(value) is int and type(operand) is int and _BITS[name](value, operand) != 0
    if name not in _ORDER:
        raise ScriptError(f"{name!r} is no operator: there are {', '.join((*_ORDER, *_BITS, 're', 'fm'))}")
    if type(value) is int or type(operand) is int:
        return type(value) is type(operand) and _ORDER[name](to_int(value), to_int(operand))
    left, right = to_str(value), to_str(operand)
    if fold:
        left, right = left.lower(), right.lower()
    return _ORDER[name]((left > right) - (left < right), 0)


def computed(value: int, name: str, operand: int) -> int:
    """The result of an arithmetic operation. Raises ScriptError: no such operator, a division by zero."""
    if name == "add":
        return wrap(value + operand)
    if name == "sub":
        return wrap(value - operand)
    if name == "mul":
        return wrap(value * operand)
    if name == "div":
        return div(value, operand)
    if name == "mod":
        return mod(value, operand)
    if name == "not":
        return ~value
    if name in _BITS:
        return wrap(_BITS[name](value, operand))
    raise ScriptError(f"{name!r} is no operator: there are add, sub, mul, div, mod, and, or, xor, not")
