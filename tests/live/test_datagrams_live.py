"""Datagrams as the cfg wants them: too large ones by TCP, raw sending, type of service, local rport."""

import socket

import pytest

from kamtool.server import core_rpc
from kamtool.transport.raw import RawSender, udp_checksum
from tests.support.server import port_of

pytestmark = pytest.mark.live

PRE = 'loadmodule "tm.so"\nloadmodule "sl.so"\nloadmodule "rr.so"\nloadmodule "pv.so"\n'
RELAY = PRE + "request_route { record_route(); t_relay(); }"
BODY = "v" * 1500


def may_send_raw():
    try:
        RawSender().close()
    except OSError:
        return False
    return True


needs_raw = pytest.mark.skipif(not may_send_raw(), reason="no CAP_NET_RAW")


async def test_a_request_larger_than_udp_mtu_leaves_by_tcp_and_its_via_says_so(kamtool, peer):
    """RFC 3261 18.1.1."""
    server = await kamtool(f"udp_mtu=1300\nudp_mtu_try_proto=TCP\n{RELAY}")
    bob, alice = await peer(tcp=0), await peer()
    alice.send(alice.request("INVITE", f"sip:bob@127.0.0.1:{bob.port}", body=BODY), port_of(server))
    invite = await bob.expect("INVITE")
    assert invite.items("Via")[0].startswith(f"SIP/2.0/TCP 127.0.0.1:{port_of(server, 'tcp')};")
    assert "transport=tcp" in invite.items("Record-Route")[0]
    bob.send(bob.answer(invite, 200))
    await alice.expect("100")
    await alice.expect("200")


async def test_a_small_request_stays_on_udp(kamtool, peer):
    server = await kamtool(f"udp_mtu=1300\nudp_mtu_try_proto=TCP\n{RELAY}")
    bob, alice = await peer(), await peer()
    alice.send(alice.request("MESSAGE", bob.uri), port_of(server))
    assert (await bob.expect("MESSAGE")).items("Via")[0].startswith("SIP/2.0/UDP ")


@pytest.mark.parametrize("cfg", ["", "udp_mtu=1300\n", "udp_mtu=1300\nudp_mtu_try_proto=UDP\n"])
async def test_a_large_request_stays_on_udp_unless_the_cfg_names_another(kamtool, peer, cfg):
    server = await kamtool(cfg + RELAY)
    bob, alice = await peer(), await peer()
    alice.send(alice.request("MESSAGE", bob.uri, body=BODY), port_of(server))
    assert (await bob.expect("MESSAGE")).items("Via")[0].startswith("SIP/2.0/UDP ")


async def test_a_large_request_goes_by_udp_when_nobody_listens_on_tcp(kamtool, peer):
    server = await kamtool(f"udp_mtu=1300\nudp_mtu_try_proto=TCP\n{RELAY}")
    bob, alice = await peer(), await peer()
    alice.send(alice.request("MESSAGE", bob.uri, body=BODY), port_of(server))
    assert (await bob.expect("MESSAGE")).items("Via")[0].startswith("SIP/2.0/UDP ")


async def test_a_request_sent_again_by_another_socket_is_recorded_and_signed_for_that_one(kamtool, peer):
    """RFC 5658: what was written for the connection that was refused leads nowhere."""
    record = "request_route { add_local_rport(); record_route(); t_relay(); }"
    server = await kamtool(f"udp_mtu=1300\nudp_mtu_try_proto=TCP\n{PRE}{record}")
    bob, alice = await peer(), await peer()
    alice.send(alice.request("INVITE", bob.uri, body=BODY), port_of(server))
    invite = await bob.expect("INVITE")
    assert invite.items("Record-Route") == [f"<sip:127.0.0.1:{port_of(server)};lr;ftag={invite.from_tag}>"]
    via = invite.items("Via")[0]
    assert via.startswith(f"SIP/2.0/UDP 127.0.0.1:{port_of(server)};branch=")
    assert ";rport" in via


async def test_the_script_names_the_transport_for_one_request(kamtool, peer):
    cfg = PRE + 'request_route { if ($rU == "tcp") udp_mtu_try_proto(TCP); t_relay(); }'
    server = await kamtool(f"udp_mtu=1300\n{cfg}")
    bob, alice = await peer(tcp=0), await peer()
    alice.send(alice.request("MESSAGE", f"sip:tcp@127.0.0.1:{bob.port}", body=BODY), port_of(server))
    assert (await bob.expect("MESSAGE")).items("Via")[0].startswith("SIP/2.0/TCP ")


@needs_raw
@pytest.mark.parametrize("size", [0, 2000, 9000])
async def test_raw_datagrams_come_from_the_listening_port_whole(kamtool, peer, size):
    server = await kamtool(f"udp4_raw=1\nudp4_raw_mtu=1500\n{RELAY}")
    bob, alice = await peer(), await peer()
    alice.send(alice.request("MESSAGE", bob.uri, body="x" * size), port_of(server))
    message = await bob.expect("MESSAGE")
    _, source = await bob.raw.get()
    assert source == ("127.0.0.1", port_of(server))
    assert len(message.body) == size
    bob.send(bob.answer(message, 200), port_of(server))
    await alice.expect("200")
    core_rpc.register(server.rpc, server)
    info = await server.rpc.call("core.udp4_raw_info")
    assert info == {"udp4_raw": 1, "udp4_raw_mtu": 1500, "udp4_raw_ttl": 64}


