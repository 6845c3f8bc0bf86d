"""tm, tmx, sl, rr and async where no differential scenario looks: what modules, RPC and our own calls see."""

import asyncio

import pytest

from kamtool.errors import RpcError
from kamtool.modules.tm.contacts import by_lot, by_q
from kamtool.script.context import Branch
from tests.support.server import MODULES, port_of

pytestmark = pytest.mark.live

ASYNC = MODULES + 'loadmodule "corex.so"\nloadmodule "async.so"\nloadmodule "xlog.so"\n'


async def rpc(server, name, *params):
    return await server.rpc.call(name, params)


async def test_the_2xx_to_an_invite_of_our_own_is_acknowledged_each_time_it_comes(kamtool, peer):
    """RFC 3261 13.2.2.4: by Contact and the Record-Routes in reverse; the same ACK for a repeated 2xx."""
    server = await kamtool("request_route { exit; }")
    bob, proxy, port = await peer(), await peer(), port_of(server)
    asking = asyncio.ensure_future(rpc(server, "tm.t_uac_wait", "INVITE", bob.uri))
    invite = await bob.expect("INVITE")
    headers = (
        f"Contact: <sip:phone@127.0.0.1:{bob.port};x=1>\r\n"
        f"Record-Route: <sip:far.example;lr>\r\nRecord-Route: <sip:127.0.0.1:{proxy.port};lr>\r\n"
    )
    bob.send(bob.answer(invite, 180), port)
    for _ in range(2):
        bob.send(bob.answer(invite, 200, headers=headers), port)
        ack = await proxy.expect(f"ACK sip:phone@127.0.0.1:{bob.port};x=1")
        assert ack.headers("Route") == [f"<sip:127.0.0.1:{proxy.port};lr>", "<sip:far.example;lr>"]
        assert (ack.to_tag, ack.cseq, ack.cseq_method) == ("you", invite.cseq, "ACK")
        assert ack.branch != invite.branch
    assert (await asking)["code"] == 200


async def test_to_a_strict_router_the_ack_has_its_uri(kamtool, peer):
    server = await kamtool("request_route { exit; }")
    bob, proxy, port = await peer(), await peer(), port_of(server)
    asking = asyncio.ensure_future(rpc(server, "tm.t_uac_wait", "INVITE", bob.uri))
    invite = await bob.expect("INVITE")
    headers = f"Contact: <{bob.uri}>\r\nRecord-Route: <sip:127.0.0.1:{proxy.port}>\r\n"
    bob.send(bob.answer(invite, 200, headers=headers), port)
    ack = await proxy.expect(f"ACK sip:127.0.0.1:{proxy.port} ")
    assert ack.headers("Route") == [f"<{bob.uri}>"]
    await asking


async def test_a_failure_of_an_invite_of_our_own_is_acknowledged(kamtool, peer):
    server = await kamtool("request_route { exit; }")
    bob, port = await peer(), port_of(server)
    asking = asyncio.ensure_future(rpc(server, "tm.t_uac_wait_block", "INVITE", bob.uri))
    invite = await bob.expect("INVITE")
    bob.send(bob.answer(invite, 486, "Busy"), port)
    assert (await bob.expect("ACK")).branch == invite.branch
    assert await asking == {"code": 486, "text": "Busy"}
    bob.send(bob.answer(invite, 486, "Busy"), port)
    assert (await bob.expect("ACK")).branch == invite.branch


@pytest.mark.parametrize("mode", [1, 2])
async def test_local_ack_mode_sends_the_ack_where_the_invite_went_or_the_2xx_came_from(kamtool, peer, mode):
    cfg = MODULES + f'modparam("tm", "local_ack_mode", {mode})\nrequest_route {{ exit; }}'
    server = await kamtool(cfg)
    bob, other, port = await peer(), await peer(), port_of(server)
    asking = asyncio.ensure_future(rpc(server, "tm.t_uac_wait", "INVITE", bob.uri))
    invite = await bob.expect("INVITE")
    other.send(other.answer(invite, 200, headers="Contact: <sip:x@192.0.2.9>\r\n"), port)
    await {1: bob, 2: other}[mode].expect("ACK sip:x@192.0.2.9")
    await asking


async def test_tm_list_names_a_transaction_by_which_tm_reply_answers_it(kamtool, peer):
    server = await kamtool("request_route { t_relay(); }")
    alice, bob, port = await peer(), await peer(), port_of(server)
    alice.send(alice.request("INVITE", bob.uri), port)
    await bob.expect("INVITE")
    (row,) = await rpc(server, "tm.list")
    assert (row["method"], row["callid"], row["cseq"]) == ("INVITE", "Call-ID: live", "CSeq: 1")
    assert (row["uas_request"], row["outgoings"]) == ("yes", 1)
    assert row["from"].startswith("From: <sip:peer@example.com>")
    name = f"{row['tindex']}:{row['tlabel']}"
    await rpc(server, "tm.reply", 480, "Said by RPC", name, "tagged", "X-Rpc: yes")
    await alice.expect("100")
    final = await alice.expect("480 Said by RPC")
    assert (final.to_tag, final.header("X-Rpc")) == ("tagged", "yes")
    with pytest.raises(RpcError, match="no transaction"):
        await rpc(server, "tm.reply", 480, "Nobody", "1:2")


