"""Marked secrets go through a server and all its faces; none of them shows one.

What is meant to hold them is for its owner alone: the database, recordings and captures have mode 0600.
A trace shows what is on the wire, answers to challenges too; with `--redact` it does not.
"""

import hashlib
import json
import re
import socket
import sqlite3
import stat

import pytest

from kamtool.errors import veiled
from kamtool.store.migrate import migrate
from tests.support.process import Served
from tests.support.until import SOON

pytestmark = pytest.mark.live

CFG = """#!KAMAILIO
#!define DBURL "sqlite:///{folder}/kamtool.db"
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "xlog.so"
loadmodule "tm.so"
loadmodule "rr.so"
loadmodule "textops.so"
loadmodule "siputils.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
loadmodule "db_sqlite.so"
loadmodule "auth.so"
loadmodule "auth_db.so"
loadmodule "topoh.so"
loadmodule "uac.so"
loadmodule "cfg_rpc.so"
loadmodule "debugger.so"
modparam("auth", "secret", "MARKNONCE")
modparam("topoh", "mask_key", "MARKMASK")
modparam("auth_db|usrloc|uac", "db_url", DBURL)
modparam("auth_db", "load_credentials", "")
modparam("auth_db", "calculate_ha1", 1)
modparam("auth_db", "password_column", "password")
modparam("uac", "reg_db_url", DBURL)
modparam("uac", "reg_contact_addr", "127.0.0.1:5060")
modparam("uac", "credential", "trunk:realm:MARKTRUNK")
request_route {{
    if ($rm == "REGISTER") {{
        if (!www_authenticate("example.com", "subscriber")) {{ www_challenge("example.com", "1"); exit; }}
        save("location");
        exit;
    }}
    if ($rU == "boom") {{ $var(x) = 1 / $var(zero); }}
    sl_send_reply("200", "OK");
}}
"""
UNASKED = ("kill", "reload", "flush", "hand_over", "abort", "reset", "attach")


def md5(text):
    return hashlib.md5(text.encode()).hexdigest()


class Phone:
    """Registers alice, rightly and not, and remembers what nobody may see."""

    def __init__(self, port):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.connect(("127.0.0.1", port))
        self.socket.settimeout(SOON)
        self.secrets = {"MARKNONCE", "MARKMASK", "MARKTRUNK", "MARKPASSWORD", "MARKREGISTRAR"}
        self.secrets.add(md5("alice:example.com:MARKPASSWORD"))
        self.secrets |= {"MARKOLDKEY", "MARKSDES", "MARKICE"}

    def ask(self, number, header="", method="REGISTER", uri="sip:example.com", cseq=""):
        text = (
            f"{method} {uri} SIP/2.0\nVia: SIP/2.0/UDP 127.0.0.1;rport;branch=z9hG4bK{number}\n"
            f"From: <sip:alice@example.com>;tag=1\nTo: <sip:alice@example.com>\nCall-ID: call-{number}\n"
            f"CSeq: {cseq or f'{number} {method}'}\nContact: <sip:alice@127.0.0.1>\n"
            f"{header}Content-Length: 0\n\n"
        )
        self.socket.send(text.replace("\n", "\r\n").encode())
        return self.socket.recv(65535).decode()

    def call(self, number, uri, head=""):
        """An INVITE whose SDP has the keys of its media in it (RFC 4568, RFC 4566 §5.12)."""
        body = (
            "v=0\no=- 1 1 IN IP4 127.0.0.1\ns=-\nc=IN IP4 127.0.0.1\nt=0 0\nk=base64:MARKOLDKEYMARKOLDKEY\n"
            "m=audio 4000 RTP/SAVP 0\na=crypto:1 AES_CM_128_HMAC_SHA1_80 "
            "inline:MARKSDESMARKSDESMARKSDESMARKSDES\na=ice-pwd:MARKICEMARKICEMARKICE\n"
        ).replace("\n", "\r\n")
        text = (
            f"INVITE {uri} SIP/2.0\nVia: SIP/2.0/UDP 127.0.0.1;rport;branch=z9hG4bK{number}\n"
            f"From: <sip:alice@example.com>;tag=1\nTo: <sip:bob@example.com>\nCall-ID: call-{number}\n"
            f"CSeq: {number} INVITE\nContact: <sip:alice@127.0.0.1>\nContent-Type: application/sdp\n"
            f"{head}Content-Length: {len(body)}\n\n"
        ).replace("\n", "\r\n")
        self.socket.send((text + body).encode())
        return self.socket.recv(65535).decode().split()[1]

    def authenticate(self, number, password, more="", **given):
        nonce = re.search('nonce="([^"]*)"', self.ask(number))[1]
        answer = md5(
            f"{md5(f'alice:example.com:{password}')}:{nonce}:1:cc:auth:{md5('REGISTER:sip:example.com')}"
        )
        self.secrets.add(answer)
        header = (
            f'Authorization: Digest username="alice",realm="example.com",nonce="{nonce}",qop=auth,nc=1,'
            f'uri="sip:example.com",cnonce="cc",response="{answer}"{more}\n'
        )
        return self.ask(number + 100, header, **given).split()[1]


