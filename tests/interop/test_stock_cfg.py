"""The kamailio.cfg of Debian's package, byte for byte, with each of its switches.

Beside it stands a kamailio-local.cfg, which the file imports by itself, that names a database and loads
db_sqlite. Each row carries a registration and a SIPp call; a row whose modules are not built yet is expected
to be refused by their names, and carries calls on the day they are there.
"""

import re
import shutil
import socket
import sqlite3
import ssl
import subprocess
from contextlib import closing, suppress
from pathlib import Path

import pytest

from kamtool.module import available
from kamtool.store.migrate import migrate
from tests.interop.test_sipp import sipp  # noqa: F401 (a fixture)
from tests.support.digest import authorization
from tests.support.until import SOON

pytestmark = pytest.mark.interop

STOCK = Path("/etc/kamailio/kamailio.cfg")
CALL, ANSWER = (Path(__file__).parent / f"stock_{name}.xml" for name in ("call", "answer"))

NEEDS = {
    "AUTH": ["auth", "auth_db"], "IPAUTH": ["permissions"], "ANTIFLOOD": ["htable", "pike"],
    "ALIASDB": ["alias_db"], "SPEEDDIAL": ["speeddial"], "MULTIDOMAIN": ["domain"],
    "NAT": ["nathelper"], "RTPENGINE": ["rtpengine"], "TLS": ["tls"], "DEBUG": ["debugger"],
    "JSONRPC": ["xhttp"], "PRESENCE": ["presence", "presence_xml"], "MYSQL": ["db_mysql"],
}  # fmt: skip
ROWS = [
    "", "AUTH", "USRLOCDB", "ACCDB", "AUTH IPAUTH", "ANTIFLOOD", "ALIASDB", "SPEEDDIAL", "MULTIDOMAIN", "NAT",
    "NAT NATSIPPING", "NAT RTPENGINE", "TLS", "AUTH TLS", "DEBUG", "JSONRPC", "PRESENCE",
    "PRESENCE MSGREBUILD", "MYSQL", "PSTN", "VOICEMAIL", "BLOCK3XX", "BLOCK401407",
    "AUTH USRLOCDB ACCDB",
    "AUTH USRLOCDB ACCDB ANTIFLOOD ALIASDB SPEEDDIAL MULTIDOMAIN IPAUTH",
    "AUTH USRLOCDB ACCDB ANTIFLOOD NAT ALIASDB SPEEDDIAL MULTIDOMAIN IPAUTH TLS",
]  # fmt: skip


REGISTER = """REGISTER sip:{place} SIP/2.0
Via: SIP/2.0/{transport} 127.0.0.1:{port};rport;branch=z9hG4bK-{cseq}-{port}
From: <sip:bob@{place}>;tag=f
To: <sip:bob@{place}>
Call-ID: stock-{port}
CSeq: {cseq} REGISTER
Max-Forwards: 70
Contact: <sip:bob@127.0.0.1:{contact}>
Expires: 600
{headers}Content-Length: 0

"""
OPTIONS = """OPTIONS sip:127.0.0.1 SIP/2.0
Via: SIP/2.0/UDP {host}:{port};rport;branch=z9hG4bK-{cseq}-{port}
From: <sip:x@example.com>;tag=f
To: <sip:127.0.0.1>
Call-ID: {cseq}-{port}
CSeq: {cseq} OPTIONS
Max-Forwards: 70
Content-Length: 0

"""


def needed(switches):
    """The modules of a row that are not built yet."""
    names = [name for switch in switches.split() for name in NEEDS.get(switch, ())]
    if "NAT" in switches.split() and "RTPENGINE" not in switches:
        names.append("rtpproxy")
    return [name for name in names if name not in available()]


def title(switches):
    return switches.replace(" ", "+") or "none"


WAITING = [row for row in ROWS if needed(row)]
RUNNING = [row for row in ROWS if not needed(row)]


