"""Messages made here are what RFC 3261 asks for, and nobody adds headers through their values."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kamtool.sip import build
from kamtool.sip.message import parse
from tests.support.twins import INVITE


def test_a_response_with_headers_and_body():
    answer = parse(
        build.response(
            parse(INVITE), 200, to_tag="1", headers=[("Contact", "<sip:b@c>"), ("Server", "k")],
            body=b"v=0\n",
            content_type="application/sdp", received="192.0.2.9", rport=9,
        )
    )  # fmt: skip
    assert (answer.status, answer.reason, answer.to_tag, answer.body) == (200, "OK", "1", b"v=0\n")
    assert (answer.content_type, answer.header("Contact"), answer.header("Server")) == (
        "application/sdp",
        "<sip:b@c>",
        "k",
    )
    assert (answer.top_via.received, answer.top_via.rport) == ("192.0.2.9", 9)
    assert (answer.call_id, answer.cseq, answer.method) == (parse(INVITE).call_id, 314159, "INVITE")


def test_whole_lines_are_headers_too():
    answer = parse(build.response(parse(INVITE), 302, "Moved", headers=["Contact: <sip:x:1>\r\n", "X-A:1"]))
    assert (answer.reason, answer.header("Contact"), answer.header("X-A")) == ("Moved", "<sip:x:1>", "1")


def test_an_unknown_status_has_an_empty_phrase():
    assert build.response(parse(INVITE), 499).startswith(b"SIP/2.0 499 \r\n")


def test_an_ack_belongs_to_the_transaction_of_its_invite():
    """RFC 3261 §17.1.1.3, with the example's rules: one Via, the response's To, the INVITE's Route."""
    invite = parse(INVITE)
    response = parse(build.response(invite, 486, to_tag="99"))
    ack = parse(build.ack(invite, response))
    assert (ack.method, ack.uri, ack.branch, ack.cseq) == ("ACK", invite.uri, invite.branch, invite.cseq)
    assert len(ack.vias) == 1
    assert (ack.to_tag, ack.from_tag, ack.call_id) == ("99", invite.from_tag, invite.call_id)
    assert ack.items("Route") == invite.items("Route")
    assert (ack.body, ack.header("Contact"), ack.header("Record-Route")) == (b"", None, None)


def test_a_cancel_is_its_invite_but_for_the_method():
    """RFC 3261 §9.1."""
    invite = parse(INVITE.replace(b";branch=", b";branch=z9hG4bKx,SIP/2.0/TCP second;branch="))
    cancel = parse(build.cancel(invite, [("Reason", "SIP;cause=200")]))
    assert (cancel.method, cancel.uri, cancel.branch, cancel.cseq) == (
        "CANCEL",
        invite.uri,
        "z9hG4bKx",
        invite.cseq,
    )
    assert (len(cancel.vias), cancel.to_tag, cancel.from_tag) == (1, "", invite.from_tag)
    assert (cancel.items("Route"), cancel.header("Reason")) == (invite.items("Route"), "SIP;cause=200")


def test_a_request_from_nothing():
    headers = [("Via", "SIP/2.0/UDP h;branch=z9hG4bK1"), ("From", "<sip:a@b>;tag=1"), ("To", "<sip:c@d>"),
               ("Call-ID", "x"), ("CSeq", "1 MESSAGE")]  # fmt: skip
    message = parse(build.request("MESSAGE", "sip:c@d", headers, "Grüße".encode()))
    assert (message.method, message.body.decode(), message.content_length) == ("MESSAGE", "Grüße", 7)
    assert [field.name for field in message.fields()] == [*(name for name, _ in headers), "Content-Length"]


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nX-Evil: 1", "a\rX-Evil: 1", "a\r\n\r\nbody"])
def test_a_value_cannot_smuggle_a_header(value):
    answer = parse(build.response(parse(INVITE), 200, value, headers=[("X-Good", value), f"X-Line: {value}"]))
    assert answer.header("X-Evil") is None
    assert answer.body == b""
    assert answer.header("X-Good") == " ".join(value.splitlines())


@given(st.integers(100, 699), st.text(max_size=20), st.binary(max_size=50))
def test_every_response_parses_again(status, reason, body):
    answer = parse(build.response(parse(INVITE), status, reason, to_tag="t", body=body, content_type="x/y"))
    assert (answer.status, answer.body, answer.to_tag) == (status, body, "t")


def test_the_usual_phrases_are_there():
    assert [build.REASONS[status] for status in (100, 180, 200, 404, 487, 603)] == [
        "Trying", "Ringing", "OK", "Not Found", "Request Terminated", "Decline",
    ]  # fmt: skip
