"""`kamtool trace` on a running server: all transports decrypted, the script beside them."""

import asyncio
import contextlib
import fcntl
import io
import json
import os
import pty
import shutil
import signal
import socket
import struct
import subprocess
import sys
import termios
import threading
from functools import partial

import pytest

from kamtool.errors import UsageError
from kamtool.server.control import ControlSocket
from kamtool.tools.pcap.reader import Reader
from kamtool.tools.pcap.writer import Writer
from kamtool.tools.trace import feed, recorder
from kamtool.tools.trace.attached import Attached
from kamtool.tools.trace.frames import END_OF_BATCH, FLOW, HEAD, MESSAGE_IN, MESSAGE_OUT
from kamtool.tools.trace.stream import Frames
from kamtool.transport.transports import Transports
from tests.support.debugger import CFG as CALLS
from tests.support.debugger import invite, line_of
from tests.support.server import SOON, port_of
from tests.support.tls import BASE, client_context
from tests.support.until import until
from tests.support.websocket import WebSocketPeer

pytestmark = pytest.mark.live
CFG = 'request_route { if (is_method("OPTIONS")) { sl_send_reply("200", "OK"); exit; } }'


class Tracer:
    """A trace in a thread, as a client in another process would be."""

    def __init__(self, path, **wishes):
        self.seen, self.path, self.wishes = [], path, wishes
        self.attached = None
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        self.attached = Attached(self.path, **self.wishes)
        for batch in self.attached.batches():
            self.seen += batch

    async def start(self, server):
        before = len(server.tap.watchers)
        self.thread.start()
        await until(lambda: len(server.tap.watchers) > before and self.attached is not None)
        return self

    async def saw(self, count):
        await until(lambda: len(self.seen) >= count)
        return self.seen

    def stop(self):
        if self.attached:
            with contextlib.suppress(OSError):  # the server has hung up
                self.attached.socket.shutdown(socket.SHUT_RDWR)
        self.thread.join(SOON)


@pytest.fixture
async def traced(tmp_path):
    """Opens the control socket of a server and attaches traces: `await traced(server, cfg=True)`."""
    sockets, tracers = {}, []

    async def attach(server, **wishes):
        if server not in sockets:
            path = tmp_path / f"c{len(sockets)}.sock"
            control = sockets[server] = ControlSocket(server.rpc, path)
            control.takers[b'"trace.attach"'] = partial(feed.converse, server)
            await control.start()
        tracers.append(await Tracer(sockets[server].path, **wishes).start(server))
        return tracers[-1]

    yield attach
    for tracer in tracers:
        await asyncio.to_thread(tracer.stop)
    for control in sockets.values():
        await control.stop()


def swapped(server):
    """What the tap changes, for a comparison."""
    udp = server.transports.udp_sockets[0]
    return (
        udp.receive, server.transports.tcp.receive, server.transports.tcp.broken_stream,
        server.transports.send, server.transactions.send, "send" in vars(server.transports),
    )  # fmt: skip


async def test_a_trace_that_has_left_leaves_nothing_behind(kamtool, peer, traced):
    server = await kamtool(CFG)
    before, program = swapped(server), server.program
    for with_cfg in (False, True):
        tracer = await traced(server, cfg=with_cfg)
        await until(lambda: swapped(server) != before)
        await asyncio.to_thread(tracer.stop)
        await until(lambda: not server.tap.watchers)
        await until(lambda: server.program is program)
        assert swapped(server) == before
    assert server.transports.send == Transports.send.__get__(server.transports)


