"""SIP over WebSocket (RFC 7118): handshake, frames, keep-alive, and how a browser is reached."""

import asyncio
import base64
import os

import pytest
from wsproto.events import AcceptConnection, CloseConnection, Ping, Pong, RejectConnection, TextMessage

from kamtool.errors import RpcError
from kamtool.transport.websocket import WebSocketCutter
from tests.support.server import MODULES, SOON, port_of
from tests.support.tls import BASE, client_context
from tests.support.until import until
from tests.support.websocket import WebSocketPeer

pytestmark = pytest.mark.live

WS = 'loadmodule "usrloc.so"\nloadmodule "registrar.so"\nloadmodule "xhttp.so"\nloadmodule "websocket.so"\n'
ROUTE = """
request_route {
    append_to_reply("X: $pr $ws_conid\\r\\n");
    if (is_method("REGISTER")) { save("location"); exit; }
    if (is_method("OPTIONS") && uri == myself) { sl_send_reply("200", "Here"); exit; }
    if (has_totag()) { loose_route(); t_relay(); exit; }
    record_route();
    if (!lookup("location")) { sl_send_reply("404", "Nobody"); exit; }
    t_relay();
}
event_route[xhttp:request] {
    if ($hdr(Upgrade) =~ "websocket") { ws_handle_handshake(); exit; }
    xhttp_reply("200", "OK", "text/plain", "no websocket");
}
"""


@pytest.fixture
def ws_server(kamtool):
    async def start(more="", route=ROUTE, settings=""):
        return await kamtool(f"{settings}\n{MODULES}{WS}{more}\n{route}")

    return start


async def test_a_handshake_makes_a_websocket_that_speaks_sip(ws_server, ws_peer):
    server = await ws_server()
    port = port_of(server, "tcp")
    one = await ws_peer(port)
    assert isinstance(one.answer_to_handshake, AcceptConnection)
    assert one.answer_to_handshake.subprotocol == "sip"
    one.send(
        one.request("OPTIONS", f"sip:127.0.0.1:{port};transport=ws").replace("Content-Length: 0\r\n", "")
    )
    answer = await one.expect("200")
    number = next(iter(server.transports.tcp.connections))
    assert answer.header("X") == f"ws {number}"


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"sub_protocols": ("msrp",)}, 400),
        ({"sub_protocols": ()}, 400),
    ],
)
async def test_a_handshake_without_sip_is_refused(ws_server, ws_peer, change, status):
    one = await ws_peer(port_of(await ws_server(), "tcp"), **change)
    assert isinstance(one.answer_to_handshake, RejectConnection)
    assert one.answer_to_handshake.status_code == status


