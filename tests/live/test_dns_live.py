"""A server that finds its way by names: failover, a slow name server, dns.* over RPC."""

import asyncio
import contextlib

import pytest

from kamtool.errors import RpcError
from kamtool.server import core_rpc
from tests.support.server import SOON, port_of
from tests.support.until import until

pytestmark = pytest.mark.live

RELAY = """
request_route {
    if (is_method("OPTIONS")) { sl_send_reply("200", "Here"); exit; }
    t_on_failure("END");
    t_relay();
}
failure_route[END] { return; }
"""


@contextlib.asynccontextmanager
async def two_places(nameserver, peer, extra=""):
    """SRV records of `two.example`: first the port of one peer, then that of another."""
    first, second = await peer(), await peer()
    names = await nameserver(
        f"""_sip._udp.two.example 60 SRV 10 0 {first.port} host.example.
        _sip._udp.two.example 60 SRV 20 0 {second.port} host.example.
        host.example 60 A 127.0.0.1
        {extra}"""
    )
    yield first, second, names


async def test_a_503_sends_the_request_to_the_next_place(kamtool, nameserver, peer, tmp_path):
    """RFC 3263 4.3."""
    async with two_places(nameserver, peer) as (first, second, names):
        server = await kamtool(RELAY, resolver=names.resolver(tmp_path))
        alice = await peer()
        alice.send(alice.request("INVITE", "sip:bob@two.example"), port_of(server))
        invite = await first.expect("INVITE")
        first.send(first.answer(invite, 503), port_of(server))
        await first.expect("ACK")
        again = await second.expect("INVITE")
        assert again.branch != invite.branch
        second.send(second.answer(again, 200), port_of(server))
        await alice.expect("100")
        await alice.expect("200")


async def test_silence_sends_the_request_to_the_next_place(kamtool, nameserver, peer, tmp_path):
    cfg = 'loadmodule "tm.so"\nmodparam("tm", "fr_timer", 300)\nrequest_route { t_relay(); }'
    async with two_places(nameserver, peer) as (first, second, names):
        server = await kamtool(cfg, resolver=names.resolver(tmp_path))
        alice = await peer()
        alice.send(alice.request("MESSAGE", "sip:bob@two.example"), port_of(server))
        await first.expect("MESSAGE")
        message = await second.expect("MESSAGE")
        second.send(second.answer(message, 200), port_of(server))
        await alice.expect("200")


async def test_a_closed_port_sends_the_request_on_at_once(kamtool, nameserver, peer, tmp_path):
    """An ICMP error is a transport error (RFC 3261 18.4) where there is another place to try."""
    async with two_places(nameserver, peer) as (first, second, names):
        server = await kamtool(RELAY, resolver=names.resolver(tmp_path))
        await first.close()
        alice = await peer()
        for number in range(3):
            alice.send(
                alice.request("MESSAGE", "sip:bob@two.example", branch=f"b{number}", call_id=f"c{number}"),
                port_of(server),
            )
            message = await second.expect("MESSAGE", within=3)
            second.send(second.answer(message, 200), port_of(server))
            await alice.expect("200")


async def test_use_dns_failover_no_tries_one_place(kamtool, nameserver, peer, tmp_path):
    async with two_places(nameserver, peer) as (first, second, names):
        server = await kamtool(RELAY, resolver=names.resolver(tmp_path, failover=False))
        alice = await peer()
        alice.send(alice.request("MESSAGE", "sip:bob@two.example"), port_of(server))
        message = await first.expect("MESSAGE")
        first.send(first.answer(message, 503), port_of(server))
        await alice.expect("500")
        await second.silence()


async def test_a_refused_connection_sends_the_request_to_the_next_place(kamtool, nameserver, peer, tmp_path):
    gone, there = await peer(tcp=0), await peer(tcp=0)
    await gone.close()
    names = await nameserver(
        f"""_sip._tcp.two.example 60 SRV 10 0 {gone.port} host.example.
        _sip._tcp.two.example 60 SRV 20 0 {there.port} host.example.
        host.example 60 A 127.0.0.1"""
    )
    server = await kamtool(RELAY, resolver=names.resolver(tmp_path))
    alice = await peer()
    alice.send(alice.request("MESSAGE", "sip:bob@two.example;transport=tcp"), port_of(server))
    message = await there.expect("MESSAGE")
    there.send(there.answer(message, 200))
    await alice.expect("200")


async def test_a_family_without_a_socket_is_passed_over(kamtool, nameserver, peer, tmp_path):
    bob, alice = await peer(), await peer()
    names = await nameserver("six.example 60 A 127.0.0.1\nsix.example 60 AAAA ::1")
    find = names.resolver(tmp_path, ipv6=True, prefer_ipv6=True)
    server = await kamtool(RELAY, resolver=find)
    find.families = {4, 6}  # as if it had not been told: the sockets decide anyway
    alice.send(alice.request("MESSAGE", f"sip:bob@six.example:{bob.port}"), port_of(server))
    await bob.expect("MESSAGE")


