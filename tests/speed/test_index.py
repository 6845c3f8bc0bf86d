"""What one pass over a message finds, and what it refuses. Each test runs on both twins."""

import pytest

from kamtool.errors import ParseError
from tests.support.twins import ATTRIBUTES, INVITE


def changed(old, new, message=INVITE):
    assert old in message
    return message.replace(old, new, 1)


def test_it_knows_what_every_message_is_asked_for(twin):
    index = twin.Index(INVITE)
    assert (index.method, index.uri, index.call_id) == (
        "INVITE",
        "sip:bob@example.com",
        "a84b4c76e66710@pc33.example.com",
    )
    assert (index.cseq, index.cseq_method, index.branch) == (314159, "INVITE", "z9hG4bK776asdhds")
    assert (index.from_tag, index.to_tag, index.max_forwards, index.content_length) == (
        "1928301774",
        "",
        70,
        4,
    )
    assert (index.via_transport, index.via_host, index.via_port, index.via_rport) == (
        "UDP",
        "192.0.2.1",
        5070,
        0,
    )
    assert (index.uri_scheme, index.uri_user, index.uri_host, index.uri_port) == (
        "sip",
        "bob",
        "example.com",
        0,
    )
    assert index.body == b"v=0\n"


def test_its_spans_are_what_a_proxy_edits(twin):
    index = twin.Index(INVITE)
    data = index.data
    assert data[index.uri_start : index.uri_end] == b"sip:bob@example.com"
    assert data[index.max_forwards_start : index.max_forwards_end] == b"70"
    assert data[index.rport_start : index.rport_end] == b";rport"
    assert data[index.via_start : index.via_end].startswith(b"Via: ")
    assert data[: index.via_end].endswith(b"\r\n")
    assert data[index.via_line :].startswith(b"Via: ")
    assert data[: index.via_insert].endswith(b"z9hG4bK776asdhds")
    assert data[index.head_end : index.body_start] == b"\r\n"


def test_the_top_via_of_a_list_is_cut_without_its_line(twin):
    index = twin.Index(
        changed(b";rport;branch=z9hG4bK776asdhds", b";branch=z9hG4bKa ,\r\n SIP/2.0/TCP b.example.com")
    )
    assert b"Via: SIP/2.0/TCP b.example.com\r\n" in twin.relay(index)


def test_a_header_is_found_by_any_of_its_names_and_in_any_case(twin):
    index = twin.Index(changed(b"Contact:", b"m :"))
    assert (
        index.header("contact")
        == index.header("M")
        == index.header("CONTACT")
        == "<sip:alice@192.0.2.1:5070>"
    )
    assert index.header("Expires") is None
    assert index.find("X-None") == []


def test_an_unknown_header_is_found_in_any_case_and_with_every_occurrence(twin):
    index = twin.Index(changed(b"Max-Forwards", b"X-One: 1\r\nx-one : 2\r\nX-Oneness: 3\r\nMax-Forwards"))
    assert index.headers("X-ONE") == ["1", "2"]


def test_a_folded_value_reads_as_one_line(twin):
    index = twin.Index(changed(b"Timestamp: 54", b"Subject: I know\r\n \t you're\r\n  there "))
    assert index.header("s") == "I know you're there"


def test_text_that_is_not_utf8_survives(twin):
    index = twin.Index(changed(b"Timestamp: 54", b"Subject: \xe4\xc3\xa4"))
    assert index.header("Subject").encode("utf-8", "surrogateescape") == b"\xe4\xc3\xa4"


def test_entries_name_what_to_cut_for_each_member(twin):
    index = twin.Index(INVITE)
    first, second = index.entries("Route")
    assert index.data[first[2] : first[3]] == b"<sip:one.example.com;lr>"
    assert twin.splice(index.data, [(*first[:2], b"")]).count(b"Route: <sip:two.example.com;lr>\r\n") == 1
    assert twin.splice(index.data, [(*second[:2], b"")]).count(b"Route: <sip:one.example.com;lr>\r\n") == 1
    (alone,) = index.entries("Contact")
    assert b"Contact" not in twin.splice(index.data, [(*alone[:2], b"")])


def test_octets_behind_the_body_are_cut_off(twin):
    assert twin.Index(INVITE + b"INVITE sip:again").data == INVITE


def test_line_ends_before_the_message_are_cut_off(twin):
    assert twin.Index(b"\r\n\r\n" + INVITE).data == INVITE


def test_lines_may_end_with_a_bare_lf(twin):
    index = twin.Index(INVITE.replace(b"\r\n", b"\n"))
    assert (index.call_id, index.body) == ("a84b4c76e66710@pc33.example.com", b"v=0\n")