async def test_another_version_is_told_which_is_spoken(ws_server):
    """RFC 6455 4.4."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port_of(await ws_server(), "tcp"))
    key = base64.b64encode(os.urandom(16)).decode()
    writer.write(
        f"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\n"
        "Sec-WebSocket-Version: 8\r\nSec-WebSocket-Protocol: sip\r\n\r\n".encode()
    )
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), SOON)
    assert head.startswith(b"HTTP/1.1 426 ")
    assert b"sec-websocket-version: 13" in head.lower()
    writer.close()


async def test_a_browser_is_reached_over_the_connection_that_it_registered_from(ws_server, ws_peer, peer):
    server = await ws_server()
    bob, alice = await ws_peer(port_of(server, "tcp")), await peer()
    bob.send(bob.register())
    await bob.expect("200")
    alice.send(alice.request("MESSAGE", "sip:bob@127.0.0.1"), port_of(server))
    message = await bob.expect("MESSAGE")
    assert message.header("Via").startswith("SIP/2.0/WS 127.0.0.1:")
    bob.send(bob.answer(message, 200))
    await alice.expect("200")


async def test_requests_in_a_dialog_find_the_browser_by_its_invalid_host(ws_server, ws_peer, peer):
    server = await ws_server()
    bob, alice = await ws_peer(port_of(server, "tcp")), await peer()
    bob.send(bob.register())
    await bob.expect("200")
    alice.send(
        alice.request("INVITE", "sip:bob@127.0.0.1", headers=f"Contact: <{alice.uri}>\r\n"), port_of(server)
    )
    invite = await bob.expect("INVITE")
    assert len(invite.items("Record-Route")) == 2, "one for each transport"
    bob.send(bob.answer(invite, 200, headers=f"Contact: <{bob.uri}>\r\n"))
    answer = await alice.expect("100")
    answer = await alice.expect("200")
    routes = "".join(f"Route: {item}\r\n" for item in reversed(answer.items("Record-Route")))
    for method, cseq in (("ACK", 1), ("BYE", 2)):
        text = alice.request(method, bob.uri, branch=method, cseq=cseq, to_tag="you", headers=routes)
        alice.send(text, port_of(server))
        await bob.expect(method)


async def test_a_name_of_another_open_browser_cannot_be_taken(ws_server, ws_peer, peer):
    server = await ws_server()
    port = port_of(server, "tcp")
    first, thief = await ws_peer(port, "one.invalid"), await ws_peer(port, "one.invalid")
    for one, user in ((first, "first"), (thief, "thief")):
        one.send(one.register(user, branch=user))
        await one.expect("200")
    assert server.transports.tcp.named("one.invalid").flow.remote.port == first.port
    await first.close()
    await until(lambda: server.transports.tcp.named("one.invalid") is None)


async def test_keepalives_of_both_kinds_are_answered(ws_server, ws_peer):
    """RFC 7118 6, RFC 5626 3.5.1."""
    one = await ws_peer(port_of(await ws_server(), "tcp"))
    one.send("\r\n\r\n")
    assert await asyncio.wait_for(one.raw.get(), SOON) == b"\r\n"
    one.put(Ping(payload=b"are you there"))
    assert await asyncio.wait_for(one.raw.get(), SOON) == Pong(payload=b"are you there")


async def test_an_idle_websocket_is_pinged_and_closed_when_it_is_dead(ws_server, ws_peer):
    params = 'modparam("websocket", "keepalive_timeout", 1)\n'
    server = await ws_server(params)
    alive = await ws_peer(port_of(server, "tcp"))
    ping = await asyncio.wait_for(alive.raw.get(), SOON)
    assert ping == Ping(payload=b"kamtool")
    dead = await ws_peer(port_of(server, "tcp"))
    dead.task.cancel()
    await until(lambda: server.stats["websocket:ws_failed_connections"] == 1)
    assert len(list(server.modules["websocket"].open_connections())) == 1


async def test_closing_is_answered_and_the_script_hears_of_it(ws_server, ws_peer):
    route = ROUTE + "event_route[websocket:closed] { $shv(port) = $sp; $shv(id) = $ws_conid; }"
    server = await ws_server(route=route)
    one = await ws_peer(port_of(server, "tcp"))
    number = next(iter(server.transports.tcp.connections))
    one.put(CloseConnection(code=1001))
    await asyncio.wait_for(one.closed.wait(), SOON)
    assert one.close_code == 1001
    await until(lambda: server.stats["websocket:ws_closed_connections"] == 1)
    assert [server.variable(name).get(None) for name in ("$shv(port)", "$shv(id)")] == [one.port, number]


async def test_rpc_shows_pings_and_closes(ws_server, ws_peer):
    server = await ws_server()
    one = await ws_peer(port_of(server, "tcp"))
    [row] = (await server.rpc.call("ws.dump"))["connections"]
    assert (row["src"], row["transport"], row["state"]) == (f"127.0.0.1:{one.port}", "ws", "OPEN")
    await server.rpc.call("ws.ping", [row["id"]])
    assert isinstance(await asyncio.wait_for(one.raw.get(), SOON), Ping)
    await server.rpc.call("ws.close", [row["id"]])
    await asyncio.wait_for(one.closed.wait(), SOON)
    assert one.close_code == 1000
    with pytest.raises(RpcError):
        await server.rpc.call("ws.close", [row["id"]])
    await server.rpc.call("ws.disable")
    refused = await WebSocketPeer().connect(port_of(server, "tcp"))
    assert refused.answer_to_handshake.status_code == 503
    await refused.close()


async def test_a_message_in_fragments_is_put_together(ws_server, ws_peer):
    port = port_of(await ws_server(), "tcp")
    one = await ws_peer(port)
    text = one.request("OPTIONS", f"sip:127.0.0.1:{port};transport=ws")
    pieces = [text[at : at + 50] for at in range(0, len(text), 50)]
    for piece in pieces:
        one.put(TextMessage(data=piece, message_finished=piece is pieces[-1]))
    await one.expect("200")


async def test_a_message_that_is_too_long_ends_the_websocket(ws_server, ws_peer):
    one = await ws_peer(port_of(await ws_server(), "tcp"))
    one.put(TextMessage(data="x" * 300_000))
    await asyncio.wait_for(one.closed.wait(), SOON)
    assert one.close_code == 1009


@pytest.mark.parametrize(
    "frame", [b"\x81\x05hello", b"\xff\xff", b"\x83\x80abcd"], ids=["no mask", "bits", "op"]
)
async def test_a_bad_frame_ends_the_websocket(ws_server, ws_peer, frame):
    server = await ws_server()
    one = await ws_peer(port_of(server, "tcp"))
    one.writer.write(frame)
    await asyncio.wait_for(one.closed.wait(), SOON)
    assert one.close_code == 1002


async def test_secure_websockets_on_the_tls_port(tls_server, ws_peer, authority, peer):
    server = await tls_server(ROUTE, modules=BASE + WS)
    port = port_of(server, "tls")
    bob = await ws_peer(port, context=client_context(authority), server_name="sip.example.com")
    bob.send(bob.register())
    assert (await bob.expect("200")).header("X").startswith("wss ")
    alice = await peer()
    alice.send(alice.request("MESSAGE", "sip:bob@127.0.0.1"), port_of(server))
    message = await bob.expect("MESSAGE")
    assert message.header("Via").startswith("SIP/2.0/WSS 127.0.0.1:")


def test_any_bytes_in_frames_do_no_harm():
    import random

    draw = random.Random(7)
    for _ in range(3000):
        cutter = WebSocketCutter(1000)
        for _ in range(3):
            for event in cutter.feed(draw.randbytes(draw.randrange(60))):
                assert event is not None
            if not cutter.is_open:
                break