async def test_a_slow_name_server_delays_nobody_else(kamtool, nameserver, peer, tmp_path):
    names = await nameserver("slow.example 60 A 127.0.0.1")
    names.silent.add("slow.example")
    server = await kamtool(RELAY, resolver=names.resolver(tmp_path, try_seconds=2, tries=1))
    alice, bob = await peer(), await peer()
    for number in range(50):
        text = alice.request(
            "MESSAGE", "sip:bob@slow.example:5060", branch=f"s{number}", call_id=f"s{number}"
        )
        alice.send(text, port_of(server))
    await until(lambda: names.asked)
    bob.send(bob.request("OPTIONS", "sip:here"), port_of(server))
    await bob.expect("200", within=SOON)
    assert len(server.transports.resolver.questions.running) == 1, "the slow question was answered before"
    for _ in range(50):
        assert (await alice.expect("4")).status == 478


async def test_the_name_servers_are_not_waited_for_when_the_server_stops(kamtool, nameserver, peer, tmp_path):
    names = await nameserver()
    names.silent.add("slow.example")
    server = await kamtool(RELAY, resolver=names.resolver(tmp_path))
    alice = await peer()
    alice.send(alice.request("MESSAGE", "sip:bob@slow.example:5060"), port_of(server))
    await until(lambda: names.asked)
    await asyncio.wait_for(server.stop(), SOON)
    await until(lambda: not server.transports.resolver.questions.running)


async def call(server, method, *arguments):
    if server.rpc.find("dns.view") is None:
        core_rpc.register(server.rpc, server)
    return await server.rpc.call(method, list(arguments))


async def test_records_by_hand_are_used_and_the_permanent_ones_stay(kamtool, nameserver, peer, tmp_path):
    names = await nameserver("other.example 60 A 127.0.0.3")
    server = await kamtool(RELAY, resolver=names.resolver(tmp_path))
    core_rpc.register(server.rpc, server)
    bob, alice = await peer(), await peer()
    await call(server, "dns.add_srv", "_sip._udp.hand.example", 60, 10, 20, bob.port, "host.hand.example", 1)
    await call(server, "dns.add_a", "host.hand.example", 60, "127.0.0.1")
    alice.send(alice.request("MESSAGE", "sip:bob@hand.example"), port_of(server))
    await bob.expect("MESSAGE")
    assert not names.asked
    (srv, host) = await call(server, "dns.view")
    assert (srv["permanent"], srv["expires"], host["permanent"]) == ("yes", -1, "no")
    assert srv["records"] == [
        {"rr_idx": 0, "rr_name": "host.hand.example", "rr_port": bob.port, "rr_priority": 10, "rr_weight": 20}
    ]
    found = await call(server, "dns.lookup", "a", "other.example")
    assert found["records"] == [{"rr_idx": 0, "rr_ip": "127.0.0.3"}]
    used, most = await call(server, "dns.mem_info")
    assert 0 < used < most == 500 * 1024
    await call(server, "dns.delete_all")
    assert [entry["name"] for entry in await call(server, "dns.view")] == ["_sip._udp.hand.example"]
    await call(server, "dns.delete_srv", "_sip._udp.hand.example")
    with pytest.raises(RpcError, match="Not found"):
        await call(server, "dns.delete_srv", "_sip._udp.hand.example")
    with pytest.raises(RpcError, match="Not found"):
        await call(server, "dns.lookup", "A", "nowhere.example")
    with pytest.raises(RpcError, match="no IPv4 address"):
        await call(server, "dns.add_a", "x.example", 60, "::1")


async def test_no_server_is_asked_while_they_are_said_to_be_down(kamtool, nameserver, tmp_path):
    names = await nameserver("one.example 0 A 127.0.0.3")
    server = await kamtool(RELAY, resolver=names.resolver(tmp_path))
    core_rpc.register(server.rpc, server)
    find = server.transports.resolver
    assert [str(r.address) for r in await find.get("one.example", "A")] == ["127.0.0.3"]
    await call(server, "dns.set_server_state", 0)
    assert await call(server, "dns.get_server_state") == 0
    asked = len(names.asked)
    assert [str(r.address) for r in await find.get("one.example", "A")] == ["127.0.0.3"]
    assert len(names.asked) == asked
    assert (await call(server, "dns.stats_get"))["dns_req_cnt"] == 1


@pytest.mark.parametrize("first_is", ["busy", "gone"])
async def test_requests_made_here_try_the_next_place_too(kamtool, nameserver, peer, tmp_path, first_is):
    async with two_places(nameserver, peer) as (first, second, names):
        server = await kamtool(RELAY, resolver=names.resolver(tmp_path))
        if first_is == "gone":
            await first.close()
        asking = asyncio.ensure_future(server.uac.request("OPTIONS", "sip:bob@two.example", []))
        if first_is == "busy":
            first.send(first.answer(await first.expect("OPTIONS"), 503), port_of(server))
        second.send(second.answer(await second.expect("OPTIONS"), 200), port_of(server))
        status, _ = await asyncio.wait_for(asking, SOON)
        assert status == 200
