"""RFC 3263 by a table: what a URI leads to, with the names that were asked for.

The table was taken from Kamailio 5.6.3 on the same zone; a comment says where it does otherwise, and why
that is not followed.
"""

import pytest

from kamtool.errors import TransportError
from kamtool.server.routing import hop_of

pytestmark = pytest.mark.live

ZONE = """
    srv.example 60 A 127.0.0.1
    _sip._udp.srv.example 60 SRV 10 0 5070 host.example.
    _sip._tcp.srv.example 60 SRV 10 0 5071 host.example.
    _sips._tcp.srv.example 60 SRV 10 0 5072 host.example.
    tcponly.example 60 A 127.0.0.1
    _sip._tcp.tcponly.example 60 SRV 10 0 5071 host.example.
    tlsonly.example 60 A 127.0.0.1
    _sips._tcp.tlsonly.example 60 SRV 10 0 5072 host.example.
    naptr.example 60 NAPTR 10 10 "s" "SIP+D2T" "" _sip._tcp.srv.example.
    naptr.example 60 NAPTR 20 10 "s" "SIP+D2U" "" _sip._udp.srv.example.
    naptr.example 60 NAPTR 5 10 "s" "SIPS+D2T" "" _sips._tcp.srv.example.
    naptr.example 60 A 127.0.0.1
    plain.example 60 A 127.0.0.1
    host.example 60 A 127.0.0.1
    gone.example 60 A 127.0.0.1
    _sip._udp.gone.example 60 SRV 0 0 0 .
    _sip._tcp.gone.example 60 SRV 0 0 0 .
"""

NUMERIC = [
    ("sip:b@127.0.0.1", "udp 5060"),
    ("sip:b@127.0.0.1:5070", "udp 5070"),
    ("sip:b@127.0.0.1;transport=udp", "udp 5060"),
    ("sip:b@127.0.0.1;transport=tcp", "tcp 5060"),
    ("sip:b@127.0.0.1:5071;transport=tcp", "tcp 5071"),
    ("sip:b@127.0.0.1;transport=tls", "tls 5061"),
    ("sip:b@127.0.0.1:5072;transport=tls", "tls 5072"),
    ("sips:b@127.0.0.1", "tls 5061"),
    ("sips:b@127.0.0.1:5072", "tls 5072"),
    ("sips:b@127.0.0.1;transport=tcp", "tls 5061"),
    # Kamailio refuses this one (478). RFC 3261 26.2.2: TLS, whatever the transport parameter says.
    ("sips:b@127.0.0.1;transport=udp", "tls 5061"),
    # Kamailio heeds no maddr; RFC 3261 19.1.1 and 3263 4 do.
    ("sip:b@192.0.2.1;maddr=127.0.0.1", "udp 5060"),
    ("sip:b@192.0.2.1:5070;maddr=127.0.0.1", "udp 5070"),
]


@pytest.mark.parametrize(("uri", "expected"), NUMERIC)
def test_an_address_needs_no_dns(uri, expected):
    target = hop_of(uri).target
    assert (f"{target.transport} {target.address.port}", target.address.host) == (expected, "127.0.0.1")


