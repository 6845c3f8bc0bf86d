"""Clients that mean harm: what they make a TLS server do is bounded. (Renegotiation: test_tls_peers.)"""

import asyncio
import socket

import pytest

from tests.fuzz.hello import client_hello
from tests.live.test_tls_live import HERE, ask, is_closed, port_of, raw
from tests.support.until import until

pytestmark = pytest.mark.live


def crowded(server):
    """Two handshakes are a crowd, and nobody in it may be silent."""
    handshakes = server.transports.tcp.handshakes
    handshakes.most, handshakes.silent_age = 2, -1.0
    return handshakes


async def test_in_a_crowd_the_silent_give_way_and_who_has_said_hello_stays(tls_server, tls_peer):
    server = await tls_server(HERE)
    port = port_of(server, "tls")
    handshakes = crowded(server)
    begun = []
    for count in range(1, 5):
        begun.append(raw(port, client_hello("sip.example.com")))
        await until(lambda count=count: len(handshakes.open) == count and not handshakes.silent)
    silent = [raw(port) for _ in range(4)]
    for sock in silent[:-1]:
        assert await is_closed(sock)
    await ask(await tls_peer(port), port)  # the last silent one has gone for it
    assert await is_closed(silent[-1])
    assert len(handshakes.open) == 4
    for sock in begun:
        sock.setblocking(False)
        assert sock.recv(4096)[:1] == b"\x16"  # our half of the handshake, and no end of it
        sock.close()
    await until(lambda: not handshakes.open)


async def test_in_a_crowd_a_handshake_that_never_ends_gives_way_too(tls_server, tls_peer):
    server = await tls_server(HERE)
    port = port_of(server, "tls")
    handshakes = crowded(server)
    handshakes.slow_age = -1.0
    begun = []
    for _ in range(6):
        begun.append(raw(port, client_hello("sip.example.com")))
        await until(lambda: handshakes.open and not handshakes.silent)
        assert len(handshakes.open) <= 2
    await ask(await tls_peer(port), port)
    for sock in begun:
        sock.close()


@pytest.mark.parametrize(
    "flight", [b"\x14\x03\x03\x00\x01\x01", b"\x15\x03\x03\x00\x02\x01\x00", b"\x16\x03\x03\x40\x00"]
)
async def test_nonsense_in_the_middle_of_a_handshake_ends_it(tls_server, tls_peer, flight):
    server = await tls_server(HERE, settings="tls_handshake_timeout=2")
    port = port_of(server, "tls")
    sock = raw(port, client_hello("sip.example.com"))
    loop = asyncio.get_running_loop()
    assert (await loop.sock_recv(sock, 4096))[:1] == b"\x16"
    for _ in range(50):
        try:
            await loop.sock_sendall(sock, flight)
        except ConnectionError:
            break
    assert await is_closed(sock)
    assert not server.transports.tcp.handshakes.open
    await ask(await tls_peer(port), port)


async def test_who_says_half_a_hello_and_hangs_up_is_gone_at_once(tls_server):
    """What is peeked at stays readable: waiting for the rest of it would keep the loop turning."""
    server = await tls_server(HERE)
    server.transports.tcp.options.handshake_timeout = 1e6
    sock = raw(port_of(server, "tls"), client_hello("sip.example.com")[:100])
    handshakes = server.transports.tcp.handshakes
    await until(lambda: handshakes.silent)
    sock.shutdown(socket.SHUT_WR)
    await until(lambda: not handshakes.open)
    sock.close()


async def test_a_hello_that_comes_in_pieces_or_is_long_is_heard(tls_server, tls_peer):
    server = await tls_server(HERE)
    port = port_of(server, "tls")
    for hello in (client_hello("sip.example.com"), client_hello("sip.example.com", more=5000)):
        sock = raw(port)
        for at in range(0, len(hello), 1000):
            sock.send(hello[at : at + 1000])
            await asyncio.sleep(0.01)
        await until(lambda: not server.transports.tcp.handshakes.silent)
        assert [connection.server_name for connection in server.transports.tcp] == ["sip.example.com"]
        sock.close()
        await until(lambda: not server.transports.tcp.connections)
