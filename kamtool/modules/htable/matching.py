"""Which items an expression means: of `$shtcn` and `$shtcv`, and of the functions that match and remove."""

from __future__ import annotations

from collections.abc import Callable

from kamtool.errors import ConfigError, ScriptError
from kamtool.module import Value
from kamtool.script.regex import compile_ere
from kamtool.script.values import text_to_int

Test = Callable[[Value], bool]
"""Whether a name or a value is meant. An int never is, except where a number is asked for."""


def _text(test: Callable[[str], bool]) -> Test:
    return lambda value: type(value) is str and test(value)


def regex(pattern: str) -> Test:
    """A POSIX extended expression, letters as they are. Raises ScriptError."""
    try:
        test: Callable[[str], bool] = compile_ere(pattern).test  # type: ignore[attr-defined]
    except ConfigError as error:
        raise ScriptError(error.message) from error
    return _text(test)


def counted(expression: str) -> Test | None:
    """What `$shtcn(t=>expression)` counts; None for an expression that means nothing, which counts none."""
    if expression == "**":
        return lambda value: True
    operator, operand = expression[:2], expression[2:]
    match operator:
        case "~~":
            return regex(operand)
        case "~%":
            return _text(lambda text: text.endswith(operand))
        case "%~":
            return _text(lambda text: text.startswith(operand))
        case "==":
            return _text(lambda text: text == operand)
        case "eq":
            number = text_to_int(operand)
            return lambda value: type(value) is int and value == number
    return None


def asked(operator: str, operand: str, known: str = "eq ne re sw") -> Test:
    """What `sht_match_name(t, operator, operand)` looks for. Raises ScriptError."""
    if operator not in known.split():
        raise ScriptError(f"no operator {operator!r}; there are {known.replace(' ', ', ')}")
    match operator:
        case "eq":
            return _text(lambda text: text == operand)
        case "ne":
            return _text(lambda text: text != operand)
        case "re":
            return regex(operand)
    return _text(lambda text: text.startswith(operand))
