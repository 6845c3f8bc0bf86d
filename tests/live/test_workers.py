"""Several workers: what belongs together meets, whichever of them a packet comes to."""

import asyncio
import json
import os
import signal
import sqlite3

import pytest

from kamtool.server.workers_steering import worker_of as worker_by_call_id
from tests.support.until import eventually
from tests.support.workers import CFG, cfg_file, one_for_each, register, successor, worker_of, worker_pids

SIZE = 3


@pytest.fixture
def crew(served, tmp_path):
    """`crew(*options, size=3)` starts a server with workers."""

    def start(*options, size=SIZE):
        return served().start("-f", cfg_file(tmp_path), "--workers", size, *options)

    return start


def rows(server, *words):
    done = server.cli("rpc", "-o", "json", *words)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def invite(caller, user, call_id, **more):
    return caller.request(
        "INVITE", f"sip:{user}@127.0.0.1", branch=f"i{call_id}", call_id=call_id,
        headers=f"Contact: <{caller.uri}>\r\n", **more,
    )  # fmt: skip


async def test_a_call_comes_right_from_any_port_to_any_worker(crew, peer):
    """REGISTER on one, INVITE on each, the callee's answers, ACK and BYE from elsewhere."""
    server = crew()
    callers = await one_for_each(peer, server.port, SIZE)
    phone, other = await peer(), await peer()
    await register(phone, server.port, "bob")
    for number, caller in enumerate(callers.values()):
        call_id = f"any{number}"
        caller.send(invite(caller, "bob", call_id), server.port)
        await caller.expect("100")
        at_phone = await phone.expect("INVITE")
        phone.send(phone.answer(at_phone, 180), server.port)
        phone.send(phone.answer(at_phone, 200, headers=f"Contact: <{phone.uri}>\r\n"), server.port)
        await caller.expect("180")
        ok = await caller.expect("200")
        routes = "".join(f"Route: {route}\r\n" for route in reversed(ok.items("Record-Route")))
        for sender, method, cseq in ((other, "ACK", 1), (other, "BYE", 2)):
            sender.send(
                sender.request(
                    method, phone.uri, branch=f"{method}{call_id}", cseq=cseq, to_tag="you", call_id=call_id,
                    headers=routes,
                ),
                server.port,
            )  # fmt: skip
            arrived = await phone.expect(method)
        phone.send(phone.answer(arrived, 200), server.port)
        await other.expect("200")


@pytest.mark.parametrize("dispatch", ["call-id", "source"])
async def test_a_cancel_and_an_ack_from_other_ports_find_their_invite(crew, peer, dispatch):
    server = crew("--dispatch", dispatch)
    callers = await one_for_each(peer, server.port, SIZE)
    phone = await peer()
    await register(phone, server.port, "bob")
    home = next(iter(callers.values()))
    for number, caller in enumerate(callers.values()):
        call_id = f"cancel{dispatch}{number}"
        via = f"127.0.0.1:{home.port}"
        home.send(invite(home, "bob", call_id, via=via), server.port)
        await home.expect("100")
        at_phone = await phone.expect("INVITE")
        phone.send(phone.answer(at_phone, 180), server.port)
        await home.expect("180")
        cancel = caller.request("CANCEL", "sip:bob@127.0.0.1", branch=f"i{call_id}", call_id=call_id, via=via)
        caller.send(cancel, server.port)
        cancelled = await phone.expect("CANCEL")
        phone.send(phone.answer(cancelled, 200), server.port)
        phone.send(phone.answer(at_phone, 487), server.port)
        await phone.expect("ACK")
        answers = set()
        while answers != {200, 487}:
            answers.add((await home.expect()).status)
            assert answers <= {200, 487}
        ack = caller.request(
            "ACK", "sip:bob@127.0.0.1", branch=f"i{call_id}", call_id=call_id, via=via, to_tag="you"
        )
        caller.send(ack, server.port)
        try:
            await home.silence(0.7)  # or it would have the 487 again
        except AssertionError:  # one that was on its way; without the ACK the next comes within T2
            await home.silence(4.5)
        assert phone.inbox.empty()


