"""The expressions of `#!ifexp` and `#!defexp` (Kamailio 5.7): C-like, over numbers, strings and defines."""

from __future__ import annotations

import re
from collections.abc import Callable

from kamtool.errors import ConfigError

Operand = int | str
_TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+)|(?P<string>\"(?:\\.|[^\"\\])*\"|'[^']*')|(?P<name>[A-Za-z_]\w*)"
    r"|(?P<mark>&&|\|\||==|!=|<=|>=|[!<>+\-*/()]))",
    re.ASCII,
)
_LEVELS = (("||",), ("&&",), ("==", "!="), ("<", ">", "<=", ">="), ("+", "-"), ("*", "/"))
DEEPEST = 100


class _Reader:
    def __init__(self, text: str, lookup: Callable[[str], Operand]) -> None:
        self.lookup = lookup
        self.tokens: list[tuple[str, str]] = []
        self.place = 0
        self.depth = 0
        offset = 0
        text = text.split("#")[0].rstrip()
        while offset < len(text):
            found = _TOKEN.match(text, offset)
            if found is None:
                raise _bad(f"{text[offset:].strip()!r} is not understood")
            self.tokens.append((str(found.lastgroup), found[str(found.lastgroup)]))
            offset = found.end()

    def peek(self) -> str:
        return self.tokens[self.place][1] if self.place < len(self.tokens) else ""

    def whole(self) -> Operand:
        result = self.level(0)
        if self.peek():
            raise _bad(f"{self.peek()!r} is one too many")
        return result

    def level(self, number: int) -> Operand:
        if number == len(_LEVELS):
            return self.unary()
        left = self.level(number + 1)
        while self.peek() in _LEVELS[number]:
            operator = self.peek()
            self.place += 1
            left = _apply(operator, left, self.level(number + 1))
        return left

    def unary(self) -> Operand:
        self.depth += 1
        if self.depth > DEEPEST:
            raise _bad("it is nested too deeply")
        operator = self.peek()
        if operator in ("!", "-"):
            self.place += 1
            value = self.unary()
            self.depth -= 1
            return int(not _truth(value)) if operator == "!" else -_number(value)
        result = self.primary()
        self.depth -= 1
        return result

    def primary(self) -> Operand:
        if self.place >= len(self.tokens):
            raise _bad("a value is missing at its end")
        kind, text = self.tokens[self.place]
        self.place += 1
        if kind == "number":
            return int(text[-18:])
        if kind == "string":
            return text[1:-1]
        if kind == "name":
            return _literal(self.lookup(text))
        if text == "(":
            value = self.level(0)
            if self.peek() != ")":
                raise _bad("a parenthesis is not closed")
            self.place += 1
            return value
        raise _bad(f"{text!r} stands where a value should")


def _literal(value: Operand) -> Operand:
    if isinstance(value, int):
        return value
    value = value.strip()
    if re.fullmatch(r"[+-]?\d{1,18}", value, re.ASCII):
        return int(value)
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] == '"' else value


def _number(value: Operand) -> int:
    if isinstance(value, int):
        return value
    return int(value) if re.fullmatch(r"[+-]?\d{1,18}", value, re.ASCII) else 0


def _truth(value: Operand) -> bool:
    return value != 0 if isinstance(value, int) else bool(value)


def _apply(operator: str, left: Operand, right: Operand) -> Operand:
    if operator == "||":
        return int(_truth(left) or _truth(right))
    if operator == "&&":
        return int(_truth(left) and _truth(right))
    if operator in ("==", "!="):
        same = str(left) == str(right) if isinstance(left, str) or isinstance(right, str) else left == right
        return int(same is (operator == "=="))
    if operator == "+" and isinstance(left, str):
        return left + str(right)
    first, second = _number(left), _number(right)
    if operator == "/" and second == 0:
        raise _bad("it divides by zero")
    return {
        "<": lambda: int(first < second),
        ">": lambda: int(first > second),
        "<=": lambda: int(first <= second),
        ">=": lambda: int(first >= second),
        "+": lambda: first + second,
        "-": lambda: first - second,
        "*": lambda: first * second,
        "/": lambda: int(first / second),
    }[operator]()


def _bad(why: str) -> ConfigError:
    return ConfigError(f"bad `#!ifexp` expression: {why}", code="KT1016")


def evaluate(text: str, lookup: Callable[[str], Operand]) -> Operand:
    """The value of an expression; `lookup` gives that of a name. Raises ConfigError (KT1016)."""
    return _Reader(text, lookup).whole()
