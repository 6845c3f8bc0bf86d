"""path and outbound: an edge that calls come back through, by the very flow a phone registered by."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kamtool.errors import ConfigError
from kamtool.modules.outbound import Outbound
from kamtool.sip.flow import Address, Flow
from kamtool.sip.uri import parse_uri
from tests.support.host import Host
from tests.support.server import port_of

EDGE = """#!KAMAILIO
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "textops.so"
loadmodule "siputils.so"
{modules}
loadmodule "path.so"
{params}
request_route {{
    force_rport();
    if ($hdr(Route) != $null) {{
        $var(code) = loose_route();
        if ($var(code) == -2) {{ sl_send_reply("430", "Flow Failed"); exit; }}
        append_hf("X-Code: $var(code)\\r\\n");
        t_relay();
        exit;
    }}
    $du = $hdr(X-To);
    {request}
    t_relay();
}}
"""


def edge(request="add_path();", modules="", params=""):
    return EDGE.format(request=request, modules=modules, params=params)


def register(phone, target, contact="<sip:bob@10.0.0.5:5080>", headers=""):
    text = phone.request("REGISTER", "sip:example.com", headers=f"X-To: {target}\r\n{headers}")
    return text.replace("Max-Forwards", f"Contact: {contact}\r\nMax-Forwards")


@pytest.fixture
def path_of(kamtool, peer):
    """The Path lines that a registrar behind the edge gets to see."""

    async def run(request, params="", headers="", **options):
        server = await kamtool(edge(request, params=params, **options))
        phone, registrar = await peer(), await peer()
        phone.send(register(phone, registrar.uri, headers=headers), port_of(server))
        got = await registrar.expect("REGISTER")
        return [
            path.replace(str(port_of(server)), "EDGE").replace(str(phone.port), "PHONE")
            for path in got.headers("Path")
        ]

    return run


FORMAT_1 = 'modparam("path", "received_format", 1)\nmodparam("path", "received_name", "rcv")'


@pytest.mark.parametrize(
    ("request_", "params", "paths"),
    [
        ("add_path();", "", ["<sip:127.0.0.1:EDGE;lr>"]),
        ('add_path("user");', "", ["<sip:user@127.0.0.1:EDGE;lr>"]),
        ('add_path("user", "foo=bar;x");', "", ["<sip:user@127.0.0.1:EDGE;lr;foo=bar;x>"]),
        ("add_path_received();", "", ["<sip:127.0.0.1:EDGE;lr;received=sip:127.0.0.1:PHONE>"]),
        (
            'add_path_received("user", "foo=bar");',
            "",
            ["<sip:user@127.0.0.1:EDGE;lr;received=sip:127.0.0.1:PHONE;foo=bar>"],
        ),
        ("add_path_received();", FORMAT_1, ["<sip:127.0.0.1:EDGE;lr;rcv=127.0.0.1~PHONE~1>"]),
        ("add_path();", 'modparam("path", "enable_r2", 1)', ["<sip:127.0.0.1:EDGE;lr;r2=on>"] * 2),
        ("add_path(); add_path();", "", ["<sip:127.0.0.1:EDGE;lr>"] * 2),
    ],
)
async def test_add_path_writes_what_kamailio_writes(path_of, request_, params, paths):
    assert await path_of(request_, params) == paths


async def test_ours_stands_above_what_another_edge_wrote(path_of):
    paths = await path_of("add_path();", headers="Path: <sip:p1.org;lr>\r\n")
    assert paths == ["<sip:127.0.0.1:EDGE;lr>", "<sip:p1.org;lr>"]


@pytest.mark.parametrize("params", ["", 'modparam("path", "received_format", 1)'])
async def test_a_request_along_our_path_goes_to_where_the_phone_was_seen(kamtool, peer, params):
    params += '\nmodparam("path", "use_received", 1)'
    server = await kamtool(edge("add_path_received();", params=params))
    phone, registrar = await peer(), await peer()
    phone.send(register(phone, registrar.uri), port_of(server))
    path = (await registrar.expect("REGISTER")).header("Path")
    text = registrar.request("INVITE", "sip:bob@10.0.0.5:5080", branch="2", headers=f"Route: {path}\r\n")
    registrar.send(text, port_of(server))
    await phone.expect("INVITE sip:bob@10.0.0.5:5080")


OB = '<sip:bob@10.0.0.5:5080;ob>;reg-id=1;+sip.instance="<urn:uuid:1>"'
OUTBOUND = "Supported: path, outbound\r\n"
SECRET = 'modparam("outbound", "flow_token_secret", "johndoe")'


@pytest.mark.parametrize("tcp", [True, False])
async def test_a_request_goes_back_by_the_flow_of_the_token(kamtool, peer, tcp):
    server = await kamtool(edge(modules='loadmodule "outbound.so"', params=SECRET))
    phone = await peer(tcp=port_of(server, "tcp")) if tcp else await peer()
    registrar = await peer()
    phone.send(register(phone, registrar.uri, OB, OUTBOUND), port_of(server))
    path = (await registrar.expect("REGISTER")).header("Path")
    uri = parse_uri(path.strip("<>"))
    assert uri.user
    assert "ob" in uri.params
    text = registrar.request("INVITE", "sip:bob@10.0.0.5:5080", branch="2", headers=f"Route: {path}\r\n")
    registrar.send(text, port_of(server))
    assert (await phone.expect("INVITE")).header("X-Code") == "2"


async def test_a_changed_token_and_a_flow_that_is_gone_are_refused(kamtool, peer):
    server = await kamtool(edge(modules='loadmodule "outbound.so"', params=SECRET))
    phone, registrar = await peer(tcp=port_of(server, "tcp")), await peer()
    phone.send(register(phone, registrar.uri, OB, OUTBOUND), port_of(server))
    path = (await registrar.expect("REGISTER")).header("Path")
    user = parse_uri(path.strip("<>")).user
    other = path.replace(user, ("A" if user[0] != "A" else "B") + user[1:])
    text = registrar.request("INVITE", "sip:bob@10.0.0.5", branch="2", headers=f"Route: {other}\r\n")
    registrar.send(text, port_of(server))
    await registrar.expect(430)
    phone.writer.close()
    while server.transports.tcp.connections:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    registrar.send(text.replace(other, path).replace("bK2", "bK3"), port_of(server))
    await registrar.expect(430)


@pytest.mark.parametrize(
    ("contact", "headers", "params", "token"),
    [
        (OB, OUTBOUND, "", True),
        (OB, "", "", False),
        ("<sip:bob@10.0.0.5>", OUTBOUND, "", False),
        ("<sip:bob@10.0.0.5>", "", 'modparam("outbound", "force_outbound_flag", 3)', True),
        (OB, OUTBOUND, 'modparam("outbound", "force_no_outbound_flag", 3)', False),
    ],
)
async def test_a_token_is_written_where_the_phone_asks_for_outbound(
    kamtool, peer, contact, headers, params, token
):
    server = await kamtool(
        edge("setflag(3); add_path();", modules='loadmodule "outbound.so"', params=f"{SECRET}\n{params}")
    )
    phone, registrar = await peer(), await peer()
    phone.send(register(phone, registrar.uri, contact, headers), port_of(server))
    path = (await registrar.expect("REGISTER")).header("Path")
    assert ("@" in path) is token
    assert (";ob" in path) is token


async def test_record_route_has_a_token_for_a_dialog_with_an_outbound_contact(kamtool, peer):
    server = await kamtool(edge("record_route();", modules='loadmodule "outbound.so"', params=SECRET))
    phone, callee = await peer(), await peer()
    invite = phone.request("INVITE", "sip:x@y", headers=f"X-To: {callee.uri}\r\n")
    phone.send(
        invite.replace("Max-Forwards", "Contact: <sip:bob@10.0.0.5:5080;ob>\r\nMax-Forwards"), port_of(server)
    )
    record = (await callee.expect("INVITE")).header("Record-Route")
    text = callee.request(
        "BYE", "sip:bob@10.0.0.5:5080", branch="2", to_tag="x", headers=f"Route: {record}\r\n"
    )
    callee.send(text, port_of(server))
    await phone.expect(100)
    await phone.expect("BYE")


ADDRESSES = st.builds(Address, st.ip_addresses().map(str), st.integers(0, 65535))


@given(st.sampled_from(["udp", "tcp", "tls", "ws", "wss"]), ADDRESSES, ADDRESSES)
def test_a_flow_survives_its_token(transport, local, remote):
    module = Outbound(Host())
    flow = Flow(transport, local, remote)
    assert module.flow(module.token(flow)) == flow
    assert Outbound(Host()).flow(module.token(flow)) is None, "another server's key"


@given(st.text(max_size=60))
def test_no_text_is_a_token_of_ours(text):
    assert Outbound(Host()).flow(text) is None


@pytest.mark.parametrize(
    ("modules", "params", "complaint"),
    [
        ("", 'modparam("path", "received_format", 7)', "received_format"),
        ('loadmodule "outbound.so"', 'modparam("outbound", "force_outbound_flag", 99)', "no flag"),
    ],
)
async def test_a_parameter_that_cannot_work_is_refused(kamtool, modules, params, complaint):
    with pytest.raises(ConfigError, match=complaint):
        await kamtool(edge(modules=modules, params=params))
