"""`kamtool cfg adapt`: the tree as JSON, and the schema that says what is in it."""

import json
from pathlib import Path

import pytest

from kamtool.script.adapt import adapt, schema
from kamtool.script.syntax import parse, source_of

HERE = Path(__file__).parent
STOCK = Path("/etc/kamailio/kamailio.cfg")
EVERYTHING = """#!KAMAILIO
#!define WHO "you"
debug=2
listen=udp:127.0.0.1:5060 advertise 192.0.2.1:5061 name "in"
alias=tcp:example.com:5062
flags ONE:3, TWO
mine.size = 5 desc "a number"
loadmodule "pv.so"
modparam("tm|rr", "x", -1)
request_route {
	if (!is_method("INVITE") && $rU == $null && uri != myself) { exit; } else route(A);
	while ($var(x) < strlen("a")) $var(x) = -$var(x) + (int)"2";
	switch ($rc) { case 1: break; case /"^2": drop; default: return -1; }
	if (src_ip == 10.0.0.0/8 || @via[1].host == WHO) force_rport();
	$var(z) = selval($si == 1, "a", route(A));
	if ({ return 1; }) exit;
	if (($var(q) = 2)) exit;
	forward(example.com:5060);
}
route[A] { ; }
"""


def tree(text, path=None):
    syntax = parse(source_of(text, "case.cfg", path))
    assert not syntax.errors, syntax.errors
    return json.loads(json.dumps(adapt(syntax)))


def wrong(value, rule, definitions, place="$"):
    """The first place where a value is not what the schema says, "" when there is none.

    As much of JSON Schema as ours uses.
    """
    if "$ref" in rule:
        return wrong(value, definitions[rule["$ref"].rpartition("/")[2]], definitions, place)
    if "anyOf" in rule:
        found = [wrong(value, each, definitions, place) for each in rule["anyOf"]]
        return max(found, key=len) if all(found) else ""
    if "const" in rule and value != rule["const"]:
        return f"{place}: {value!r}"
    if "enum" in rule and value not in rule["enum"]:
        return f"{place}: {value!r}"
    names = {
        int: "integer",
        str: "string",
        bool: "boolean",
        type(None): "null",
        list: "array",
        dict: "object",
    }
    kinds = rule.get("type", [])
    if kinds and names[type(value)] not in ([kinds] if isinstance(kinds, str) else kinds):
        return f"{place}: {value!r} is no {kinds}"
    if isinstance(value, list):
        found = [wrong(each, rule["items"], definitions, f"{place}[{n}]") for n, each in enumerate(value)]
        return next(filter(None, found), "")
    if isinstance(value, dict) and "properties" in rule:
        if set(value) != set(rule["properties"]):
            return f"{place}: has {sorted(value)}"
        found = [wrong(value[k], each, definitions, f"{place}.{k}") for k, each in rule["properties"].items()]
        return next(filter(None, found), "")
    return ""


def test_the_schema_is_the_one_that_was_published():
    """When this fails on purpose: raise VERSION if readers would break, and write the file anew."""
    assert schema() == json.loads((HERE / "cfg_tree.schema.json").read_text())


def types_of(value):
    if isinstance(value, dict):
        yield value.get("type")
        for each in value.values():
            yield from types_of(each)
    elif isinstance(value, list):
        for each in value:
            yield from types_of(each)


def test_every_kind_of_node_is_as_the_schema_says():
    rules = schema()
    result = tree(EVERYTHING)
    assert wrong(result, rules, rules["$defs"]) == ""
    assert set(rules["$defs"]) - set(types_of(result)) == {"Span", "Word", "Block"} - set(types_of(result))
    broken = json.loads(json.dumps(result).replace('"operator": "<"', '"operator": 7'))
    assert "operator" in wrong(broken, rules, rules["$defs"])


def test_spans_say_where_each_thing_stands():
    result = tree(EVERYTHING)
    assert (result["schema"], result["dialect"], result["files"]) == (
        "kamtool-cfg-1",
        "KAMAILIO",
        ["case.cfg"],
    )
    assert result["defines"]["WHO"] == '"you"'
    first = result["items"][0]
    assert first == {
        "type": "Setting", "name": "debug", "value": 2,
        "span": {"file": 0, "line": 3, "column": 1, "end_line": 3, "end_column": 8},
        "name_span": {"file": 0, "line": 3, "column": 1, "end_line": 3, "end_column": 6},
    }  # fmt: skip


def test_what_an_include_holds_names_its_file(tmp_path):
    (tmp_path / "part.cfg").write_text("route[B] { exit; }\n")
    result = tree('request_route { exit; }\ninclude_file "part.cfg"\n', tmp_path / "main.cfg")
    assert result["files"] == ["case.cfg", "part.cfg"]
    assert [item["span"]["file"] for item in result["items"]] == [0, 1]


def test_a_long_row_of_ands_is_one_chain():
    condition = " && ".join(f"a{number}()" for number in range(1500))
    result = tree(f"request_route {{ if ({condition} || b()) exit; }}")
    top = result["items"][0]["body"]["statements"][0]["condition"]
    assert (top["type"], top["operator"], len(top["operands"])) == ("Chain", "||", 2)
    assert [each["name"] for each in top["operands"][0]["operands"]] == [f"a{n}" for n in range(1500)]


def test_the_stock_cfg_is_as_the_schema_says():
    if not STOCK.exists():
        pytest.skip(f"{STOCK} is not installed")
    rules = schema()
    result = json.loads(json.dumps(adapt(parse(source_of(STOCK)))))
    assert wrong(result, rules, rules["$defs"]) == ""
    names = {item["name"] for item in result["items"] if item["type"] == "Route"}
    assert {"RELAY", "MANAGE_FAILURE", "WITHINDLG"} <= names
