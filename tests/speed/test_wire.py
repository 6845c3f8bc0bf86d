"""Messages made by splices: only what was asked for changes. Each test runs on both twins."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.twins import INVITE, kernel


@pytest.mark.parametrize(
    ("edits", "result"),
    [
        ([], b"0123456789"),
        ([(2, 4, b"ab")], b"01ab456789"),
        ([(5, 5, b"x"), (2, 2, b"y"), (5, 5, b"z")], b"01y234xz56789"),
        ([(2, 6, b""), (4, 8, b"")], b"0189"),
        ([(2, 8, b""), (5, 5, b"kept")], b"01kept89"),
        ([(0, 0, b"<"), (10, 10, b">")], b"<0123456789>"),
        ([(0, 10, b"")], b""),
    ],
)
def test_splice(twin, edits, result):
    assert twin.splice(b"0123456789", edits) == result


@pytest.mark.parametrize("span", [(-1, 2), (3, 2), (2, 11), (11, 11), (0, 2**40)])
def test_a_span_outside_the_data_is_refused(twin, span):
    with pytest.raises(ValueError, match="no such span"):
        twin.splice(b"0123456789", [(*span, b"")])


@pytest.mark.parametrize("count", [23, 24, 25, 3000])
def test_any_number_of_edits_keeps_their_order(twin, count):
    edits = [(count - number // 2, count - number // 2, b"%d," % (number % 2)) for number in range(count)]
    assert twin.splice(b"-" * count, edits).count(b"0,1,") == count // 2


@given(st.binary(max_size=30), st.lists(st.tuples(st.integers(0, 30), st.binary(max_size=3)), max_size=30))
def test_insertions_never_lose_an_octet(data, insertions):
    edits = [(min(at, len(data)), min(at, len(data)), text) for at, text in insertions]
    result = kernel().splice(data, edits)
    assert len(result) == len(data) + sum(len(text) for _, text in insertions)


def test_a_forwarded_request_differs_only_where_it_must(twin):
    index = twin.Index(INVITE)
    route = index.entries("Route")[0]
    sent = twin.forward(
        index, b"Via: SIP/2.0/UDP us;branch=z9hG4bKx\r\n", b"sip:bob@10.0.0.1", 69, b"203.0.113.5", 4000,
        [(*route[:2], b"")],
    )  # fmt: skip
    expected = (
        INVITE.replace(b"sip:bob@example.com S", b"sip:bob@10.0.0.1 S")
        .replace(b"Via: ", b"Via: SIP/2.0/UDP us;branch=z9hG4bKx\r\nVia: ")
        .replace(
            b";rport;branch=z9hG4bK776asdhds", b";rport=4000;branch=z9hG4bK776asdhds;received=203.0.113.5"
        )
        .replace(b"Max-Forwards: 70", b"Max-Forwards: 69")
        .replace(b"<sip:one.example.com;lr>, ", b"")
    )
    assert sent == expected


def test_a_request_without_max_forwards_gets_one(twin):
    sent = twin.forward(twin.Index(INVITE.replace(b"Max-Forwards: 70\r\n", b"")), b"Via: us\r\n", None, 70)
    assert b"\r\nVia: us\r\nMax-Forwards: 70\r\nVia: SIP" in sent


def test_a_received_from_the_peer_is_overwritten(twin):
    index = twin.Index(INVITE.replace(b";rport;", b"; received = 9.9.9.9 ; RPORT = 1;"))
    sent = twin.forward(index, b"", received=b"2001:db8::1", rport=65535)
    assert b"5070;received=2001:db8::1;rport=65535;branch=" in sent


def test_forwarding_without_changes_is_the_message_itself(twin):
    assert twin.forward(twin.Index(INVITE), b"") == INVITE


def test_a_relayed_response_loses_the_top_via_only(twin):
    response = b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP us\r\n" + INVITE.partition(b"\r\n")[2]
    assert twin.relay(twin.Index(response)) == response.replace(b"Via: SIP/2.0/UDP us\r\n", b"")


def test_a_response_has_the_headers_of_section_8_2_6(twin):
    answer = twin.respond(
        twin.Index(INVITE), 180, b"SIP/2.0 180 Ringing", b"314", b"192.0.2.9", 9, b"Server: k\r\n", b"hello"
    )
    assert answer == (
        b"SIP/2.0 180 Ringing\r\n"
        b"Via: SIP/2.0/UDP 192.0.2.1:5070;rport=9;branch=z9hG4bK776asdhds;received=192.0.2.9\r\n"
        b"To: Bob <sip:bob@example.com>;tag=314\r\n"
        b'From: "Alice" <sip:alice@example.com>;tag=1928301774\r\n'
        b"Call-ID: a84b4c76e66710@pc33.example.com\r\n"
        b"CSeq: 314159 INVITE\r\n"
        b"Record-Route: <sip:edge.example.com;lr>\r\n"
        b"Server: k\r\n"
        b"Content-Length: 5\r\n\r\nhello"
    )


def test_timestamp_goes_into_100_and_record_route_only_where_a_dialog_may_begin(twin):
    index = twin.Index(INVITE)
    for status, timestamp, record_route in (
        (100, True, False),
        (101, False, True),
        (299, False, True),
        (300, False, False),
    ):
        answer = twin.respond(index, status, b"SIP/2.0 %d X" % status)
        assert (b"Timestamp: 54\r\n" in answer, b"Record-Route" in answer) == (timestamp, record_route)


def test_a_to_tag_is_never_replaced(twin):
    index = twin.Index(INVITE.replace(b"To: Bob <sip:bob@example.com>", b"To: <sip:bob@example.com>;Tag = a"))
    assert b"To: <sip:bob@example.com>;Tag = a\r\n" in twin.respond(index, 200, b"SIP/2.0 200 OK", b"new")