def test_a_response_has_its_status_reason_and_method(twin):
    index = twin.Index(changed(b"INVITE sip:bob@example.com SIP/2.0", b"SIP/2.0 183 In \xc3\xa4 while"))
    assert (index.is_request, index.status, index.reason, index.method) == (
        False,
        183,
        "In ä while",
        "INVITE",
    )
    for line in (b"SIP/2.0 183 ", b"sip/2.0 183"):
        assert twin.Index(changed(b"INVITE sip:bob@example.com SIP/2.0", line)).reason == ""


FIRST_LINE = b"INVITE sip:bob@example.com SIP/2.0"

REFUSED = {
    "no_message": (b"", "no complete first line", 400),
    "no_line_end": (b"OPTIONS sip:a SIP/2.0", "no complete first line", 400),
    "no_empty_line": (INVITE.partition(b"\r\n\r\n")[0] + b"\r\n", "the headers do not end", 400),
    "no_colon": (changed(b"Timestamp: 54", b"Timestamp 54"), "malformed header line", 400),
    "fold_without_header": (changed(b"SIP/2.0\r\n", b"SIP/2.0\r\n fold\r\n"), "malformed header line", 400),
    "another_version": (changed(b"com SIP/2.0", b"com SIP/3.0"), "SIP version not supported", 505),
    "another_protocol": (changed(b"com SIP/2.0", b"com HTTP/1.1"), "malformed request line", 400),
    "two_spaces": (changed(b"INVITE sip", b"INVITE  sip"), "malformed Request-URI", 400),
    "brackets": (changed(b"sip:bob@example.com S", b"<sip:bob@example.com> S"), "malformed Request-URI", 400),
    "no_scheme": (changed(b"sip:bob@example.com S", b"bob S"), "malformed Request-URI", 400),
    "uri_headers": (changed(b"com SIP", b"com?Route=x SIP"), "malformed Request-URI", 400),
    "port_too_large": (changed(b"com SIP", b"com:65536 SIP"), "malformed Request-URI", 400),
    "bare_ipv6": (changed(b"sip:bob@example.com S", b"sip:2001:db8::1 S"), "malformed Request-URI", 400),
    "status_too_large": (changed(FIRST_LINE, b"SIP/2.0 700 X"), "malformed status line", 400),
    "no_via": (changed(b"Via", b"X-Via"), "Via: missing", 400),
    "bad_via": (changed(b";rport;", b";;"), "Via: malformed", 400),
    "via_port": (changed(b":5070;rport", b":99999"), "Via: malformed", 400),
    "no_from": (changed(b"From", b"X-From"), "From: missing", 400),
    "no_to": (changed(b"To:", b"X-To:"), "To: missing", 400),
    "no_call_id": (changed(b"Call-ID", b"X-ID"), "Call-ID: missing", 400),
    "empty_call_id": (changed(b"a84b4c76e66710@pc33.example.com", b""), "Call-ID: malformed", 400),
    "no_cseq": (changed(b"CSeq", b"X-Seq"), "CSeq: missing", 400),
    "cseq_too_large": (changed(b"314159", b"4294967296"), "CSeq: malformed", 400),
    "cseq_endless": (changed(b"314159", b"9" * 5000), "CSeq: malformed", 400),
    "other_method": (changed(b"314159 INVITE", b"1 ACK"), "CSeq: not the method of the request", 400),
    "unknown_method": (changed(b"INVITE sip", b"NEWMETHOD sip"), "CSeq: not the method of the request", 501),
    "two_call_ids": (changed(b"Timestamp: 54", b"i: x"), "Call-ID: more than one", 400),
    "two_lengths": (changed(b"Timestamp: 54", b"l: 4"), "Content-Length: more than one", 400),
    "negative_length": (changed(b"Length: 4", b"Length: -1"), "Content-Length: malformed", 400),
    "long_length": (changed(b"Length: 4", b"Length: 5"), "Content-Length: says 5 octets where 4 are", 400),
    "endless_length": (
        changed(b"Length: 4", b"Length: " + b"9" * 5000),
        "Content-Length: says 999999999 octets where 4 are",
        400,
    ),
    "bad_hops": (changed(b"Forwards: 70", b"Forwards: many"), "Max-Forwards: malformed", 400),
    "open_quote": (changed(b'"Alice"', b'"Alice'), "From: malformed", 400),
    "spaces_in_uri": (changed(b"<sip:bob@example.com>", b"< sip:bob@example.com>"), "To: malformed", 400),
    "comma_in_name": (changed(b"To: Bob", b"To: Bob, B."), "To: malformed", 400),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_it_refuses(twin, case):
    data, reason, status = REFUSED[case]
    with pytest.raises(ParseError) as refusal:
        twin.Index(data)
    assert (str(refusal.value), refusal.value.status) == (reason, status)


@pytest.mark.parametrize(("hops", "meant"), [(b"0068", 68), (b"255", 255), (b"256", 255), (b"9" * 400, 255)])
def test_max_forwards_is_at_most_255(twin, hops, meant):
    assert twin.Index(changed(b"Forwards: 70", b"Forwards: " + hops)).max_forwards == meant


def test_a_stream_must_say_the_length(twin):
    without = changed(b"Content-Length: 4\r\n", b"")
    assert twin.Index(without).body == b"v=0\n"
    with pytest.raises(ParseError, match="Content-Length: missing"):
        twin.Index(without, True)


def test_salvage_keeps_what_a_refusal_needs(twin):
    index = twin.Index(
        changed(b"com SIP/2.0", b"com SIP/7.0").replace(b"CSeq: 314159", b"CSeq: x"), False, True
    )
    answer = twin.respond(index, 505, b"SIP/2.0 505 Version Not Supported", b"t")
    for line in (
        b"Via: SIP/2.0/UDP 192.0.2.1",
        b"To: Bob <sip:bob@example.com>;tag=t\r\n",
        b"CSeq: x INVITE\r\n",
        b"Call-ID: ",
    ):
        assert line in answer


def test_salvage_reads_a_message_without_end(twin):
    index = twin.Index(INVITE.partition(b"Contact")[0] + b"Conta", False, True)
    assert (index.call_id, index.row_count) == ("a84b4c76e66710@pc33.example.com", 9)


def test_thousands_of_headers_and_folds_are_one_pass(twin):
    """No table has a fixed size: the last header is found, and the one above 64 KiB too."""
    many = b"".join(b"X-%d: a\r\n b\r\n" % number for number in range(5000))
    index = twin.Index(
        changed(b"Timestamp: 54\r\n", many + b"Timestamp: 54\r\nX-Long: " + b"l" * 65536 + b"\r\n")
    )
    assert index.row_count == 12 + 5000 + 1
    assert (index.header("X-4999"), index.header("Timestamp"), len(index.header("x-long"))) == (
        "a b",
        "54",
        65536,
    )


@pytest.mark.parametrize(
    "value",
    [
        b"<" * 65536,
        b'"' * 65535,
        b'"' + b"\\" * 65536,
        b"," * 65536,
        b";" * 65536,
        b" " * 65536,
        b"\r\n " * 20000,
    ],
)
def test_hostile_values_are_read_in_linear_time(twin, value):
    """Whatever asked each `<` or quote to look for its end would take minutes here: the limit ends it."""
    index = twin.Index(changed(b"Timestamp: 54", b"Subject: x" + value + b"y"))
    assert index.header("Subject").startswith("x")
    assert len(index.entries("Subject")) >= 1
    text = value.decode()
    assert isinstance(twin.split_list(text), list)
    for scan in (twin.split_params, twin.split_name_addr, twin.split_via, twin.split_uri):
        try:
            scan(text)
        except ParseError:
            continue


def test_nul_octets_are_ordinary_in_values(twin):
    index = twin.Index(changed(b"Timestamp: 54", b"X-Nul: a\0b"))
    assert index.header("X-Nul") == "a\0b"
    assert twin.Index(changed(b'"Alice"', b'"Al\\\0ice"')).from_tag == "1928301774"


def test_rows_outside_the_message_do_not_exist(twin):
    index = twin.Index(INVITE)
    for place in (-1, index.row_count, 2**40):
        with pytest.raises(IndexError):
            index.row(place)
        with pytest.raises(IndexError):
            index.value(place)


@pytest.mark.parametrize("wrong", [None, "text", bytearray(INVITE), 5])
def test_only_bytes_are_a_message(twin, wrong):
    with pytest.raises(TypeError):
        twin.Index(wrong)


def test_an_attribute_is_the_same_however_python_finds_it(twin):
    """The kernel finds some by the address of an interned name; a name made at run time has another."""
    index = twin.Index(INVITE)
    for name in (*ATTRIBUTES, "from_memo", "to_memo", "via_memo", "uri_memo"):
        found = getattr(index, name)
        assert (found, found) == (object.__getattribute__(index, name), getattr(index, "".join(list(name))))


def test_a_transport_is_in_upper_case(twin):
    for written in (b"UDP", b"udp", b"Tcp", b"tls", b"WSS", b"5cp"):
        assert twin.Index(changed(b"2.0/UDP", b"2.0/" + written)).via_transport == written.decode().upper()


def test_what_a_message_does_not_have_is_an_attribute_error(twin):
    index = twin.Index(INVITE)
    with pytest.raises(AttributeError, match="no attribute 'fromtag'"):
        _ = index.fromtag
    assert getattr(index, "from_tagg", None) is None
    with pytest.raises(AttributeError):
        index.branch_ = 1
