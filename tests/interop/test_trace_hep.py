"""HEP between kamtool and the real Kamailio: siptrace of one, sipcapture of the other, all three versions."""

import io
import shutil
import socket
import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path

import pytest

from kamtool.sip.flow import Address
from kamtool.store.migrate import migrate
from kamtool.tools.captured import Captured
from kamtool.tools.pcap.reader import Reader
from kamtool.tools.trace.sinks import Sent
from tests.support.kamailio import Launched
from tests.support.until import SOON

pytestmark = pytest.mark.skipif(not shutil.which("kamailio"), reason="Kamailio is not installed")

HEAD = """#!KAMAILIO
debug=2
log_stderror=yes
children=1
disable_tcp=yes
listen=udp:127.0.0.1:{port}
loadmodule "ctl.so"
loadmodule "kex.so"
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "textops.so"
loadmodule "db_sqlite.so"
modparam("ctl", "binrpc", "unix:{folder}/ctl.sock")
"""
CAPTURE = (
    HEAD
    + """
loadmodule "sipcapture.so"
modparam("sipcapture", "db_url", "sqlite:///{database}")
modparam("sipcapture", "capture_on", 1)
modparam("sipcapture", "hep_capture_on", 1)
modparam("sipcapture", "capture_node", "node7")
request_route {{ sip_capture(); drop; }}
reply_route {{ sip_capture(); drop; }}
"""
)
TRACE = (
    HEAD
    + """
loadmodule "siptrace.so"
modparam("siptrace", "trace_to_database", {to_database})
modparam("siptrace", "db_url", "sqlite:///{database}")
modparam("siptrace", "trace_on", 1)
modparam("siptrace", "trace_flag", 5)
modparam("siptrace", "duplicate_uri", "sip:127.0.0.1:{hep}")
modparam("siptrace", "hep_mode_on", 1)
modparam("siptrace", "hep_version", {version})
modparam("siptrace", "hep_capture_id", 77)
{more}
request_route {{ setflag(5); sip_trace(); t_newtran(); t_reply("404", "Not Here"); exit; }}
"""
)
OPTIONS = (
    "OPTIONS sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:{port};branch=z9hG4bKx1\r\n"
    'From: "A" <sip:alice@example.com>;tag=ft\r\nTo: <sip:bob@example.com>\r\nCall-ID: c@trace\r\n'
    "CSeq: 7 OPTIONS\r\nContact: <sip:alice@127.0.0.1:5099>\r\nUser-Agent: phone\r\nMax-Forwards: 70\r\n"
    "Content-Length: 0\r\n\r\n"
)
SHOWN = (
    "method, reply_reason, ruri, ruri_user, from_user, from_tag, to_user, contact_user, callid, "
    "via_1_branch, cseq, user_agent, source_ip, source_port, destination_ip, destination_port, "
    "contact_ip, contact_port, proto, family, type, node, msg"
)


def rows(database, query, count):
    """The rows, once there are so many."""
    end = time.monotonic() + SOON
    while time.monotonic() < end:
        with closing(sqlite3.connect(database)) as connection:
            found = connection.execute(query).fetchall()
        if len(found) >= count:
            return found
        time.sleep(0.1)
    raise AssertionError(f"{len(found)} rows instead of {count}")


@pytest.fixture
def oracle(tmp_path, free_port):
    """Starts the real Kamailio on a cfg: `oracle(TRACE, hep=9060, version=3)` gives its port.

    It does not wait for a locked database but loses the row: one connection stays open all the while, so that
    neither the first to open nor the last to close (both lock it) comes between.
    """
    running, kept = [], []

    def start(cfg, **words):
        if not kept:
            kept.append(sqlite3.connect(tmp_path / "o.db"))
            kept[0].execute("SELECT count(*) FROM version").fetchone()
        port = free_port()
        file = tmp_path / f"oracle{port}.cfg"
        words = {"port": port, "folder": tmp_path, "database": tmp_path / "o.db", "more": "", **words}
        file.write_text(cfg.format(**words))
        command = ["kamcmd", "-s", f"unix:{tmp_path}/ctl.sock", "core.uptime"]

        def up():
            return subprocess.run(command, capture_output=True, check=False).returncode == 0

        running.append(Launched(file, tmp_path, up, "-x", "fm"))
        return port

    yield start
    for launched in running:
        launched.end()
    for connection in kept:
        connection.close()


