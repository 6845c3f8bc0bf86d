"""nat_traversal: what Kamailio 5.6.3 answered, and keep-alives on real sockets."""

import pytest

from kamtool.errors import ConfigError
from kamtool.modules.nat_traversal.endpoints import Endpoints
from tests.modules.test_nathelper import BEHIND_NAT, TCP, UDP, invite
from tests.support.runtime import Runtime, changed_lines
from tests.support.server import port_of
from tests.support.until import until

OPEN = "<sip:bob@127.0.0.1:5999>"


@pytest.fixture(scope="module")
def runtime():
    return Runtime("pv", "nat_traversal")


@pytest.mark.parametrize(
    ("message", "true"),
    [
        (invite(), {1, 2, 4}),
        (invite(OPEN, via="127.0.0.1:5999"), set()),
        (invite("<sip:b@100.64.0.1>", via="127.0.0.1:5999"), {1}),
        (invite("<sip:b@1.1.1.1>", via="127.0.0.1:6000"), {2}),
        (invite(None, via="127.0.0.1"), {2}),
        (invite("<sip:b@1.1.1.1>", via="10.0.0.1:5999"), {2, 4}),
    ],
)
def test_each_bit_of_client_nat_test_asks_its_own_question(runtime, message, true):
    ctx = runtime.message(message)
    assert {bit for bit in (1, 2, 4) if runtime.call(ctx, "client_nat_test", str(bit)) == 1} == true
    assert runtime.call(ctx, "client_nat_test", "7") == (1 if true else -1)


@pytest.mark.parametrize(
    ("contact", "code", "changed"),
    [
        (BEHIND_NAT, 1, "<sip:bob@127.0.0.1:5999;transport=udp>;expires=60"),
        (OPEN, 1, None),
        (None, -1, None),
        ("*", -1, None),
        ("<sip:a@1.1.1.1>, <sip:b@2.2.2.2:99;x=1>", 1, "<sip:a@1.1.1.1>, <sip:b@127.0.0.1:5999;x=1>"),
        ("sip:bob@10.0.0.5;expires=5", 1, "sip:bob@127.0.0.1:5999;expires=5"),
        ("<sip:a@1.1.1.1;maddr=1.1.1.1>", 1, "<sip:a@127.0.0.1:5999;maddr=1.1.1.1>"),
    ],
)
def test_fix_contact_puts_the_source_into_contact(runtime, contact, code, changed):
    ctx = runtime.message(invite(contact))
    assert runtime.call(ctx, "fix_contact") == code
    _, added = changed_lines(invite(contact), runtime.sent(ctx))
    assert added == ([] if changed is None else [f"Contact: {changed}"])


@pytest.mark.parametrize(
    ("flow", "uri"), [(UDP, "sip:127.0.0.1:5999"), (TCP, "sip:127.0.0.1:5999;transport=tcp")]
)
def test_source_uri_is_where_the_message_came_from(runtime, flow, uri):
    ctx = runtime.message(invite(), flow)
    assert runtime.get(ctx, "$(source_uri)") == uri
    assert runtime.get(ctx, "$(keepalive.socket(sip:1.2.3.4:5))") is None


CFG = """#!KAMAILIO
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "rr.so"
loadmodule "textops.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
loadmodule "nat_traversal.so"
modparam("nat_traversal", "keepalive_interval", 1)
modparam("nat_traversal", "keepalive_extra_headers", "Event: keep-alive\\r\\n")
{params}
request_route {{
    if (is_method("REGISTER")) {{ $var(code) = nat_keepalive(); save("location"); exit; }}
    if (is_method("SUBSCRIBE|INVITE")) nat_keepalive();
    if (is_method("SUBSCRIBE")) {{
        append_to_reply("Expires: 600\\r\\n");
        t_newtran();
        t_reply("202", "Accepted");
        exit;
    }}
    $du = $hdr(X-To);
    t_relay();
}}
"""


def register(phone, expires=600, cseq=1):
    text = phone.request("REGISTER", "sip:example.com", branch=f"r{cseq}", cseq=cseq)
    contact = f"Contact: <sip:p@10.0.0.5:5060>;expires={expires}\r\n"
    return text.replace("Max-Forwards", f"{contact}Max-Forwards")


