"""Which URIs mean this server."""

import pytest

from kamtool.server.myself import Myself
from kamtool.sip.flow import Address, Socket

SOCKETS = (
    Socket("udp", Address("127.0.0.1", 5060)),
    Socket("tcp", Address("127.0.0.1", 5070), advertised=Address("sip.example.com", 5071)),
    Socket("udp", Address("::1", 5060)),
)
ALIASES = (("", "example.com", 0), ("", "five.example.com", 5080), ("udp", "u.example.com", 5060))


@pytest.mark.parametrize(
    ("host", "port", "transport", "answer"),
    [
        ("127.0.0.1", None, "", True),
        ("127.0.0.1", 5060, "udp", True),
        ("127.0.0.1", 5060, "tcp", False),  # nothing listens there; Kamailio 5.6.3 says the same
        ("127.0.0.1", 5070, "", True),
        ("127.0.0.1", 5070, "udp", False),
        ("SIP.example.com", 5071, "tcp", True),
        ("[::1]", 5060, "", True),
        ("example.com", 9999, "tls", True),
        ("five.example.com", 5080, "tcp", True),
        ("five.example.com", None, "", False),
        ("127.0.0.1", 0, "", True),  # src_ip == myself asks so
        ("five.example.com", 0, "", True),
        ("127.0.0.2", 0, "", False),
        ("u.example.com", 5060, "tcp", False),
        ("u.example.com", None, "", True),
        ("elsewhere.example.com", None, "", False),
    ],
)
def test_host_port_and_transport_decide(host, port, transport, answer):
    assert Myself(SOCKETS, ALIASES)(host, port, transport) is answer


def test_answers_that_somebody_keeps_are_forgotten_with_ours():
    myself, kept = Myself(SOCKETS, ALIASES), {b"<sip:example.org>": False}
    myself.keep(kept)
    myself.set_aliases([("", "example.org", 0)])
    assert kept == {}
