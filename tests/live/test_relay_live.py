"""A cfg, a server, real sockets on loopback."""

import pytest

from tests.support.server import MODULES, port_of

pytestmark = pytest.mark.live

PROXY = """
request_route {
    if (!mf_process_maxfwd_header("10")) { sl_send_reply("483", "Too Many Hops"); exit; }
    if (is_method("OPTIONS") && uri == myself) { sl_send_reply("200", "Here"); exit; }
    if (has_totag()) { loose_route(); }
    else if (is_method("INVITE")) { record_route(); }
    if (!t_relay()) { sl_reply_error(); }
}
"""


async def test_options_is_answered_without_a_transaction(kamtool, peer):
    server = await kamtool(PROXY)
    alice, port = await peer(), port_of(server)
    alice.send(alice.request("OPTIONS", f"sip:127.0.0.1:{port}"), port)
    answer = await alice.expect("200 Here")
    assert answer.to_tag
    assert answer.header("Server").startswith("kamtool")
    assert len(server.transactions) == 0


async def test_a_call_over_udp(kamtool, peer):
    server = await kamtool(PROXY)
    alice, bob, port = await peer(), await peer(), port_of(server)
    alice.send(alice.request("INVITE", bob.uri), port)
    await alice.expect("100 trying")
    invite = await bob.expect("INVITE")
    assert invite.max_forwards == 69
    record = invite.header("Record-Route")
    assert record == f"<sip:127.0.0.1:{port};lr;ftag=peer>"
    bob.send(bob.answer(invite, 180), port)
    await alice.expect("180")
    bob.send(bob.answer(invite, 200, headers=f"Contact: <{bob.uri}>\r\n"), port)
    await alice.expect("200")
    route = f"Route: {record}\r\n"
    alice.send(alice.request("ACK", bob.uri, branch="2", to_tag="you", headers=route), port)
    ack = await bob.expect("ACK")
    assert ack.headers("Route") == []
    alice.send(alice.request("BYE", bob.uri, branch="3", cseq=2, to_tag="you", headers=route), port)
    bye = await bob.expect("BYE")
    bob.send(bob.answer(bye, 200), port)
    await alice.expect("200")


@pytest.mark.parametrize("inbound", ["udp", "tcp"])
async def test_from_one_transport_to_the_other_and_back(kamtool, peer, inbound):
    """Two Record-Routes with r2=on; the reply goes back on the connection the request came by."""
    server = await kamtool(PROXY)
    udp, tcp = port_of(server), port_of(server, "tcp")
    alice = await peer(tcp=tcp) if inbound == "tcp" else await peer()
    bob = await peer() if inbound == "tcp" else await peer(tcp=0)
    alice.send(alice.request("INVITE", bob.uri), udp)
    await alice.expect("100")
    invite = await bob.expect("INVITE")
    records = invite.items("Record-Route")
    assert len(records) == 2
    assert all("r2=on" in record for record in records)
    assert ("transport=tcp" in records[0]) == (bob.transport == "tcp")
    bob.send(bob.answer(invite, 200), udp)
    ok = await alice.expect("200")
    route = f"Route: {', '.join(reversed(ok.items('Record-Route')))}\r\n"
    alice.send(alice.request("ACK", bob.uri, branch="2", to_tag="you", headers=route), udp)
    ack = await bob.expect("ACK")
    assert ack.headers("Route") == []
    # And from the callee's side, by the same Record-Routes in their order.
    route = f"Route: {', '.join(invite.items('Record-Route'))}\r\n"
    bob.send(bob.request("BYE", alice.uri, branch="b", call_id="live2", to_tag="peer", headers=route), udp)
    bye = await alice.expect("BYE")
    assert bye.headers("Route") == []
    alice.send(alice.answer(bye, 200), udp)
    await bob.expect("200")


async def test_over_ipv6(kamtool, peer):
    server = await kamtool(PROXY, listens=[("udp", "::1")])
    port = port_of(server, host="::1")
    alice, bob = await peer("::1"), await peer("::1")
    alice.send(alice.request("INVITE", bob.uri), port)
    await alice.expect("100")
    invite = await bob.expect("INVITE")
    assert invite.top_via.host == "[::1]"
    bob.send(bob.answer(invite, 200), port)
    await alice.expect("200")


