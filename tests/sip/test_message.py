"""Messages: typed views of the index, parsed when asked for (RFC 3261 §7, §20)."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kamtool.errors import ParseError
from kamtool.sip.message import METHODS, STAR, Request, Response, parse, salvage, validate
from tests.support.twins import INVITE, malformed


def invite(*lines, **changes):
    """The INVITE with header lines added, or one replaced: contact=b'*'."""
    data = INVITE
    for name, value in changes.items():
        wanted = name.replace("_", "-").lower()
        old = next(field for field in parse(INVITE).fields() if field.name.lower() == wanted)
        data = data.replace(INVITE[old.start : old.end], f"{old.name}: ".encode() + value + b"\r\n")
    added = b"".join(line + b"\r\n" for line in lines)
    return data.replace(b"\r\n\r\n", b"\r\n" + added + b"\r\n", 1)


def test_addresses_are_parsed_when_asked_for():
    message = parse(INVITE)
    assert (message.from_.display, message.from_.uri, message.from_.tag) == (
        "Alice",
        "sip:alice@example.com",
        "1928301774",
    )
    assert message.from_ is message.from_
    assert (message.to.display, message.to.tag, message.to_uri.user) == ("Bob", "", "bob")
    assert (message.ruri.host, message.from_uri.host) == ("example.com", "example.com")
    assert (message.top_via.host, message.top_via.port, message.top_via.rport) == ("192.0.2.1", 5070, 0)
    assert message.method_id == METHODS["INVITE"] == 1
    assert message.is_initial


def test_every_via_counts_in_whatever_lines_they_stand():
    message = parse(invite(b"v: SIP/2.0/TCP a;branch=x, SIP/2.0/TLS [::1]:5061;received=1.2.3.4"))
    assert [(via.transport, via.host, via.port) for via in message.vias] == [
        ("UDP", "192.0.2.1", 5070), ("TCP", "a", None), ("TLS", "[::1]", 5061),
    ]  # fmt: skip


def test_items_split_lists_but_not_dates_and_credentials():
    message = parse(
        invite(
            b"Allow: INVITE, ACK,BYE",
            b'Authorization: Digest realm="a, b", nonce=c',
            b"Date: Sat, 13 Nov 2010 23:29:00 GMT",
        )
    )
    assert message.items("allow") == ["INVITE", "ACK", "BYE"]
    assert message.items("Authorization") == ['Digest realm="a, b", nonce=c']
    assert message.items("Date") == ["Sat, 13 Nov 2010 23:29:00 GMT"]
    assert message.items("Route") == ["<sip:one.example.com;lr>", "<sip:two.example.com;lr>"]


def test_fields_are_the_lines_themselves():
    message = parse(invite(b"X-Fold: one\r\n two"))
    (field,) = message.fields("x-fold")
    assert (field.name, field.value) == ("X-Fold", "one two")
    assert message.data[field.start : field.end] == b"X-Fold: one\r\n two\r\n"
    assert (
        b"".join(message.data[start:end] for _, _, start, end in message.fields())
        == (message.data[message.first_line_end : message.head_end])
    )


def test_contacts_are_a_list_or_the_star():
    message = parse(invite(contact=b'"A, b" <sip:a@x>;q=0.5, sip:b@x;expires=5'))
    assert [(contact.uri, dict(contact.params)) for contact in message.contacts] == [
        ("sip:a@x", {"q": "0.5"}), ("sip:b@x", {"expires": "5"}),
    ]  # fmt: skip
    assert parse(invite(contact=b" * ")).contacts is STAR
    assert parse(invite(contact=b"")).contacts == []


def test_a_bad_contact_concerns_only_its_reader():
    message = parse(invite(contact=b"sip:user@example.com?Route=%3Csip:sip.example.com%3E"))
    with pytest.raises(ParseError, match="Contact: malformed address"):
        _ = message.contacts
    with pytest.raises(ParseError, match="Contact"):
        validate(message)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(b"3600", 3600), (b"0", 0), (b"3600;", 3600), (b"9" * 12, 2**32 - 1), (b"9" * 5000, 2**32 - 1)],
)
def test_expires_in_seconds(value, seconds):
    assert parse(invite(b"Expires: " + value)).expires == seconds


@pytest.mark.parametrize("value", [b"soon", b"-1", b"1.5", b"", "٣".encode()])
def test_an_expires_that_is_no_number_is_refused_when_read(value):
    message = parse(invite(b"Expires: " + value))
    with pytest.raises(ParseError, match="Expires"):
        _ = message.expires


def test_the_content_type_comes_without_parameters():
    assert parse(invite(content_type=b"Multipart/Mixed ;boundary=x")).content_type == "multipart/mixed"
    assert parse(INVITE).expires is None


def test_a_parameter_of_any_header():
    message = parse(invite(b'Event: refer;id=93;x="a b"'))
    assert (message.param("o", "id"), message.param("Event", "x"), message.param("Event", "y")) == (
        "93",
        "a b",
        None,
    )
    assert message.param("Replaces", "x") is None


def test_responses_are_told_from_requests_also_behind_line_ends():
    response = INVITE.replace(b"INVITE sip:bob@example.com SIP/2.0", b"sip/2.0 200 OK")
    assert isinstance(parse(b"\r\n" + response), Response)
    assert isinstance(parse(b"\r\n" + INVITE), Request)
    subscribe = parse(INVITE.replace(b"INVITE", b"SUBSCRIBE"))
    assert isinstance(subscribe, Request)
    assert subscribe.method == "SUBSCRIBE"


def test_methods_have_kamailios_numbers():
    """As `$rmid` of Kamailio 5.6.3 printed them."""
    numbers = {
        "INVITE": 1, "CANCEL": 2, "ACK": 4, "BYE": 8, "INFO": 16, "REGISTER": 32, "SUBSCRIBE": 64,
        "NOTIFY": 128, "MESSAGE": 256, "OPTIONS": 512, "PRACK": 1024,
        "UPDATE": 2048, "REFER": 4096, "PUBLISH": 8192,
        "KDMQ": 16384, "GET": 32768, "POST": 65536, "PUT": 131072, "DELETE": 262144, "FOO": 524288,
    }  # fmt: skip
    for method, number in numbers.items():
        assert parse(INVITE.replace(b"INVITE", method.encode())).method_id == number


UNUSUAL = {
    "a transport nobody knows": (b"SIP/2.0/UDP 192", b"SIP/2.0/UNKNOWN 192"),
    "a name like an address": (b"To: Bob <sip:bob@example.com>", b'To: "<a@b>" <sip:bob@example.com>'),
    "schemes nobody routes": (b"To: Bob <sip:bob@example.com>", b"To: <isbn:2983792873>"),
    "a scheme with a dot": (b"INVITE sip:bob@example.com S", b"INVITE soap.beep://192.0.2.103:3002 S"),
    "escapes that are none": (b"To: Bob ", b'To: "%Z%45" '),
    "an escaped NUL": (b"<sip:bob@example.com>", b"<sip:null-%00-null@example.com>"),
    "no tag, as RFC 2543 allowed": (b";tag=1928301774", b""),
    "no branch": (b";branch=z9hG4bK776asdhds", b""),
    "an empty branch": (b";branch=z9hG4bK776asdhds", b";branch=z9hG4bK"),
    "three colons, as RFC 3261's grammar had it": (b"bob@example.com S", b"bob@[2001:db8:::192.0.2.1] S"),
    "an ambiguous port": (b"bob@example.com S", b"[2001:db8::10:5070] S"),
    "a very long parameter": (b";rport", b";" + b"n" * 3000 + b"=" + b"v" * 3000),
    "a date in another zone": (b"Timestamp: 54", b"Date: Fri, 01 Jan 2010 16:00:00 EST"),
    "many vias": (b"Timestamp: 54", b", ".join([b"v: SIP/2.0/UDP a"] + [b"SIP/2.0/UDP b"] * 300)),
}


@pytest.mark.parametrize("case", UNUSUAL)
def test_what_is_unusual_but_valid_is_taken(case):
    """Shapes that RFC 4475 §3.1.1 and RFC 5118 ask a parser to take."""
    old, new = UNUSUAL[case]
    assert old in INVITE
    message = parse(INVITE.replace(old, new, 1))
    validate(message)
    assert message.call_id == parse(INVITE).call_id


def test_a_message_says_what_it_is_in_a_log():
    assert (
        repr(parse(INVITE))
        == "<Request 'INVITE sip:bob@example.com SIP/2.0' a84b4c76e66710@pc33.example.com>"
    )


def test_only_what_can_be_answered_is_salvaged():
    broken = INVITE.replace(b"314159 INVITE", b"x")
    assert salvage(broken).call_id == "a84b4c76e66710@pc33.example.com"
    assert salvage(broken.replace(b"INVITE sip", b"ACK sip")) is None
    assert salvage(broken.replace(b"Via", b"Vie")) is None
    assert salvage(broken.replace(b"INVITE sip:bob@example.com SIP/2.0", b"SIP/2.0 200 OK")) is None
    assert salvage(b"") is None
    assert salvage(b"\0\r\n\r\n") is None


@given(st.binary(max_size=2048))
def test_any_bytes_parse_or_raise_parse_error(data):
    with suppress(ParseError):
        parse(data)
    salvage(data)


@given(st.binary(max_size=200))
def test_any_header_value_can_be_asked_for_everything(value):
    value = value.replace(b"\r", b"").replace(b"\n", b"")
    try:
        message = parse(invite(contact=value))
    except ParseError:
        return
    for ask in ("contacts", "content_type", "expires", "vias", "routes", "from_", "ruri"):
        with suppress(ParseError):
            getattr(message, ask)
    message.fields()
    message.param("Contact", "q")
    assert message.header("Contact").encode("utf-8", "surrogateescape") == value.strip(b" \t")


def test_the_malformed_archives_parse_or_raise_parse_error():
    statuses = []
    for _, data in malformed(every=11):
        try:
            validate(parse(data))
        except ParseError as error:
            statuses.append(error.status)
    assert len(statuses) > 100
    assert set(statuses) <= {400, 501, 505, 513}


def test_what_was_salvaged_with_an_empty_via_has_no_top_via():
    request = salvage(b"OPTIONS sip:a SIP/2.0\r\nVia: \r\nTo: <sip:a>\r\n\r\n")
    assert request is not None
    with pytest.raises(ParseError):
        _ = request.top_via
