"""A capture is sent again so that it fits: to a stand-in, and through a real kamtool."""

import re
import select
import socket
import threading

import pytest

from kamtool.errors import UsageError
from kamtool.sip.flow import Address
from kamtool.tools.captured import Captured
from kamtool.tools.pcap.build import packet
from kamtool.tools.pcap.writer import write_all
from kamtool.tools.stress import worker
from kamtool.tools.stress.plan import Plan
from kamtool.tools.stress.replay.capture import read
from kamtool.tools.stress.replay.rewrite import Rewriter
from kamtool.tools.stress.schedule import Load
from kamtool.tools.stress.stats import Second
from kamtool.tools.stress.target import parse_target
from tests.tools.stress.standin import StandIn, answer

SERVER, ALICE, BOB = Address("192.0.2.9", 5060), Address("192.0.2.1", 5062), Address("192.0.2.2", 5064)


def request(method, who=ALICE, cseq=1, uri="sip:bob@192.0.2.9", to_tag="", more="", call_id="call1"):
    user = "alice" if who == ALICE else "bob"
    return (
        f"{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {who};branch=z9hG4bK{method}{cseq}{user}\r\n"
        f"Max-Forwards: 69\r\nFrom: <sip:{user}@192.0.2.9>;tag=f\r\nTo: <sip:bob@192.0.2.9>{to_tag}\r\n"
        f"Call-ID: {call_id}\r\nCSeq: {cseq} {method}\r\nm: <sip:{user}@{who}>\r\n{more}X-Kept: 100 %\r\n"
        "Content-Length: 2\r\n\r\nv="
    ).encode()


def written(tmp_path, steps):
    """A capture of (seconds, source, target, octets)."""
    path = tmp_path / "call.pcapng"
    with path.open("wb") as file:
        write_all(
            file, [Captured(1e9 + at, "udp", source, target, data) for at, source, target, data in steps]
        )
    return path


def played(path, port, speed=10.0, **more):
    plan = Plan(
        "replay", parse_target(f"127.0.0.1:{port}"), Load(duration=30), capture=str(path), speed=speed,
        domain=f"127.0.0.1:{port}", timeout=3, patience=2, **more,
    )  # fmt: skip
    total = Second()

    def report(second):
        total.merge(second)
        return True

    return worker.work(plan, 0, report), total


def call(final=b"200 OK"):
    invite = request("INVITE")
    bye = request("BYE", cseq=2, uri="sip:bob@192.0.2.2:5064", to_tag=";tag=captured")
    ack = request("ACK", uri="sip:bob@192.0.2.2:5064", to_tag=";tag=captured")
    return [
        (0.0, ALICE, SERVER, invite), (0.0001, ALICE, SERVER, invite),
        (0.1, SERVER, ALICE, answer(invite, b"180 Ringing")), (0.5, SERVER, ALICE, answer(invite, final)),
        (0.6, ALICE, SERVER, ack), (1.0, ALICE, SERVER, bye), (1.1, SERVER, ALICE, answer(bye)),
        (1.2, BOB, Address("192.0.2.77", 5060), request("OPTIONS", BOB)),
    ]  # fmt: skip


