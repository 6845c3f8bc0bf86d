"""SIP over TCP: framing, reuse, keep-alives, limits. RFC 3261 §18, RFC 5626 §4.4.1, features D1 and D2."""

import asyncio
import socket

import pytest

from tests.support.server import SOON, port_of
from tests.support.until import until

pytestmark = pytest.mark.live

HERE = 'request_route { if (is_method("OPTIONS")) sl_send_reply("200", "Here"); else t_relay(); }'


def options(peer, port, branch="1"):
    return peer.request("OPTIONS", f"sip:127.0.0.1:{port}", branch=branch)


async def test_two_messages_in_one_segment(kamtool, peer):
    port = port_of(await kamtool(HERE), "tcp")
    alice = await peer(tcp=port)
    alice.send(options(alice, port, "a") + options(alice, port, "b"))
    assert [(await alice.expect("200")).branch for _ in "ab"] == ["z9hG4bKa", "z9hG4bKb"]


async def test_one_message_in_pieces_of_seven_octets(kamtool, peer):
    port = port_of(await kamtool(HERE), "tcp")
    alice = await peer(tcp=port)
    text = options(alice, port)
    for at in range(0, len(text), 7):
        alice.send(text[at : at + 7])
        await asyncio.sleep(0)
    await alice.expect("200")


async def test_a_double_crlf_is_answered_with_a_single_one(kamtool, peer):
    alice = await peer(tcp=port_of(await kamtool(HERE), "tcp"))
    alice.send("\r\n\r\n")
    data, _ = await asyncio.wait_for(alice.raw.get(), SOON)
    assert data == b"\r\n"


async def test_keepalive_datagrams_are_ignored(kamtool, peer):
    server = await kamtool(HERE)
    alice, port = await peer(), port_of(server)
    for ping in (b"\r\n\r\n", b"\0\0\0\0", b"\r\n", b"\0"):
        alice.send(ping, port)
    alice.send(options(alice, port), port)
    await alice.expect("200")
    assert server.stats["core:bad_msg_hdr"] == 0


async def test_an_idle_connection_is_closed_after_its_lifetime(kamtool, peer):
    alice = await peer(tcp=port_of(await kamtool(f"tcp_connection_lifetime=1\n{PRE}{HERE}"), "tcp"))
    await asyncio.wait_for(alice.closed.wait(), SOON)


PRE = 'loadmodule "tm.so"\nloadmodule "sl.so"\nloadmodule "textops.so"\n'


async def test_a_stream_that_is_no_sip_is_closed(kamtool, peer):
    server = await kamtool(HERE)
    alice = await peer(tcp=port_of(server, "tcp"))
    alice.send(b"x" * 70_000)
    await asyncio.wait_for(alice.closed.wait(), SOON)
    assert server.stats["core:bad_msg_hdr"] == 1


async def test_a_request_without_content_length_is_refused_and_the_connection_closed(kamtool, peer):
    """RFC 3261 18.3, 20.14."""
    port = port_of(await kamtool(HERE), "tcp")
    alice = await peer(tcp=port)
    alice.send(options(alice, port).replace("Content-Length: 0\r\n", ""))
    await alice.expect("400")
    await asyncio.wait_for(alice.closed.wait(), SOON)


async def test_tcp_accept_no_cl_takes_it(kamtool, peer):
    port = port_of(await kamtool(f"tcp_accept_no_cl=yes\n{PRE}{HERE}"), "tcp")
    alice = await peer(tcp=port)
    alice.send(options(alice, port).replace("Content-Length: 0\r\n", ""))
    await alice.expect("200")


async def test_no_more_connections_than_allowed(kamtool, peer):
    port = port_of(await kamtool(f"tcp_max_connections=1\n{PRE}{HERE}"), "tcp")
    alice = await peer(tcp=port)
    alice.send(options(alice, port))
    await alice.expect("200")
    refused = await peer(tcp=port)
    await asyncio.wait_for(refused.closed.wait(), SOON)
    alice.send(options(alice, port, "2"))
    await alice.expect("200")


async def test_a_request_to_a_peer_that_is_connected_uses_its_connection(kamtool, peer):
    server = await kamtool(HERE)
    port = port_of(server, "tcp")
    bob, alice = await peer(tcp=port), await peer()
    bob.send(options(bob, port))
    await bob.expect("200")
    alice.send(alice.request("MESSAGE", bob.uri), port_of(server))
    message = await bob.expect("MESSAGE")
    bob.send(bob.answer(message, 200))
    await alice.expect("200")
    assert len(server.transports.tcp.connections) == 1


