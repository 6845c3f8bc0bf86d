"""Python expressions with what is known of their value: enough to choose the cheapest comparison."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from kamtool.module import Value
from kamtool.script.values import to_int

Type = Literal["int", "str", "bool", "int?", "str?", "value", "null", "code"]
"""`int?` and `str?` may be undefined; `code` is a return code, which counts 1 or 0 except where assigned."""


@dataclass(frozen=True, slots=True)
class Operand:
    """A Python expression and its type. `truth` is a cheaper spelling of "above zero", when there is one."""

    code: str
    type: Type
    constant: Value = None
    truth: str = ""

    @property
    def is_constant(self) -> bool:
        return self.constant is not None


def of_constant(value: int | str) -> Operand:
    """A literal."""
    return Operand(repr(value), "int" if isinstance(value, int) else "str", value)


def as_int(operand: Operand) -> str:
    """Its int conversion."""
    if operand.is_constant:
        return repr(to_int(operand.constant))
    match operand.type:
        case "int":
            return operand.code
        case "bool":
            return f"(1 if {operand.code} else 0)"
        case "code":
            return f"(1 if {truth(operand)} else 0)"
        case "int?":
            return f"({operand.code} or 0)"
        case "null":
            return "0"
    return f"to_int({operand.code})"


def as_str(operand: Operand) -> str:
    """Its str conversion."""
    if operand.is_constant:
        return repr(str(operand.constant))
    match operand.type:
        case "str":
            return operand.code
        case "str?":
            return f"({operand.code} or '')"
        case "int":
            return f"str({operand.code})"
        case "bool" | "code":
            return f"('1' if {truth(operand)} else '0')"
        case "null":
            return "''"
    return f"to_str({operand.code})"


def raw(operand: Operand) -> str:
    """The value as an assignment stores it: a call's real return code."""
    if operand.type == "bool":
        return f"(1 if {operand.code} else 0)"
    return operand.code


def plain(operand: Operand) -> Operand:
    """The value as other operators see it: a call counts 1 or 0."""
    if operand.type in ("bool", "code") and not operand.is_constant:
        return Operand(as_int(operand), "int")
    return operand


def truth(operand: Operand) -> str:
    """The condition of an `if`: above zero."""
    if operand.is_constant:
        return repr(to_int(operand.constant) > 0)
    if operand.truth:
        return operand.truth
    match operand.type:
        case "bool":
            return operand.code
        case "int" | "code":
            return f"{operand.code} > 0"
        case "null":
            return "False"
    return f"{as_int(operand)} > 0"


def nonzero(operand: Operand) -> str:
    """The condition of a `while`, and a side of `&&` and `||`: not zero."""
    if operand.is_constant:
        return repr(to_int(operand.constant) != 0)
    match operand.type:
        case "bool":
            return operand.code
        case "code":
            return truth(operand)
        case "null":
            return "False"
    return f"{as_int(operand)} != 0"


def equality(left: Operand, right: Operand, positive: bool) -> str:
    """`==` or `!=`, by the type of the left side as far as it is known."""
    left, right = plain(left), plain(right)
    sign = "==" if positive else "!="
    if left.type == "int":
        return f"{left.code} {sign} {as_int(right)}"
    if left.type == "str":
        return f"{left.code} {sign} {as_str(right)}"
    if right.constant is not None:
        return f"{left.code} {_membership(left, right.constant, positive)}"
    if left.type == "str?" and right.type in ("str", "str?"):
        return f"{as_str(left)} {sign} {as_str(right)}"
    if left.type == "int?" and right.type in ("int", "int?"):
        return f"{as_int(left)} {sign} {as_int(right)}"
    return f"{'equal' if positive else 'unequal'}({left.code}, {right.code})"


def _membership(left: Operand, value: int | str, positive: bool) -> str:
    """The rest of a comparison with a constant: what the left side may be, whatever its type is."""
    texts: list[str | int | None] = []
    if left.type in ("str?", "value", "null"):
        texts.append(str(value))
    if left.type in ("int?", "value", "null"):
        texts.append(to_int(value))
    if value in (0, ""):
        texts.append(None)
    if len(texts) == 1:
        return f"{'==' if positive else '!='} {texts[0]!r}"
    return f"{'in' if positive else 'not in'} ({', '.join(map(repr, texts))})"
