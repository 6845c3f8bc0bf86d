"""Debian's own kamailio.cfg with WITH_NAT: a call between two phones behind NATs has its media relayed."""

import re
from pathlib import Path

import pytest

from tests.support.server import port_of
from tests.support.until import until

STOCK = Path("/etc/kamailio/kamailio.cfg")
TEXT = STOCK.read_text() if STOCK.exists() else ""
SDP = "v=0\r\no=- 1 1 IN IP4 10.0.0.5\r\ns=-\r\nc=IN IP4 10.0.0.5\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"


@pytest.fixture(params=["rtpproxy", "rtpengine"])
async def stock(request, tmp_path, kamtool, rtpproxy, fake_rtpengine):
    """The stock file with this relay, its sockets and files our own; the server, the relay, its commands."""
    if not TEXT:
        pytest.skip("Kamailio is not installed (Debian: kamailio)")
    text = TEXT
    defines = {"WITH_NAT": ""}
    if request.param == "rtpproxy":
        relay = rtpproxy(address="9.9.9.9")
        text = text.replace("udp:127.0.0.1:7722", relay.url)
    else:
        relay = fake_rtpengine()
        text = text.replace("udp:127.0.0.1:2223", relay.url)
        defines["WITH_RTPENGINE"] = ""
    text = text.replace("/run/kamailio/", f"{tmp_path}/")
    text = re.sub(r'loadmodule "(jsonrpcs|ctl)\.so"', "", text)
    text = re.sub(r'modparam\("(jsonrpcs|ctl)".*', "", text)
    path = tmp_path / "kamailio.cfg"
    path.write_text(text)
    return await kamtool(path, defines=defines), relay, request.param


def done(relay, kind):
    """What the relay was told, in one form for both: offer, answer, delete."""
    if kind == "rtpengine":
        return [request["command"] for request in relay.log]
    return [{"U": "offer", "L": "answer", "D": "delete"}[line[0]] for line in relay.commands()]


async def test_a_call_through_the_stock_cfg_has_its_media_relayed(stock, peer):
    server, relay, kind = stock
    port = port_of(server)
    alice, bob = await peer(), await peer()
    register = bob.request(
        "REGISTER", f"sip:127.0.0.1:{port}", branch="reg", via="10.0.0.7:5060;rport", call_id="reg"
    )
    register = register.replace("Max-Forwards", "Contact: <sip:bob@10.0.0.7:5060>\r\nMax-Forwards")
    bob.send(register.replace("sip:you@example.com", f"sip:bob@127.0.0.1:{port}"), port)
    await bob.expect(200)

    headers = "Contact: <sip:alice@10.0.0.5:5060>\r\nContent-Type: application/sdp\r\n"
    target = f"sip:bob@127.0.0.1:{port}"
    alice.send(alice.request("INVITE", target, via="10.0.0.5:5060;rport", headers=headers, body=SDP), port)
    invite = await bob.expect("INVITE sip:bob@10.0.0.7:5060")
    assert "alias=127.0.0.1~" in invite.header("Contact")
    assert b"c=IN IP4 9.9.9.9\r\n" in invite.body
    assert b"m=audio 40000 " in invite.body

    answer = bob.answer(
        invite, 200, headers="Contact: <sip:bob@10.0.0.7:5060>\r\nContent-Type: application/sdp\r\n"
    )
    answer = answer.replace("Content-Length: 0\r\n\r\n", f"Content-Length: {len(SDP)}\r\n\r\n{SDP}")
    bob.send(answer, port)
    ok = await alice.expect()
    while ok.status == 100:
        ok = await alice.expect()
    assert b"c=IN IP4 9.9.9.9\r\n" in ok.body
    assert b"m=audio 4000 " not in ok.body
    assert "alias=127.0.0.1~" in ok.header("Contact")
    assert done(relay, kind) == ["offer", "answer"]

    # The ACK and the BYE go to the address in Contact, which is bob's behind his NAT: the alias leads there.
    contact = ok.contacts[0].uri
    routes = "".join(f"Route: {route}\r\n" for route in ok.items("Record-Route")[::-1])
    for number, method in enumerate(("ACK", "BYE"), 2):
        cseq = 1 if method == "ACK" else 2
        text = alice.request(
            method,
            contact,
            branch=str(number),
            cseq=cseq,
            to_tag="you",
            headers=routes,
            via="10.0.0.5:5060;rport",
        )
        alice.send(text, port)
        inside = await bob.expect(method)
        assert inside.uri == "sip:bob@10.0.0.7:5060", "the alias was taken off"
    bob.send(bob.answer(inside, 200), port)
    await alice.expect(200)
    await until(lambda: done(relay, kind)[-1] == "delete")
