"""TLS as its real records, with the keys beside them: what stock tshark makes of the file."""

import asyncio
import contextlib
import shutil
import socket
import ssl
import subprocess
from functools import partial

import pytest

from kamtool.server.control import ControlSocket
from kamtool.sip.flow import Address, Flow
from kamtool.tools.pcap.reader import Reader
from kamtool.tools.pcap.writer import Writer
from kamtool.tools.trace import feed
from kamtool.transport import records
from kamtool.transport.records import RecordedSocket
from tests.live.test_trace_live import CFG, Tracer
from tests.support.server import port_of
from tests.support.tls import BASE, client_context
from tests.support.until import until
from tests.support.websocket import WebSocketPeer

pytestmark = pytest.mark.live


@pytest.fixture
async def recorded(tmp_path):
    """Attaches a trace that writes records: `server -> (tracer, path)`; the file is whole after `stop`."""
    made = []

    async def attach(server):
        path = tmp_path / "x.pcapng"
        writer = Writer(path.open("wb"), encap="tls+keys")
        control = ControlSocket(server.rpc, tmp_path / "c.sock")
        control.takers[b'"trace.attach"'] = partial(feed.converse, server)
        await control.start()
        tracer = Tracer(control.path, on_record=writer.write_record)
        made.append((tracer, control))
        await tracer.start(server)
        return tracer, writer, path

    yield attach
    for tracer, control in made:
        await asyncio.to_thread(tracer.stop)
        await control.stop()


async def tshark(path, *options):
    if not shutil.which("tshark"):
        pytest.skip("tshark is not installed")
    done = await asyncio.to_thread(
        subprocess.run, ["tshark", "-r", path, *options], capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_2])
async def test_tshark_shows_the_sip_inside(tls_server, tls_peer, recorded, authority, version):
    server = await tls_server(CFG, server="method = TLSv1.2+")
    _, writer, path = await recorded(server)
    context = client_context(authority)
    context.maximum_version = version
    port = port_of(server, "tls")
    phone = await tls_peer(port, context=context)
    for number in range(3):
        phone.send(phone.request("OPTIONS", "sip:x@y", branch=str(number), call_id=f"c{number}"), port)
        await phone.expect(200)
    phone.writer.close()
    await until(lambda: not server.transports.tcp.connections)
    await until(lambda: writer.records > 9 and not writer.streams._connections)
    writer.close()
    assert writer.ports == {port}
    reader = Reader(path.open("rb"))
    assert list(reader) == []
    assert [("TLS" in what, count) for what, count in reader.problems.items()] == [(True, 2)]
    as_sip = f"tls.port=={port},sip"
    checked = ("-o", "ip.check_checksum:TRUE", "-o", "tcp.check_checksum:TRUE", "-d", as_sip)
    seen = await tshark(path, *checked, "-Y", "sip", "-T", "fields", "-e", "sip.Call-ID", "-e", "sip.Method")
    assert seen == [f"c{number}\t{method}" for number in range(3) for method in ("OPTIONS", "")]
    bad = "_ws.malformed || tcp.checksum.status==0 || ip.checksum.status==0 || tcp.analysis.flags"
    assert await tshark(path, *checked, "-Y", bad) == []
    assert len(await tshark(path, *checked, "-Y", "tcp.checksum.status==1")) > 9


async def test_only_connections_that_begin_under_the_trace_are_recorded(
    tls_server, tls_peer, recorded, authority
):
    server = await tls_server(CFG)
    port, context = port_of(server, "tls"), client_context(authority)
    early = await tls_peer(port, context=context)
    early.send(early.request("OPTIONS", "sip:x@y", call_id="early"), port)
    await early.expect(200)
    tracer, writer, _ = await recorded(server)
    early.send(early.request("OPTIONS", "sip:x@y", branch="2", call_id="plain"), port)
    await early.expect(200)
    late = await tls_peer(port, context=context)
    late.send(late.request("OPTIONS", "sip:x@y", call_id="late"), port)
    await late.expect(200)
    seen = await tracer.saw(4)
    for each in seen:
        writer.write(each)
    assert writer.count == 2, "the messages of the recorded connection are not there twice"
    assert writer.records
    kinds = [isinstance(connection.secure, RecordedSocket) for connection in server.transports.tcp]
    assert sorted(kinds) == [False, True]
    await asyncio.to_thread(tracer.stop)
    await until(lambda: server.transports.tcp.recording is None)
    late.send(late.request("OPTIONS", "sip:x@y", branch="3", call_id="after"), port)
    await late.expect(200)
    after = await tls_peer(port, context=context)
    await until(lambda: len(server.transports.tcp.connections) == 3)
    assert not isinstance(list(server.transports.tcp)[-1].secure, RecordedSocket)
    after.writer.close()


