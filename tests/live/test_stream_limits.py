"""What slow, silent and absent peers on TCP may cost, and what they may not."""

import asyncio
import contextlib
import socket

import pytest

from tests.support.server import SOON, port_of
from tests.support.until import until

pytestmark = pytest.mark.live

PRE = 'loadmodule "tm.so"\nloadmodule "sl.so"\nloadmodule "textops.so"\n'
HERE = PRE + 'request_route { if (is_method("OPTIONS")) sl_send_reply("200", "Here"); else t_relay(); }'


@contextlib.contextmanager
def full_listener():
    """A TCP listener that completes no further connection: its backlog is full until `accept` is called."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    fillers = []
    for _ in range(2):
        filler = socket.socket()
        filler.setblocking(False)
        filler.connect_ex(listener.getsockname())
        fillers.append(filler)
    listener.setblocking(False)
    try:
        yield listener
    finally:
        for each in (*fillers, listener):
            each.close()


async def test_silent_peers_cannot_lock_others_out(kamtool, peer):
    """Half-open connections take places only until somebody needs them."""
    server = await kamtool(f"tcp_max_connections=20\n{HERE}")
    port = port_of(server, "tcp")
    talks = await peer(tcp=port)
    talks.send(talks.request("OPTIONS", "sip:x", branch="first"))
    await talks.expect("200")
    silent = [await peer(tcp=port) for _ in range(19)]
    tcp = server.transports.tcp
    await until(lambda: len(tcp.connections) == 20)
    for connection in tcp.connections.values():
        connection.opened_at -= 5.0
    late = await peer(tcp=port)
    late.send(late.request("OPTIONS", "sip:x"))
    await late.expect("200")
    assert len(tcp.connections) <= 20
    assert silent[0].closed.is_set() or await asyncio.wait_for(silent[0].closed.wait(), SOON)
    talks.send(talks.request("OPTIONS", "sip:x", branch="second"))
    await talks.expect("200")


async def test_peers_that_feed_octet_by_octet_are_closed_and_hold_little(kamtool, peer):
    """Slow loris: what is held is what was sent, and a message has tcp_send_timeout to be complete."""
    server = await kamtool(f"tcp_send_timeout=1\n{HERE}")
    port = port_of(server, "tcp")
    slow = [await peer(tcp=port) for _ in range(50)]
    head = slow[0].request("OPTIONS", "sip:x").encode()
    ends = asyncio.get_running_loop().time() + SOON
    place = 0
    while any(not one.closed.is_set() for one in slow) and asyncio.get_running_loop().time() < ends:
        for one in slow:
            if not one.closed.is_set():
                with contextlib.suppress(ConnectionError):
                    one.send(head[place : place + 1])
        held = sum(connection.framer.pending for connection in server.transports.tcp)
        assert held <= 50 * (place + 1)
        place = min(place + 1, len(head) - 2)
        await asyncio.sleep(0.05)
    assert all(one.closed.is_set() for one in slow)
    assert not server.transports.tcp.connections


async def test_a_peer_that_takes_its_time_to_accept_gets_the_message_once(kamtool, peer):
    """tcp_async: the script goes on at once, the message waits for the connection."""
    server = await kamtool(HERE)
    alice = await peer()
    with full_listener() as listener:
        port = listener.getsockname()[1]
        alice.send(alice.request("MESSAGE", f"sip:b@127.0.0.1:{port};transport=tcp"), port_of(server))
        alice.send(alice.request("OPTIONS", "sip:x", branch="o", call_id="o"), port_of(server))
        await alice.expect("200")
        loop = asyncio.get_running_loop()
        texts = []
        while not texts:
            accepted, _ = await asyncio.wait_for(loop.sock_accept(listener), SOON)
            accepted.setblocking(False)
            with contextlib.suppress(TimeoutError):
                texts.append(await asyncio.wait_for(loop.sock_recv(accepted, 65536), 0.5))
            texts = [text for text in texts if text]  # those that only filled the queue say nothing
        assert texts[0].count(b"MESSAGE sip:b@") == 1
        assert texts[0].endswith(b"\r\n\r\n")


async def test_a_connection_that_never_opens_fails_its_branch_in_time(kamtool, peer):
    server = await kamtool(f"tcp_connect_timeout=1\n{HERE}")
    alice = await peer()
    with full_listener() as listener:
        port = listener.getsockname()[1]
        alice.send(alice.request("MESSAGE", f"sip:b@127.0.0.1:{port};transport=tcp"), port_of(server))
        assert (await alice.expect("4")).status == 477
    assert not server.transports.tcp.connections
    assert server.transports.tcp.queued_bytes == 0


async def test_what_waits_for_a_connection_is_bounded(kamtool, peer):
    """Beyond tcp_conn_wq_max the connection is given up, with all that waits; nothing else suffers."""
    server = await kamtool(f"tcp_conn_wq_max=20000\n{HERE}")
    alice = await peer()
    tcp = server.transports.tcp
    with full_listener() as listener:
        port = listener.getsockname()[1]
        for number in range(30):
            uri = f"sip:b@127.0.0.1:{port};transport=tcp"
            text = alice.request("MESSAGE", uri, branch=f"b{number}", call_id=f"c{number}", body="x" * 2000)
            alice.send(text, port_of(server))
            assert tcp.queued_bytes <= 20000
        failed = [(await alice.expect("477")).call_id for _ in range(8)]
        assert len(set(failed)) == 8
        assert tcp.queued_bytes <= 20000
        alice.send(alice.request("OPTIONS", "sip:x", branch="o", call_id="o"), port_of(server))
        while (await alice.expect()).status != 200:
            pass