@pytest.mark.parametrize(("wanted", "said"), [(1, True), (-1, False)])
async def test_without_the_right_to_raw_sockets_the_usual_ones_send(
    kamtool, peer, caplog, monkeypatch, wanted, said
):
    def refuse(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("kamtool.transport.udp_options.RawSender", refuse)
    server = await kamtool(f"udp4_raw={wanted}\n{RELAY}")
    assert ("udp4_raw: no raw socket" in caplog.text) is said
    bob, alice = await peer(), await peer()
    alice.send(alice.request("MESSAGE", bob.uri), port_of(server))
    await bob.expect("MESSAGE")


@needs_raw
def test_fragments_fit_the_mtu_and_their_headers_say_where_they_belong():
    sender = RawSender(mtu=600, ttl=9)
    packets = list(sender.packets(b"x" * 1500, ("127.0.0.1", 5060), ("127.0.0.1", 5070)))
    sender.close()
    assert [len(packet) <= 600 for packet in packets] == [True] * 3
    offsets = [int.from_bytes(packet[6:8], "big") for packet in packets]
    assert [(offset & 0x1FFF) * 8 for offset in offsets] == [0, 576, 1152]
    assert [bool(offset & 0x2000) for offset in offsets] == [True, True, False]
    assert {packet[8] for packet in packets} == {9}
    assert len({packet[4:6] for packet in packets}) == 1


def test_the_checksum_is_that_of_rfc_768():
    """Summed word by word, as the RFC says it."""
    source, target = socket.inet_aton("192.0.2.1"), socket.inet_aton("192.0.2.99")
    for data in (b"", b"a", b"ab", b"abc" * 333, b"\xff" * 64, b"\0" * 9):
        datagram = bytes([0x13, 0xC4, 0x13, 0xCE]) + (8 + len(data)).to_bytes(2, "big") + b"\0\0" + data
        whole = source + target + b"\0\x11" + len(datagram).to_bytes(2, "big") + datagram
        whole += b"\0" * (len(whole) % 2)
        total = sum(int.from_bytes(whole[place : place + 2], "big") for place in range(0, len(whole), 2))
        while total >> 16:
            total = (total & 0xFFFF) + (total >> 16)
        assert udp_checksum(source, target, datagram) == ((~total & 0xFFFF) or 0xFFFF)


@pytest.mark.parametrize(("text", "value"), [("tos=0x68", 0x68), ("tos=IPTOS_LOWDELAY", 0x10)])
async def test_tos_marks_what_leaves(kamtool, peer, text, value):
    server = await kamtool(f"{text}\n{RELAY}")
    (udp,) = server.transports._udp.values()
    assert udp._bound.getsockopt(socket.IPPROTO_IP, socket.IP_TOS) == value
    await peer(tcp=port_of(server, "tcp"))
    bob, alice = await peer(tcp=0), await peer()
    alice.send(alice.request("MESSAGE", bob.uri), port_of(server))
    await bob.expect("MESSAGE")
    (connection,) = [c for c in server.transports.tcp.connections.values() if c.is_outgoing]
    assert connection.sock.getsockopt(socket.IPPROTO_IP, socket.IP_TOS) == value


@pytest.mark.parametrize(("text", "mode"), [("pmtu_discovery=1", 2), ("pmtu_discovery=0", 0)])
async def test_pmtu_discovery_is_told_to_the_kernel(kamtool, text, mode):
    server = await kamtool(f"{text}\n{RELAY}")
    (udp,) = server.transports._udp.values()
    assert udp._bound.getsockopt(socket.IPPROTO_IP, 10) == mode


async def test_local_rport_is_in_every_via_of_ours(kamtool, peer):
    server = await kamtool(f"local_rport=yes\n{RELAY}")
    bob, alice = await peer(), await peer()
    alice.send(alice.request("MESSAGE", bob.uri), port_of(server))
    assert "rport" in (await bob.expect("MESSAGE")).items("Via")[0]


async def test_force_rport_answers_to_the_source_port(kamtool, peer):
    cfg = 'force_rport=yes\nloadmodule "sl.so"\nrequest_route { sl_send_reply("200", "OK"); }'
    server = await kamtool(cfg)
    alice = await peer()
    alice.send(alice.request("OPTIONS", "sip:x", via="127.0.0.1:9"), port_of(server))
    assert f"rport={alice.port}" in (await alice.expect("200")).items("Via")[0]


async def test_ip_free_bind_binds_to_an_address_that_is_not_here_yet(kamtool):
    listens = (("udp", "192.0.2.77"), ("tcp", "192.0.2.77"))
    server = await kamtool(f"ip_free_bind=1\n{RELAY}", listens=listens)
    assert {s.address.host for s in server.sockets} == {"192.0.2.77"}


async def test_user_agent_header_is_in_requests_made_here(kamtool, peer):
    server = await kamtool(f'user_agent_header="User-Agent: Our Proxy"\n{RELAY}')
    bob = await peer()
    work = server.uac.request("OPTIONS", bob.uri, [])
    server.spawn(_await(work), "uac")
    request = await bob.expect("OPTIONS")
    assert request.header("User-Agent") == "Our Proxy"
    bob.send(bob.answer(request, 200), port_of(server))


async def _await(work):
    await work