async def test_rpc_cancels_and_answers_by_call_id(kamtool, peer):
    server = await kamtool("request_route { t_relay(); }")
    alice, bob, port = await peer(), await peer(), port_of(server)
    alice.send(alice.request("INVITE", bob.uri, call_id="one"), port)
    invite = await bob.expect("INVITE")
    bob.send(bob.answer(invite, 180), port)
    await alice.expect("100")
    await alice.expect("180")
    await rpc(server, "tm.cancel", "one", 1)
    await bob.expect("CANCEL")
    await rpc(server, "tm.reply_callid", 600, "Enough", "one", "1")
    await alice.expect("600 Enough")
    await rpc(server, "tm.clean")
    with pytest.raises(RpcError, match="no transaction"):
        await rpc(server, "tm.cancel", "two", 1)


async def test_local_response_is_run_for_what_is_answered_here(kamtool, peer):
    server = await kamtool(
        ASYNC + "request_route { t_newtran(); $avp(x) = 7; t_reply('404', 'No'); exit; }\n".replace("'", '"')
        + 'event_route[tm:local-response] { $shv(seen) = $rm + $T_reply_code + $avp(x); }'
    )  # fmt: skip
    alice, port = await peer(), port_of(server)
    alice.send(alice.request("OPTIONS", f"sip:127.0.0.1:{port}"), port)
    await alice.expect("404")
    assert server.variable("$shv(seen)").get(None) == "OPTIONS4047"


async def test_a_branch_that_failed_is_used_again(kamtool, peer):
    server = await kamtool(
        'request_route { t_on_branch_failure("again"); t_relay(); }\n'
        "event_route[tm:branch-failure:again] { t_reuse_branch(); t_relay(); }"
    )
    alice, bob, port = await peer(), await peer(), port_of(server)
    alice.send(alice.request("INVITE", bob.uri), port)
    first = await bob.expect("INVITE")
    bob.send(bob.answer(first, 503), port)
    await bob.expect("ACK")
    second = await bob.expect(f"INVITE {bob.uri}")
    assert second.branch != first.branch
    bob.send(bob.answer(second, 200), port)
    await alice.expect("100")
    await alice.expect("200")


async def test_async_task_data_runs_a_route_with_the_data(kamtool, peer):
    server = await kamtool(
        ASYNC + 'request_route { async_task_data("LATER", "$rm"); sl_send_reply("200", "OK"); }\n'
        'route[LATER] { $shv(data) = $async(data); }'
    )  # fmt: skip
    alice, port = await peer(), port_of(server)
    alice.send(alice.request("OPTIONS", f"sip:127.0.0.1:{port}"), port)
    await alice.expect("200")
    for _ in range(200):
        if server.variable("$shv(data)").get(None) == "OPTIONS":
            return
        await asyncio.sleep(0.01)
    raise AssertionError("the route did not run")


@pytest.mark.parametrize(
    "call", ['async_route("LATER", "101")', 'async_ms_sleep("5")', 'async_route("NOT", "1")']
)
async def test_what_async_cannot_do_is_false(kamtool, peer, call):
    """More than 100 seconds; milliseconds without ms_timer; a route that is not there."""
    server = await kamtool(
        ASYNC
        + f'request_route {{ if (!{call}) sl_send_reply("500", "False"); exit; }} route[LATER] {{ exit; }}'
    )
    alice, port = await peer(), port_of(server)
    alice.send(alice.request("OPTIONS", f"sip:127.0.0.1:{port}"), port)
    await alice.expect("500 False")


async def test_a_cancel_that_comes_while_the_invite_sleeps_keeps_it_from_going_out(kamtool, peer):
    cfg = ASYNC + 'modparam("async", "ms_timer", 10)\n' + (
        'request_route { if (is_method("CANCEL")) { t_relay(); exit; } async_ms_sleep("300"); t_relay(); }'
    )  # fmt: skip
    server = await kamtool(cfg)
    alice, bob, port = await peer(), await peer(), port_of(server)
    alice.send(alice.request("INVITE", bob.uri), port)
    await alice.expect("100")
    alice.send(alice.request("CANCEL", bob.uri), port)
    assert {(await alice.expect()).status for _ in range(2)} == {200, 487}
    await bob.silence(0.6)


async def test_what_a_parameter_cannot_do_is_said_once(kamtool, caplog):
    await kamtool(MODULES + 'modparam("tm", "enable_uac_fr", 1)\nrequest_route { exit; }')
    said = [record.getMessage() for record in caplog.records if "enable_uac_fr" in record.getMessage()]
    assert said == ["modparam tm enable_uac_fr is ignored: a request of our own has no failure_route"]


def test_contacts_go_by_q_and_equals_together():
    branches = [Branch("a", q=500), Branch("b", q=1000), Branch("c", q=500)]
    assert [[b.uri for b in group] for group in by_q(branches)] == [["b"], ["a", "c"]]


def test_contacts_drawn_by_lot_leave_those_without_q_to_the_end():
    branches = [Branch("none"), Branch("zero", q=0), Branch("a", q=1), Branch("b", q=999)]
    drawn = [[b.uri for b in by_lot(branches)] for _ in range(200)]
    assert all(order[2:] == ["none", "zero"] for order in drawn)
    assert sum(order[0] == "b" for order in drawn) > 150
