"""A request that comes back: with another Request-URI it is a spiral and goes on (RFC 3261 §6); one that
changes nothing is ended by Max-Forwards (§16.3)."""

import pytest

from tests.support.server import port_of

pytestmark = pytest.mark.live

CFG = """
request_route {
    if (!mf_process_maxfwd_header("10")) { sl_send_reply("483", "Too Many Hops"); exit; }
    if (is_method("INVITE")) record_route();
    if ($rU == "alias") { $rU = "bob"; $du = "sip:127.0.0.1:" + $Rp; t_relay(); exit; }
    if ($rU == "bob") { $du = "sip:127.0.0.1:" + $hdr(X-Port); t_relay(); exit; }
    $du = "sip:127.0.0.1:" + $Rp;
    t_relay();
}
"""


async def test_a_spiral_is_two_transactions_and_its_answers_find_the_way_back(kamtool, peer):
    server = await kamtool(CFG)
    alice, bob = await peer(), await peer()
    alice.send(
        alice.request("INVITE", "sip:alias@127.0.0.1", headers=f"X-Port: {bob.port}\r\n"), port_of(server)
    )
    await alice.expect("100")
    invite = await bob.expect("INVITE sip:bob@")
    vias = invite.items("Via")
    assert len(vias) == 3
    assert len(set(vias)) == 3
    assert invite.header("Max-Forwards") == "68"
    assert len(server.transactions) == 2
    bob.send(bob.answer(invite, 486), port_of(server))
    await bob.expect("ACK")
    await alice.expect("486")
    await bob.nothing_new()


async def test_a_loop_is_ended_by_max_forwards_with_one_answer(kamtool, peer):
    server = await kamtool(CFG)
    alice = await peer()
    alice.send(alice.request("MESSAGE", "sip:nobody@127.0.0.1"), port_of(server))
    answer = await alice.expect("483")
    assert len(answer.items("Via")) == 1
    assert len(server.transactions) <= 71
    await alice.silence()