async def test_a_retransmission_from_another_port_makes_no_second_call(crew, peer):
    server = crew()
    callers = await one_for_each(peer, server.port, SIZE)
    phone = await peer()
    await register(phone, server.port, "bob")
    home = next(iter(callers.values()))
    text = invite(home, "bob", "twice", via=f"127.0.0.1:{home.port}")
    for caller in callers.values():
        caller.send(text, server.port)
    await phone.expect("INVITE")
    await phone.nothing_new(0.4)


async def test_a_phone_on_tcp_is_reached_from_every_worker(crew, peer):
    """Its connection is one worker's; no other opens a second one, for the phone could not accept it."""
    server = crew()
    callers = await one_for_each(peer, server.port, SIZE)
    phone = await peer(tcp=server.port)
    await register(phone, server.port, "bob")
    for number, caller in enumerate(callers.values()):
        caller.send(invite(caller, "bob", f"tcp{number}"), server.port)
        await caller.expect("100")
        at_phone = await phone.expect("INVITE")
        phone.send(phone.answer(at_phone, 486))
        await phone.expect("ACK")
        await caller.expect("486")
    assert len(rows(server, "core.tcp_list")) == 1


async def test_the_caller_on_tcp_hears_from_the_worker_that_its_call_id_names(crew, peer):
    server = crew()
    phone = await peer()
    await register(phone, server.port, "bob")
    for number in range(4):
        caller = await peer(tcp=server.port)
        caller.send(invite(caller, "bob", f"from-tcp{number}"))
        await caller.expect("100")
        at_phone = await phone.expect("INVITE")
        phone.send(phone.answer(at_phone, 603), server.port)
        await phone.expect("ACK")
        await caller.expect("603")


async def test_a_counter_is_exact_after_ten_thousand_increments(crew, peer):
    server = crew(size=4)
    callers = list((await one_for_each(peer, server.port, 4)).values())

    async def count(caller, times):
        for number in range(times):
            caller.send(
                caller.request("OPTIONS", "sip:count@127.0.0.1", branch=f"c{number}", cseq=number + 1),
                server.port,
            )
            await caller.expect("200")

    await asyncio.gather(*(count(caller, 2500) for caller in callers))
    for caller in callers:

        async def reads_all(caller=caller):
            caller.send(caller.request("OPTIONS", "sip:127.0.0.1"), server.port)
            return (await caller.expect("200")).reason.split()[1] == "10000"

        await eventually(reads_all)
    stats = rows(server, "stats.fetchn", "core:rcv_requests")
    assert stats["core.rcv_requests"] >= 10_000


async def test_a_worker_that_is_killed_is_replaced_and_the_calls_of_the_others_go_on(crew, peer):
    server = crew()
    callers = await one_for_each(peer, server.port, SIZE)
    phone = await peer()
    await register(phone, server.port, "bob")
    for user in range(50):
        await register(phone, server.port, f"u{user}")
    victim = worker_pids(server)[1]
    running = []
    owners = {f"kill{number}": worker_by_call_id(f"kill{number}".encode(), SIZE) for number in range(SIZE)}
    assert sorted(owners.values()) == list(range(SIZE)), "each has one of the calls"
    for caller, call_id in zip(callers.values(), owners, strict=True):
        caller.send(invite(caller, "bob", call_id), server.port)
        await caller.expect("100")
        at_phone = await phone.expect("INVITE")
        phone.send(phone.answer(at_phone, 180), server.port)  # it is not sent again, and waits two minutes
        await caller.expect("180")
        if owners[call_id] != 1:
            running.append((caller, at_phone))
    os.kill(victim, signal.SIGKILL)
    await successor(server, victim, set(callers) - {victim})
    assert "is replaced" in server.log()
    for caller, at_phone in running:
        phone.send(phone.answer(at_phone, 486), server.port)
        await phone.expect("ACK")
        await caller.expect("486")
    # The new one knows what the others know.
    for number, caller in enumerate((await one_for_each(peer, server.port, SIZE)).values()):
        while not phone.inbox.empty():
            phone.inbox.get_nowait()
        caller.send(invite(caller, f"u{number}", f"later{number}"), server.port)
        await caller.expect("100")
        at_phone = await phone.expect("INVITE")
        phone.send(phone.answer(at_phone, 486), server.port)
        await caller.expect("486")
    assert server.end() == 0


