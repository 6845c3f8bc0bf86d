"""The life of a server: it drains, it tells systemd, it is replaced without a lost packet."""

import asyncio
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from kamtool.server.refusing import CALM_SWEEPS, OVER_SWEEPS, REPEATED
from tests.support.process import KAMTOOL, PATIENT
from tests.support.server import port_of
from tests.support.until import SOON, until
from tests.support.workers import cfg_file, register


def invite(caller, user, call_id):
    return caller.request(
        "INVITE", f"sip:{user}@127.0.0.1", branch=f"i{call_id}", call_id=call_id,
        headers=f"Contact: <{caller.uri}>\r\n",
    )  # fmt: skip


@pytest.mark.parametrize("workers", [1, 2])
async def test_sigterm_refuses_new_calls_and_lets_running_ones_end(served, peer, tmp_path, workers):
    server = served().start("-f", cfg_file(tmp_path), "--workers", workers, "--drain", 30)
    phone, caller, stranger = await peer(), await peer(), await peer()
    await register(phone, server.port, "bob")
    caller.send(invite(caller, "bob", "drain"), server.port)
    await caller.expect("100")
    at_phone = await phone.expect("INVITE")
    phone.send(phone.answer(at_phone, 180), server.port)
    await caller.expect("180")
    server.process.send_signal(signal.SIGTERM)

    async def is_refused():
        stranger.send(stranger.request("OPTIONS", "sip:127.0.0.1", branch=f"{time.monotonic()}"), server.port)
        return (await stranger.expect()).status == 503

    async with asyncio.timeout(SOON):
        while not await is_refused():
            pass
    stranger.send(invite(stranger, "bob", "late"), server.port)
    refused = await stranger.expect("503")
    assert int(refused.header("Retry-After")) > 0
    assert server.process.poll() is None
    phone.send(phone.answer(at_phone, 486), server.port)
    await phone.expect("ACK")
    await caller.expect("486")
    await caller.expect("486")  # it waits for the ACK
    assert server.process.poll() is None
    ack = caller.request("ACK", "sip:bob@127.0.0.1", branch="idrain", call_id="drain", to_tag="you")
    caller.send(ack, server.port)
    assert await asyncio.to_thread(server.process.wait, SOON) == 0
    assert phone.inbox.empty()


async def test_a_second_sigterm_ends_it_at_once(served, peer, tmp_path):
    server = served().start("-f", cfg_file(tmp_path), "--workers", 2, "--drain", 600)
    phone, caller = await peer(), await peer()
    await register(phone, server.port, "bob")
    caller.send(invite(caller, "bob", "long"), server.port)
    await caller.expect("100")
    server.process.send_signal(signal.SIGTERM)
    await until(lambda: not any(server.folder.glob("control.sock*")))  # both have heard it
    server.process.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(server.process.wait, SOON) == 0