@pytest.mark.live
def test_a_captured_call_is_made_again_in_a_dialog_of_its_own(tmp_path):
    def react(data):
        if data.startswith(b"ACK"):
            return []
        contact = b"Contact: <sip:there@127.0.0.1:9;x=1>\r\nRecord-Route: <sip:a;lr>,<sip:b;lr>\r\n"
        return [answer(data, b"180 Ringing"), answer(data, extra=contact).replace(b";tag=x", b";tag=new")]

    with StandIn(react=react) as server:
        facts, total = played(written(tmp_path, call()), server.port)
    assert (facts.error, dict(total.reasons)) == ("", {})
    assert (total.due, total.succeeded, total.failed) == (2, 2, 0)
    invite, ack, bye = server.requests
    port = server.port
    assert invite.startswith(b"INVITE sip:bob@127.0.0.1:%d SIP/2.0\r\n" % port)
    own = re.search(rb"\r\nVia: SIP/2.0/UDP (127\.0\.0\.1:\d+);branch=z9hG4bK", invite)[1]
    assert b"\r\nm: <sip:alice@" + own + b">\r\n" in invite
    assert b"\r\nX-Kept: 100 %\r\n" in invite
    assert b"\r\nCall-ID: call1\r\n" not in invite
    assert invite.endswith(b"Content-Length: 2\r\n\r\nv=")
    for later in (ack, bye):
        assert b" sip:there@127.0.0.1:9;x=1 SIP/2.0\r\n" in later
        assert b"\r\nRoute: <sip:b;lr>, <sip:a;lr>\r\n" in later
        assert b";tag=new\r\n" in later
        assert b"captured" not in later
    assert any("1 × messages between others" in line for line in facts.logs)


@pytest.mark.live
def test_what_is_answered_otherwise_than_in_the_capture_fails_with_both_codes(tmp_path):
    with StandIn(
        react=lambda data: [] if data.startswith(b"ACK") else answer(data, b"404 Not Found")
    ) as server:
        _, total = played(written(tmp_path, call()), server.port)
    assert dict(total.reasons) == {
        "INVITE: 404 where the capture has 200": 1,
        "BYE not sent: the dialog was not established": 1,
    }


def proved(*, captured):
    """A call that was challenged, or the same call at a server that did not ask."""
    first, again = request("INVITE"), request("INVITE", cseq=2, more="Proxy-Authorization: Digest old\r\n")
    steps = [
        (0.0, ALICE, SERVER, first), (0.01, SERVER, ALICE, answer(first, b"407 Who")),
        (0.02, ALICE, SERVER, request("ACK", to_tag=";tag=x")), (0.03, ALICE, SERVER, again),
    ]  # fmt: skip
    invite = again if captured else first
    steps = steps if captured else [(0.03, ALICE, SERVER, first)]
    number = 3 if captured else 2
    bye = request("BYE", cseq=number, to_tag=";tag=captured")
    ack = request("ACK", cseq=number - 1, to_tag=";tag=captured")
    return [
        *steps, (0.2, SERVER, ALICE, answer(invite)), (0.3, ALICE, SERVER, ack),
        (0.5, ALICE, SERVER, bye), (0.6, SERVER, ALICE, answer(bye)),
    ]  # fmt: skip


def asking(data):
    """A target that asks who it is, before everything but an ACK."""
    if data.startswith(b"ACK"):
        return []
    if b"\r\nProxy-Authorization: Digest username" in data:
        return answer(data)
    return answer(data, b"407 Who", b'Proxy-Authenticate: Digest realm="r", nonce="n"\r\n')


def cseqs(requests):
    return [re.search(rb"\r\nCSeq: (\d+ \w+)", one)[1].decode() for one in requests]


@pytest.mark.live
def test_a_challenge_that_does_not_come_is_not_met_and_the_call_is_judged_by_its_end(tmp_path):
    with StandIn(react=lambda data: [] if data.startswith(b"ACK") else answer(data)) as server:
        _, total = played(written(tmp_path, proved(captured=True)), server.port)
    assert (dict(total.reasons), total.due, total.succeeded) == ({}, 2, 2)
    assert total.codes["challenges of the capture that did not come"] == 1
    assert cseqs(server.requests) == ["1 INVITE", "1 ACK", "3 BYE"]


