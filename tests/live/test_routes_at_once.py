"""Branch and onreply routes that never wait run without a coroutine, and mean the same."""

import pytest

from kamtool.script.entries import plain
from tests.support.server import port_of

pytestmark = pytest.mark.live

ROUTE = """
request_route {{ t_on_branch("B"); t_on_reply("R"); t_relay(); }}
branch_route[B] {{ {branch} }}
onreply_route[R] {{ {reply} }}
"""


async def the_200_of_a_call_comes(server, alice, bob):
    """Bob answers 180 and 200; the 200 is what alice hears next after the 100."""
    port = port_of(server)
    alice.send(alice.request("INVITE", bob.uri), port)
    await alice.expect("100")
    invite = await bob.expect("INVITE")
    bob.send(bob.answer(invite, 180), port)
    bob.send(bob.answer(invite, 200), port)
    await alice.expect("200")


async def test_a_branch_route_may_lead_elsewhere(kamtool, peer):
    bob, carol = await peer(), await peer()
    server = await kamtool(ROUTE.format(branch=f'$ru = "{carol.uri}";', reply="return;"))
    alice, port = await peer(), port_of(server)
    alice.send(alice.request("INVITE", bob.uri), port)
    await alice.expect("100")
    invite = await carol.expect("INVITE")
    carol.send(carol.answer(invite, 200), port)
    await alice.expect("200")


async def test_a_branch_route_that_leads_to_a_name_runs_once(kamtool, peer):
    bob, carol = await peer(), await peer()
    name = carol.uri.replace("127.0.0.1", "localhost")
    branch = f'$avp(seen) = $avp(seen) + "x"; $du = "{name}"; append_hf("X-Seen: $avp(seen)\\r\\n");'
    server = await kamtool(ROUTE.format(branch=branch, reply="return;"))
    alice, port = await peer(), port_of(server)
    alice.send(alice.request("INVITE", bob.uri), port)
    await alice.expect("100")
    invite = await carol.expect("INVITE")
    assert invite.headers("X-Seen") == ["x"]
    carol.send(carol.answer(invite, 200), port)
    await alice.expect("200")


async def test_a_request_whose_only_branch_is_dropped_goes_nowhere(kamtool, peer):
    bob = await peer()
    server = await kamtool(ROUTE.format(branch="drop;", reply="return;"))
    alice, port = await peer(), port_of(server)
    alice.send(alice.request("MESSAGE", bob.uri), port)
    await alice.expect("500")


async def test_an_onreply_route_shares_the_avps_of_its_request(kamtool, peer):
    bob = await peer()
    reply = '$avp(replies) = $avp(replies) + "x"; append_hf("X-Replies: $avp(replies)\\r\\n");'
    server = await kamtool(ROUTE.format(branch="return;", reply=reply))
    alice, port = await peer(), port_of(server)
    alice.send(alice.request("INVITE", bob.uri), port)
    await alice.expect("100")
    invite = await bob.expect("INVITE")
    bob.send(bob.answer(invite, 180), port)
    assert (await alice.expect("180")).headers("X-Replies") == ["x"]
    bob.send(bob.answer(invite, 200), port)
    assert (await alice.expect("200")).headers("X-Replies") == ["xx"]


async def test_a_failing_onreply_route_is_counted_and_its_response_goes_no_further(kamtool, peer):
    bob = await peer()
    server = await kamtool(ROUTE.format(branch="return;", reply="return;"))

    def broken(ctx):
        if ctx.msg.status == 180:
            raise ValueError("broken")
        return 1

    server.program.onreply_routes["R"].plain = broken
    await the_200_of_a_call_comes(server, await peer(), bob)
    assert server.stats["core:script_errors"] == 1


async def test_a_reply_route_drops_changes_and_lets_pass(kamtool, peer):
    bob = await peer()
    server = await kamtool("""
        request_route { t_relay(); }
        reply_route {
            if (status == "180") drop;
            if (status == "183") return 0;
            append_hf("X-Seen: $rs\\r\\n");
        }
    """)
    alice, port = await peer(), port_of(server)
    alice.send(alice.request("INVITE", bob.uri), port)
    await alice.expect("100")
    invite = await bob.expect("INVITE")
    for status in (180, 183, 181, 200):
        bob.send(bob.answer(invite, status), port)
    assert (await alice.expect("181")).headers("X-Seen") == ["181"]
    assert (await alice.expect("200")).headers("X-Seen") == ["200"]
    assert plain(server.program.reply_route) is not None


async def test_a_failing_reply_route_is_counted_and_its_response_goes_no_further(kamtool, peer):
    bob = await peer()
    server = await kamtool("request_route { t_relay(); } reply_route { return; }")

    def broken(ctx):
        if ctx.msg.status == 180:
            raise ValueError("broken")
        return 1

    server.program.reply_route.plain = broken
    await the_200_of_a_call_comes(server, await peer(), bob)
    assert server.stats["core:script_errors"] == 1
