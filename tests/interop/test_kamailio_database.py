"""One database file, two servers: what kamtool writes Kamailio 5.6 reads, and the reverse."""

import os
import re
import sqlite3
import subprocess
import time

import pytest

from kamtool.store.migrate import migrate, status
from kamtool.store.subscribers import add, opened
from kamtool.store.url import database_url
from tests.modules.test_auth_db import check as authenticate
from tests.support.digest import authorization
from tests.support.host import Host
from tests.support.until import SOON

pytestmark = pytest.mark.interop

REGISTER = """
REGISTER sip:example.com SIP/2.0
Via: SIP/2.0/UDP 127.0.0.1:{port};rport;branch=z9hG4bK%d
From: <sip:alice@example.com>;tag=f
To: <sip:alice@example.com>
Call-ID: interop
CSeq: %d REGISTER
Max-Forwards: 70
Contact: <sip:alice@10.0.0.1:5070;x=1>;q=0.5;expires=600;+sip.instance="<urn:uuid:1>";reg-id=1
User-Agent: phone/1
Allow: INVITE, ACK
%sContent-Length: 0
"""
OPTIONS = """
OPTIONS sip:alice@example.com SIP/2.0
Via: SIP/2.0/UDP 127.0.0.1:{port};rport;branch=z9hG4bKo
From: <sip:bob@example.com>;tag=f
To: <sip:alice@example.com>
Call-ID: o
CSeq: 1 OPTIONS
Max-Forwards: 70
Content-Length: 0
"""


def register(kamailio, password="secret"):
    """Register alice with digest; the final status line."""
    challenge = kamailio.ask(REGISTER % (1, 1, ""))
    nonce = re.search(r'nonce="([^"]+)"', challenge)[1]
    header = f"Authorization: {authorization(nonce, password=password)}\n"
    return kamailio.ask(REGISTER % (2, 2, header)).partition("\r\n")[0]


def looked_up(kamailio, aor):
    """What Kamailio knows of an AOR; it takes commands before it has read its contacts, so ask again."""
    deadline = time.monotonic() + SOON
    while True:
        shown = kamailio.rpc("ul.lookup", "location", aor).stdout
        if "Address:" in shown or time.monotonic() > deadline:
            return shown
        time.sleep(0.1)


def make_with_kamdbctl(folder):
    """A file as `kamdbctl create` makes it with DBENGINE=SQLITE."""
    path = folder / "theirs.db"
    (folder / "kamctlrc").write_text(
        "DBENGINE=SQLITE\n"
        f"DB_PATH={path}\n"
        "INSTALL_EXTRA_TABLES=no\nINSTALL_PRESENCE_TABLES=no\nINSTALL_DBUID_TABLES=no\n"
    )
    environment = {**os.environ, "HOME": str(folder)}
    (folder / "kamctlrc").rename(folder / ".kamctlrc")
    done = subprocess.run(
        ["kamdbctl", "create", str(path)],
        env=environment, input="n\nn\nn\n", capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert path.exists(), done.stdout + done.stderr
    return path


async def usrloc(path, mode=1):
    host = Host()
    await host.load("db_sqlite")
    return host, await host.load("usrloc", db_url=database_url(path), db_mode=mode)


async def test_kamailio_runs_on_a_file_made_here(kamailio, tmp_path):
    path = tmp_path / "ours.db"
    migrate(path)
    with opened(path, write=True) as connection:
        add(connection, "alice", "kamtool", "kamtool", "secret", plaintext=False)
    kamailio.start(path)
    assert register(kamailio) == "SIP/2.0 200 OK"
    assert register(kamailio, password="wrong") == "SIP/2.0 401 Unauthorized"
    host, module = await usrloc(path)
    (contact,) = module.locations["location"].get("alice")
    assert contact.uri == "sip:alice@10.0.0.1:5070;x=1"
    assert contact.remaining(host.now()) == pytest.approx(600, abs=20)
    assert (contact.q, contact.call_id, contact.cseq, contact.user_agent) == (500, "interop", 2, "phone/1")
    assert contact.methods == 5
    assert (contact.details.instance, contact.details.reg_id) == ("<urn:uuid:1>", 1)
    assert contact.socket == f"udp:127.0.0.1:{kamailio.port}"
    await host.stop()


async def test_kamailio_finds_the_contacts_written_here(kamailio, tmp_path):
    path = tmp_path / "ours.db"
    migrate(path)
    host, module = await usrloc(path)
    await module.ul_add("location", "alice", "sip:alice@192.0.2.7", 600, "0.25")
    await module.ul_add("location", "alice", "sip:for-ever@192.0.2.8", 0)
    await host.stop()
    kamailio.start(path)
    shown = looked_up(kamailio, "alice")
    assert "Address: sip:alice@192.0.2.7" in shown
    assert 550 < int(re.search(r"Expires: (\d+)", shown)[1]) <= 601
    assert "Q: 0.25" in shown
    assert "sip:for-ever@192.0.2.8" in shown
    assert "Expires: permanent" in shown
    assert "X-Contact: sip:alice@192.0.2.7" in kamailio.ask(OPTIONS)


async def test_a_file_made_by_kamdbctl_opens_here_without_a_change(kamailio, tmp_path):
    path = make_with_kamdbctl(tmp_path)
    with sqlite3.connect(path) as file:
        file.execute(
            "INSERT INTO subscriber (username, domain, password) VALUES ('alice', 'kamtool', 'secret')"
        )
    kamailio.start(path, calculate_ha1=1, password_column="password")
    assert register(kamailio) == "SIP/2.0 200 OK"
    kamailio.stop()
    host, module = await usrloc(path)
    assert [c.uri for c in module.locations["location"].get("alice")] == ["sip:alice@10.0.0.1:5070;x=1"]
    await host.load("auth")
    auth_db = await host.load(
        "auth_db", db_url=database_url(path), calculate_ha1=1, password_column="password"
    )
    assert authenticate(host, auth_db)[0] == 1
    assert authenticate(host, auth_db, password="wrong")[0] == -2
    await host.stop()
    assert not status(path).made_by_kamtool


async def test_both_may_have_the_file_open_at_once(kamailio, tmp_path):
    """Kamailio's driver has no busy timeout, so only our side is asked never to fail."""
    path = tmp_path / "ours.db"
    migrate(path)
    with opened(path, write=True) as connection:
        add(connection, "alice", "kamtool", "kamtool", "secret", plaintext=False)
    kamailio.start(path)
    host, module = await usrloc(path)
    end = time.monotonic() + 1.0
    number = 0
    while time.monotonic() < end:
        number += 1
        await module.ul_add("location", f"u{number}", "sip:u@h", 600)
        if number % 10 == 0:
            register(kamailio)
    await host.stop()
    with sqlite3.connect(path) as file:
        assert file.execute("SELECT count(*) FROM location WHERE username LIKE 'u%'").fetchone()[0] == number
        assert file.execute("PRAGMA integrity_check").fetchone() == ("ok",)