@pytest.mark.live
def test_a_challenge_that_the_capture_does_not_have_is_met_once(tmp_path):
    path = written(tmp_path, proved(captured=False))
    with StandIn(react=asking) as server:
        _, total = played(path, server.port, password="secret")
    assert dict(total.reasons) == {}
    assert cseqs(server.requests) == ["1 INVITE", "1 ACK", "2 INVITE", "2 ACK", "3 BYE", "4 BYE"]
    assert total.codes["challenges that the capture has not"] == 2
    assert (total.due, total.succeeded) == (4, 4)

    def never(data):
        return [] if data.startswith(b"ACK") else asking(data.replace(b"Digest username", b""))

    with StandIn(react=never) as server:
        _, total = played(path, server.port, password="wrong")
    assert dict(total.reasons) == {
        "INVITE: 407 where the capture has 200": 1,
        "BYE not sent: the dialog was not established": 1,
    }
    with StandIn(react=asking) as server:
        _, total = played(path, server.port)
    assert "INVITE: 407 where the capture has 200" in total.reasons, "there is no password to prove with"


@pytest.mark.live
def test_challenges_on_both_sides_are_met_as_they_were(tmp_path):
    with StandIn(react=asking) as server:
        _, total = played(written(tmp_path, proved(captured=True)), server.port, password="secret")
    assert dict(total.reasons) == {}
    assert cseqs(server.requests)[:4] == ["1 INVITE", "1 ACK", "2 INVITE", "2 ACK"]


@pytest.mark.live
def test_a_target_that_says_nothing_ends_the_replay_with_the_reason(tmp_path):
    with StandIn(react=lambda data: []) as server:
        facts, total = played(written(tmp_path, call()), server.port)
    assert facts.stop_reason == "not one answer within 2 s"
    assert total.succeeded == 0


@pytest.mark.live
def test_a_captured_callee_answers_as_it_did(tmp_path):
    """Through the server to bob: his 180 and 200 are the captured ones, at the Call-ID of now."""
    invite = request("INVITE")
    there = request("INVITE", SERVER, uri="sip:bob@192.0.2.2:5064")
    extra = b"Contact: <sip:bob@192.0.2.2:5064>\r\nX-Bob: yes\r\n"
    final = answer(there, extra=extra).replace(b"tag=x", b"tag=bob")
    steps = [
        (0.0, BOB, SERVER, request("REGISTER", BOB, uri="sip:192.0.2.9", call_id="reg")),
        (0.01, SERVER, BOB, answer(request("REGISTER", BOB, call_id="reg"))),
        (0.2, ALICE, SERVER, invite), (0.21, SERVER, BOB, there),
        (0.3, BOB, SERVER, answer(there, b"180 Ringing")),
        (0.4, BOB, SERVER, final), (0.41, SERVER, ALICE, final),
    ]  # fmt: skip
    seen = []

    def react(data):
        if data.startswith(b"REGISTER"):
            seen.append(re.search(rb"\r\nm: <sip:bob@([^:]+):(\d+)", data).groups())
        return None if data.startswith(b"INVITE") else answer(data)

    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    callers = []

    def forward(data, source):
        """INVITEs to where bob registered, and his answers back."""
        if data.startswith(b"INVITE"):
            callers.append(source)
            host, port = seen[0]
            sock.sendto(data.replace(b"\r\n", b"\r\nVia: SIP/2.0/UDP proxy\r\n", 1), (host, int(port)))
        else:
            seen.append(data)
            sock.sendto(data.replace(b"\r\nVia: SIP/2.0/UDP proxy\r\n", b"\r\n", 1), callers[0])

    over = threading.Event()

    def serve():
        while not over.is_set():
            if select.select([sock], [], [], 0.05)[0]:
                data, source = sock.recvfrom(65535)
                if data.startswith((b"INVITE", b"SIP/2.0")):
                    forward(data, source)
                else:
                    sock.sendto(react(data), source)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        _, total = played(written(tmp_path, steps), sock.getsockname()[1], speed=4)
    finally:
        over.set()
        thread.join()
        sock.close()
    assert dict(total.reasons) == {}
    assert total.succeeded == 2
    ringing, answered = seen[1:]
    assert ringing.startswith(b"SIP/2.0 180 Ringing\r\n")
    assert b"\r\nX-Bob: yes\r\n" in answered
    assert b";tag=bob\r\n" in answered
    assert b"\r\nContact: <sip:bob@127.0.0.1:" in answered
    assert b"\r\nCall-ID: call1\r\n" not in answered