@pytest.fixture
def served(tmp_path, free_port):
    migrate(tmp_path / "kamtool.db")
    connection = sqlite3.connect(tmp_path / "kamtool.db")
    connection.execute(
        "INSERT INTO subscriber (username, domain, password, ha1, ha1b) VALUES "
        "('alice', 'example.com', 'MARKPASSWORD', ?, '')", (md5("alice:example.com:MARKPASSWORD"),),
    )  # fmt: skip
    connection.execute(
        "INSERT INTO uacreg (l_uuid, l_username, l_domain, r_username, r_domain, realm, auth_username, "
        "auth_password, auth_ha1, auth_proxy, expires, flags) VALUES ('u', 't', 'example.com', 't', "
        "'127.0.0.1', 'r', 't', 'MARKREGISTRAR', '', 'sip:127.0.0.1:9', 60, 0)"
    )  # fmt: skip
    connection.commit()
    connection.close()
    cfg = tmp_path / "kamailio.cfg"
    cfg.write_text(CFG.format(folder=tmp_path))
    running = Served(tmp_path, free_port())
    running.start("-f", cfg, "-ddddd", "-E", "--history", 100, "--record", tmp_path / "record", "--drain", 0)
    yield running
    running.end()


def rpc(served, method):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as ours:
        ours.settimeout(SOON)
        ours.connect(served.environment["KAMTOOL_SOCKET"])
        ours.sendall(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method}).encode() + b"\n")
        return ours.makefile().readline()


