"""The destination blocklist: who does not answer is left alone for a while."""

import socket

import pytest

from kamtool.errors import RpcError
from kamtool.server import core_rpc
from tests.support.server import port_of
from tests.support.until import until

pytestmark = pytest.mark.live

HEAD = 'use_dst_blocklist=yes\nloadmodule "tm.so"\nloadmodule "sl.so"\nloadmodule "blst.so"\n'
HEAD += 'loadmodule "pv.so"\n'
RELAY = "request_route { if (!t_relay()) sl_reply_error(); }\n"


def places(server):
    return {(transport, port): entry.flags for (transport, _, port), entry in server.blocklist}


async def ask(alice, server, method, uri, number):
    alice.send(alice.request(method, uri, branch=f"b{number}", call_id=f"c{number}"), port_of(server))


async def test_a_refused_connection_is_not_tried_again_until_the_entry_expires(kamtool, peer, monkeypatch):
    """The acceptance of the feature: the second request makes no connection."""
    server = await kamtool(f"dst_blocklist_expire=1\n{HEAD}{RELAY}")
    bob, alice = await peer(tcp=0), await peer()
    await bob.close()
    tried = []

    class Watched(socket.socket):
        def connect_ex(self, address):
            tried.append(address)
            return super().connect_ex(address)

    monkeypatch.setattr(socket, "socket", Watched)
    await ask(alice, server, "MESSAGE", bob.uri, 1)
    await alice.expect("4")
    assert places(server) == {("tcp", bob.port): 4}
    attempts = len(tried)
    await ask(alice, server, "MESSAGE", bob.uri, 2)
    assert (await alice.expect("4")).status == 473
    assert len(tried) == attempts
    await until(lambda: not places(server))
    await ask(alice, server, "MESSAGE", bob.uri, 3)
    await alice.expect("47")
    assert len(tried) > attempts


async def test_a_timeout_of_an_invite_counts_and_bye_goes_there_all_the_same(kamtool, peer):
    cfg = HEAD + 'modparam("tm", "fr_timer", 200)\n' + RELAY
    server = await kamtool(cfg)
    bob, alice = await peer(), await peer()
    server.blocklist.timed_out("udp", ("127.0.0.1", bob.port), "MESSAGE", 0)
    assert not places(server), "blst_methods_add is INVITE alone"
    await ask(alice, server, "INVITE", bob.uri, 2)
    await alice.expect("100")
    await alice.expect("408")
    assert places(server) == {("udp", bob.port): 16}
    await ask(alice, server, "MESSAGE", bob.uri, 3)
    await alice.expect("473")
    await ask(alice, server, "BYE", bob.uri, 4)
    while (await bob.expect()).method != "BYE":
        pass


async def test_an_icmp_error_counts(kamtool, peer):
    server = await kamtool(HEAD + RELAY)
    bob, alice = await peer(), await peer()
    await bob.close()
    await ask(alice, server, "MESSAGE", bob.uri, 1)
    await until(lambda: places(server) == {("udp", bob.port): 8})
    await ask(alice, server, "MESSAGE", bob.uri, 2)
    await alice.expect("473")


@pytest.mark.parametrize(
    ("header", "low", "high"),
    [("Retry-After: 20 (busy);duration=9\r\n", 19, 20), ("Retry-After: 9999\r\n", 29, 30), ("", 6, 7)],
)
async def test_a_503_counts_for_as_long_as_it_says(kamtool, peer, header, low, high):
    params = "".join(
        f'modparam("tm", "blst_503{name}", {value})\n'
        for name, value in {"": 1, "_def_timeout": 7, "_min_timeout": 5, "_max_timeout": 30}.items()
    )
    server = await kamtool(HEAD + params + RELAY)
    bob, alice = await peer(), await peer()
    await ask(alice, server, "MESSAGE", bob.uri, 1)
    message = await bob.expect("MESSAGE")
    bob.send(bob.answer(message, 503, headers=header), port_of(server))
    await alice.expect("500")
    ((_, entry),) = list(server.blocklist)
    assert entry.flags == 32
    assert low <= entry.expires_at - server.now() <= high


async def test_without_blst_503_a_503_puts_nobody_on_the_list(kamtool, peer):
    server = await kamtool(HEAD + RELAY)
    bob, alice = await peer(), await peer()
    await ask(alice, server, "MESSAGE", bob.uri, 1)
    message = await bob.expect("MESSAGE")
    bob.send(bob.answer(message, 503, headers="Retry-After: 20\r\n"), port_of(server))
    await alice.expect("500")
    assert not places(server)


async def test_the_next_place_of_a_name_is_tried_when_the_first_is_on_the_list(
    kamtool, nameserver, peer, tmp_path
):
    first, second = await peer(), await peer()
    names = await nameserver(
        f"""_sip._udp.two.example 60 SRV 10 0 {first.port} host.example.
        _sip._udp.two.example 60 SRV 20 0 {second.port} host.example.
        host.example 60 A 127.0.0.1"""
    )
    server = await kamtool(HEAD + RELAY, resolver=names.resolver(tmp_path))
    server.blocklist.add("udp", ("127.0.0.1", first.port), 64)
    alice = await peer()
    await ask(alice, server, "MESSAGE", "sip:bob@two.example", 1)
    await second.expect("MESSAGE")


