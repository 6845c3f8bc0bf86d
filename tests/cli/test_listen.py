"""Addresses on the command line, as kamailio reads them."""

import pytest

from kamtool.cli.listen import parse_alias, parse_listen
from kamtool.errors import UsageError


@pytest.mark.parametrize(
    ("text", "protocol", "hosts", "port", "shown"),
    [
        ("localhost", "", ("localhost",), 0, ("", 0)),
        ("127.0.0.1:5060", "", ("127.0.0.1",), 5060, ("", 0)),
        ("localhost:5060", "", ("localhost",), 5060, ("", 0)),
        ("udp:127.0.0.1:5080", "udp", ("127.0.0.1",), 5080, ("", 0)),
        ("tcp:eth0", "tcp", ("eth0",), 0, ("", 0)),
        ("udp:127.0.0.1:5080/1.2.3.4:5060", "udp", ("127.0.0.1",), 5080, ("1.2.3.4", 5060)),
        ("udp:127.0.0.1/sip.example.com", "udp", ("127.0.0.1",), 0, ("sip.example.com", 0)),
        ("(eth0, eth1, 127.0.0.1):5065", "", ("eth0", "eth1", "127.0.0.1"), 5065, ("", 0)),
        ("tls:[2001:db8::1]:5061", "tls", ("[2001:db8::1]",), 5061, ("", 0)),
    ],
)
def test_an_address_to_listen_on(text, protocol, hosts, port, shown):
    made = parse_listen(text)
    assert (made.protocol, made.hosts, made.port) == (protocol, hosts, port)
    assert (made.advertised_host, made.advertised_port) == shown


@pytest.mark.parametrize(
    "text", ["", "foo:127.0.0.1:5060", "udp:", "127.0.0.1:99999", "127.0.0.1:x", "::1:5060", "a b"]
)
def test_what_is_no_address_is_refused(text):
    with pytest.raises(UsageError):
        parse_listen(text)


def test_an_alias():
    made = parse_alias("example.com:5060")
    assert (made.protocol, made.host, made.port) == ("", "example.com", 5060)
    with pytest.raises(UsageError):
        parse_alias("(a, b)")