class Stock:
    """The stock file in a folder of its own, with its database."""

    def __init__(self, folder, switches, port=5060):
        if not STOCK.exists():
            pytest.skip("Debian's kamailio package is not installed")
        self.switches, self.domain, self.place = switches.split(), "127.0.0.1", f"127.0.0.1:{port}"
        self.cfg, self.database = folder / "kamailio.cfg", folder / "stock.db"
        shutil.copyfile(STOCK, self.cfg)
        local = [f'#!define DBURL "sqlite:///{self.database}"', 'loadmodule "db_sqlite.so"']
        if "TLS" in self.switches:
            local.append(f'#!subst "!/etc/kamailio/tls.cfg!{self._tls(folder)}!"')
        (folder / "kamailio-local.cfg").write_text("\n".join(local) + "\n")
        self._fill()

    @staticmethod
    def _tls(folder):
        key, certificate, cfg = folder / "key.pem", folder / "cert.pem", folder / "tls.cfg"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
             "-keyout", key, "-out", certificate, "-days", "2", "-subj", "/CN=127.0.0.1"],
            check=True, capture_output=True,
        )  # fmt: skip
        text = Path("/etc/kamailio/tls.cfg").read_text()
        text = text.replace("/etc/kamailio/kamailio-selfsigned.key", str(key))
        cfg.write_text(text.replace("/etc/kamailio/kamailio-selfsigned.pem", str(certificate)))
        return cfg

    def _fill(self):
        migrate(self.database)
        if "MULTIDOMAIN" in self.switches:
            self.domain = self.place = "example.test"
            self.run("INSERT INTO domain (domain) VALUES ('example.test')")
        for user in ("alice", "bob"):
            self.run(
                "INSERT INTO subscriber (username, domain, password) VALUES (?, ?, 'secret')",
                user,
                self.place,
            )
        self.run(
            "INSERT INTO dbaliases (alias_username, alias_domain, username, domain) VALUES (?, ?, 'bob', ?)",
            "sales", self.domain, self.place,
        )  # fmt: skip
        self.run(
            "INSERT INTO speed_dial (username, domain, sd_username, sd_domain, new_uri) "
            "VALUES ('alice', ?1, '12', ?1, 'sip:bob@' || ?2)",
            self.domain,
            self.place,
        )
        self.run("INSERT INTO address (grp, ip_addr, mask) VALUES (1, '127.0.0.3', 32)")
        if "ACCDB" in self.switches:
            # The columns that the file's own ACCDB_COMMENT asks for.
            for line in re.findall(r"^  (ALTER TABLE .*;)$", self.cfg.read_text(), re.MULTILINE):
                self.run(line)

    def run(self, sql, *values):
        with closing(sqlite3.connect(self.database, isolation_level=None, timeout=SOON)) as connection:
            return connection.execute(sql, values).fetchall()

    def arguments(self):
        defines = [word for switch in self.switches for word in ("-A", f"WITH_{switch}")]
        return ["-f", self.cfg, "-a", "no", *defines]


@pytest.mark.parametrize("switches", WAITING, ids=title)
def test_a_switch_whose_module_is_not_built_is_refused_by_its_name(served, tmp_path, switches):
    server = served()
    done = server.cli("serve", *Stock(tmp_path, switches).arguments())
    assert done.returncode == 7, done.stderr
    for name in needed(switches):
        assert f"no module `{name}`" in done.stderr


def ask(sock, text, **values):
    """Send a request and read the final answer."""
    port = sock.getsockname()[1]
    sock.sendall(text.format(port=port, **values).replace("\n", "\r\n").encode())
    while True:
        answer = sock.recv(65536).decode()
        if not answer.startswith("SIP/2.0 1"):
            return answer


def connect(port, transport="UDP", host="127.0.0.1"):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM if transport == "UDP" else socket.SOCK_STREAM)
    sock.bind((host, 0))
    sock.settimeout(SOON)
    sock.connect(("127.0.0.1", port))
    if transport == "TLS":
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        sock = context.wrap_socket(sock)
    return sock


def register(stock, port, contact, transport="UDP"):
    """Register bob, with digest where it is asked for; whether it was."""
    with connect(port, transport) as sock:
        values = {"place": stock.place, "contact": contact, "transport": transport}
        answer = ask(sock, REGISTER, cseq=1, headers="", **values)
        challenge = re.search(r'nonce="([^"]+)"', answer)
        if challenge:
            assert answer.startswith("SIP/2.0 401 "), answer
            value = authorization(
                challenge[1], username="bob", realm=stock.domain, uri=f"sip:{stock.place}", qop=""
            )
            answer = ask(sock, REGISTER, cseq=2, headers=f"Authorization: {value}\n", **values)
        assert answer.startswith("SIP/2.0 200 "), answer
        assert f"sip:bob@127.0.0.1:{contact}" in answer
        return challenge is not None


