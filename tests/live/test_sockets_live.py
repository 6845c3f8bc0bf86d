"""Which socket a request leaves by, and what Via and Record-Route then say.

The rows are what Kamailio 5.6.3 does on the same sockets. Where the global `advertised_address` and one of
the socket meet it differs: there Kamailio's Via shows the global one and its Record-Route the socket's own;
here both show the socket's, for they lead to the same place.
"""

import pytest

from kamtool.script import load
from kamtool.server.options import Options
from kamtool.server.server import Server
from tests.support.server import MODULES

pytestmark = pytest.mark.live

ROUTE = """
listen=udp:127.0.0.1:{one} advertise 203.0.113.5:5080 name "first"
listen=udp:127.0.0.2:{two} name "second"
listen=tcp:127.0.0.2:{two} advertise edge.example
request_route {{
    if ($rU == "force") force_send_socket(udp:127.0.0.1:{one});
    if ($rU == "fs") $fs = "udp:127.0.0.2:{two}";
    if ($rU == "name") $fsn = "first";
    if ($rU == "adv") {{ set_advertised_address("192.0.2.9"); set_advertised_port(5555); }}
    record_route();
    append_hf("X-Name: $Rn\\r\\n");
    t_relay();
}}
"""


@pytest.fixture
async def sockets(free_port):
    """Starts a server on two addresses; its ports are chosen here, for the cfg names them."""
    running = []

    async def start(head):
        one, two = free_port(), free_port()
        cfg = MODULES.replace("#!KAMAILIO\n", f"#!KAMAILIO\n{head}\n") + ROUTE.format(one=one, two=two)
        server = Server(load(cfg), options=Options(freeze=False, drain=0))
        await server.start()
        running.append(server)
        return one, two

    yield start
    for server in running:
        await server.stop()


FIRST, SECOND = "203.0.113.5:5080", "127.0.0.2:two"

PLAIN = [
    ("127.0.0.1", "plain", "127.0.0.1", FIRST, [FIRST]),
    ("127.0.0.1", "force", "127.0.0.1", FIRST, [FIRST]),
    ("127.0.0.1", "fs", "127.0.0.2", SECOND, [SECOND, FIRST]),
    ("127.0.0.1", "name", "127.0.0.1", FIRST, [FIRST]),
    ("127.0.0.1", "adv", "127.0.0.1", "192.0.2.9:5555", [FIRST]),
    ("127.0.0.2", "plain", "127.0.0.2", SECOND, [SECOND]),
    ("127.0.0.2", "force", "127.0.0.1", FIRST, [FIRST, SECOND]),
    ("127.0.0.2", "fs", "127.0.0.2", SECOND, [SECOND]),
    ("127.0.0.2", "name", "127.0.0.1", FIRST, [FIRST, SECOND]),
    ("127.0.0.2", "adv", "127.0.0.2", "192.0.2.9:5555", [SECOND]),
]
MHOMED = [
    *PLAIN[:5],
    ("127.0.0.2", "plain", "127.0.0.1", FIRST, [FIRST, SECOND]),
    *PLAIN[6:9],
    ("127.0.0.2", "adv", "127.0.0.1", "192.0.2.9:5555", [FIRST, SECOND]),
]


@pytest.mark.parametrize(("head", "rows"), [("mhomed=0", PLAIN), ("mhomed=1", MHOMED)])
async def test_via_and_record_route_show_the_socket_that_is_used(sockets, peer, head, rows):
    one, two = await sockets(head)
    ports = {"127.0.0.1": one, "127.0.0.2": two}
    alice, bob = await peer(), await peer("127.0.0.5")
    for number, (reached, user, source, via, records) in enumerate(rows):
        uri = f"sip:{user}@127.0.0.5:{bob.port}"
        text = alice.request("MESSAGE", uri, branch=f"b{number}", call_id=f"c{number}")
        alice.send(text, ports[reached], reached)
        message = await bob.expect("MESSAGE")
        _, came_from = await bob.raw.get()
        said = [item.partition("sip:")[2].partition(";")[0] for item in message.items("Record-Route")]
        sent_by = message.items("Via")[0].split()[1].partition(";")[0]
        bob.send(bob.answer(message, 200), *reversed(came_from))
        await alice.expect("200")
        row = (reached, user, came_from, sent_by, said)
        shown = [record.replace("two", str(two)) for record in records]
        assert row == (reached, user, (source, ports[source]), via.replace("two", str(two)), shown)
        doubled = [";r2=on" in item for item in message.items("Record-Route")]
        assert doubled == [len(records) == 2] * len(records)
        assert message.header("X-Name") == ("first" if reached == "127.0.0.1" else "second")


async def test_another_transport_leaves_by_its_own_socket_and_both_are_recorded(sockets, peer):
    one, two = await sockets("mhomed=0")
    alice, bob = await peer(), await peer(tcp=0)
    alice.send(alice.request("MESSAGE", bob.uri), one)
    message = await bob.expect("MESSAGE")
    assert message.items("Via")[0].startswith(f"SIP/2.0/TCP edge.example:{two};")
    first, second = message.items("Record-Route")
    assert f"sip:edge.example:{two};transport=tcp;r2=on" in first
    assert "sip:203.0.113.5:5080;r2=on" in second


async def test_the_global_address_is_for_sockets_that_have_none_of_their_own(sockets, peer):
    one, two = await sockets('advertised_address="198.51.100.9"\nadvertised_port=5099')
    alice, bob = await peer(), await peer()
    for host, port, shown in (("127.0.0.1", one, FIRST), ("127.0.0.2", two, "198.51.100.9:5099")):
        alice.send(alice.request("MESSAGE", bob.uri, branch=host, call_id=host), port, host)
        message = await bob.expect("MESSAGE")
        assert message.items("Via")[0].startswith(f"SIP/2.0/UDP {shown};")
        assert f"sip:{shown};" in message.items("Record-Route")[0]