@pytest.mark.parametrize("workers", [1, 2])
async def test_systemd_hears_of_start_life_reload_and_stop(served, tmp_path, workers):
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(path))
        systemd.settimeout(SOON)
        server = served()
        server.environment |= {"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "400000"}
        server.start("-f", cfg_file(tmp_path), "--workers", workers)
        heard = []

        def hear(wanted):
            while not any(wanted in line for line in heard):
                heard.extend(systemd.recv(4096).decode().splitlines())

        hear("READY=1")
        hear("WATCHDOG=1")
        server.process.send_signal(signal.SIGHUP)
        hear("RELOADING=1")
        assert any(line.startswith("MONOTONIC_USEC=") for line in heard)
        heard.clear()
        hear("READY=1")
        assert server.end() == 0
        hear("STOPPING=1")


async def test_a_late_loop_refuses_new_requests_until_it_keeps_up(kamtool, peer):
    server = await kamtool(
        'request_route { if (loose_route()) { t_relay(); exit; } $du = "sip:127.0.0.1:" + $rp; '
        'if (is_method("INVITE")) record_route(); t_relay(); }',
        overload_late=0.2,
        t1=8.0,
    )
    phone, caller, stranger = await peer(), await peer(), await peer()
    port = port_of(server)
    caller.send(caller.request("INVITE", phone.uri, call_id="over"), port)
    await caller.expect("100")
    at_phone = await phone.expect("INVITE")
    time.sleep(0.4)  # noqa: ASYNC251  (that is what makes the loop late)
    await asyncio.sleep(0.01)
    assert not server.gate.is_overloaded  # one pause is no overload
    async with asyncio.timeout(SOON):
        while not server.gate.is_overloaded:
            time.sleep(0.3)  # noqa: ASYNC251
            await asyncio.sleep(0.001)
    stranger.send(stranger.request("OPTIONS", phone.uri, call_id="new"), port)
    refused = await stranger.expect("503")
    assert refused.header("Retry-After")
    # The transaction that runs goes on, and so does what is in a dialog.
    phone.send(phone.answer(at_phone, 200, headers=f"Contact: <{phone.uri}>\r\n"), port)
    ok = await caller.expect("200")
    routes = "".join(f"Route: {route}\r\n" for route in reversed(ok.items("Record-Route")))
    caller.send(
        caller.request("BYE", phone.uri, cseq=2, branch="bye", to_tag="you", call_id="over", headers=routes),
        port,
    )
    phone.send(phone.answer(await phone.expect("BYE"), 200), port)
    await caller.expect("200")
    await until(lambda: not server.gate.is_overloaded)
    stranger.send(stranger.request("OPTIONS", phone.uri, call_id="new2", branch="n2"), port)
    await phone.expect("OPTIONS")
    assert server.stats["core:refused_requests"] == 1
    assert server.stats["core:overloads"] >= 1


async def test_what_overload_refused_is_refused_again_and_the_gate_goes(kamtool, peer):
    """Its 503 may be on its way: with a call that is relayed all the same there would be two answers."""
    server = await kamtool(
        'request_route { $du = "sip:127.0.0.1:" + $rp; t_relay(); }', overload_late=0.2, sweep=600.0
    )
    gate, way_in = server.gate, server.receive
    phone, caller = await peer(), await peer()
    port = port_of(server)
    for _ in range(OVER_SWEEPS):
        gate.look(1.0, 0.2, 0)
    assert gate.is_overloaded
    invite = caller.request("INVITE", phone.uri, call_id="early")
    caller.send(invite, port)
    refused = await caller.expect("503")
    for _ in range(CALM_SWEEPS):
        gate.look(0.0, 0.2, 0)
    assert not gate.is_overloaded
    caller.send(invite, port)
    again = await caller.expect("503")
    assert again.data == refused.data
    # A new attempt is another transaction.
    caller.send(caller.request("INVITE", phone.uri, call_id="early", branch="2", cseq=2), port)
    assert (await phone.expect("INVITE")).cseq == 2
    await caller.expect("100")
    loop = asyncio.get_running_loop()
    server.now = lambda: loop.time() + REPEATED + 1
    gate.look(0.0, 0.2, 0)
    assert server.receive == way_in
    caller.send(invite, port)
    assert (await phone.expect("INVITE")).cseq == 1


async def test_more_refused_than_are_remembered_are_only_forgotten(kamtool, peer, monkeypatch):
    monkeypatch.setattr("kamtool.server.refusing.MOST_REFUSED", 2)
    server = await kamtool("request_route { exit; }", overload_late=0.2, sweep=600.0)
    caller, port = await peer(), port_of(server)
    for _ in range(OVER_SWEEPS):
        server.gate.look(1.0, 0.2, 0)
    for number in range(5):
        caller.send(caller.request("OPTIONS", "sip:a@127.0.0.1", branch=f"o{number}"), port)
        await caller.expect("503")
    assert len(server.gate._refused) == 2


async def test_another_way_in_does_not_open_the_gate_and_is_taken_when_it_opens(kamtool):
    server = await kamtool("request_route { exit; }", overload_late=0.2, sweep=600.0)
    for _ in range(OVER_SWEEPS):
        server.gate.look(1.0, 0.2, 0)
    narrow = server.receive
    server.settings.values["log_prefix"] = "$ci: "
    server.settings_changed()
    assert server.receive == narrow
    for _ in range(CALM_SWEEPS):
        server.gate.look(0.0, 0.2, 0)
    assert server.receive not in (narrow, server._receive.message)


async def test_a_full_receive_queue_is_seen(kamtool):
    server = await kamtool("request_route { exit; }")
    server.transports.pause()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as flood:
        before = server.transports.queued_percent()
        for _ in range(3000):
            flood.sendto(b"x" * 1000, ("127.0.0.1", port_of(server)))
        assert server.transports.queued_percent() > before
    server.transports.resume()
    await until(lambda: server.transports.queued_percent() == 0)


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_new_server_takes_over_and_no_request_is_lost(served, peer, tmp_path, workers):
    """Registrations, counters and a ringing call survive; of a steady stream every request is answered."""
    options = ["-f", cfg_file(tmp_path), "--workers", workers, "--drain", "20", "-P", tmp_path / "pid"]
    server = served().start(*options)
    phone, caller, steady = await peer(), await peer(), await peer()
    await register(phone, server.port, "bob")
    caller.send(caller.request("OPTIONS", "sip:count@127.0.0.1", branch="c"), server.port)
    old = int((await caller.expect("200")).reason.split()[0])
    caller.send(invite(caller, "bob", "ringing"), server.port)
    await caller.expect("100")
    at_phone = await phone.expect("INVITE")
    phone.send(phone.answer(at_phone, 180), server.port)
    await caller.expect("180")

    stop = asyncio.Event()
    asked = 0

    async def stream():
        nonlocal asked
        while not stop.is_set():
            asked += 1
            steady.send(
                steady.request("OPTIONS", "sip:127.0.0.1", branch=f"s{asked}", call_id=f"s{asked}"),
                server.port,
            )
            await steady.expect("200")

    streaming = asyncio.ensure_future(stream())
    command = [
        *KAMTOOL, "serve", *PATIENT, "-l", f"udp:127.0.0.1:{server.port}",
        "-l", f"tcp:127.0.0.1:{server.port}", *map(str, options), "--take-over",
    ]  # fmt: skip
    with server.log_path.open("ab") as log:
        heir = subprocess.Popen(command, env=server.environment, stdout=log, stderr=log)  # noqa: ASYNC220
    try:
        await until(lambda: "another process has taken over" in server.log())
        # The call that was ringing is the old one's to the end.
        phone.send(phone.answer(at_phone, 486), server.port)
        await phone.expect("ACK")
        await caller.expect("486")
        caller.send(
            caller.request("ACK", "sip:bob@127.0.0.1", branch="iringing", call_id="ringing", to_tag="you"),
            server.port,
        )
        assert await asyncio.to_thread(server.process.wait, 30) == 0
        stop.set()
        await streaming
        assert asked > 10
        # What the old one knew, the new one knows.
        caller.send(invite(caller, "bob", "after"), server.port)
        await caller.expect("100")
        at_phone = await phone.expect("INVITE")
        phone.send(phone.answer(at_phone, 486), server.port)
        await caller.expect("486")
        caller.send(caller.request("OPTIONS", "sip:127.0.0.1", branch="q"), server.port)
        pid, count = (await caller.expect("200")).reason.split()[:2]
        assert int(pid) != old
        assert count == "1"
        await until(lambda: server.cli("rpc", "core.uptime").returncode == 0)
        assert int((tmp_path / "pid").read_text()) == heir.pid
    finally:
        streaming.cancel()
        heir.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(heir.wait, SOON) == 0
    assert not (tmp_path / "pid").exists()


def test_taking_over_from_nobody_is_one_clear_error(served, tmp_path):
    server = served()
    done = subprocess.run(
        [*KAMTOOL, "serve", "-f", cfg_file(tmp_path), "-l", f"udp:127.0.0.1:{server.port}", "--take-over"],
        env=server.environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 5
    assert "no server to take over from" in done.stderr
    assert os.listdir(server.folder) == []


def with_lines(tmp_path, lines):
    path = cfg_file(tmp_path)
    path.write_text(path.read_text().replace("#!KAMAILIO\n", f"#!KAMAILIO\n{lines}\n", 1))
    return path


def test_a_listen_on_sctp_is_left_out_and_check_says_so_too(served, tmp_path):
    """As Kamailio 5.6.3 without its module sctp: it runs on its other sockets."""
    server = served()
    path = with_lines(tmp_path, "listen=sctp:127.0.0.1:5060")
    path.write_text(f"{path.read_text()}\nlisten=udp:127.0.0.1:{server.port}\n")
    checked = server.cli("check", path)
    assert checked.returncode == 0
    assert "left out: sctp is not built" in checked.stderr
    server.start("-f", path)
    assert "listen=sctp:127.0.0.1 is left out: sctp is not built" in server.log()
    assert server.end() == 0


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("listen=sctp:127.0.0.1:5060", "nothing left to listen on"),
        ("listen=wss:127.0.0.1:5061", "listen=tls:… and the module websocket"),
    ],
)
def test_what_serve_refuses_to_listen_on_check_refuses_in_the_same_words(served, tmp_path, line, said):
    server, path = served(), with_lines(tmp_path, line)
    for command in (("check", path), ("serve", "-f", path)):
        done = server.cli(*command)
        assert done.returncode == 7
        assert said in done.stderr