async def test_every_message_is_seen_with_what_the_script_did(kamtool, peer, traced):
    server = await kamtool(CALLS)
    tracer = await traced(server, cfg=True)
    caller, callee = await peer(), await peer()
    caller.send(invite(caller, callee), port_of(server))
    received = await callee.expect("INVITE")
    callee.send(callee.answer(received, 486), port_of(server))
    await caller.expect(100)
    await caller.expect(480)
    await callee.expect("ACK")
    seen = await tracer.saw(6)
    assert {(s.label.split(" ")[0], s.inbound) for s in seen} >= {
        ("INVITE", True), ("100", False), ("INVITE", False), ("486", True), ("480", False), ("ACK", False),
    }  # fmt: skip
    first = next(s for s in seen if s.method == "INVITE" and s.inbound and not s.status)
    assert first.data.startswith(b"INVITE")
    lines = [place.line for place in first.path]
    assert line_of("$avp(x)", CALLS) in lines
    assert line_of("t_relay();", CALLS) in lines
    sent = next(s for s in seen if s.is_request and s.method == "INVITE" and s.inbound is False)
    assert (sent.sent_by.name, sent.sent_by.line) == ("t_relay", line_of("t_relay();", CALLS))
    await until(lambda: any(place.name == "t_reply" for place in first.path))