@pytest.mark.parametrize("switches", RUNNING, ids=title)
def test_a_registration_and_a_call(served, sipp, free_port, tmp_path, switches):  # noqa: F811
    server, far, tls_port = served(), free_port(), free_port()
    stock = Stock(tmp_path, switches, server.port)
    tls = ["-l", f"tls:127.0.0.1:{tls_port}"] if "TLS" in stock.switches else []
    # Its control sockets stand in a folder of their own, so that many of these can run side by side.
    server.start(*stock.arguments(), *tls, "-Y", server.folder, "-s", server.folder / "control.sock")
    assert register(stock, server.port, far) == ("AUTH" in stock.switches)
    if tls:
        register(stock, tls_port, far, "TLS")
    callee = sipp("-sf", ANSWER, "-p", far, "-mp", free_port(4))
    for number in called(stock.switches):
        caller = sipp(
            "-sf", CALL, f"127.0.0.1:{server.port}", "-s", number, "-key", "place", stock.place,
            "-p", free_port(), "-mp", free_port(4), "-m", 3, "-r", 10, "-au", "alice", "-ap", "secret",
            "-timeout", 30, "-timeout_error",
        )  # fmt: skip
        assert caller.wait(60) == 0, f"{number}: {caller.said()}\n{server.log()[-5000:]}"
    assert callee.poll() is None, callee.said()
    if "IPAUTH" in stock.switches:
        only_a_known_address_is_not_challenged(stock, server.port)
    if "ANTIFLOOD" in stock.switches:
        is_banned_when_it_floods(server.port)
    assert server.end() == 0
    rows_are_there(stock)
    # What the file's own xlog lines say (PSTN is not configured) is no error of ours.
    errors = [line for line in server.log().splitlines() if " ERROR" in line and "<script>" not in line]
    assert not errors, errors


def called(switches):
    return [
        "bob",
        *(["sales"] if "ALIASDB" in switches else []),
        *(["12"] if "SPEEDDIAL" in switches else []),
    ]


def only_a_known_address_is_not_challenged(stock, port):
    """127.0.0.3 is in the table `address`: it gets as far as nobody's 404, another is asked who it is."""
    for host, status in (("127.0.0.3", "404"), ("127.0.0.4", "407")):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as known:
            known.bind((host, 0))
            known.settimeout(SOON)
            known.connect(("127.0.0.1", port))
            text = OPTIONS.replace("sip:127.0.0.1", f"sip:nobody@{stock.place}")
            answer = ask(
                known, text.replace("sip:x@example.com", f"sip:alice@{stock.place}"), host=host, cseq=1
            )
            assert answer.startswith(f"SIP/2.0 {status} "), f"{host}: {answer}"


def is_banned_when_it_floods(port):
    """127.0.0.9 sends far more than 3 x 16 requests: it is answered, and then no more."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as flood:
        flood.bind(("127.0.0.9", 0))
        values = {"host": "127.0.0.9", "port": flood.getsockname()[1]}
        for cseq in range(100):
            flood.sendto(
                OPTIONS.format(cseq=cseq, **values).replace("\n", "\r\n").encode(), ("127.0.0.1", port)
            )
        with connect(port, host="127.0.0.8") as last:  # once it is answered, the others are too
            ask(last, OPTIONS, host="127.0.0.8", cseq=1)
        flood.settimeout(0.5)
        answers = 0
        with suppress(TimeoutError):
            while flood.recv(65536):
                answers += 1
    # The neighbours it has in the tree decide where between 16 and 3 x 16; the exact counts: test_pike.py.
    assert 16 <= answers <= 48


def rows_are_there(stock):
    """What the switches ask to be written, once the server has ended."""
    if "USRLOCDB" in stock.switches:
        assert stock.run("SELECT DISTINCT username FROM location") == [("bob",)]
    if "ACCDB" in stock.switches:
        found = stock.run("SELECT method, sip_code, src_user, dst_user FROM acc ORDER BY id")
        assert ("INVITE", "200", "alice", "bob") in found, found
        assert "BYE" in {row[0] for row in found}
