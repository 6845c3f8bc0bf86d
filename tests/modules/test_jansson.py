"""jansson: the answers of Kamailio 5.6.3 to the same calls."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kamtool.modules.jansson import NoJson, follow, put, read, steps_of, to_value, write

DOCUMENT = '{"a":{"b":[1,2,{"c":"x"}]},"n":null,"t":true,"r":1.5,"big":12345678901234,"s":"q\\"u"}'
SET = f"$var(j) = '{DOCUMENT}'; $var(o) = \"old\"; "


@pytest.fixture
def run(script):
    def answer(statements, name="var(o)"):
        done = script('loadmodule "jansson.so"', f"request_route {{ {SET} {statements} }}")()
        return done["var(r)"], done[name]

    return answer


@pytest.mark.parametrize(
    ("path", "code", "value"),
    [("a.b[2].c", 1, "x"), ("a.b", 1, '[1,2,{"c":"x"}]'), ("n", 1, 0), ("t", 1, 1), ("r", 1, "1.5"),
     ("big", 1, "12345678901234"), ("zz", -1, "old"), ("a.b[9]", -1, "old"), ("", 1, DOCUMENT)],
)  # fmt: skip
def test_a_value_is_found_by_its_path(run, path, code, value):
    assert run(f'$var(r) = jansson_get("{path}", "$var(j)", "$var(o)");') == (code, value)


def test_what_is_no_json_changes_nothing(run):
    assert run('$var(r) = jansson_get("a", "{broken", "$var(o)");') == (-1, "old")


def test_values_are_put_where_they_belong(run):
    statements = """
      $var(o) = $null;
      jansson_set("string", "mystr", "in", "$var(o)"); jansson_set("integer", "count", "9000", "$var(o)");
      jansson_set("true", "b", "0", "$var(o)"); jansson_set("real", "pi", "3.25", "$var(o)");
      $var(r) = jansson_set("obj", "o.x.y", '{"k":[]}', "$var(o)");"""
    expected = '{"mystr":"in","count":9000,"b":true,"pi":3.25,"o":{"x":{"y":{"k":[]}}}}'
    assert run(statements) == (1, expected)


@pytest.mark.parametrize(("kind", "text"), [("zz", "in"), ("int", "notint"), ("obj", "[]"), ("array", "{")])
def test_a_value_of_another_type_changes_nothing(run, kind, text):
    assert run(f'$var(o) = \'{{}}\'; $var(r) = jansson_set("{kind}", "q", \'{text}\', "$var(o)");') == (
        -1,
        "{}",
    )


@pytest.mark.parametrize(
    ("before", "arguments", "code", "after"),
    [("[]", '"str", "", "a"', 1, '["a"]'), ('{"l":[5]}', '"int", "l", "6"', 1, '{"l":[5,6]}'),
     ("{}", '"int", "list", "1"', -1, "{}"),
     ('{"b":2,"c":3}', """"obj", "", '{"a":1,"b":100}'""", 1, '{"b":100,"c":3,"a":1}')],
)  # fmt: skip
def test_appending_to_arrays_and_objects(run, before, arguments, code, after):
    statements = f"$var(o) = '{before}'; $var(r) = jansson_append({arguments}, \"$var(o)\");"
    assert run(statements) == (code, after)


def test_the_size_of_an_array(run):
    assert run('$var(r) = jansson_array_size("a.b", "$var(j)", "$var(o)");') == (1, 3)
    assert run('$var(r) = jansson_array_size("a", "$var(j)", "$var(o)");') == (-1, "old")


def test_objects_become_xavps_and_back(run):
    decode = '$var(r) = jansson_xdecode("$var(j)", "js");'
    assert run(decode, "xavp(js=>a)") == (1, '{"b":[1,2,{"c":"x"}]}')
    assert run(decode, "xavp(js=>n)") == (1, None)
    assert run(decode, "xavp(js=>t)") == (1, 1)
    many = """$var(r) = jansson_xdecode('[{"a":1},{"a":2}]', "k");"""
    assert run(many, "xavp(k=>a)") == (1, 2)
    encode = '$xavp(e=>foo) = "bar"; $xavp(e[0]=>n) = 5; $var(r) = jansson_xencode("e", "$var(o)");'
    assert run(encode) == (1, '{"n": 5, "foo": "bar"}')


@given(st.text(max_size=200), st.text(max_size=50))
def test_any_text_and_any_path_are_read_or_refused(text, path):
    try:
        value = follow(read(text), steps_of(path))
    except NoJson:
        return
    to_value(value)


@given(st.recursive(st.none() | st.integers() | st.text(), lambda inner: st.dictionaries(st.text(), inner)))
def test_what_was_put_is_found(value):
    root = put({}, ["a", "b"], value)
    assert follow(read(write(root)), ["a", "b"]) == value


def test_deep_nesting_is_refused():
    with pytest.raises(NoJson):
        read("[" * 100_000)
    with pytest.raises(NoJson):
        steps_of("a." * 5000 + "a")