async def test_from_ipv4_to_ipv6(kamtool, peer):
    server = await kamtool(PROXY, listens=[("udp", "127.0.0.1"), ("udp", "::1")])
    alice, bob = await peer(), await peer("::1")
    alice.send(alice.request("OPTIONS", bob.uri), port_of(server))
    options = await bob.expect("OPTIONS")
    assert options.top_via.host == "[::1]"
    bob.send(bob.answer(options, 200), port_of(server, host="::1"))
    await alice.expect("200")


async def test_a_call_that_enters_by_one_listener_and_leaves_by_another(kamtool, peer):
    """features D4: double Record-Route between sockets."""
    cfg = "mhomed=1\n" + PROXY
    server = await kamtool(cfg, listens=[("udp", "127.0.0.1"), ("udp", "127.0.0.2")])
    one, two = port_of(server), port_of(server, host="127.0.0.2")
    alice, bob = await peer(), await peer()
    cfg_socket = f"udp:127.0.0.2:{two}"
    assert server.transports.find_socket("udp", "127.0.0.2", two), cfg_socket
    alice.send(alice.request("INVITE", bob.uri), two, "127.0.0.2")
    await alice.expect("100")
    invite = await bob.expect("INVITE")
    assert (invite.top_via.host, invite.top_via.port) == ("127.0.0.1", one)
    records = invite.items("Record-Route")
    assert [f":{one};" in records[0], f":{two};" in records[1]] == [True, True]


async def test_rport_and_received_lead_the_reply_home(kamtool, peer):
    """RFC 3581: a Via that lies about address and port."""
    server = await kamtool(PROXY)
    alice, port = await peer(), port_of(server)
    text = alice.request("OPTIONS", f"sip:127.0.0.1:{port}", via="10.9.8.7:1111;rport")
    alice.send(text, port)
    answer = await alice.expect("200")
    assert answer.top_via.received == "127.0.0.1"
    assert answer.top_via.rport == alice.port


async def test_without_rport_the_reply_goes_to_the_port_of_the_via(kamtool, peer):
    """RFC 3261 18.2.2."""
    server = await kamtool(PROXY)
    alice, other, port = await peer(), await peer(), port_of(server)
    text = alice.request("OPTIONS", f"sip:127.0.0.1:{port}", via=f"10.9.8.7:{other.port}")
    alice.send(text, port)
    answer = await other.expect("200")
    assert answer.top_via.received == "127.0.0.1"


async def test_parallel_forking_and_cancel(kamtool, peer):
    bob, carol = await peer(), await peer()
    server = await kamtool(f"""
        loadmodule "tm.so"
        loadmodule "sl.so"
        loadmodule "corex.so"
        request_route {{
            if (method == "INVITE") append_branch("{carol.uri}");
            t_relay();
        }}""")
    alice, port = await peer(), port_of(server)
    alice.send(alice.request("INVITE", bob.uri), port)
    await alice.expect("100")
    at_bob, at_carol = await bob.expect("INVITE"), await carol.expect("INVITE")
    bob.send(bob.answer(at_bob, 180), port)
    carol.send(carol.answer(at_carol, 180), port)
    await alice.expect("180")
    await alice.expect("180")
    alice.send(alice.request("CANCEL", bob.uri), port)
    await alice.expect("200")
    for phone, invite in ((bob, at_bob), (carol, at_carol)):
        cancel = await phone.expect("CANCEL")
        phone.send(phone.answer(cancel, 200), port)
        phone.send(phone.answer(invite, 487), port)
        await phone.expect("ACK")
    await alice.expect("487")
    alice.send(alice.request("ACK", bob.uri, to_tag="you"), port)


