"""A served script, debuggers at terminals, and a phone that asks: what the tests of `kamtool debug` share."""

import socket

import pytest

from tests.support.terminal import Terminal
from tests.support.until import SOON

CFG = """#!KAMAILIO
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "tm.so"
loadmodule "siputils.so"
loadmodule "textops.so"
request_route {
    if (is_method("OPTIONS")) {
        route(GREET);
        $du = "sip:127.0.0.1:9";
        sl_send_reply("200", "OK");
    }
}
route[GREET] {
    $avp(who) = $fU;
    append_to_reply("Hello: $avp(who)\\r\\n");
}
"""


@pytest.fixture
def debugged(served, tmp_path):
    """A served script, and a way to open debuggers on it."""
    server = served()
    file = server.folder / "edge.cfg"
    file.write_text(CFG)
    server.environment["XDG_STATE_HOME"] = str(tmp_path)
    server.start("-f", file)
    opened = []

    def debug(*arguments, **size):
        terminal = Terminal(["debug", *arguments], server.environment, **size)
        opened.append(terminal)
        return terminal

    yield server, debug
    for terminal in opened:
        terminal.close()


class Phone:
    """Sends OPTIONS and reads what comes."""

    def __init__(self, port):
        self.socket, self.port, self.number = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), port, 0
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(SOON)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def asks(self):
        self.number += 1
        here = self.socket.getsockname()[1]
        text = (
            f"OPTIONS sip:bob@example.com SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP 127.0.0.1:{here};branch=z9hG4bKd{self.number}\r\n"
            f"From: <sip:alice@example.com>;tag=a\r\nTo: <sip:bob@example.com>\r\n"
            f"Call-ID: call-{self.number}\r\n"
            f"CSeq: {self.number} OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
        )
        self.socket.sendto(text.encode(), ("127.0.0.1", self.port))

    def hears(self):
        return self.socket.recv(65535).decode()
