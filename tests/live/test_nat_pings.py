"""nathelper's pings, seen by phones on real sockets."""

import asyncio
import copy

import pytest

from tests.support.server import port_of
from tests.support.until import SOON, until

REGISTERED = """#!KAMAILIO
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "kex.so"
loadmodule "textops.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
loadmodule "nathelper.so"
modparam("usrloc", "nat_bflag", 6)
modparam("nathelper|registrar", "received_avp", "$avp(received)")
modparam("nathelper", "natping_interval", 1)
modparam("nathelper", "ping_nated_only", 1)
modparam("nathelper", "sipping_bflag", 7)
modparam("nathelper", "natping_disable_bflag", 8)
modparam("nathelper", "sipping_from", "sip:pinger@kamtool.invalid")
{more}
request_route {{
    if ($hdr(X-Nat) != $null) {{ fix_nated_register(); setbflag(6); }}
    if ($hdr(X-Sip) != $null) setbflag(7);
    if ($hdr(X-Quiet) != $null) setbflag(8);
    save("location");
}}
"""


def register(phone, user, headers="", contact="", call_id="r"):
    text = phone.request("REGISTER", "sip:example.com", branch=user, call_id=f"{call_id}-{user}").replace(
        "sip:you@", f"sip:{user}@"
    )
    contact = contact or f"<sip:{user}@{phone.host}:{phone.port}>"
    return text.replace("Max-Forwards", f"Contact: {contact};expires=600\r\n{headers}Max-Forwards")


async def registered(phone, server, user, headers="", contact=""):
    phone.send(register(phone, user, headers, contact), port_of(server, phone.transport))
    await phone.expect(200)
    phone.raw = asyncio.Queue()


async def datagram(phone):
    return (await asyncio.wait_for(phone.raw.get(), SOON))[0]


async def test_only_flagged_phones_are_pinged_with_four_zeros_at_the_address_they_came_from(kamtool, peer):
    server = await kamtool(REGISTERED.format(more=""))
    behind, open_, quiet = await peer(), await peer(), await peer()
    await registered(behind, server, "behind", "X-Nat: 1\r\n", "<sip:behind@10.0.0.5:5060>")
    await registered(open_, server, "open")
    await registered(quiet, server, "quiet", "X-Nat: 1\r\nX-Quiet: 1\r\n")
    for _ in range(2):
        assert await datagram(behind) == b"\0\0\0\0"
    assert open_.raw.empty()
    assert quiet.raw.empty()
    assert server.stats["nathelper:pings_sent"] >= 2


async def test_a_sip_ping_is_a_whole_request_and_its_answer_is_counted(kamtool, peer):
    server = await kamtool(REGISTERED.format(more=""))
    phone = await peer()
    await registered(phone, server, "alice", "X-Nat: 1\r\nX-Sip: 1\r\n", "<sip:alice@10.0.0.5:5060>")
    ping = await phone.expect("OPTIONS sip:alice@10.0.0.5:5060")
    assert ping.from_.uri == "sip:pinger@kamtool.invalid"
    assert ping.routes[0].uri == f"sip:127.0.0.1:{phone.port};lr"
    phone.send(phone.answer(ping, 200), port_of(server))
    await until(lambda: server.stats["nathelper:pings_answered"] == 1)


async def test_a_phone_that_answers_no_sip_ping_is_removed_and_one_that_answers_stays(kamtool, peer):
    server = await kamtool(REGISTERED.format(more='modparam("nathelper", "keepalive_timeout", 2)'))
    alive, dead = await peer(), await peer()
    await registered(alive, server, "alive", "X-Nat: 1\r\nX-Sip: 1\r\n")
    await registered(dead, server, "dead", "X-Nat: 1\r\nX-Sip: 1\r\n")
    table = server.modules["usrloc"].locations["location"].table

    async def answer():
        while True:
            ping = await alive.expect("OPTIONS")
            alive.send(alive.answer(ping, 404), port_of(server))

    answering = asyncio.ensure_future(answer())
    await until(lambda: "dead" not in table.records)
    await asyncio.sleep(0)
    assert "alive" in table.records
    assert server.stats["nathelper:pings_answered"] >= 1
    answering.cancel()


async def test_a_phone_on_tcp_gets_its_sip_ping_over_its_own_connection(kamtool, peer):
    server = await kamtool(REGISTERED.format(more=""))
    phone = await peer(tcp=port_of(server, "tcp"))
    await registered(
        phone, server, "tina", "X-Nat: 1\r\nX-Sip: 1\r\n", "<sip:tina@10.0.0.5:5060;transport=tcp>"
    )
    ping = await phone.expect("OPTIONS")
    assert ping.via_transport.upper() == "TCP"


async def test_pings_stop_and_go_on_by_rpc(kamtool, peer):
    server = await kamtool(REGISTERED.format(more=""))
    phone = await peer()
    await server.rpc.call("nathelper.enable_ping", ["0"])
    await registered(phone, server, "alice", "X-Nat: 1\r\n")
    pinger = server.modules["nathelper"].pinger
    began = pinger._began
    await until(lambda: pinger._began > began + 1)
    assert phone.raw.empty()
    await server.rpc.call("nathelper.enable_ping", ["1"])
    assert await datagram(phone) == b"\0\0\0\0"


async def test_contacts_are_spread_over_the_interval(kamtool, peer):
    """A hundred thousand contacts: no tick pings many more than its share of them."""
    from kamtool.modules.usrloc.contact import Contact

    server = await kamtool(REGISTERED.format(more=""))
    server.modules["nathelper"].pinger.on = False
    pinger = copy.copy(server.modules["nathelper"].pinger)  # that no timer of the server's moves on
    pinger.interval = 50.0
    location, clock, sent = server.modules["usrloc"].locations["location"], [1000.0], []
    for number in range(100_000):
        location.table.insert(
            Contact(f"u{number}", f"sip:u{number}@127.0.0.1:9", f"r{number}", cflags=1 << 6)
        )
    own, server.now = server.now, lambda: clock[0]
    try:
        pinger.ping = lambda contact, location, now: sent.append(contact)
        pinger.on, pinger._size, pinger._next, pinger._began = True, 0, 0, 0.0
        counts = []
        for _ in range(500):
            before = len(sent)
            await pinger.tick()
            counts.append(len(sent) - before)
            clock[0] += 0.1
    finally:
        server.now = own
    assert len(sent) == len({contact.aor for contact in sent}) == 100_000
    assert max(counts) <= 100_000 / 500 + 2


@pytest.mark.parametrize(
    ("param", "complaint"),
    [
        ('"natping_socket", "udp:192.0.2.1:5060"', "natping_socket"),
        ('"force_socket", "nonsense"', "force_socket"),
        ('"sipping_from", "nonsense"', "sipping_from"),
        ('"sipping_bflag", 40', "sipping_bflag"),
        ('"sipping_method", "NO WAY"', "sipping_method"),
    ],
)
async def test_a_parameter_that_cannot_work_is_refused(kamtool, param, complaint):
    from kamtool.errors import ConfigError

    with pytest.raises(ConfigError, match=complaint):
        await kamtool(REGISTERED.format(more=f'modparam("nathelper", {param})'))