@pytest.mark.parametrize("workers", [1, 2])
async def test_sigusr2_starts_the_successor(served, peer, tmp_path, workers):
    server = served().start("-f", cfg_file(tmp_path), "--workers", workers)
    phone, caller = await peer(), await peer()
    await register(phone, server.port, "bob")
    server.process.send_signal(signal.SIGUSR2)
    assert await asyncio.to_thread(server.process.wait, 30) == 0
    await until(lambda: server.cli("rpc", "core.uptime").returncode == 0)
    try:
        caller.send(invite(caller, "bob", "usr2"), server.port)
        await caller.expect("100")
        phone.send(phone.answer(await phone.expect("INVITE"), 486), server.port)
        await caller.expect("486")
    finally:
        assert server.cli("rpc", "core.kill").returncode == 0
    await until(lambda: server.cli("rpc", "core.uptime").returncode == 5)


def test_the_unit_is_one_that_systemd_understands(tmp_path):
    checker = shutil.which("systemd-analyze")
    if not checker:
        pytest.skip("systemd-analyze is not here")
    unit = Path(__file__).parents[2] / "cfg/kamtool.service"
    copy = tmp_path / "kamtool.service"
    copy.write_text(unit.read_text().replace("/usr/bin/kamtool", "/bin/true"))
    done = subprocess.run(
        [checker, "verify", "--man=no", copy], capture_output=True, text=True, timeout=60, check=False
    )
    said = [line for line in done.stderr.splitlines() if "kamtool.service" in line]
    assert not [line for line in said if "Unknown" in line or "Failed" in line or "Invalid" in line], said


def test_the_unit_is_as_closed_as_it_says():
    checker = shutil.which("systemd-analyze")
    if not checker:
        pytest.skip("systemd-analyze is not here")
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [checker, "security", "--offline=true", "--no-pager", root / "cfg/kamtool.service"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    found = re.search(r"exposure level for kamtool.service: ([0-9.]+) ", done.stdout)
    if not found:
        pytest.skip("this systemd-analyze cannot look at a file")
    assert float(found[1]) <= 1.9, done.stdout
    for place in ("cfg/kamtool.service", "SECURITY.md"):
        assert "1.9" in (root / place).read_text()


def test_the_units_command_line_is_one_that_serve_understands():
    from kamtool.cli.serve import command

    unit = (Path(__file__).parents[2] / "cfg/kamtool.service").read_text()
    line = next(line for line in unit.splitlines() if line.startswith("ExecStart="))
    command.make_context("serve", line.split()[2:])