async def test_the_script_lists_sources_and_ignores_events(kamtool, peer):
    cfg = (
        HEAD
        + """request_route {
        if ($rm == "INFO") { if (blst_add("9")) sl_send_reply("200", "Added"); exit; }
        if ($rm == "OPTIONS") {
            if (blst_is_blacklisted()) sl_send_reply("200", "Listed");
            else sl_send_reply("404", "Not listed");
            exit;
        }
        if ($rm == "UPDATE") {
            if (blst_del()) sl_send_reply("200", "Deleted");
            else sl_send_reply("404", "Not there");
            exit;
        }
        if ($rm == "PUBLISH") {
            if (blst_add_retry_after("5", "10")) sl_send_reply("200", "Added");
            else sl_send_reply("404", "No header");
            exit;
        }
        if ($rm == "NOTIFY") { blst_set_ignore(); }
        if ($rm == "REFER") { blst_set_ignore(); blst_clear_ignore("64"); }
        if (!t_relay()) sl_reply_error();
    }"""
    )
    server = await kamtool(cfg)
    alice, bob = await peer(), await peer()
    steps = [("OPTIONS", "404"), ("UPDATE", "404"), ("INFO", "200"), ("OPTIONS", "200"), ("PUBLISH", "404")]
    for number, (method, status) in enumerate(steps):
        await ask(alice, server, method, "sip:x", number)
        assert (await alice.expect()).status == int(status), method
    ((_, entry),) = list(server.blocklist)
    assert entry.flags == 64
    assert 8 <= entry.expires_at - server.now() <= 9
    await ask(bob, server, "MESSAGE", alice.uri, 10)
    await bob.expect("473")
    await ask(bob, server, "REFER", alice.uri, 11)
    await bob.expect("473")
    await ask(bob, server, "NOTIFY", alice.uri, 12)
    await alice.expect("NOTIFY")
    await ask(alice, server, "UPDATE", "sip:x", 13)
    await alice.expect("200")
    alice.send(alice.request("PUBLISH", "sip:x", branch="z", headers="Retry-After: 99\r\n"), port_of(server))
    await alice.expect("200")
    ((_, entry),) = list(server.blocklist)
    assert 9 <= entry.expires_at - server.now() <= 10


async def test_an_imask_lets_an_event_not_count(kamtool, peer):
    server = await kamtool(f"dst_blocklist_tcp_imask=4\n{HEAD}{RELAY}")
    bob, alice = await peer(tcp=0), await peer()
    await bob.close()
    await ask(alice, server, "MESSAGE", bob.uri, 1)
    await alice.expect("47")
    assert not places(server)


async def test_the_list_is_bounded(kamtool):
    server = await kamtool(f"dst_blocklist_mem=1\n{HEAD}{RELAY}")
    taken = [server.blocklist.add("udp", ("127.0.0.1", port), 64) for port in range(5000, 5010)]
    assert taken == [True] * 4 + [False] * 6


@pytest.mark.parametrize("group", ["dst_blocklist", "dst_blacklist"])
async def test_the_control_plane_sees_and_changes_the_list(kamtool, group):
    server = await kamtool(HEAD + RELAY)
    core_rpc.register(server.rpc, server)
    await server.rpc.call(f"{group}.add", ["127.0.0.2", 5060, "1"])
    await server.rpc.call(f"{group}.add", ["127.0.0.3", 5061, "tls", 64])
    rows = await server.rpc.call(f"{group}.view")
    assert [(row["protocol"], row["ip"], row["port"], row["flags"]) for row in rows] == [
        ("udp", "127.0.0.2", 5060, 64),
        ("tls", "127.0.0.3", 5061, 64),
    ]
    assert all(58 <= row["expires"] <= 60 for row in rows)
    assert (await server.rpc.call(f"{group}.stats_get"))["entries"] == 2
    with pytest.raises(RpcError, match="no such place"):
        await server.rpc.call(f"{group}.add", ["nowhere", 5060, "udp"])
    await server.rpc.call(f"{group}.delete", ["127.0.0.2", 5060, "udp"])
    await server.rpc.call(f"{group}.delete_all")
    assert await server.rpc.call(f"{group}.view") == []


async def test_without_use_dst_blocklist_there_is_none(kamtool, peer):
    server = await kamtool(
        HEAD.replace("yes", "no") + 'request_route { if (!blst_add()) sl_send_reply("404", "No"); }'
    )
    core_rpc.register(server.rpc, server)
    assert server.blocklist is None
    alice = await peer()
    await ask(alice, server, "MESSAGE", "sip:x", 1)
    await alice.expect("404")
    with pytest.raises(RpcError, match="disabled"):
        await server.rpc.call("dst_blocklist.view")
