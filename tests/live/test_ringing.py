"""ring_insert_callid: the early media of one phone does not end the ringing of the others."""

import pytest

from tests.support.server import MODULES, port_of

pytestmark = pytest.mark.live

CFG = (
    MODULES
    + """
modparam("siputils", "ring_timeout", 30)
request_route {
    if ($hdr(X-Ring) != $null) ring_insert_callid();
    t_relay();
}
"""
)


@pytest.mark.parametrize(("headers", "status"), [("X-Ring: 1\r\n", "180 Ringing"), ("", "183 Reason")])
async def test_183_becomes_180_for_the_calls_that_ask_for_it(kamtool, peer, headers, status):
    server = await kamtool(CFG)
    alice, bob, port = await peer(), await peer(), port_of(server)
    alice.send(alice.request("INVITE", bob.uri, headers=headers), port)
    await alice.expect("100")
    invite = await bob.expect("INVITE")
    bob.send(bob.answer(invite, 183), port)
    ringing = await alice.expect(status)
    assert ringing.call_id == invite.call_id
