"""Record and replay: what came to a server, done again offline."""

import asyncio
import subprocess
import sys

import pytest

from kamtool.debug.record.file import read
from kamtool.debug.record.recorder import Recorder
from kamtool.debug.replay.capture import Seen, recording_of
from kamtool.debug.replay.compare import parted
from kamtool.debug.replay.run import Replay
from kamtool.errors import UsageError
from kamtool.script import load
from kamtool.server.options import Options
from kamtool.server.server import Server
from kamtool.sip.flow import Address, Socket
from kamtool.store.migrate import migrate
from tests.support.server import UdpPeer, port_of

CFG = """#!KAMAILIO
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "textops.so"
loadmodule "siputils.so"
loadmodule "cfgutils.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
loadmodule "db_sqlite.so"
loadmodule "auth.so"
loadmodule "auth_db.so"
loadmodule "sqlops.so"
modparam("usrloc", "db_mode", 0)
modparam("auth_db", "db_url", DBURL)
modparam("sqlops", "sqlcon", "k=>DBPATH")
request_route {
  if (is_method("REGISTER")) { save("location"); exit; }
  if (is_method("MESSAGE")) {
    if (!auth_check("home", "subscriber", "0")) { auth_challenge("home", "1"); exit; }
  }
  if (is_method("PUBLISH")) {
    sql_query("k", "select count(*) from version", "r");
    append_to_reply("Rows: $dbr(r=>[0,0])\\r\\n");
  }
  if (is_method("OPTIONS")) {
    append_to_reply("Random: $RANDOM\\r\\nTime: $TV(u)\\r\\n");
    sl_send_reply("200", "OK");
    exit;
  }
  if ($rU == "busy") { sl_send_reply("486", "Busy"); exit; }
  record_route();
  $du = "sip:127.0.0.1:" + $hdr(X-Port);
  t_on_failure("F");
  if (!t_relay()) sl_reply_error();
}
failure_route[F] { if (t_check_status("486")) { t_reply("480", "Later"); } }
"""


class Scene:
    """A server that is recorded, a caller and a callee."""

    def __init__(self, tmp_path):
        self.path, self.file = tmp_path / "edge.cfg", tmp_path / "run.rec"
        database = tmp_path / "k.db"
        migrate(database)
        url = f"sqlite:///{database}"
        self.path.write_text(CFG.replace("DBURL", f'"{url}"').replace("DBPATH", url))

    async def record(self, work, **more):
        loop = asyncio.get_running_loop()
        recorder = Recorder(self.file)
        try:
            options = Options(
                listens=[Socket("udp", Address("127.0.0.1", 0))],
                freeze=False,
                drain=0,
                clock=recorder.clock,
                t1=0.05,
                **more,
            )
            server = Server(load(self.path), options=options)
            recorder.attach(server, str(self.path), {})
            await server.start()
            recorder.started(server)
            peers = []
            for _ in range(2):
                _, peer = await loop.create_datagram_endpoint(
                    lambda: UdpPeer("127.0.0.1", 0, "udp"), local_addr=("127.0.0.1", 0)
                )
                peer.port = peer.wire.get_extra_info("sockname")[1]
                peers.append(peer)
            await work(*peers, port_of(server), server)
            for peer in peers:
                await peer.close()
            await server.stop(drain=0)
        finally:
            recorder.close()
        return read(self.file)

    def replay(self, recording, cfg=None, *, watch=False):
        return Replay(recording, load(cfg or self.path), watch=watch).run()


@pytest.fixture
def scene(tmp_path):
    return Scene(tmp_path)


def call(caller, callee, number, method="INVITE", user="bob"):
    return caller.request(
        method, f"sip:{user}@example.com", branch=f"b{number}", call_id=f"call{number}", cseq=1,
        headers=f"X-Port: {callee.port}\r\nContact: <sip:peer@127.0.0.1:{caller.port}>\r\n",
    )  # fmt: skip


