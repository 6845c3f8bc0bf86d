"""Values, conversions and operators: what C's int arithmetic and Kamailio's conversions give."""

import ctypes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kamtool.errors import ScriptError
from kamtool.script import values

INTS = st.integers(-(2**31), 2**31 - 1)
VALUES = st.one_of(st.none(), INTS, st.text(max_size=12), st.from_regex(r"[+-]?[0-9]{1,6}", fullmatch=True))


def c_int(number):
    return ctypes.c_int32(number).value


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("42", 42),
        ("-7", -7),
        ("+7", 7),
        ("0x1f", 31),
        ("", 0),
        ("abc", 0),
        ("12abc", 0),
        (" 12", 0),
        ("12 ", 0),
        ("4294967295", 0),
        ("2147483648", 0),
        ("2147483647", 2**31 - 1),
        ("-2147483648", -(2**31)),
        ("-2147483649", 0),
        ("0xffffffff", -1),
        ("٣", 0),
        ("1_000", 0),
        ("9" * 5000, 0),
        ("0" * 5000 + "7", 7),
    ],
)
def test_a_text_converts_to_the_number_it_writes_and_to_0_otherwise(text, number):
    assert values.to_int(text) == number


@pytest.mark.parametrize(("value", "text"), [(None, ""), (5, "5"), ("x", "x"), (-1, "-1")])
def test_a_value_converts_to_text(value, text):
    assert values.to_str(value) == text


def test_undefined_prints_as_null():
    assert [values.show(v) for v in (None, 0, "")] == ["<null>", "0", ""]


@pytest.mark.parametrize(
    ("left", "right", "result"),
    [("3", 4, "34"), (4, "3", 7), (None, 5, "5"), (5, None, 5), ("a", None, "a"), (2**31 - 1, 1, -(2**31))],
)
def test_plus_goes_by_the_type_of_its_left_side(left, right, result):
    assert values.add(left, right) == result


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        ("05", 5, False),
        (5, "05", True),
        (0, "abc", True),
        ("abc", 0, False),
        (None, 0, True),
        (None, "", True),
        (None, "0", False),
        (None, None, True),
        ("a", "A", False),
        (0, None, True),
        ("", None, True),
    ],
)
def test_equality_goes_by_the_type_of_its_left_side(left, right, same):
    assert values.equal(left, right) is same
    assert values.unequal(left, right) is not same


def test_division_truncates_toward_zero_and_mod_follows_the_left_side():
    assert [values.div(-7, 2), values.div(7, -2), values.mod(-7, 2), values.mod(7, -2)] == [-3, -3, -1, 1]
    assert values.div(-(2**31), -1) == -(2**31)


@pytest.mark.parametrize("operator", [values.div, values.mod])
def test_a_zero_divisor_abandons_the_expression(operator):
    with pytest.raises(ScriptError):
        operator(5, "abc")


@given(INTS, INTS)
def test_arithmetic_agrees_with_c(left, right):
    assert values.add(left, right) == values.add_ints(left, right) == c_int(left + right)
    assert values.subtract(left, right) == c_int(left - right)
    assert values.multiply(left, right) == c_int(left * right)
    assert values.shift_left(left, right) == c_int(left << (right & 31))
    assert values.shift_right(left, right) == left >> (right & 31)
    assert values.bit_or(left, right) == c_int(left | right)
    assert values.bit_and(left, right) == c_int(left & right)
    assert values.bit_xor(left, right) == c_int(left ^ right)
    assert values.invert(left) == c_int(~left)
    assert values.negate(left) == c_int(-left)
    if right:
        assert values.div(left, right) * right + values.mod(left, right) == left or left == -(2**31)


@given(VALUES, VALUES)
def test_every_operator_takes_every_value(left, right):
    for operator in (
        values.subtract,
        values.multiply,
        values.less,
        values.less_equal,
        values.greater,
        values.greater_equal,
        values.int_equal,
        values.str_equal,
        values.equal,
        values.add,
    ):
        operator(left, right)
    assert values.less(left, right) == (values.to_int(left) < values.to_int(right))
    assert -(2**31) <= values.to_int(left) < 2**31


@given(st.binary(max_size=40))
def test_octets_survive_as_text(octets):
    assert values.to_octets(values.from_octets(octets)) == octets
    assert values.length(values.from_octets(octets)) == len(octets)


def test_a_pattern_ignores_case_and_a_bad_one_abandons_the_expression():
    assert values.matches("^h", "Hello")
    assert not values.matches("^x", "Hello")
    with pytest.raises(ScriptError, match="regular expression"):
        values.matches("(", "x")


@pytest.mark.parametrize(
    ("value", "true"), [(-1, False), (0, False), (1, True), ("alice", False), ("123", True)]
)
def test_an_if_is_true_above_zero(value, true):
    assert values.truth(value) is true


def test_selval_keeps_the_type_of_what_it_chooses():
    assert values.select_value(1, "a", 2) == "a"
    assert values.select_value("x", "a", 2) == 2