@pytest.mark.parametrize("version", [1, 2, 3])
def test_kamailio_stores_what_kamtool_sends(tmp_path, oracle, version):
    database = tmp_path / "o.db"
    migrate(database)
    port = oracle(CAPTURE)
    alice, server = Address("192.0.2.1", 5062), Address("192.0.2.9", 5060)
    data = OPTIONS.format(port=5062).encode()
    sink = Sent(f"udp:127.0.0.1:{port}", version=version, node=7)
    sink.take(Captured(1_700_000_000.25, "udp", alice, server, data))
    sink.take(Captured(1_700_000_000.5, "udp", server, alice, data.replace(
        b"OPTIONS sip:bob@example.com SIP/2.0", b"SIP/2.0 404 Not Here")))  # fmt: skip
    sink.end()
    found = rows(database, f"SELECT {SHOWN} FROM sip_capture ORDER BY id", 2)
    assert found[0][:4] == ("OPTIONS", "", "sip:bob@example.com", "bob")
    assert found[0][4:9] == ("alice", "ft", "bob", "alice", "c@trace")
    assert found[0][12:16] == ("192.0.2.1", 5062, "192.0.2.9", 5060)
    assert found[0][-1] == data
    assert found[1][:2] == ("404", "Not Here")
    if version > 1:
        [(at,)] = rows(database, "SELECT micro_ts FROM sip_capture WHERE method = 'OPTIONS'", 1)
        assert at == 1_700_000_000_250_000


@pytest.mark.skipif(not shutil.which("sngrep"), reason="sngrep is not installed (Debian: sngrep)")
def test_sngrep_reads_the_hep_that_kamtool_sends(tmp_path, free_port):
    """A decoder of others' making; only HEP 3 is known to it."""
    path, port = tmp_path / "sngrep.pcap", free_port()
    alice, server = Address("192.0.2.1", 5062), Address("192.0.2.9", 5060)
    data = OPTIONS.format(port=5062).encode()
    reply = data.replace(b"OPTIONS sip:bob@example.com SIP/2.0", b"SIP/2.0 404 Not Here")
    sngrep = subprocess.Popen(
        ["timeout", "-k", "5", "60", "sngrep", "-F", "-N", "-q", "-O", path, "-L", f"udp:127.0.0.1:{port}"],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env={"TERM": "xterm", "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
    )  # fmt: skip
    try:
        wait_until_bound(port)
        sink = Sent(f"udp:127.0.0.1:{port}", version=3, node=7)
        sink.take(Captured(1_700_000_000.25, "udp", alice, server, data))
        sink.take(Captured(1_700_000_000.5, "udp", server, alice, reply))
        sink.end()
        end = time.monotonic() + SOON
        while len(found := read(path)) < 2:
            assert time.monotonic() < end, found
            time.sleep(0.1)
    finally:
        sngrep.terminate()
        sngrep.wait(SOON)
    assert [(one.at, one.source, one.target, one.data) for one in found] == [
        (1_700_000_000.25, alice, server, data), (1_700_000_000.5, server, alice, reply),
    ]  # fmt: skip


def read(path):
    data = path.read_bytes() if path.exists() else b""
    return list(Reader(io.BytesIO(data))) if data else []


def wait_until_bound(port):
    """Until the kernel names somebody who listens on this UDP port."""
    end = time.monotonic() + SOON
    while f":{port:04X} " not in "".join(Path(f"/proc/net/{table}").read_text() for table in ("udp", "udp6")):
        assert time.monotonic() < end, "nobody listens"
        time.sleep(0.05)


async def test_kamtool_stores_the_rows_that_kamailio_stores(tmp_path, oracle, kamtool):
    """The same HEP to both; every column that holds anything of the message is the same."""
    from tests.support.server import port_of

    theirs, ours = tmp_path / "o.db", tmp_path / "ours.db"
    migrate(theirs)
    migrate(ours)
    cfg = CAPTURE.format(port=5060, folder=tmp_path, database=ours).replace("listen=udp:127.0.0.1:5060", "")
    cfg = "\n".join(line for line in cfg.split("\n") if "ctl" not in line)
    server = await kamtool(cfg)
    import asyncio

    places = [oracle(CAPTURE), port_of(server)]
    request = OPTIONS.format(port=5062).encode()
    extra = (
        b"P-Asserted-Identity: <sip:pid@example.com>\r\nDiversion: <sip:d@example.com>;reason=busy\r\n"
        b"Reason: Q.850;cause=16\r\nX-CID: leg-a\r\nContent-Type: text/plain\r\nX-RTP-Stat: PS=1\r\n"
        b'Authorization: Digest username="au", realm="r", nonce="n", uri="sip:u", response="1"\r\n'
    )
    reply = request.replace(b"OPTIONS sip:bob@example.com SIP/2.0", b"SIP/2.0 404 Not Here")
    alice, proxy = Address("192.0.2.1", 5062), Address("192.0.2.9", 5060)
    for place in places:
        sink = Sent(f"udp:127.0.0.1:{place}", version=3, node=7)
        sink.take(Captured(1_700_000_000.25, "udp", alice, proxy, request))
        sink.take(Captured(1_700_000_001.5, "tcp", proxy, alice, reply))
        sink.take(Captured(1_700_000_002.0, "udp", alice, proxy, request.replace(b"Max-", extra + b"Max-")))
        sink.end()
    from kamtool.modules.sipcapture.row import COLUMNS

    query = f"SELECT {', '.join(COLUMNS)} FROM sip_capture ORDER BY id"
    mine = await asyncio.to_thread(rows, ours, query, 3)
    other = await asyncio.to_thread(rows, theirs, query, 3)
    differ = [
        (column, a, b) for one, two in zip(mine, other, strict=True)
        for column, a, b in zip(COLUMNS, one, two, strict=True)
        # The real one leaves `auth` empty, whatever the message has, and keeps `msg` as octets.
        # Its dates are half a second early.
        if column not in ("auth", "date") and a != (b.decode() if isinstance(b, bytes) else b)
    ]  # fmt: skip
    assert differ == [], differ


@pytest.mark.parametrize("version", [1, 2, 3])
def test_kamailio_s_hep_is_read(tmp_path, oracle, version):
    from kamtool.sip import hep

    migrate(tmp_path / "o.db")
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as capture,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as phone,
    ):
        for each in (capture, phone):
            each.bind(("127.0.0.1", 0))
            each.settimeout(SOON)
        port = oracle(TRACE, hep=capture.getsockname()[1], version=version, to_database=0)
        ours = phone.getsockname()[1]
        data = OPTIONS.format(port=ours).encode()
        phone.sendto(data, ("127.0.0.1", port))
        phone.recv(65536)
        found = [hep.decode(capture.recv(65536)) for _ in range(2)]
    request, reply = found
    assert (request.version, request.transport, request.payload) == (version, "udp", data)
    assert (request.source, request.target) == (Address("127.0.0.1", ours), Address("127.0.0.1", port))
    assert (reply.source, reply.target) == (Address("127.0.0.1", port), Address("127.0.0.1", ours))
    assert reply.payload.startswith(b"SIP/2.0 404")
    if version > 1:
        assert abs(request.at - time.time()) < 60
        assert request.node == 77