async def test_a_websocket_over_tls_is_recorded_too(tls_server, recorded, authority):
    server = await tls_server(
        CFG + "event_route[xhttp:request] { ws_handle_handshake(); }",
        modules=BASE + 'loadmodule "xhttp.so"\nloadmodule "websocket.so"\n',
    )
    _, writer, path = await recorded(server)
    port = port_of(server, "tls")
    wss = await WebSocketPeer().connect(
        port, context=client_context(authority), server_name="sip.example.com"
    )
    wss.send(wss.request("OPTIONS", "sip:x@y", call_id="ws"), port)
    await wss.expect(200)
    await wss.close()
    await until(lambda: not server.transports.tcp.connections)
    await until(lambda: writer.records > 6 and not writer.streams._connections)
    writer.close()
    found = await tshark(path, "-d", f"tls.port=={port},http", "-Y", "websocket && sip", "-T", "fields", "-e",
                         "sip.Call-ID")  # fmt: skip
    assert found == ["ws", "ws"]


class Told:
    """A Recording whose tellings are kept."""

    def __init__(self):
        self.recording, self.said = records.Recording(), []
        self.recording.watchers.append(lambda at, kind, flow, before, data: self.said.append((kind, data)))

    def octets(self, kind):
        return b"".join(data for each, data in self.said if each == kind)


def connected():
    """Two ends of a TCP connection; the first does not block."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        theirs = socket.create_connection(listener.getsockname())
        ours, _ = listener.accept()
    ours.setblocking(False)
    return ours, theirs


def shake(sock):
    """The handshake to its end."""
    while True:
        with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return sock.do_handshake()


def flow_of(sock):
    return Flow("tls", Address(*sock.getsockname()), Address(*sock.getpeername()), 1)


def pair(authority, issued, told, *, small=False):
    """A recorded server's end and a usual client's, both non-blocking, before their handshake."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(issued.certificate, issued.key)
    ours, theirs = connected()
    if small:
        for each in (ours, theirs):
            each.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
            each.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    theirs.setblocking(False)
    wrapped = told.recording.wrap(ours, context, flow_of(ours), server_side=True, name=None)
    client = client_context(authority).wrap_socket(
        theirs, server_hostname="sip.example.com", do_handshake_on_connect=False
    )
    pending = [wrapped, client]
    while pending:
        for each in list(pending):
            try:
                each.do_handshake()
                pending.remove(each)
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                pass
    return wrapped, client


def drain(sock):
    """What has come."""
    got = b""
    with contextlib.suppress(ssl.SSLWantReadError):
        while data := sock.read(16_384):
            got += data
    return got


def test_a_peer_that_reads_slowly_gets_every_octet_once(authority, issued):
    told = Told()
    ours, theirs = pair(authority, issued, told, small=True)
    wanted = [bytes([65 + number]) * 30_000 for number in range(20)]
    got, waits = b"", 0
    for data in wanted:
        sent = 0
        while not sent:
            try:
                sent = ours.write(data)
            except ssl.SSLWantWriteError:
                waits += 1
                got += drain(theirs)
        assert sent == len(data)
    while len(got) < 600_000:
        got += drain(theirs)
    assert got == b"".join(wanted)
    assert waits, "the kernel took all at once: the test shows nothing"
    theirs.setblocking(True)
    theirs.sendall(b"hello")
    back = b""
    while len(back) < 5:
        back += drain(ours)
    assert back == b"hello"
    ours.close()
    theirs.close()
    assert len(told.octets(records.OUT)) > 600_000


def test_the_secrets_stand_before_all_that_they_open(authority, issued):
    told = Told()
    ours, theirs = pair(authority, issued, told)
    kinds = [kind for kind, _ in told.said]
    assert kinds[0] == records.SECRETS
    assert kinds[1] == records.BEGIN_IN
    assert b"SERVER_TRAFFIC_SECRET_0 " in told.octets(records.SECRETS)
    assert told.octets(records.SECRETS).count(b"TRAFFIC_SECRET") == 4
    told.recording.stop()
    for each in (ours, theirs):
        each.close()


@pytest.mark.parametrize("octets", [
    b"\x16\x03\x01\x00\x05hello", b"\x16\x03\x01\xff\xff" + b"x" * 65_535, b"\x15\x03\x01\x00\x00",
    b"\x16\x03\x01\x00",
])  # fmt: skip
def test_what_is_no_tls_is_refused_and_told(authority, issued, octets):
    told = Told()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(issued.certificate, issued.key)
    ours, theirs = connected()
    wrapped = told.recording.wrap(ours, context, flow_of(ours), server_side=True, name=None)
    theirs.sendall(octets)
    theirs.close()
    with pytest.raises(ssl.SSLError):
        shake(wrapped)
    wrapped.close()
    assert told.octets(records.IN) in (octets, b"")
    assert told.said[0][0] == records.BEGIN_IN
    assert told.said[-1][0] == records.END
