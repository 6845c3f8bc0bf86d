"""name-addr, Via and header names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kamtool.errors import ParseError
from kamtool.sip.headers import canonical, same
from kamtool.sip.nameaddr import NameAddr, parse_name_addr, parse_name_addrs, quote, unquote
from kamtool.sip.via import Via, parse_via


@pytest.mark.parametrize(
    ("text", "display", "uri", "params"),
    [
        ("sip:a@b;tag=1", "", "sip:a@b", {"tag": "1"}),
        ("<sip:a@b;lr>;Tag=1", "", "sip:a@b;lr", {"tag": "1"}),
        ('"Mr. \\"W\\" \\\\" <sip:a@b>', 'Mr. "W" \\', "sip:a@b", {}),
        ("caller<sip:a@b>", "caller", "sip:a@b", {}),
        ("T. Watson  <tel:+1>;x", "T. Watson", "tel:+1", {"x": None}),
        ("Jürgen <sip:j@b>", "Jürgen", "sip:j@b", {}),
        (
            '""<sip:a@b> ; q = 0.3 ; +sip.instance = "<urn:x>"',
            "",
            "sip:a@b",
            {"q": "0.3", "+sip.instance": '"<urn:x>"'},
        ),
        (" <sip:a@b>;x=1;X=2;e= ", "", "sip:a@b", {"x": "1", "e": ""}),
    ],
)
def test_the_parts_of_a_name_addr(text, display, uri, params):
    address = parse_name_addr(text)
    assert (address.display, address.uri, address.params) == (display, uri, params)


@pytest.mark.parametrize(
    "text",
    ["", "*", "<>", "<sip:>", "sip:", "alice", "<sip:a@b", "< sip:a@b>", '"open <sip:a@b>',
     "Bell, A. <sip:a@b>", "<sip:a@b> tag=1", "<sip:a@b>;", "<sip:a@b>;=1", "sip:a@b?Subject=x",
     "sip:a@b, sip:c@d", '<sip:a@b>;x="open', "<sip:a<b>", "sip:a b"],
)  # fmt: skip
def test_what_is_no_name_addr_is_refused(text):
    with pytest.raises(ParseError, match="malformed address"):
        parse_name_addr(text)


@given(
    st.text(max_size=20),
    st.dictionaries(st.text("abc-", min_size=1, max_size=4), st.none() | st.text("xyz19", max_size=4)),
)
def test_a_name_addr_survives_the_round_trip(display, params):
    display = "".join(display.split())
    address = NameAddr(display, "sip:a@b;c", params)
    assert parse_name_addr(str(address)) == address


@given(st.text(max_size=20))
def test_quoting_is_undone(text):
    assert unquote(quote(text)) == text


def test_what_is_not_quoted_stays():
    assert [unquote(text) for text in ("a", "", '"', 'a"b"', '"a')] == ["a", "", '"', 'a"b"', '"a']


def test_a_list_of_name_addrs():
    addresses = parse_name_addrs('"A, B" <sip:a@b;x=1,2>;q=1 , sip:c@d')
    assert [(address.display, address.uri) for address in addresses] == [
        ("A, B", "sip:a@b;x=1,2"),
        ("", "sip:c@d"),
    ]


@pytest.mark.parametrize(
    ("text", "via"),
    [
        ("SIP/2.0/UDP pc33.example.com;branch=z9hG4bK776",
         Via("UDP", "pc33.example.com", None, {"branch": "z9hG4bK776"})),
        ("SIP / 2.0 / tcp  first.example.com : 4000 ; ttl = 16 ; maddr=224.2.0.1",
         Via("TCP", "first.example.com", 4000, {"ttl": "16", "maddr": "224.2.0.1"})),
        ("SIP/2.0/UDP [2001:db8::9:1];received=2001:db8::9:255;rport",
         Via("UDP", "[2001:db8::9:1]", None, {"received": "2001:db8::9:255", "rport": None})),
    ],
)  # fmt: skip
def test_the_parts_of_a_via(text, via):
    assert parse_via(text) == via
    assert parse_via(str(via)) == via


@pytest.mark.parametrize(
    ("text", "received", "rport"),
    [
        (";received=[2001:db8::1];rport=5", "2001:db8::1", 5),
        (";rport", "", 0),
        (";rport=x", "", 0),
        ("", "", None),
        (";rport=999999", "", 0),
    ],
)
def test_received_and_rport(text, received, rport):
    via = parse_via(f"SIP/2.0/UDP h{text}")
    assert (via.received, via.rport, via.branch) == (received, rport, "")


@pytest.mark.parametrize(
    "text", ["", "SIP/2.0/UDP", "SIP/2.0 UDP h", "SIP/2.0/UDP h:", "SIP/2.0/UDP h:99999",
    "SIP/2.0/UDP h;;x", "SIP/2.0/UDP h, ",
             "SIP/2.0/UDP ::1", "/2.0/UDP h", "SIP/2.0/UDP h x", "SIP/2.0/UDPh"],
)  # fmt: skip
def test_what_is_no_via_is_refused(text):
    with pytest.raises(ParseError, match="malformed Via"):
        parse_via(text)


def test_names_have_one_usual_spelling():
    assert [canonical(name) for name in ("m", "CONTACT", "call-id", "x-Foo", "cseq")] == [
        "Contact", "Contact", "Call-ID", "x-Foo", "CSeq",
    ]  # fmt: skip
    assert same("k", "supported")
    assert same("X-a", "x-A")
    assert not same("t", "f")


@pytest.mark.parametrize("display", [" A", "A ", "A  B", " ", 'A "B" ', "\\"])
def test_a_display_name_keeps_its_spaces(display):
    assert parse_name_addr(str(NameAddr(display, "sip:a@b"))).display == display
