"""SIPp's scenario files: what is read, what is forgiven, and how what is not is named."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kamtool.errors import ConfigError, ConfigErrors
from kamtool.tools.sippxml.keywords import Keyword, read_keyword, split_text
from kamtool.tools.sippxml.scenario import parse_scenario
from kamtool.tools.sippxml.tree import read_xml
from kamtool.tools.sippxml.users import parse_users
from kamtool.tools.stress import builtin
from kamtool.tools.stress.pieces import Setting
from kamtool.tools.stress.program import Program
from kamtool.tools.stress.template import split_message


def scenario(inner):
    return parse_scenario(f"<scenario name='x'>\n{inner}\n</scenario>".encode(), "x.xml")


def complaints(inner):
    with pytest.raises(ConfigErrors) as caught:
        scenario(inner)
    return [(error.span.line, error.message) for error in caught.value.errors]


SEND = "<send><![CDATA[\nOPTIONS sip:x SIP/2.0\nCall-ID: [call_id]\n\n]]></send>"


def test_what_is_not_supported_is_named_with_its_line_and_all_at_once():
    found = complaints(f"{SEND}\n<rtpCmd/>\n<recv/>\n<nop><action><closecon/></action></nop>")
    assert [message for _, message in found] == [
        "the element <rtpCmd> is not supported", "<recv> needs either 'response' or 'request'",
        "the action <closecon> is not supported",
    ]  # fmt: skip
    assert [line for line, _ in found] == [7, 8, 9]


def test_an_unknown_keyword_is_named_with_its_own_line():
    assert complaints("<send><![CDATA[\nOPTIONS sip:x SIP/2.0\nX: [no_such]\n]]></send>") == [
        (4, "no keyword [no_such]")
    ]


def test_a_jump_to_nowhere_is_a_mistake():
    assert complaints(f'{SEND}<recv response="200" next="nowhere"/>') == [(6, "no label 'nowhere' to go to")]


@pytest.mark.parametrize(
    "inner",
    [
        '<pause milliseconds="soon"/>', '<pause distribution="zipf"/>', '<pause'
        ' distribution="uniform" min="1"/>',
        '<nop><action><ereg regexp="(" assign_to="1"/></action></nop>', '<nop><action><test'
        ' assign_to="a"/></action></nop>',
        '<nop><action><exec int_cmd="explode"/></action></nop>',
    ],
)  # fmt: skip
def test_a_wrong_value_is_a_mistake(inner):
    assert len(complaints(SEND + inner)) == 1


def test_what_public_files_get_wrong_is_forgiven_and_said():
    root, forgiven = read_xml(
        b'<scenario>\n<recv rtd="1" response="200" rtd="2">\n<action>'
        b'<ereg regexp="<sip:(.*)>" x="a\\"b"/></action>\n</recv>\n</nop>',
        "x.xml",
    )
    recv = root.children[0]
    assert recv.attributes["rtd"] == "1"
    assert recv.children[0].children[0].attributes == {"regexp": "<sip:(.*)>", "x": 'a"b'}
    assert len(forgiven) == 3


def test_entities_of_ones_own_and_endless_depth_are_refused():
    with pytest.raises(ConfigError, match="entities"):
        read_xml(b'<!DOCTYPE s [<!ENTITY a "b">]><scenario/>', "x.xml")
    with pytest.raises(ConfigError, match="too deep"):
        read_xml(b"<a>" * 1000, "x.xml")


@given(st.binary(max_size=400))
def test_any_bytes_are_a_scenario_or_a_mistake(data):
    with suppress(ConfigError):
        parse_scenario(b"<scenario>" + data, "x.xml")


PIECES = st.sampled_from([
    "<scenario>", "</scenario>", "<send>", "</send>", "<![CDATA[", "]]>", "<action>",
    '<recv response="200"/>',
    "[branch]", '<ereg regexp="a" assign_to="1"/>', "\n", "INVITE sip:x SIP/2.0", "[$1]", "[last_Via:]",
    "<!--",
    "-->", '<label id="1"/>', "[authentication username=[field0]]", "<nop", 'next="1"', ">",
])  # fmt: skip


@given(st.lists(PIECES, max_size=30))
def test_pieces_of_scenarios_in_any_order_do_no_harm(pieces):
    with suppress(ConfigError):
        Program(parse_scenario(("<scenario>" + "".join(pieces)).encode(), "x.xml"), Setting())


def test_keywords_are_told_from_addresses():
    assert read_keyword('field3 file="a.csv"') == Keyword(
        "field", 'field3 file="a.csv"', 3, (("file", "a.csv"),)
    )
    assert read_keyword("media_port+2") == Keyword("media_port", "media_port+2", 2)
    assert read_keyword("last_Via:").name == "last_Via:"
    assert read_keyword("2001:db8::1") is None
    assert list(split_text("a[call_id]b[::1]")) == ["a", Keyword("call_id", "call_id"), "b[::1]"]
    (auth,) = split_text("[authentication username=[field0] password=[field1]]")
    assert (auth.get("username"), auth.get("password")) == ("[field0]", "[field1]")


def test_a_message_is_sent_without_its_indentation_and_with_one_line_end_behind_the_body():
    head, body = split_message("\n\n   INVITE sip:x SIP/2.0  \n\tVia: y\n\n    v=0\n      s=-\n\n\n  ")
    assert head == "INVITE sip:x SIP/2.0\r\nVia: y\r\n\r\n"
    assert body == "v=0\r\ns=-\r\n"


def test_users_come_in_the_order_that_the_file_asks_for():
    users = parse_users(["SEQUENTIAL", "a;1", "", "b;2"], "u.csv")
    assert [users.take(None) for _ in range(3)] == [0, 1, 0]
    assert users.find("b") == 1
    numbered = parse_users(["SEQUENTIAL,PRINTF=3", "u%04d;x"], "u.csv")
    assert [row[0] for row in numbered.rows] == ["u0000", "u0001", "u0002"]
    for wrong in ([], ["alice;secret"], ["SEQUENTIAL"]):
        with pytest.raises(ConfigError):
            parse_users(wrong, "u.csv")


@pytest.mark.parametrize("name", builtin.NAMES)
def test_a_built_in_scenario_is_one_that_a_file_could_hold(name):
    program = Program(builtin.scenario(name), Setting(keys=dict.fromkeys(builtin.KEYS, "x")))
    assert program.is_server == (name == "uas")