async def test_a_durable_register_on_any_worker_is_on_the_disk_when_it_is_answered(served, peer, tmp_path):
    from kamtool.store.migrate import migrate

    path = tmp_path / "kam.db"
    migrate(path)
    server = served().start(
        "-f", cfg_file(tmp_path), "--workers", SIZE, "-A", f'DBURL="sqlite:///{path}"'
    )  # fmt: skip
    phones = await one_for_each(peer, server.port, SIZE)
    for number, phone in enumerate(phones.values()):
        await register(phone, server.port, f"user{number}")
        with sqlite3.connect(path) as database:
            found = database.execute("SELECT contact FROM location WHERE username = ?", [f"user{number}"])
            assert found.fetchall() == [(f"sip:user{number}@127.0.0.1:{phone.port}",)]
    assert server.end() == 0
    with sqlite3.connect(path) as database:
        assert database.execute("SELECT count(*) FROM location").fetchone() == (SIZE,)


async def test_worker_0_dies_and_what_it_had_not_written_is_written_by_its_successor(served, peer, tmp_path):
    from kamtool.store.migrate import migrate

    path = tmp_path / "kam.db"
    migrate(path)
    text = CFG.replace('"db_mode", 1', '"db_mode", 2').replace('modparam("usrloc", "durable", 1)', "")
    server = served().start(
        "-f", cfg_file(tmp_path, text), "--workers", 2, "-A", f'DBURL="sqlite:///{path}"'
    )  # fmt: skip
    phone = await peer()
    await register(phone, server.port, "bob")
    await register(phone, server.port, "gone")
    assert server.cli("rpc", "ul.flush").returncode == 0
    assert server.cli("rpc", "ul.rm", "location", "gone").returncode == 0
    await register(phone, server.port, "carol")  # in memory only, as is the removal
    first, other = worker_pids(server)
    os.kill(first, signal.SIGKILL)
    await successor(server, first, {other})
    assert server.end() == 0
    with sqlite3.connect(path) as database:
        found = {name for (name,) in database.execute("SELECT username FROM location")}
    assert found == {"bob", "carol"}


async def test_a_limit_is_one_for_all_workers(served, peer, tmp_path):
    text = """#!KAMAILIO
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "pipelimit.so"
loadmodule "pike.so"
modparam("pipelimit", "timer_interval", 600)
request_route {
    if ($rU == "who") { sl_send_reply("200", "$pp"); exit; }
    if (!pl_check("p", "TAILDROP", 50)) { sl_send_reply("503", "$pp"); exit; }
    sl_send_reply("200", "$pp");
}
"""
    server = served().start("-f", cfg_file(tmp_path, text), "--workers", SIZE)
    callers = {}
    while len(callers) < SIZE:
        caller = await peer()
        caller.send(caller.request("OPTIONS", "sip:who@127.0.0.1"), server.port)
        callers.setdefault((await caller.expect("200")).reason, caller)
    passed = 0
    for number in range(30):
        for caller in callers.values():
            caller.send(caller.request("OPTIONS", "sip:127.0.0.1", branch=f"p{number}"), server.port)
            passed += (await caller.expect()).status == 200
    assert passed == 50


async def test_rpc_that_changes_something_changes_it_on_all_workers(crew, peer):
    server = crew()
    callers = await one_for_each(peer, server.port, SIZE)
    assert server.cli("rpc", "htable.seti", "t", "n", "77").returncode == 0
    assert server.cli("ul", "add", "carol", "sip:carol@127.0.0.1:9").returncode == 0
    for caller in callers.values():

        async def reads(caller=caller):
            caller.send(caller.request("OPTIONS", "sip:127.0.0.1"), server.port)
            return (await caller.expect("200")).reason.split()[1] == "77"

        await eventually(reads)
    psx = rows(server, "core.psx")
    assert {row["PID"] for row in psx[1:]} == set(callers)
    assert psx[0]["PID"] == server.process.pid
    assert await worker_of(next(iter(callers.values())), server.port) in callers


def test_a_taken_port_is_one_clear_error(served, tmp_path):
    import socket
    import subprocess

    from tests.support.process import KAMTOOL

    server = served()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", server.port))
        done = subprocess.run(
            [*KAMTOOL, "serve", "-f", cfg_file(tmp_path), "--workers", "2", "-l",
             f"udp:127.0.0.1:{server.port}"],
            env=server.environment, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
    assert done.returncode == 1
    assert "address already in use" in done.stderr
    assert "Traceback" not in done.stderr