async def test_a_connection_opened_once_serves_many_requests(kamtool, peer):
    server = await kamtool(HERE)
    bob, alice = await peer(tcp=0), await peer()
    for number in range(3):
        alice.send(alice.request("MESSAGE", bob.uri, branch=f"m{number}"), port_of(server))
        bob.send(bob.answer(await bob.expect("MESSAGE"), 200))
        await alice.expect("200")
    assert bob.accepted.qsize() == 1


async def test_force_tcp_alias_makes_the_connection_serve_the_port_of_the_via(kamtool, peer):
    server = await kamtool(HERE.replace("{ if", "{ force_tcp_alias(); if", 1))
    port = port_of(server, "tcp")
    bob, alice = await peer(tcp=port), await peer()
    bob.send(bob.request("OPTIONS", f"sip:127.0.0.1:{port}", via="127.0.0.1:5099"))
    await bob.expect("200")
    alice.send(alice.request("MESSAGE", "sip:bob@127.0.0.1:5099;transport=tcp"), port_of(server))
    await bob.expect("MESSAGE")


async def test_a_refused_connection_runs_the_failure_route(kamtool, peer):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        dead = closed.getsockname()[1]
    bob, alice = await peer(), await peer()
    server = await kamtool(f"""
        request_route {{ t_on_failure("F"); t_relay(); }}
        failure_route[F] {{ $ru = "{bob.uri}"; t_relay(); }}""")
    alice.send(alice.request("MESSAGE", f"sip:x@127.0.0.1:{dead};transport=tcp"), port_of(server))
    bob.send(bob.answer(await bob.expect("MESSAGE"), 200), port_of(server))
    await alice.expect("200")


async def test_a_peer_that_does_not_read_is_closed_and_hurts_nobody_else(kamtool, peer):
    """features D2: the queue of one connection is bounded."""
    server = await kamtool(HERE)
    port = port_of(server, "tcp")
    slow = socket.create_connection(("127.0.0.1", port))
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    await until(lambda: server.transports.tcp.connections)
    connection = next(iter(server.transports.tcp.connections.values()))
    while connection.is_open:
        connection.write(b"x" * 65_000)
    assert connection.queued_bytes <= server.transports.tcp.options.max_queue_bytes
    assert server.transports.tcp.queued_bytes == 0
    slow.close()
    alice = await peer(tcp=port)
    alice.send(options(alice, port))
    await alice.expect("200")


async def test_a_message_that_never_ends_is_not_waited_for(kamtool, peer):
    server = await kamtool(f"tcp_send_timeout=1\n{PRE}{HERE}")
    alice = await peer(tcp=port_of(server, "tcp"))
    alice.send("OPTIONS sip:x SIP/2.0\r\nVia: SIP/2.0/TCP x\r\n")
    await asyncio.wait_for(alice.closed.wait(), SOON)


async def test_the_reply_of_a_lost_connection_finds_a_new_one(kamtool, peer):
    """RFC 3261 18.2.2: to the port of the Via."""
    server = await kamtool(HERE)
    back, bob = await peer(tcp=0), await peer()
    caller = await peer(tcp=port_of(server, "tcp"))
    caller.send(caller.request("MESSAGE", bob.uri, via=f"127.0.0.1:{back.port}"))
    message = await bob.expect("MESSAGE")
    await caller.close()
    await until(lambda: not server.transports.tcp.connections)
    bob.send(bob.answer(message, 200), port_of(server))
    await back.expect("200")


async def test_a_body_that_is_too_long_is_refused_before_it_comes(kamtool, peer):
    port = port_of(await kamtool(HERE), "tcp")
    alice = await peer(tcp=port)
    alice.send(options(alice, port).replace("Content-Length: 0", "Content-Length: 9999999"))
    await alice.expect("513")
    await asyncio.wait_for(alice.closed.wait(), SOON)


async def test_unfinished_messages_of_many_peers_are_bounded(kamtool, peer):
    server = await kamtool(HERE)
    port = port_of(server, "tcp")
    server.transports.tcp.options.max_partial_bytes = 10_000
    small, large = await peer(tcp=port), await peer(tcp=port)
    small.send("OPTIONS sip:x SIP/2.0\r\nX: " + "y" * 3_000)
    large.send("OPTIONS sip:x SIP/2.0\r\nX: " + "y" * 30_000)
    await asyncio.wait_for(large.closed.wait(), SOON)
    assert not small.closed.is_set()