def test_no_face_shows_a_secret(served, tmp_path):
    phone = Phone(served.port)
    assert phone.authenticate(1, "MARKPASSWORD") == "200"
    assert phone.authenticate(2, "wrong") == "401"
    assert phone.authenticate(3, "MARKPASSWORD", ", algorithm=FOO") == "401"
    assert phone.authenticate(4, "MARKPASSWORD", ', qop="') == "401"
    assert phone.authenticate(5, "MARKPASSWORD", cseq="malformed") == "400"
    assert phone.authenticate(6, "MARKPASSWORD", method="OPTIONS", uri="sip:boom@example.com") == "200"
    assert phone.call(7, "sip:bob@example.com") == "200"
    assert phone.call(8, "sip:boom@example.com") == "200"
    assert phone.call(9, "sip:bob@example.com", "Max-Forwards: much\n") == "400"

    shown = {"log": served.log()}
    methods = [name for name in json.loads(rpc(served, "system.listMethods"))["result"] if name]
    assert len(methods) > 50
    for method in methods:
        if not any(word in method for word in UNASKED):
            shown[method] = rpc(served, method)
    for words in (
        ("explain", "call-101"), ("explain", "call-105"), ("explain", "call-107"),
        ("explain", "call-8"), ("explain", "call-9"), ("why", "401"), ("why", "call-8"), ("user", "list"),
        ("user", "show", "alice@example.com"), ("modules", "show", "auth"), ("ul", "show"),
        ("check", tmp_path / "kamailio.cfg"),
        ("rpc", "uac.reg_dump"), ("trace", "--redact", "--for", "0s", "--before", "60s"),
    ):  # fmt: skip
        done = served.cli(*words)
        shown[" ".join(map(str, words))] = done.stdout + done.stderr
    for face, text in shown.items():
        found = sorted(secret for secret in phone.secrets if secret in text)
        assert not found, f"{face} shows {found}:\n{text[:2000]}"
    for name in ("record", "kamtool.db", "control.sock"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600, name


def test_no_face_shows_a_line_of_a_tls_key(tmp_path, free_port):
    """Not when it is in use, nor when a cfg, a tls.cfg or a command takes it for something else."""
    server, folder = Served(tmp_path, free_port()), tmp_path / "tls"
    assert server.cli("tls", "init", "--dir", folder, "sip.example.com").returncode == 0
    lines = {line for key in folder.glob("*.key") for line in key.read_text().splitlines()}
    lines = {line for line in lines if not line.startswith("-")}
    assert len(lines) >= 6
    cfg, wrong, pasted = tmp_path / "kamailio.cfg", tmp_path / "wrong.cfg", tmp_path / "pasted.cfg"
    listen = f"tls:127.0.0.1:{free_port()}"
    cfg.write_text(
        f'#!KAMAILIO\nenable_tls=yes\nlisten={listen}\nloadmodule "tls.so"\nloadmodule "sl.so"\n'
        f'modparam("tls", "config", "{folder}/tls.cfg")\nrequest_route {{ sl_send_reply("200", "OK"); }}\n'
    )
    wrong.write_text(cfg.read_text().replace("tls.cfg", "server.key"))
    pasted.write_text((folder / "tls.cfg").read_text() + (folder / "server.key").read_text())
    server.start("-f", cfg, "-ddddd", "-E", "--drain", 0)
    try:
        shown = {
            name: rpc(server, name) for name in ("tls.options", "tls.profiles", "tls.list", "tls.reload")
        }
        key = folder / "server.key"
        for words in (
            ("tls", "inspect", key), ("tls", "check", pasted), ("check", "-o", "json", wrong), ("check", key),
            ("serve", "-f", wrong, "-s", tmp_path / "other.sock"), ("tls", "renew", "--dir", folder, "--all"),
            ("ban", "import", key), ("user", "import", "--format", "csv", key),
        ):  # fmt: skip
            done = server.cli(*words)
            shown[" ".join(map(str, words))] = done.stdout + done.stderr
        (folder / "tls.cfg").write_text(pasted.read_text())
        shown["reload of it"] = rpc(server, "tls.reload")
        assert "a key or certificate stands here" in shown["reload of it"]
        shown["log"] = server.log()
    finally:
        server.end()
    for face, text in shown.items():
        assert not [line for line in lines if line in text], f"{face} shows a key:\n{text[:2000]}"
    for path in folder.glob("*.key"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


def test_a_finding_stars_the_secrets_of_its_line(served, tmp_path):
    cfg = tmp_path / "wrong.cfg"
    cfg.write_text(
        '#!KAMAILIO\nloadmodule "auth.so"\nloadmodule "db_sqlite.so"\nloadmodule "usrloc.so"\n'
        'modparam("auth", "secrt", "MARKNONCE")\nmodparam("usrloc", "db_urll", "mysql://kam:MARKURL@localhost/k")\n'
        'modparam("usrloc", "db_url", "mysql://kam:MARKURL@localhost/k")\nmodparam("usrloc", "db_mode", 1)\n'
        "request_route { exit; }\n"
    )
    for words in (("check", cfg), ("serve", "-f", cfg, "-c"), ("check", "-o", "json", cfg)):
        done = served.cli(*words)
        assert done.returncode
        assert "MARK" not in done.stdout + done.stderr, done.stdout + done.stderr
    assert 'modparam("auth", "secrt", "*********")' in served.cli("check", cfg).stderr
    cfg.write_text(
        cfg.read_text().replace("db_urll", "db_url").replace('modparam("auth", "secrt", "MARKNONCE")\n', "")
    )
    done = served.cli("serve", "-f", cfg, "-s", tmp_path / "other.sock", "-l", "udp:127.0.0.1:0", "-ddd")
    assert done.returncode
    assert "MARK" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("text", "starred"),
    [
        ("mysql://kam:pw@host/db", "mysql://kam:***@host/db"),
        ("mysql:/u:pw@h/x: no such database", "mysql:/u:***@h/x: no such database"),
        ("redis://:pw@host", "redis://:***@host"),
        ("sip:alice:pw@x.com and sip:bob@x.com:5060", "sip:alice:***@x.com and sip:bob@x.com:5060"),
        ('Digest response="0123456789abcdef0123456789abcdef", x', 'Digest response="***", x'),
        ("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9|2^20",
         "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:***|2^20"),
        ('modparam("topoh", "mask_key", "k")', 'modparam("topoh", "mask_key", "***")'),
        ('modparam("usrloc", "db_mode", 1) # a@b', 'modparam("usrloc", "db_mode", 1) # a@b'),
        ("response 200 to a@b", "response 200 to a@b"),
        ("http://host:80/path@x", "http://host:80/path@x"),
    ],
)  # fmt: skip
def test_secrets_in_a_text_are_starred(text, starred):
    assert veiled(text) == starred