async def test_a_registered_phone_gets_keep_alives_until_it_leaves(kamtool, peer):
    server = await kamtool(CFG.format(params=""))
    phone = await peer()
    phone.send(register(phone), port_of(server))
    await phone.expect(200)
    keepalive = await phone.expect("NOTIFY")
    assert keepalive.header("Event") == "keep-alive"
    assert keepalive.uri == f"sip:127.0.0.1:{phone.port}"
    assert server.stats["nat_traversal:registered_endpoints"] == 1
    phone.send(phone.answer(keepalive, 489), port_of(server))
    phone.send(register(phone, 0, 2), port_of(server))
    await until(lambda: server.stats["nat_traversal:keepalive_endpoints"] == 0)


async def test_a_refused_registration_is_no_reason(kamtool, peer):
    params = 'modparam("registrar", "contact_max_size", 5)'
    server = await kamtool(CFG.format(params=params))
    phone = await peer()
    phone.send(register(phone), port_of(server))
    assert (await phone.expect()).status >= 400
    assert len(server.modules["nat_traversal"].endpoints) == 0


async def test_a_subscriber_gets_keep_alives(kamtool, peer):
    server = await kamtool(CFG.format(params=""))
    phone = await peer()
    phone.send(phone.request("SUBSCRIBE", "sip:x@y"), port_of(server))
    await phone.expect(202)
    await phone.expect("NOTIFY")
    assert server.stats["nat_traversal:subscribed_endpoints"] == 1


async def test_both_ends_of_a_call_are_kept_reachable_while_it_lasts(kamtool, peer):
    server = await kamtool(CFG.format(params='modparam("nat_traversal", "keepalive_interval", 0)'))
    alice, bob = await peer(), await peer()
    bob.send(register(bob), port_of(server))
    await bob.expect(200)
    alice.send(alice.request("INVITE", "sip:x@y", headers=f"X-To: {bob.uri}\r\n"), port_of(server))
    invited = await bob.expect("INVITE")
    assert server.stats["nat_traversal:dialog_endpoints"] == 0
    bob.send(bob.answer(invited, 200), port_of(server))
    await until(lambda: server.stats["nat_traversal:dialog_endpoints"] == 2)
    bye = alice.request("BYE", "sip:x@y", branch="2", cseq=2, to_tag="you", headers=f"X-To: {bob.uri}\r\n")
    alice.send(bye, port_of(server))
    await until(lambda: server.stats["nat_traversal:dialog_endpoints"] == 0)
    await until(lambda: server.stats["nat_traversal:keepalive_endpoints"] == 1)


async def test_what_is_known_survives_a_restart(kamtool, peer, tmp_path):
    params = f'modparam("nat_traversal", "keepalive_state_file", "{tmp_path}/state")'
    server = await kamtool(CFG.format(params=params))
    phone = await peer()
    phone.send(register(phone), port_of(server))
    await phone.expect(200)
    await server.stop(drain=0)
    again = await kamtool(CFG.format(params=params))
    assert again.stats["nat_traversal:registered_endpoints"] == 1
    (tmp_path / "state").write_text('[{"uri": 5}]')
    third = await kamtool(CFG.format(params=params))
    assert third.modules["nat_traversal"].endpoints.get("sip:127.0.0.1:1") is None


@pytest.mark.parametrize(
    "param",
    [
        '"keepalive_method", "NO WAY"',
        '"keepalive_from", "nonsense"',
        '"keepalive_extra_headers", "no header"',
    ],
)
async def test_a_parameter_that_cannot_work_is_refused(kamtool, param):
    with pytest.raises(ConfigError, match="nat_traversal"):
        await kamtool(CFG.format(params=f'modparam("nat_traversal", {param})'))


def test_endpoints_are_forgotten_when_their_last_reason_is_gone():
    endpoints = Endpoints()
    endpoints.registered("sip:a", "udp:1", 10.0)
    endpoints.calling("sip:a", "udp:1", "call", 100.0)
    endpoints.sweep(50.0)
    assert len(endpoints) == 1
    endpoints.ended("call")
    endpoints.sweep(50.0)
    assert len(endpoints) == 0
    endpoints.subscribed("sip:b", "udp:1", 60.0)
    copy = Endpoints()
    copy.load(endpoints.dump(1000.0), 1000.0)
    assert copy.get("sip:b") == endpoints.get("sip:b")
    with pytest.raises(ValueError, match="not what"):
        copy.load('[{"uri": "x"}]', 0.0)