async def test_siptrace_stores_the_rows_that_kamailio_stores(tmp_path, oracle, kamtool, peer):
    from tests.support.server import port_of

    theirs, ours = tmp_path / "o.db", tmp_path / "ours.db"
    migrate(theirs)
    migrate(ours)
    with sqlite3.connect(theirs) as connection:
        # Into its own SQLite table the real one stores no request without a To tag: the column takes no NULL.
        connection.executescript(
            "DROP TABLE sip_trace; CREATE TABLE sip_trace (id INTEGER PRIMARY KEY, "
            "time_stamp, time_us, callid, traced_user, msg, method, status, "
            "fromip, toip, fromtag, totag, direction)"
        )
    words = {"port": 5060, "folder": tmp_path, "hep": 9, "version": 3, "to_database": 1, "more": ""}
    text = TRACE.format(**words, database=ours).replace("listen=udp:127.0.0.1:5060", "")
    server = await kamtool("\n".join(line for line in text.split("\n") if "ctl" not in line))
    phone = await peer()
    places = [port_of(server), oracle(TRACE, hep=9, version=3, to_database=1)]
    for place in places:
        phone.send(OPTIONS.format(port=phone.port), place)
        await phone.expect(404)
    import asyncio

    columns = "callid, traced_user, method, status, fromip, toip, fromtag, direction"
    query = f"SELECT {columns} FROM sip_trace ORDER BY id"
    mine = await asyncio.to_thread(rows, ours, query, 2)
    other = await asyncio.to_thread(rows, theirs, query, 2)
    swap = str(places[0]), str(places[1])
    assert [tuple(str(each).replace(*swap) for each in row) for row in mine] == [
        tuple(str(each) for each in row) for row in other
    ]