async def test_serial_forking_by_failure_route(kamtool, peer):
    bob, carol = await peer(), await peer()
    server = await kamtool(f"""
        request_route {{
            t_on_failure("NEXT"); t_on_branch("B"); t_on_reply("R");
            t_set_fr("5000", "2000");
            $avp(tries) = 1;
            t_relay();
        }}
        branch_route[B] {{ append_hf("X-Branch: $T_branch_idx\\r\\n"); }}
        onreply_route[R] {{ append_hf("X-Seen: $rs\\r\\n"); }}
        failure_route[NEXT] {{
            if (t_is_canceled()) exit;
            if (t_check_status("486") && $avp(tries) == 1) {{ $ru = "{carol.uri}"; t_relay(); }}
        }}""")
    alice, port = await peer(), port_of(server)
    alice.send(alice.request("INVITE", bob.uri), port)
    await alice.expect("100")
    invite = await bob.expect("INVITE")
    assert invite.headers("X-Branch") == ["0"]
    bob.send(bob.answer(invite, 486), port)
    await bob.expect("ACK")
    invite = await carol.expect("INVITE")
    carol.send(carol.answer(invite, 200), port)
    ok = await alice.expect("200")
    assert ok.headers("X-Seen") == ["200"]


async def test_nobody_answers(kamtool, peer):
    """A small T1: 408 to the caller after 64*T1 at the latest."""
    server = await kamtool(
        'loadmodule "tm.so"\nmodparam("tm", "fr_timer", 400)\nrequest_route { t_relay(); }', t1=0.05
    )
    alice, bob = await peer(), await peer()
    alice.send(alice.request("INVITE", bob.uri), port_of(server))
    await alice.expect("100")
    for _ in range(3):
        await bob.expect("INVITE")
    await alice.expect("408")


async def test_a_port_in_use_is_one_clear_error(kamtool, peer):
    from kamtool.errors import TransportError
    from kamtool.script import load
    from kamtool.server.options import Options
    from kamtool.server.server import Server
    from kamtool.sip.flow import Address, Socket

    first = await kamtool(PROXY)
    taken = Socket("udp", Address("127.0.0.1", port_of(first)))
    second = Server(load("request_route { drop; }"), options=Options(listens=[taken], freeze=False))
    with pytest.raises(TransportError, match=r"cannot listen on udp:127\.0\.0\.1:.*in use"):
        await second.start()


async def test_the_reason_of_t_reply_is_no_format_unless_it_is_one_variable(kamtool, peer):
    server = await kamtool("""
request_route {
    t_newtran();
    if (is_method("MESSAGE")) { t_reply("404", "Nope $rU"); exit; }
    t_reply("404", "$rU");
}
""")
    alice, port = await peer(), port_of(server)
    alice.send(alice.request("MESSAGE", "sip:bob@127.0.0.1", branch="1", cseq=1), port)
    await alice.expect("404 Nope $rU")
    alice.send(alice.request("OPTIONS", "sip:bob@127.0.0.1", branch="2", cseq=2), port)
    await alice.expect("404 bob")


async def test_a_destination_that_cannot_be_resolved_gives_478(kamtool, peer):
    """The code of t_relay and, when the script says nothing, the reply; both as in Kamailio 5.6.3."""
    server = await kamtool("""
request_route {
    $du = "sip:256.1.1.1.invalid:5060";
    if (!t_relay()) $var(code) = $rc;
}
""")
    alice, port = await peer(), port_of(server)
    alice.send(alice.request("MESSAGE", "sip:bob@127.0.0.1", branch="1", cseq=1), port)
    await alice.expect("478 Unresolvable destination (478/TM)")
    assert server.modules["pv"].variables["code"] == -478


@pytest.mark.parametrize("route", ["reply_route", "onreply_route[R]"])
async def test_msg_apply_changes_shows_a_reply_as_it_leaves(kamtool, peer, route):
    server = await kamtool(
        MODULES
        + """
loadmodule "textopsx.so"
request_route { t_on_reply("R"); t_relay(); }
onreply_route[R] { ; }
""".replace("onreply_route[R] { ; }\n", "" if "R" in route else "onreply_route[R] { ; }\n")
        + route
        + """ {
    append_hf("X-One: 1\\r\\n");
    msg_apply_changes();
    append_hf("X-Two: $hdr(X-One)2\\r\\n");
}
"""
    )
    alice, bob, port = await peer(), await peer(), port_of(server)
    alice.send(alice.request("MESSAGE", bob.uri), port)
    message = await bob.expect("MESSAGE")
    bob.send(bob.answer(message, 200), port)
    answer = await alice.expect("200")
    assert (answer.header("X-One"), answer.header("X-Two")) == ("1", "12")
