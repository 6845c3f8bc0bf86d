"""edge.cfg: what the inside sees, what the outside sees, and who gets neither."""

from pathlib import Path

import pytest

from tests.support.server import port_of

pytestmark = pytest.mark.live

EDGE = Path(__file__).parents[2] / "cfg/edge.cfg"
OUTSIDE, SCANNER = "127.0.0.31", "127.0.0.32"


@pytest.fixture
async def edge(kamtool, peer):
    """The edge, the proxy inside and a phone outside."""
    inside, phone = await peer(), await peer(OUTSIDE)
    server = await kamtool(EDGE, defines={"INSIDE": f'"sip:127.0.0.1:{inside.port}"', "SECRET": '"a test"'})
    return server, inside, phone


def send(server, peer, text):
    peer.send(text, port_of(server), "127.0.0.1")


async def test_a_registration_reaches_the_inside_with_its_path(edge):
    server, inside, phone = edge
    send(server, phone, phone.request("REGISTER", "sip:example.com", headers=f"Contact: <{phone.uri}>\r\n"))
    register = await inside.expect("REGISTER")
    assert "received=" in register.header("Path")
    assert register.contacts[0].uri == phone.uri
    inside.send(inside.answer(register, 200), port_of(server))
    await phone.expect(200)


async def test_a_call_shows_neither_side_the_others_address(edge):
    server, inside, phone = edge
    send(server, phone, phone.request("INVITE", "sip:bob@example.com", headers=f"Contact: <{phone.uri}>\r\n"))
    invite = await inside.expect("INVITE")
    assert OUTSIDE.encode() not in invite.data
    await phone.expect(100)
    inside.send(inside.answer(invite, 200, headers=f"Contact: <{inside.uri}>\r\n"), port_of(server))
    ok = await phone.expect(200)
    assert f"127.0.0.1:{inside.port}".encode() not in ok.data
    route = f"Route: {ok.header('Record-Route')}\r\n"
    target = ok.contacts[0].uri
    send(server, phone, phone.request("ACK", target, to_tag="you", branch="2", headers=route))
    assert (await inside.expect("ACK")).uri == inside.uri
    send(server, phone, phone.request("BYE", target, to_tag="you", branch="3", cseq=2, headers=route))
    bye = await inside.expect("BYE")
    assert OUTSIDE.encode() not in bye.data
    inside.send(inside.answer(bye, 200), port_of(server))
    await phone.expect(200)


async def test_an_invented_dialog_leads_nowhere(edge, peer):
    server, _, phone = edge
    victim = await peer("127.0.0.33")
    for number, more in enumerate(("", f", <sip:127.0.0.33:{victim.port};lr>")):
        route = f"Route: <sip:127.0.0.1:{port_of(server)};lr;ftag=peer>{more}\r\n"
        send(
            server, phone,
            phone.request("INVITE", victim.uri, to_tag="x", branch=f"i{number}", headers=route),
        )  # fmt: skip
        await phone.expect(403)
        send(server, phone, phone.request("BYE", victim.uri, to_tag="x", branch=f"o{number}", headers=route))
        await phone.expect(403)
    await victim.silence()


async def test_a_scanner_is_not_heard_and_the_phone_is(edge, peer):
    server, inside, phone = edge
    scanner = await peer(SCANNER)
    agent = "User-Agent: friendly-scanner\r\n"
    send(server, scanner, scanner.request("OPTIONS", "sip:100@example.com", headers=agent))
    await scanner.silence()
    send(server, scanner, scanner.request("OPTIONS", "sip:100@example.com", branch="2"))
    await scanner.silence()
    assert server.modules["htable"].htables["ban"].values == {SCANNER: "scanner"}
    send(server, phone, phone.request("OPTIONS", "sip:100@example.com"))
    await inside.expect("OPTIONS")