def test_the_server_of_a_capture_is_whom_most_peers_talk_to(tmp_path):
    path = written(tmp_path, call())
    found = read(path)
    assert (found.server, found.peers) == (SERVER, [ALICE])
    assert found.ignored["messages sent again"] == 1
    assert read(path, "192.0.2.77:5060").peers == [BOB]
    with pytest.raises(UsageError, match=f"no request to {ALICE}"):
        read(path, str(ALICE))
    with pytest.raises(UsageError, match="nothing to or from"):
        read(path, "1.2.3.4:5")


def test_media_is_left_out_and_said(tmp_path):
    import struct

    rtp = packet(ALICE, BOB, b"\x80\x08" + bytes(170), 1)
    sip = packet(ALICE, SERVER, request("OPTIONS"), 2)
    head = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 101)
    path = tmp_path / "old.pcap"
    path.write_bytes(
        head + b"".join(struct.pack("<IIII", 1, 0, len(one), len(one)) + one for one in (rtp, sip))
    )
    assert read(path).ignored == {"UDP that is not SIP": 1}


def test_what_is_no_capture_is_refused_by_name(tmp_path):
    path = tmp_path / "none.pcap"
    path.write_bytes(b"no capture at all, but long enough to be looked at")
    with pytest.raises(UsageError, match=r"none\.pcap"):
        read(path)


def test_a_contact_is_at_our_socket_by_the_transport_of_now():
    here = Address("127.0.0.1", 7)
    for transport, given, made in (
        ("udp", b"m: <sip:a@192.0.2.1:5062;transport=tcp;ob>;q=1", b"m: <sip:a@127.0.0.1:7;ob>;q=1"),
        ("tls", b"m: <sip:a@192.0.2.1;x=1>;q=1", b"m: <sip:a@127.0.0.1:7;x=1;transport=tls>;q=1"),
        ("tls", b"Contact: sip:a@192.0.2.1;q=1", b"Contact: <sip:a@127.0.0.1:7;transport=tls>;q=1"),
        ("udp", b"Contact: sip:a@192.0.2.1;q=1", b"Contact: sip:a@127.0.0.1:7;q=1"),
        ("tcp", b"m: <sip:a@h>, <sip:[2001:db8::1]:5>", b"m: <sip:a@127.0.0.1:7;transport=tcp>, "
         b"<sip:127.0.0.1:7;transport=tcp>"),
        ("tls", b"Contact: *", b"Contact: *"),
    ):  # fmt: skip
        data = b"REGISTER sip:x SIP/2.0\r\nCSeq: 4 REGISTER\r\n" + given + b"\r\n\r\n"
        rewriter = Rewriter(SERVER, Address("127.0.0.1", 5080), "example.org", "r")
        sent = rewriter.request(data, transport=transport, local=here, call_id=b"c", cseq=11)
        assert b"\r\n" + made + b"\r\n" in sent, transport
        assert b"\r\nCSeq: 11 REGISTER\r\n" in sent


def test_only_the_captured_server_itself_becomes_the_target():
    rewriter = Rewriter(SERVER, Address("127.0.0.1", 5080), "example.org", "r")
    assert rewriter.addressed(b"<sip:bob@192.0.2.9:5060;lr>") == b"<sip:bob@example.org;lr>"
    assert rewriter.addressed(b"sip:192.0.2.9") == b"sip:example.org"
    for other in (b"<sip:bob@192.0.2.9:5061>", b"sip:bob@example.com", b"<sip:192.0.2.90>"):
        assert rewriter.addressed(other) == other