WITHOUT_NAPTR = [
    ("sip:b@plain.example", "udp 5060", "_sip._udp.plain.example _sip._tcp.plain.example plain.example"),
    ("sip:b@plain.example:5070", "udp 5070", "plain.example"),
    ("sip:b@plain.example;transport=tcp", "tcp 5060", "_sip._tcp.plain.example plain.example"),
    ("sip:b@plain.example;transport=tls", "tls 5061", "_sips._tcp.plain.example plain.example"),
    # Kamailio 5.6.3 sends this to no place in time.
    ("sips:b@plain.example", "tls 5061", "_sips._tcp.plain.example plain.example"),
    ("sip:b@srv.example", "udp 5070", "_sip._udp.srv.example host.example"),
    ("sip:b@SRV.Example.", "udp 5070", "_sip._udp.srv.example host.example"),
    ("sip:b@192.0.2.1;maddr=srv.example", "udp 5070", "_sip._udp.srv.example host.example"),
    ("sip:b@srv.example:5060", "udp 5060", "srv.example"),
    ("sip:b@srv.example;transport=udp", "udp 5070", "_sip._udp.srv.example host.example"),
    ("sip:b@srv.example;transport=tcp", "tcp 5071", "_sip._tcp.srv.example host.example"),
    ("sip:b@srv.example;transport=tls", "tls 5072", "_sips._tcp.srv.example host.example"),
    ("sip:b@srv.example:5071;transport=tcp", "tcp 5071", "srv.example"),
    ("sips:b@srv.example", "tls 5072", "_sips._tcp.srv.example host.example"),
    ("sips:b@srv.example:5072", "tls 5072", "srv.example"),
    # Kamailio asks for UDP alone while dns_try_naptr is off, and sends to port 5060; RFC 3263 4.1 asks on.
    ("sip:b@tcponly.example", "tcp 5071", "_sip._udp.tcponly.example _sip._tcp.tcponly.example host.example"),
    ("sip:b@tcponly.example;transport=udp", "udp 5060", "_sip._udp.tcponly.example tcponly.example"),
    (
        "sip:b@tlsonly.example",
        "udp 5060",
        "_sip._udp.tlsonly.example _sip._tcp.tlsonly.example tlsonly.example",
    ),
    ("sip:b@naptr.example", "udp 5060", "_sip._udp.naptr.example _sip._tcp.naptr.example naptr.example"),
]

WITH_NAPTR = [
    # Our preference, UDP first, stands above the order of the records: dns_naptr_ignore_rfc is on.
    ("sip:b@naptr.example", "udp 5070", "naptr.example/NAPTR _sip._udp.srv.example host.example"),
    ("sip:b@naptr.example:5070", "udp 5070", "naptr.example"),
    # Kamailio asks for no NAPTR here.
    ("sips:b@naptr.example", "tls 5072", "naptr.example/NAPTR _sips._tcp.srv.example host.example"),
    ("sip:b@naptr.example;transport=tcp", "tcp 5060", "_sip._tcp.naptr.example naptr.example"),
    (
        "sip:b@tlsonly.example",
        "tls 5072",
        "tlsonly.example/NAPTR _sip._udp.tlsonly.example _sip._tcp.tlsonly.example "
        "_sips._tcp.tlsonly.example host.example",
    ),
    (
        "sip:b@tcponly.example",
        "tcp 5071",
        "tcponly.example/NAPTR _sip._udp.tcponly.example _sip._tcp.tcponly.example host.example",
    ),
]


@pytest.mark.parametrize(
    ("naptr", "uri", "expected", "asked"),
    [(False, *row) for row in WITHOUT_NAPTR] + [(True, *row) for row in WITH_NAPTR],
)
async def test_a_name_leads_where_the_rfc_says(nameserver, tmp_path, naptr, uri, expected, asked):
    server = await nameserver(ZONE)
    find = server.resolver(tmp_path, naptr=naptr)
    hop = hop_of(uri)
    first = (await find.resolve(hop.host, hop.port, hop.transport, secure=hop.secure))[0]
    assert f"{first.transport} {first.address.port}" == expected
    questions = [line.removesuffix("/udp") for line in server.asked]
    assert [line.removesuffix("/A").removesuffix("/SRV") for line in questions] == asked.split()


async def test_a_service_that_is_decidedly_not_there_is_not_looked_for_at_the_host(nameserver, tmp_path):
    """RFC 2782: the target `.`. Kamailio sends to the A record all the same."""
    server = await nameserver(ZONE)
    with pytest.raises(TransportError, match=r"gone\.example"):
        await server.resolver(tmp_path).resolve("gone.example", None)