async def test_every_transport_is_decrypted_and_stock_tshark_reads_the_file(
    tls_server, tls_peer, peer, traced, authority, tmp_path
):
    if not shutil.which("tshark"):
        pytest.skip("tshark is not installed")
    server = await tls_server(
        CFG + "event_route[xhttp:request] { ws_handle_handshake(); }",
        modules=BASE + 'loadmodule "xhttp.so"\nloadmodule "websocket.so"\n',
    )
    tracer = await traced(server)
    context = client_context(authority)
    udp, tcp = await peer(), await peer(tcp=port_of(server, "tcp"))
    tls = await tls_peer(port_of(server, "tls"), context=context)
    wss = await WebSocketPeer().connect(
        port_of(server, "tls"), context=context, server_name="sip.example.com"
    )
    for number, one in enumerate((udp, tcp, tls, wss)):
        one.send(one.request("OPTIONS", "sip:x@y", call_id=f"call{number}"), port_of(server))
        await one.expect(200)
    seen = await tracer.saw(8)
    assert sorted((s.transport, s.inbound) for s in seen) == sorted(
        (transport, way) for transport in ("udp", "tcp", "tls", "wss") for way in (True, False)
    )
    path = tmp_path / "all.pcapng"
    with path.open("wb") as file:
        writer = Writer(file)
        for each in seen:
            writer.write(each)
    done = await asyncio.to_thread(
        subprocess.run,
        ["tshark", "-r", path, "-o", "ip.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE", "-T", "json"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    packets = [each["_source"]["layers"] for each in json.loads(done.stdout)]
    assert len(packets) == 8
    assert all("sip" in layers and "_ws.malformed" not in layers for layers in packets)
    assert {layers["udp"]["udp.checksum.status"] for layers in packets} == {"1"}
    again = list(Reader(io.BytesIO(path.read_bytes())))
    assert [s.transport for s in again] == [s.transport for s in seen]
    await wss.close()


async def test_the_flight_recorder_gives_what_was_before(kamtool, peer, traced):
    server = await kamtool(CFG)
    kept, port = recorder.start(server, 20_000), port_of(server)
    phone = await peer()
    for number in range(60):
        phone.send(phone.request("OPTIONS", "sip:x@y", branch=str(number), call_id=f"c{number}"), port)
        await phone.expect(200)
    tracer = await traced(server, before=30.0)
    seen = await tracer.saw(len(kept.ring))
    assert 20 < len(seen) < 120
    assert seen[-1].call_id == "c59"
    assert tracer.attached.frames.forgotten == 120 - len(seen) == kept.forgotten
    assert kept.ring.size <= 20_000


async def test_the_flight_recorder_lets_go_of_flows_that_nobody_needs(kamtool, monkeypatch):
    """A flow for each of many peers: those stay that a kept message came by, and no message changes hands."""
    monkeypatch.setattr(recorder, "MOST_NUMBERED", 50)
    server = await kamtool(CFG)
    kept, udp = recorder.start(server, 2_000), server.transports.udp_sockets[0]
    for port in range(1, 500):
        kept.ring.note(0.0, True, udp.flow(("127.0.0.9", port)), b"to %d" % port)
        udp._flows.clear()
    seen = kept.since(60.0)
    assert 40 < len(seen) == 499 - kept.forgotten
    assert [data for *_, data in seen] == [b"to %d" % flow.remote.port for _, _, flow, _ in seen]
    assert len(kept._flows) < 250


async def test_without_a_recorder_there_is_no_past(kamtool, tmp_path):
    server = await kamtool(CFG)
    control = ControlSocket(server.rpc, tmp_path / "c.sock")
    control.takers[b'"trace.attach"'] = partial(feed.converse, server)
    await control.start()
    with pytest.raises(UsageError, match="flight-recorder"):
        await asyncio.to_thread(Attached, control.path, before=3.0)
    await control.stop()


async def test_a_client_that_does_not_read_loses_messages_and_is_told(kamtool, tmp_path, monkeypatch):
    """The server's memory has an end; the count of what was lost is right to one."""
    monkeypatch.setattr(feed, "MOST_UNREAD", 100_000)
    server = await kamtool(CFG)
    control = ControlSocket(server.rpc, tmp_path / "c.sock")
    control.takers[b'"trace.attach"'] = partial(feed.converse, server)
    await control.start()
    client = await asyncio.to_thread(Attached, control.path)
    await until(lambda: server.tap.watchers)
    watcher = server.tap.watchers[0]
    flow = server.transports.udp_sockets[0].flow(("127.0.0.1", 9))
    for _ in range(400):
        for _ in range(10):
            watcher.note(1.0, True, flow, b"x" * 1000)
        await asyncio.sleep(0.002)
    frames, got = client.frames, []
    client.socket.setblocking(False)

    async def drain():
        loop = asyncio.get_running_loop()
        while len(got) + frames.dropped < 4000:
            got.extend(frames.feed(await loop.sock_recv(client.socket, 1 << 18)))

    await asyncio.wait_for(drain(), SOON)
    assert frames.dropped > 0
    assert len(got) + frames.dropped == 4000
    client.close()
    await control.stop()


def test_frames_that_say_nothing_are_refused_and_any_cut_is_the_same():
    flow = json.dumps(["udp", "192.0.2.1", 5060, "192.0.2.2", 5060, 0]).encode()
    data = (
        HEAD.pack(FLOW, 0, 1, 0, len(flow)) + flow + HEAD.pack(MESSAGE_IN, 1.0, 1, 0, 3) + b"abc"
        + HEAD.pack(MESSAGE_OUT, 2.0, 1, 0, 0) + HEAD.pack(END_OF_BATCH, 0, 0, 0, 0)
    )  # fmt: skip
    for cut in range(len(data)):
        frames = Frames()
        assert [s.data for s in frames.feed(data[:cut]) + frames.feed(data[cut:])] == [b"abc", b""]
    from kamtool.errors import ParseError

    for wrong in (
        HEAD.pack(MESSAGE_IN, 0, 9, 0, 1) + b"a", HEAD.pack(99, 0, 0, 0, 0),
        HEAD.pack(MESSAGE_IN, 0, 0, 0, 1 << 31), HEAD.pack(FLOW, 0, 1, 0, 2) + b"[]",
    ):  # fmt: skip
        with pytest.raises(ParseError):
            Frames().feed(wrong)


# The command


def run(*arguments, text_in=None):
    return subprocess.run(
        [sys.executable, "-m", "kamtool.cli.main", "trace", *map(str, arguments)],
        capture_output=True, timeout=60, check=False, input=text_in,
    )  # fmt: skip


@pytest.fixture
def capture(tmp_path):
    from tests.tools.trace.test_looks import call

    path = tmp_path / "call.pcapng"
    with path.open("wb") as file:
        writer = Writer(file)
        for seen in call():
            writer.write(seen)
    return path


def test_the_command_reads_files_filters_counts_and_hides(capture, tmp_path):
    done = run("-r", capture, "$rs == 486", "--format", "jsonl")
    assert done.returncode == 0, done.stderr
    assert [json.loads(line)["status"] for line in done.stdout.splitlines()] == [486]
    done = run("-r", capture, "-c", "2", "--format", "text", "--redact")
    assert done.stdout.count(b"INVITE sip:") == 2
    assert b"alice" not in done.stdout
    out = tmp_path / "out.pcap"
    done = run("-r", capture, "--ip", "192.0.2.7", "-w", out)
    assert done.stderr == b"3 messages written to " + str(out).encode() + b"\n"
    piped = run("-r", "-", "-w", "-", text_in=capture.read_bytes())
    assert (piped.returncode, piped.stderr) == (0, b"7 messages written to stdout\n")
    assert len(list(Reader(io.BytesIO(piped.stdout)))) == 7


def test_the_command_says_what_it_could_not_read(capture, tmp_path):
    cut = tmp_path / "cut.pcapng"
    cut.write_bytes(capture.read_bytes()[:-40])
    done = run("-r", cut, "--format", "jsonl")
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 6)
    assert b"1  the file ends within a block" in done.stderr
    (tmp_path / "no.pcap").write_bytes(b"no capture")
    for words, code in (
        (("-r", tmp_path / "no.pcap"), 1), (("-r", tmp_path / "absent.pcap"), 3), (("-r", cut, "$rs =="), 2),
        (("-s", tmp_path / "no.sock"), 5), (("-r", cut, "--ip", "x"), 2), (("-r", cut, "--hep", "x:y:z"), 2),
    ):  # fmt: skip
        done = run(*words)
        assert done.returncode == code, (words, done.stderr)
        assert b"Traceback" not in done.stderr


def test_hep_goes_from_one_trace_to_another(capture, free_port):
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "kamtool.cli.main",
        "trace",
        "--listen-hep",
        str(port),
        "-c",
        "7",
        "--format",
        "jsonl",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as listener:
        assert listener.stderr.readline().startswith(b"listening for HEP")
        done = run("-r", capture, "--hep", f"udp:127.0.0.1:{port}")
        assert b"7 messages sent" in done.stderr
        out, _ = listener.communicate(timeout=30)
    told = [json.loads(line) for line in out.splitlines()]
    assert [each["source"] for each in told][:2] == ["192.0.2.1:5062"] * 2
    assert {each["correlation"] for each in told} == {"call1"}


def test_a_served_kamtool_is_traced_by_the_command(served, free_port):
    server = served().start("--flight-recorder", "1M")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as phone:
        phone.bind(("127.0.0.1", 0))
        phone.settimeout(SOON)
        text = (
            f"OPTIONS sip:127.0.0.1:{server.port} SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP 127.0.0.1:{phone.getsockname()[1]};branch=z9hG4bK1\r\n"
            "From: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: flight\r\n"
            "CSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
        )
        phone.sendto(text.encode(), ("127.0.0.1", server.port))
        phone.recv(65536)
    done = server.cli("trace", "--before", "30s", "--for", "0s", "--format", "ladder")
    assert done.returncode == 0, done.stderr
    assert "OPTIONS" in done.stdout
    assert "kamtool" in done.stdout
    assert server.end() == 0


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM])
def test_the_screen_ends_with_its_terminal(capture, number):
    """A real pseudo-terminal of 80x24; the signal of a terminal that dies ends it, in good order."""
    child, master = pty.fork()
    if not child:
        os.environ["TERM"] = "xterm"
        os.execv(sys.executable, [sys.executable, "-m", "kamtool.cli.main", "trace", "-r", str(capture)])
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    shown = b""
    while b"rejected" not in shown:
        shown += os.read(master, 4096)
    os.kill(child, number)
    with contextlib.suppress(OSError):
        while os.read(master, 4096):
            pass
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 129
    os.close(master)
