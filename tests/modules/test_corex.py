"""corex: sockets, flags, raw sends."""

import pytest

from kamtool.sip.flow import Address
from tests.support.messages import PLAIN_INVITE
from tests.support.runtime import Runtime
from tests.support.server import port_of


@pytest.fixture
def runtime():
    found = Runtime("pv", "corex")
    found.datagrams = []
    found.send = lambda flow, data: found.datagrams.append((flow, data)) or True
    return found


@pytest.fixture
def ctx(runtime):
    return runtime.message(PLAIN_INVITE)


def test_the_socket_to_send_from_may_be_a_format(runtime, ctx):
    runtime.set(ctx, "$var(port)", "5070")
    assert runtime.call(ctx, "set_send_socket", "udp:127.0.0.1:$var(port)") == 1
    assert runtime.get(ctx, "$fsn") == "side"
    assert runtime.call(ctx, "set_send_socket_name", "main") == 1
    assert runtime.get(ctx, "$fs") == "udp:127.0.0.1:5060"
    assert runtime.call(ctx, "set_send_socket", "udp:9.9.9.9:1") == -1
    assert runtime.call(ctx, "set_send_socket_name", "nope") == -1


def test_source_and_receiving_socket_may_be_set(runtime, ctx):
    assert runtime.call(ctx, "set_source_address", "udp:1.2.3.4:99") == 1
    assert runtime.call(ctx, "set_recv_socket", "udp:127.0.0.1:5070") == 1
    assert (
        runtime.format("$si:$sp $Ri:$Rp $Rn $RAu")(ctx)
        == "1.2.3.4:99 127.0.0.1:5070 side sip:sip.example.com:5071"
    )
    for wrong in ("1.2.3.4", "udp:1.2.3.4:0", "", "udp::5"):
        assert runtime.call(ctx, "set_source_address", wrong) == -1
    assert runtime.call(ctx, "set_recv_socket", "udp:9.9.9.9:1") == -1


@pytest.mark.parametrize(("setter", "asker", "clearer", "flag"), [
    ("setxflag", "isxflagset", "resetxflag", 63),
    ("msg_iflag_set", "msg_iflag_is_set", "msg_iflag_reset", "USE_UAC_TO"),
])  # fmt: skip
def test_a_flag_is_set_seen_and_cleared(runtime, ctx, setter, asker, clearer, flag):
    assert [runtime.call(ctx, name, flag) for name in (asker, setter, asker, clearer, asker)] == [
        -1,
        1,
        1,
        1,
        -1,
    ]


def test_there_are_no_other_flags(runtime, ctx):
    assert runtime.call(ctx, "setxflag", 64) == -1
    assert runtime.call(ctx, "msg_iflag_set", "NOPE") == -1


async def test_octets_are_sent_as_they_are(runtime, ctx):
    assert await runtime.call(ctx, "send_udp", "10.0.0.9:7000")
    assert await runtime.call(ctx, "send_data", "sip:10.0.0.9:7001", "hello $rU")
    assert not await runtime.call(ctx, "send_data", "udp:10.0.0.9:7001", "x")
    assert await runtime.call(ctx, "sendx", "sip:10.0.0.9", "udp:127.0.0.1:5070", "y")
    assert await runtime.call(ctx, "sendx", "sip:10.0.0.9:1", "udp:9.9.9.9:1", "z")
    sent = [(flow.remote, data) for flow, data in runtime.datagrams]
    assert sent == [
        (Address("10.0.0.9", 7000), ctx.msg.data),
        (Address("10.0.0.9", 7001), b"hello alice"),
        (Address("10.0.0.9", 5060), b"y"),
        (Address("10.0.0.9", 1), b"z"),
    ]
    assert [flow.local.port for flow, _ in runtime.datagrams] == [5060, 5060, 5070, 5060]


def test_listening_sockets_are_shown(runtime, ctx):
    assert runtime.get(ctx, "$lsock(listen/1)") == "udp:127.0.0.1:5070"
    assert runtime.get(ctx, "$lsock(advertise/1)") == "udp:sip.example.com:5071"
    assert runtime.get(ctx, "$lsock(name/udp:127.0.0.1:5060)") == "main"
    assert runtime.get(ctx, "$lsock(listen/udp:1.1.1.1:1)") is None


@pytest.mark.parametrize(
    ("name", "result"),
    [("host", "[::1]"), ("port", "5060"), ("proto", "tls"), ("touri", "sip:[::1]:5060;transport=tls")],
)
def test_parts_of_a_socket(runtime, ctx, name, result):
    runtime.set(ctx, "$var(s)", "tls:[::1]:5060")
    assert runtime.get(ctx, f"$(var(s){{sock.{name}}})") == result
    runtime.set(ctx, "$var(s)", "nonsense")
    assert runtime.get(ctx, f"$(var(s){{sock.{name}}})") == ""


SENT_BY = [
    ("$xavp(v=>address) = '1.2.3.4'; $xavp(v[0]=>port) = '5099';", "1.2.3.4:5099"),
    ("$xavp(v=>address) = 'sip.example.com';", "sip.example.com:5070"),
    ("$xavp(v=>port) = 5099;", "9.9.9.9:5099"),
    ("$xavp(v=>address) = 'a b'; $xavp(v[0]=>port) = '70000';", "9.9.9.9:5070"),
    ("", "9.9.9.9:5070"),
]


@pytest.mark.parametrize(("values", "sent_by"), SENT_BY)
def test_the_sent_by_of_our_via_comes_from_an_xavp(script, values, sent_by):
    """As Kamailio's manual has it. 5.6.3 itself was seen to leave its Via as it is."""
    start = 'loadmodule "corex.so"\nxavp_via_fields="v"\n'
    run = script(start + f'request_route {{ via_use_xavp_fields("1"); {values} }}')
    ctx = run().ctx
    host, port = ctx.scratch["core.via_fields"](ctx, "9.9.9.9", 5070)
    assert f"{host}:{port}" == sent_by


async def test_the_next_hop_sees_that_sent_by(kamtool, peer):
    cfg = (
        'xavp_via_fields="v"\nloadmodule "pv.so"\nloadmodule "tm.so"\nloadmodule "corex.so"\nrequest_route {'
        ' $xavp(v=>address) = "192.0.2.1"; $xavp(v[0]=>port) = "5099"; via_use_xavp_fields(1); t_relay(); }'
    )
    server = await kamtool(cfg)
    alice, bob = await peer(), await peer()
    alice.send(alice.request("OPTIONS", bob.uri), port_of(server))
    assert (await bob.expect("OPTIONS")).items("Via")[0].startswith("SIP/2.0/UDP 192.0.2.1:5099;")
