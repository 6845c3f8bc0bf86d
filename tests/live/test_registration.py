"""Registration through a whole server: sockets, script, digest, database, and a death in between."""

import re
import signal
import socket
import time

import pytest

from tests.support.digest import authorization
from tests.support.until import SOON

pytestmark = pytest.mark.live

CFG = """#!KAMAILIO
debug=2
loadmodule "kex.so"
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "xlog.so"
loadmodule "textops.so"
loadmodule "siputils.so"
loadmodule "db_sqlite.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
loadmodule "auth.so"
loadmodule "auth_db.so"
modparam("usrloc|auth_db", "db_url", DBURL)
modparam("usrloc", "db_mode", 1)
modparam("usrloc", "durable", 1)
modparam("usrloc", "timer_interval", 1)
modparam("registrar", "min_expires", 1)
modparam("auth_db", "load_credentials", "$avp(dom)=domain")
request_route {
    if (is_method("REGISTER")) {
        if (!auth_check("kamtool", "subscriber", "1")) {
            auth_challenge("kamtool", "1");
            exit;
        }
        append_to_reply("X-Domain: $avp(dom)\\r\\n");
        save("location");
        exit;
    }
    if (!reg_fetch_contacts("location", "$ru", "p")) {
        sl_send_reply("404", "Not Found");
        exit;
    }
    append_to_reply("X-Count: $(ulc(p=>count)) $(ulc(p=>addr)[-1]) $ulc(p=>addr)\\r\\n");
    lookup("location");
    append_to_reply("X-Contact: $ru\\r\\n");
    sl_send_reply("200", "OK");
}
event_route[usrloc:contact-expired] {
    xlog("L_NOTICE", "gone: $ulc(exp=>addr) of $ulc(exp=>aor)\\n");
}
"""


class Phone:
    """A UDP socket that registers with digest."""

    def __init__(self, user, port, password="secret"):
        self.user, self.password, self.server = user, password, ("127.0.0.1", port)
        self.cseq, self.socket = 0, socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(SOON)

    def ask(self, method, *headers, target=""):
        self.cseq += 1
        here = f"127.0.0.1:{self.socket.getsockname()[1]}"
        lines = [
            f"{method} sip:{target}127.0.0.1 SIP/2.0",
            f"Via: SIP/2.0/UDP {here};rport;branch=z9hG4bK{id(self)}-{self.cseq}",
            f"From: <sip:{self.user}@127.0.0.1>;tag=f",
            f"To: <sip:{self.user}@127.0.0.1>",
            f"Call-ID: {id(self)}@{here}",
            f"CSeq: {self.cseq} {method}",
            "Max-Forwards: 70",
            *headers,
            "Content-Length: 0",
        ]
        self.socket.sendto("\r\n".join([*lines, "", ""]).encode(), self.server)
        return self.socket.recv(65536).decode()

    def register(self, expires=600):
        challenge = self.ask("REGISTER")
        assert " 401 " in challenge, challenge
        nonce = re.search(r'nonce="([^"]+)"', challenge)[1]
        proof = authorization(nonce, self.user, self.password, uri="sip:127.0.0.1")
        contact = f"Contact: <sip:{self.user}@192.0.2.1:{self.socket.getsockname()[1]}>;expires={expires}"
        return self.ask("REGISTER", contact, f"Authorization: {proof}")


@pytest.fixture
def server(served):
    running = served()
    url = f'"sqlite:///{running.folder}/kamtool.db"'
    (running.folder / "kamailio.cfg").write_text(CFG.replace("DBURL", url))
    running.add_user("alice", "secret")
    return running.start("-f", running.folder / "kamailio.cfg", "-E")


@pytest.fixture
def phones():
    made = []

    def make(*about, **more):
        made.append(Phone(*about, **more))
        return made[-1]

    yield make
    for phone in made:
        phone.socket.close()


def test_a_phone_registers_and_is_found(server, phones):
    alice = phones("alice", server.port)
    answer = alice.register()
    assert answer.startswith("SIP/2.0 200 OK")
    assert "X-Domain: kamtool" in answer
    contact = f"sip:alice@192.0.2.1:{alice.socket.getsockname()[1]}"
    assert f"Contact: <{contact}>;expires=600" in answer
    found = alice.ask("OPTIONS", target="alice@")
    assert f"X-Contact: {contact}" in found
    assert f"X-Count: 1 <null> {contact}" in found or f"X-Count: 1 {contact}" in found
    assert contact in server.cli("ul", "show", "alice").stdout
    assert server.cli("ul", "rm", "alice").returncode == 0
    assert alice.ask("OPTIONS", target="alice@").startswith("SIP/2.0 404")


def test_a_wrong_password_and_an_unknown_user_get_the_same_answer(server, phones):
    def shape(answer):
        return re.sub(r'nonce="[^"]+"|tag=\S+|branch=\S+|port=\d+|Call-ID: \S+|bob|alice|127\S+', "", answer)

    wrong = phones("alice", server.port, password="wrong").register()
    unknown = phones("bob", server.port).register()
    assert wrong.startswith("SIP/2.0 401")
    assert shape(wrong) == shape(unknown)


def test_accounts_change_under_a_running_server(server, phones):
    bob = phones("bob", server.port)
    assert bob.register().startswith("SIP/2.0 401")
    server.add_user("bob", "secret")
    assert bob.register().startswith("SIP/2.0 200")
    assert server.cli("user", "passwd", "bob", "--password-stdin", text_in="new\n").returncode == 0
    assert bob.register().startswith("SIP/2.0 401")
    bob.password = "new"
    assert bob.register().startswith("SIP/2.0 200")
    assert "sip:bob@192.0.2.1" in server.cli("user", "show", "bob").stdout
    assert server.cli("user", "rm", "bob", "--yes").returncode == 0
    assert bob.register().startswith("SIP/2.0 401")
    assert server.cli("ul", "show", "bob").returncode == 3


def test_an_expired_contact_runs_its_event_route(server, phones):
    alice = phones("alice", server.port)
    assert alice.register(expires=1).startswith("SIP/2.0 200")
    contact = f"sip:alice@192.0.2.1:{alice.socket.getsockname()[1]}"
    end = time.monotonic() + SOON
    while f"gone: {contact} of alice" not in server.log():
        assert time.monotonic() < end, server.log()
        time.sleep(0.05)
    assert alice.ask("OPTIONS", target="alice@").startswith("SIP/2.0 404")


def test_registrations_survive_kill_9(server, phones):
    alice = phones("alice", server.port)
    assert alice.register().startswith("SIP/2.0 200")
    assert server.end(signal.SIGKILL) == -signal.SIGKILL
    server.start(*server.arguments)
    assert "X-Contact: sip:alice@192.0.2.1" in alice.ask("OPTIONS", target="alice@")
    assert alice.register().startswith("SIP/2.0 200")
    assert server.end() == 0
