"""URIs: RFC 3261 §19.1 and RFC 3966."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kamtool.errors import ParseError
from kamtool.sip.uri import OtherUri, SipUri, TelUri, escape, parse_uri, unescape


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("sip:alice@atlanta.com", ("sip", "alice", None, "atlanta.com", None)),
        (
            "SIPS:alice:secretword@atlanta.com:5061;transport=tcp",
            ("sips", "alice", "secretword", "atlanta.com", 5061),
        ),
        (
            "sip:+1-212-555-1212:1234@gateway.com;user=phone",
            ("sip", "+1-212-555-1212", "1234", "gateway.com", None),
        ),
        ("sip:1212@gateway.com", ("sip", "1212", None, "gateway.com", None)),
        ("sip:atlanta.com;method=REGISTER?to=alice%40atlanta.com", ("sip", None, None, "atlanta.com", None)),
        ("sip:alice;day=tuesday@atlanta.com", ("sip", "alice;day=tuesday", None, "atlanta.com", None)),
        ("sip:[2001:db8::10]:5070", ("sip", None, None, "[2001:db8::10]", 5070)),
        ("sip:a?b@host.", ("sip", "a?b", None, "host.", None)),
        ("sip:*21#@host_name", ("sip", "*21#", None, "host_name", None)),
        ("sip:a:@h", ("sip", "a", "", "h", None)),
    ],
)
def test_the_parts_of_a_sip_uri(text, parts):
    uri = parse_uri(text)
    assert (uri.scheme, uri.user, uri.password, uri.host, uri.port) == parts


@pytest.mark.parametrize(
    "text",
    ["", "sip:", "sip", "alice@atlanta.com", "sip:@host", "sip::x@host", "sip:a@", "sip:a@b@c",
     "sip:h:", "sip:h:x",
     "sip:h:65536", "sip:2001:db8::1", "sip:[::1", "sip:[]", "sip:a b@c", "sip:<a>", 'sip:"a"@b',
     "sip:h\n", "1sip:h",
     "sip:h:999999", "sip:h x"],
)  # fmt: skip
def test_what_is_no_uri_is_refused(text):
    with pytest.raises(ParseError, match="malformed URI"):
        parse_uri(text)


def test_params_and_headers_are_read_in_order_with_names_in_lower_case():
    uri = SipUri.parse("sip:a@b;LR;Transport=TCP;x=1;x=2?Subject=hi&Priority=urgent")
    assert list(uri.params.items()) == [("lr", None), ("transport", "TCP"), ("x", "1")]
    assert uri.headers == {"subject": "hi", "priority": "urgent"}
    assert (uri.transport, uri.loose) == ("tcp", True)


def test_an_address_of_record_has_no_escapes_and_no_params():
    assert SipUri.parse("sip:%61lice@ATLANTA.com:5070;transport=tcp").address_of_record == "alice@atlanta.com"
    assert SipUri.parse("sip:Atlanta.com").address_of_record == "atlanta.com"


@pytest.mark.parametrize(
    ("one", "other"),
    [  # the examples of §19.1.4
        ("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com;security=on"),
        ("sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
         "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com"),
        ("sip:alice@atlanta.com?subject=project%20x&priority=urgent",
         "sip:alice@atlanta.com?priority=urgent&subject=project%20x"),
        ("sip:[2001:db8::1]", "sip:[2001:DB8:0::1]"),
    ],
)  # fmt: skip
def test_equal_uris(one, other):
    assert SipUri.parse(one).equals(SipUri.parse(other))
    assert SipUri.parse(other).equals(SipUri.parse(one))


@pytest.mark.parametrize(
    ("one", "other"),
    [  # the examples of §19.1.4
        ("SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting"),
        ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"),
        ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off"),
        ("sip:a@b", "sips:a@b"), ("sip:a:p@b", "sip:a@b"), ("sip:a@b;maddr=c", "sip:a@b"),
    ],
)  # fmt: skip
def test_different_uris(one, other):
    assert not SipUri.parse(one).equals(SipUri.parse(other))
    assert not SipUri.parse(other).equals(SipUri.parse(one))


names = st.text("abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=6)
values = st.none() | st.text("abcXYZ019%[]/:&+$-_.!~*'()", max_size=6)


@st.composite
def sip_uris(draw):
    user = draw(st.none() | st.text("abcXYZ019-_.!~*'()&=+$,;?/%", min_size=1, max_size=12))
    return SipUri(
        draw(st.sampled_from(["sip", "sips"])), user, None if user is None else draw(st.none() | names),
        draw(st.sampled_from(["example.com", "192.0.2.1", "[2001:db8::1]"])),
        draw(st.none() | st.integers(0, 65535)),
        draw(st.dictionaries(names, values, max_size=4)), draw(st.dictionaries(names, names, max_size=3)),
    )  # fmt: skip


@given(sip_uris())
def test_a_uri_survives_the_round_trip(uri):
    assert SipUri.parse(str(uri)) == uri
    assert uri.equals(uri)


@given(st.text(max_size=30))
def test_escapes_are_undone(text):
    assert unescape(escape(text)) == text
    parse_uri(f"sip:{escape(text) or 'x'}@h")


def test_a_tel_uri_compares_without_separators():
    one, other = TelUri.parse("tel:+1-201-555-0123"), parse_uri("TEL:+1.201(555)0123")
    assert one.digits == "+12015550123"
    assert one.equals(other)
    assert not one.equals(TelUri.parse("tel:+12015550124"))
    assert not one.equals(TelUri.parse("tel:+12015550123;ext=1"))
    local = TelUri.parse("tel:7042;Phone-Context=Example.com")
    assert local.equals(TelUri.parse("tel:70-42;phone-context=example.com"))
    assert str(local) == "tel:7042;phone-context=Example.com"


@pytest.mark.parametrize("text", ["tel:", "tel:+", "tel:alice", "tel:()", "tel:12 34"])
def test_a_tel_uri_needs_digits(text):
    with pytest.raises(ParseError, match="malformed URI"):
        parse_uri(text)


def test_other_schemes_are_kept_as_they_are():
    uri = parse_uri("soap.beep://192.0.2.103:3002")
    assert uri == OtherUri("soap.beep", "//192.0.2.103:3002")
    assert str(uri) == "soap.beep://192.0.2.103:3002"
