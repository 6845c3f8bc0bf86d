"""The tcp_* parameters of a cfg act."""

import asyncio
import socket
import struct

import pytest

from kamtool.script import load
from kamtool.server import tcp_rpc
from kamtool.transport.tcp_options import tcp_options
from tests.support.server import SOON, port_of
from tests.support.until import until

pytestmark = pytest.mark.live

PRE = 'loadmodule "tm.so"\nloadmodule "sl.so"\nloadmodule "textops.so"\n'
HERE = PRE + 'request_route { if (is_method("OPTIONS")) sl_send_reply("200", "Here"); else t_relay(); }'


def options(peer, port, branch="1"):
    return peer.request("OPTIONS", f"sip:127.0.0.1:{port}", branch=branch)


def connection_of(server):
    return next(iter(server.transports.tcp.connections.values()))


@pytest.mark.parametrize(
    ("line", "level", "option", "value"),
    [
        ("tcp_keepalive=yes", socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
        ("tcp_keepalive=no", socket.SOL_SOCKET, socket.SO_KEEPALIVE, 0),
        ("tcp_keepidle=77", socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 77),
        ("tcp_keepintvl=11", socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 11),
        ("tcp_keepcnt=3", socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
        ("tcp_syncnt=2", socket.IPPROTO_TCP, socket.TCP_SYNCNT, 2),
        ("tcp_linger2=9", socket.IPPROTO_TCP, socket.TCP_LINGER2, 9),
    ],
)
async def test_the_kernel_is_told(kamtool, peer, line, level, option, value):
    server = await kamtool(f"{line}\n{HERE}")
    await peer(tcp=port_of(server, "tcp"))
    await until(lambda: server.transports.tcp.connections)
    assert connection_of(server).sock.getsockopt(level, option) == value


async def test_tcp_reuse_port_connects_from_the_listening_port(kamtool, peer):
    server = await kamtool(f"tcp_reuse_port=yes\n{HERE}")
    bob, alice = await peer(tcp=0), await peer()
    alice.send(alice.request("MESSAGE", bob.uri), port_of(server))
    await bob.expect("MESSAGE")
    writer = await bob.accepted.get()
    assert writer.get_extra_info("peername")[1] == port_of(server, "tcp")


async def test_tcp_source_ipv4_is_where_connections_come_from(kamtool, peer):
    server = await kamtool(f"tcp_source_ipv4=127.0.0.9\n{HERE}")
    bob, alice = await peer(tcp=0), await peer()
    alice.send(alice.request("MESSAGE", bob.uri), port_of(server))
    await bob.expect("MESSAGE")
    assert (await bob.accepted.get()).get_extra_info("peername")[0] == "127.0.0.9"


async def test_tcp_close_rst_closes_with_a_reset(kamtool, peer):
    server = await kamtool(f"tcp_close_rst=yes\n{HERE}")
    await peer(tcp=port_of(server, "tcp"))
    await until(lambda: server.transports.tcp.connections)
    linger = connection_of(server).sock.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8)
    assert struct.unpack("ii", linger) == (1, 0)


async def test_tcp_wait_data_closes_who_says_nothing(kamtool, peer):
    server = await kamtool(f"tcp_wait_data=200\n{HERE}")
    port = port_of(server, "tcp")
    talks, silent = await peer(tcp=port), await peer(tcp=port)
    talks.send(options(talks, port))
    await talks.expect("200")
    await asyncio.wait_for(silent.closed.wait(), SOON)
    talks.send(options(talks, port, "2"))
    await talks.expect("200")


async def test_tcp_conn_max_requests_closes_behind_the_last(kamtool, peer):
    port = port_of(await kamtool(f"tcp_conn_max_requests=2\n{HERE}"), "tcp")
    one = await peer(tcp=port)
    for branch in "ab":
        one.send(options(one, port, branch))
        await one.expect("200")
    await asyncio.wait_for(one.closed.wait(), SOON)


async def test_tcp_conn_wq_max_bounds_what_waits(kamtool, peer):
    server = await kamtool(f"tcp_conn_wq_max=10000\n{HERE}")
    await peer(tcp=port_of(server, "tcp"))
    await until(lambda: server.transports.tcp.connections)
    connection = connection_of(server)
    assert not connection.write(b"x" * 50_000_000)
    assert not connection.is_open


async def test_set_reply_close_closes_behind_the_answer(kamtool, peer):
    cfg = PRE + 'request_route { set_reply_close(); sl_send_reply("200", "Bye"); }'
    port = port_of(await kamtool(cfg), "tcp")
    one = await peer(tcp=port)
    one.send(options(one, port))
    await one.expect("200")
    await asyncio.wait_for(one.closed.wait(), SOON)


async def test_rpc_shows_and_closes_connections(kamtool, peer):
    server = await kamtool(HERE)
    tcp_rpc.register(server.rpc, server)
    one = await peer(tcp=port_of(server, "tcp"))
    await until(lambda: server.transports.tcp.connections)
    [row] = await server.rpc.call("core.tcp_list")
    assert (row["type"], row["state"], row["src_port"]) == ("TCP", "CONN_OK", one.port)
    assert (await server.rpc.call("core.tcp_info"))["opened_connections"] == 1
    await server.rpc.call("core.tcp_kill", [row["id"]])
    await asyncio.wait_for(one.closed.wait(), SOON)


def test_limits_come_from_the_cfg():
    script = load(
        "tcp_send_timeout=3\ntcp_connect_timeout=4\ntcp_rd_buf_size=8192\ntcp_listen_backlog=64\n"
        "tcp_wq_max=99999\ntls_max_connections=7\nrequest_route { exit; }"
    )
    found = tcp_options(lambda name, default: script.settings.values.get(name, default))
    assert (found.send_timeout, found.connect_timeout, found.read_bytes) == (3, 4, 8192)
    assert (found.backlog, found.max_total_bytes, found.max_tls_connections) == (64, 99_999, 7)


@pytest.mark.parametrize("send", ["t_relay", "forward"])
async def test_set_forward_close_closes_behind_the_request(kamtool, peer, send):
    server = await kamtool(f"{PRE}request_route {{ set_forward_close(); {send}(); }}")
    alice, bob = await peer(), await peer(tcp=0)
    alice.send(alice.request("MESSAGE", bob.uri), port_of(server))
    await bob.expect("MESSAGE")
    await asyncio.wait_for(bob.closed.wait(), SOON)


@pytest.mark.parametrize(("before", "answered"), [("", True), ("set_reply_no_connect();", False)])
async def test_set_reply_no_connect_answers_by_the_connection_or_not_at_all(kamtool, peer, before, answered):
    """The connection of the request is gone: without it a new one is made (RFC 3261 18.2.2)."""
    server = await kamtool(f"{PRE}request_route {{ {before} t_relay(); }}")
    alice, bob, back = await peer(tcp=port_of(server, "tcp")), await peer(), await peer(tcp=0)
    alice.send(alice.request("MESSAGE", bob.uri, via=f"127.0.0.1:{back.port}"))
    asked = await bob.expect("MESSAGE")
    await alice.close()
    await until(lambda: not server.transports.tcp.connections)
    bob.send(bob.answer(asked, 200), port_of(server))
    await (back.expect("200") if answered else back.silence())
