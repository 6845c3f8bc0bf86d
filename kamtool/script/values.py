"""The three kinds of value a script knows, int, str and undefined (None), and what its operators do to them.

Ints are C ints: 32 bits, signed, wrapping silently. Texts are str with surrogateescape, so every octet
survives; lengths and offsets count octets. Operators convert as Kamailio does: most take both sides as ints,
`+` and `==` ask the type of their left side.
"""

from __future__ import annotations

import re
from functools import lru_cache

from kamtool.errors import ConfigError, ScriptError
from kamtool.module import Value

_NUMBER = re.compile(r"[+-]?(?:0[xX][0-9a-fA-F]+|[0-9]+)", re.ASCII)


def wrap(number: int) -> int:
    """The C int that `number` becomes in 32 bits."""
    if -0x80000000 <= number <= 0x7FFFFFFF:
        return number
    return ((number + 0x80000000) & 0xFFFFFFFF) - 0x80000000


def text_to_int(text: str) -> int:
    """The number a whole text writes, decimal or `0x` hex with a sign or none; anything else is 0.

    A decimal one that 32 bits do not hold is 0 too; a hexadecimal one wraps.
    """
    if _NUMBER.fullmatch(text) is None:
        return 0
    sign = -1 if text[0] == "-" else 1
    digits = text.lstrip("+-")
    if digits[:2] in ("0x", "0X"):
        return wrap(sign * int(digits[2:][-8:], 16))
    number = sign * int((digits if len(digits) < 11 else digits.lstrip("0")[:11]) or "0")
    return number if -0x80000000 <= number <= 0x7FFFFFFF else 0


def to_int(value: Value) -> int:
    """The int conversion: undefined is 0, and so is a text that is no number."""
    if type(value) is int:
        return value
    if value is None:
        return 0
    return text_to_int(value)  # type: ignore[arg-type]


def to_str(value: Value) -> str:
    """The str conversion: undefined is empty."""
    if type(value) is str:
        return value
    return "" if value is None else str(value)


def show(value: Value) -> str:
    """How a value prints in a format: undefined is `<null>`."""
    if type(value) is str:
        return value
    return "<null>" if value is None else str(value)


def to_octets(text: str) -> bytes:
    """The octets of a text, those included that were no UTF-8."""
    return text.encode("utf-8", "surrogateescape")


def from_octets(octets: bytes) -> str:
    """The text of octets; what is no UTF-8 survives as escapes."""
    return octets.decode("utf-8", "surrogateescape")


def length(value: Value) -> int:
    """`strlen(x)`: octets of the str conversion."""
    text = to_str(value)
    return len(text) if text.isascii() else len(to_octets(text))


def empty(value: Value) -> bool:
    """`strempty(x)`: the str conversion is empty."""
    return value is None or value == ""


def truth(value: Value) -> bool:
    """The condition of an `if`: the int conversion is above zero. `while` asks `to_int(x) != 0` instead."""
    return to_int(value) > 0


def select_value(condition: Value, positive: Value, otherwise: Value) -> Value:
    """`selval(c, a, b)`: `a` when `c` is above zero, else `b`; the type is kept."""
    return positive if to_int(condition) > 0 else otherwise


# Arithmetic ------------------------------------------------------------------------------------------------


def add(left: Value, right: Value) -> int | str:
    """`+`: addition when the left side is an int, else concatenation."""
    if type(left) is int:
        return wrap(left + to_int(right))
    return to_str(left) + to_str(right)


def add_ints(left: int, right: int) -> int:
    """`+` where both sides are known to be ints."""
    return wrap(left + right)


def subtract(left: Value, right: Value) -> int:
    """`-`: both sides as ints."""
    return wrap(to_int(left) - to_int(right))


def multiply(left: Value, right: Value) -> int:
    """`*`: both sides as ints."""
    return wrap(to_int(left) * to_int(right))


def div(left: Value, right: Value) -> int:
    """`/`: truncates toward zero. Raises ScriptError when the divisor is 0."""
    dividend, divisor = to_int(left), to_int(right)
    if divisor == 0:
        raise ScriptError("division by zero")
    quotient = abs(dividend) // abs(divisor)
    return wrap(quotient if (dividend < 0) == (divisor < 0) else -quotient)


def mod(left: Value, right: Value) -> int:
    """`mod`: has the sign of the left side. Raises ScriptError when the divisor is 0."""
    dividend, divisor = to_int(left), to_int(right)
    if divisor == 0:
        raise ScriptError("modulo zero")
    rest = abs(dividend) % abs(divisor)
    return -rest if dividend < 0 else rest


def negate(value: Value) -> int:
    """Unary `-`."""
    return wrap(-to_int(value))


def invert(value: Value) -> int:
    """Unary `~`."""
    return ~to_int(value)


def bit_or(left: Value, right: Value) -> int:
    """`|`."""
    return to_int(left) | to_int(right)


def bit_and(left: Value, right: Value) -> int:
    """`&`."""
    return to_int(left) & to_int(right)


def bit_xor(left: Value, right: Value) -> int:
    """`^`."""
    return to_int(left) ^ to_int(right)


def shift_left(left: Value, right: Value) -> int:
    """`<<`; the count is taken modulo 32, as the processor does where C leaves it open."""
    return wrap(to_int(left) << (to_int(right) & 31))


def shift_right(left: Value, right: Value) -> int:
    """`>>`, keeping the sign; the count is taken modulo 32."""
    return to_int(left) >> (to_int(right) & 31)


# Comparison ------------------------------------------------------------------------------------------------


def equal(left: Value, right: Value) -> bool:
    """`==`: by the type of the left side; an undefined left side takes the type of the right one."""
    if type(left) is str:
        return left == (right if type(right) is str else to_str(right))
    if type(left) is int:
        return left == (right if type(right) is int else to_int(right))
    if type(right) is int:
        return right == 0
    return not right


def unequal(left: Value, right: Value) -> bool:
    """`!=`: the opposite of `==`."""
    return not equal(left, right)


def int_equal(left: Value, right: Value) -> bool:
    """`ieq`: both sides as ints."""
    return to_int(left) == to_int(right)


def str_equal(left: Value, right: Value) -> bool:
    """`eq`: both sides as texts."""
    return to_str(left) == to_str(right)


def less(left: Value, right: Value) -> bool:
    """`<`: both sides as ints."""
    return to_int(left) < to_int(right)


def less_equal(left: Value, right: Value) -> bool:
    """`<=`: both sides as ints."""
    return to_int(left) <= to_int(right)


def greater(left: Value, right: Value) -> bool:
    """`>`: both sides as ints."""
    return to_int(left) > to_int(right)


def greater_equal(left: Value, right: Value) -> bool:
    """`>=`: both sides as ints."""
    return to_int(left) >= to_int(right)


@lru_cache(maxsize=512)
def _pattern(text: str) -> re.Pattern[str]:
    from kamtool.script.regex import compile_ere

    return compile_ere(text, re.IGNORECASE)


def matches(pattern: Value, text: Value) -> bool:
    """`text =~ pattern` for a pattern known only at run time: extended, unanchored, ignoring case.

    Raises ScriptError when the pattern is no regular expression.
    """
    try:
        return _pattern(to_str(pattern)).search(to_str(text)) is not None
    except ConfigError as error:
        raise ScriptError(f"bad regular expression {to_str(pattern)!r}: {error.message}") from error