async def everything(caller, callee, port, server):
    """Registrations, challenges, queries, calls that are busy, answered, and never answered."""
    for n in range(8):
        for method in ("OPTIONS", "REGISTER", "MESSAGE", "PUBLISH"):
            caller.send(call(caller, callee, f"{method}{n}", method), port)
            if method == "PUBLISH":
                asked = await callee.expect("PUBLISH")
                callee.send(callee.answer(asked, 200), port)
            await caller.expect()
    for n in range(4):
        caller.send(call(caller, callee, f"busy{n}"), port)
        callee.send(callee.answer(await callee.expect("INVITE"), 486), port)
        await callee.expect("ACK")
        await caller.expect(100)
        await caller.expect(480)
    caller.send(call(caller, callee, "silent"), port)
    await callee.expect("INVITE")
    await callee.expect("INVITE")  # repeated by the server's timer
    await server.rpc.call("ul.dump", [])


def test_everything_again_byte_for_byte(scene):
    recording = asyncio.run(scene.record(everything))
    result = scene.replay(recording)
    assert result.difference == ""
    assert result.missing == {}
    assert len(result.came) == recording.came > 40
    assert len(result.sent) > 50
    assert any(b"Rows: " in each.data or b"PUBLISH" in each.data for each in result.sent)
    again = scene.replay(recording, watch=True)
    assert again.sent == result.sent
    assert again.difference == ""


async def many_silent(caller, callee, port, server):
    """Calls that the timers repeat, a few in each part of a sweep, with other messages between the parts."""
    for n in range(60):
        caller.send(call(caller, callee, n), port)
    for n in range(60):
        caller.send(call(caller, callee, f"o{n}", "OPTIONS"), port)
    for _ in range(200):
        await callee.expect("INVITE")


def test_sweeps_that_were_done_in_parts_are_replayed_in_those_parts(scene):
    recording = asyncio.run(scene.record(many_silent, sweep_most=3))
    assert recording.about["timers"]["sweep_most"] == 3
    result = scene.replay(recording)
    assert result.difference == ""
    assert len(result.sent) > 200


def test_a_recording_of_before_was_swept_whole(scene):
    recording = asyncio.run(scene.record(many_silent, sweep_most=0))
    del recording.about["timers"]["sweep_most"]
    assert scene.replay(recording).difference == ""


async def options(caller, callee, port, server, count=1000):
    for n in range(count):
        user = "busy" if n in (5, 77, 123, 456, 700, 701, 999) else f"u{n}"
        method = "INVITE" if user == "busy" else "OPTIONS"
        caller.send(call(caller, callee, n, method, user), port)
        await caller.expect()


def test_a_planted_change_of_7_among_1000_messages_is_found_exactly(scene, tmp_path):
    recording = asyncio.run(scene.record(options))
    assert recording.came == 1000
    result = scene.replay(recording)
    assert result.difference == ""
    changed = tmp_path / "new.cfg"
    text = scene.path.read_text()
    changed.write_text(
        text.replace('"busy") { sl_send', '"bosy") { sl_send').replace("request_route {", "\nrequest_route {")
    )
    found = list(parted(scene.replay(recording, watch=True), scene.replay(recording, changed, watch=True)))
    assert [each.old.number - 1 for each in found] == [5, 77, 123, 456, 700, 701, 999]
    line = next(n for n, each in enumerate(changed.read_text().split("\n"), 1) if '"bosy"' in each)
    assert {each.place for each in found} == {f"{changed}:{line}"}
    same = list(parted(scene.replay(recording, watch=True), scene.replay(recording, watch=True)))
    assert same == []


