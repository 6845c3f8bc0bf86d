"""Compiled expressions against an interpreter of cfglang §6, written for this comparison only."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.script import value_of

VARIABLES = {
    "$var(five)": 5,
    "$var(minus)": -1,
    "$var(zero)": 0,
    "$var(seven)": "7",
    "$var(padded)": "05",
    "$var(word)": "abc",
    "$var(empty)": "",
    "$avp(undefined)": None,
    "$rU": "alice",
    "$du": None,
    "$sp": 5999,
    "$mf": 0,
}
SETUP = (
    '$var(five) = 5; $var(minus) = -1; $var(zero) = 0; $var(seven) = "7"; $var(padded) = "05"; '
    '$var(word) = "abc"; $var(empty) = "";'
)
LEVELS = {
    "||": 2, "&&": 3, "|": 4, "&": 5, "^": 6, "<<": 7, ">>": 8, "==": 9, "!=": 9, "eq": 9, "ne": 9, "ieq": 9,
    "ine": 9, "<": 10, ">": 10, "<=": 10, ">=": 10, "+": 11, "-": 11, "*": 12, "/": 12, "mod": 12,
}  # fmt: skip


class Undefined(Exception):
    """A division by zero: the statement is abandoned."""


def c_int(number):
    return (number + 2**31) % 2**32 - 2**31


def number_of(value):
    if value is None:
        return 0
    if isinstance(value, int):
        return value
    digits = value[1:] if value[:1] in "+-" and value else value
    if not digits or not all(letter in "0123456789" for letter in digits):
        return 0
    return c_int(-int(digits) if value[0] == "-" else int(digits))


def text_of(value):
    return "" if value is None else str(value)


def divide(left, right):
    if right == 0:
        raise Undefined
    return int(left / right) if abs(left) < 2**52 else None


def binary(operator, left, right):
    """The value of one operator, by the table of §6."""
    if operator == "+":
        if isinstance(left, int):
            return c_int(left + number_of(right))
        return text_of(left) + text_of(right)
    if operator in ("==", "!="):
        if isinstance(left, int) or (left is None and isinstance(right, int)):
            same = number_of(left) == number_of(right)
        else:
            same = text_of(left) == text_of(right)
        return int(same == (operator == "=="))
    if operator in ("eq", "ne"):
        return int((text_of(left) == text_of(right)) == (operator == "eq"))
    a, b = number_of(left), number_of(right)
    if operator in ("ieq", "ine"):
        return int((a == b) == (operator == "ieq"))
    if operator in ("<", ">", "<=", ">="):
        return int({"<": a < b, ">": a > b, "<=": a <= b, ">=": a >= b}[operator])
    if operator == "/":
        quotient = divide(a, b)
        return c_int(quotient)
    if operator == "mod":
        if b == 0:
            raise Undefined
        rest = abs(a) % abs(b)
        return -rest if a < 0 else rest
    results = {"-": a - b, "*": a * b, "|": a | b, "&": a & b, "^": a ^ b}
    if operator in ("<<", ">>"):
        return c_int(a << (b & 31) if operator == "<<" else a >> (b & 31))
    return c_int(results[operator])


def literals():
    return st.integers(0, 99).map(lambda n: (str(n), n))


def variables():
    return st.sampled_from(sorted(VARIABLES.items()))


def texts():
    return st.sampled_from(["", "a", "7", "05", "alice"]).map(lambda t: (f'"{t}"', t))


@st.composite
def compound(draw, inner):
    """An operator over two expressions, in parentheses."""
    operator = draw(st.sampled_from([name for name in LEVELS if name not in ("&&", "||")]))
    left_text, left = draw(inner)
    right_text, right = draw(inner)
    return f"({left_text} {operator} {right_text})", (operator, left, right)


def evaluate(tree):
    if isinstance(tree, tuple):
        return binary(tree[0], evaluate(tree[1]), evaluate(tree[2]))
    return tree


EXPRESSIONS = st.recursive(st.one_of(literals(), variables()), lambda inner: compound(inner), max_leaves=8)


@settings(deadline=None, max_examples=250, suppress_health_check=[HealthCheck.too_slow])
@given(EXPRESSIONS)
def test_an_expression_is_worth_what_the_table_says(expression):
    text, tree = expression
    try:
        expected = evaluate(tree)
    except Undefined:
        expected = "unassigned"
    setup = SETUP + ' $avp(result) = "unassigned";'
    found = value_of(text, setup)
    # Assigning an undefined value removes the newest, so that None is what is found.
    assert found == expected, text


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(variables(), st.sampled_from(["==", "!=", "eq", "ne"]), st.one_of(literals(), variables(), texts()))
def test_a_comparison_with_any_literal_is_worth_what_the_table_says(left, operator, right):
    if right[0].startswith('"') and isinstance(left[1], int) and not left[0].startswith("$"):
        return
    expected = binary(operator, left[1], right[1])
    assert value_of(f"{left[0]} {operator} {right[0]}", SETUP) == expected


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(literals(), min_size=2, max_size=6), st.data())
def test_operators_bind_as_the_precedence_table_says(operands, data):
    """Without parentheses, constants only: the parser's tree against shunting by the table."""
    names = [name for name in LEVELS if name not in ("&&", "||", "/", "mod")]
    operators = data.draw(
        st.lists(st.sampled_from(names), min_size=len(operands) - 1, max_size=len(operands) - 1)
    )
    text = operands[0][0]
    values, waiting = [operands[0][1]], []

    def reduce():
        right, left = values.pop(), values.pop()
        values.append(binary(waiting.pop(), left, right))

    for operator, operand in zip(operators, operands[1:], strict=True):
        text += f" {operator} {operand[0]}"
        while waiting and LEVELS[waiting[-1]] >= LEVELS[operator]:
            reduce()
        waiting.append(operator)
        values.append(operand[1])
    while waiting:
        reduce()
    assert value_of(text) == values[0], text