def test_a_recording_that_was_cut_short_is_replayed_up_to_the_cut(scene):
    async def some(*args):
        await options(*args, count=30)

    whole = asyncio.run(scene.record(some))
    data = scene.file.read_bytes()
    scene.file.write_bytes(data[: len(data) * 3 // 4])
    part = read(scene.file)
    assert "cut off after" in part.cut
    assert 10 < part.came < whole.came
    result = scene.replay(part)
    assert result.cut == part.cut
    assert result.difference == "" or "messages left" in result.difference
    assert len(result.came) == part.came


@pytest.mark.parametrize(
    ("data", "message"), [(b"rubbish", "no recording"), (b"kamtool recording 1\n{", "cut off")]
)
def test_what_is_no_recording_is_refused(tmp_path, data, message):
    file = tmp_path / "x.rec"
    file.write_bytes(data)
    with pytest.raises(UsageError, match=message):
        read(file)


def test_a_recording_is_for_its_owner(scene):
    async def nothing(*args):
        pass

    asyncio.run(scene.record(nothing))
    assert scene.file.stat().st_mode & 0o077 == 0


def test_other_words_for_the_same_way_are_no_change(scene, tmp_path):
    async def some(*args):
        await options(*args, count=20)

    recording = asyncio.run(scene.record(some))
    changed = tmp_path / "new.cfg"
    changed.write_text(scene.path.read_text().replace('$rU == "busy"', '$rU == "busy" && $rm != "BYE"'))
    old, new = (scene.replay(recording, cfg, watch=True) for cfg in (scene.path, changed))
    assert list(parted(old, new)) == []


def test_a_capture_is_replayed_and_its_responses_find_their_requests(tmp_path):
    """Another server sent the captured requests: its branches were others."""
    ours, alice, bob = Address("192.0.2.1", 5060), Address("192.0.2.10", 5060), Address("127.0.0.1", 7777)
    path = tmp_path / "edge.cfg"
    path.write_text(CFG.replace("DBURL", '"sqlite:///x/k.db"').replace("DBPATH", "sqlite:///x/k.db"))
    invite = (
        f"INVITE sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/UDP {alice};branch=z9hG4bKa\r\n"
        f"X-Port: {bob.port}\r\n"
        "From: <sip:a@b>;tag=a\r\nTo: <sip:c@d>\r\nCall-ID: cap\r\nCSeq: 1 INVITE\r\nMax-Forwards: 70\r\n"
        "Content-Length: 0\r\n\r\n"
    ).encode()
    busy = (
        f"SIP/2.0 486 Busy\r\nVia: SIP/2.0/UDP {ours};branch=z9hG4bKtheirs.0\r\n"
        f"Via: SIP/2.0/UDP {alice};branch=z9hG4bKa\r\nFrom: <sip:a@b>;tag=a\r\nTo: <sip:c@d>;tag=t\r\n"
        "Call-ID: cap\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n"
    ).encode()
    recording = recording_of(
        [
            Seen(1000.0, "udp", alice, ours, invite),
            Seen(1000.1, "udp", ours, bob, b"what the other server sent"),
            Seen(1000.4, "udp", bob, ours, busy),
        ]
    )
    result = Replay(recording, load(path), watch=True).run()
    assert [each.first_line for each in result.came] == [
        "INVITE sip:bob@example.com SIP/2.0",
        "SIP/2.0 486 Busy",
    ]
    sent = [each.first_line for each in result.sent]
    assert sent[-1] == "SIP/2.0 480 Later"
    assert any(line.startswith("ACK ") for line in sent)


def test_the_command_tells_what_a_capture_lacks_and_that_nothing_is_there(tmp_path):
    empty = tmp_path / "x.pcap"
    empty.write_bytes(bytes.fromhex("d4c3b2a1 02000400 00000000 00000000 ffff0000 01000000"))
    path = tmp_path / "edge.cfg"
    path.write_text('#!KAMAILIO\nloadmodule "sl.so"\nrequest_route { exit; }\n')
    done = subprocess.run(
        [sys.executable, "-m", "kamtool.cli.main", "debug", "replay", str(empty), "--cfg", str(path)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "lacks database rows" in done.stderr
    assert (done.returncode, done.stdout) == (0, "0 messages came, 0 left\n")
