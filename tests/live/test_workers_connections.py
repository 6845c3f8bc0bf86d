"""Connections of several workers: TLS and WebSockets that another owns, and what dies with a worker."""

import asyncio
import json
import os
import signal

import pytest

from kamtool.server import workers_steering
from kamtool.store.migrate import migrate
from tests.support.server import SOON, port_of
from tests.support.tls import client_context, tls_cfg
from tests.support.workers import CFG, cfg_file, one_for_each, register, successor, worker_of

pytestmark = pytest.mark.live

SIZE = 2
SECURE = """#!KAMAILIO
enable_tls=yes
loadmodule "tls.so"
loadmodule "xhttp.so"
loadmodule "websocket.so"
modparam("tls", "config", TLS_CFG)
event_route[xhttp:request] {
    if ($hdr(Upgrade) =~ "websocket") ws_handle_handshake();
    else xhttp_reply("200", "OK", "text/plain", "$pp");
}
"""


@pytest.fixture
def secure(served, tmp_path, authority, issued, free_port):
    """A server with two workers on UDP, TCP, TLS, ws and wss; `tls_port` is where TLS is."""
    text = CFG.replace(
        'loadmodule "usrloc.so"', SECURE.removeprefix("#!KAMAILIO\n") + 'loadmodule "usrloc.so"'
    )
    tls = tls_cfg(tmp_path, authority, issued)
    server = served()
    server.tls_port = free_port()
    return server.start(
        "-f", cfg_file(tmp_path, text), "--workers", SIZE, "-A", f'TLS_CFG="{tls}"',
        "-l", f"tls:127.0.0.1:{server.tls_port}",
    )  # fmt: skip


def rows(server, *words):
    done = server.cli("rpc", "-o", "json", *words)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def connect(secure, tls_peer, ws_peer, authority):
    """`connect("wss")`: a phone on a connection of its own."""

    async def make(transport):
        if transport == "tls":
            return await tls_peer(secure.tls_port)
        if transport == "ws":
            return await ws_peer(secure.port, "one.invalid")
        return await ws_peer(
            secure.tls_port, "two.invalid", context=client_context(authority), server_name="sip.example.com"
        )

    return make


def register_text(phone, user, cseq):
    return phone.request(
        "REGISTER", "sip:example.com", branch=f"r{user}{cseq}", call_id=f"reg-{user}", cseq=cseq,
        headers=f"Contact: <{phone.uri}>;expires=600\r\n",
    ).replace("<sip:you@example.com>", f"<sip:{user}@example.com>")  # fmt: skip


TRANSPORTS = ("tls", "ws", "wss")


def call_ids(name):
    """A Call-ID for each worker: a request goes to the one that its Call-ID names."""
    found = {}
    for number in range(100):
        found.setdefault(workers_steering.worker_of(f"{name}{number}".encode(), SIZE), f"{name}{number}")
    return list(found.values())


def invite(caller, call_id):
    return caller.request(
        "INVITE", "sip:bob@127.0.0.1", branch=f"i{call_id}", call_id=call_id,
        headers=f"Contact: <{caller.uri}>\r\n",
    )  # fmt: skip


async def test_a_call_to_a_phone_comes_by_its_connection_whichever_worker_has_it(secure, connect, peer):
    """INVITE, ACK and BYE come over UDP, are for one worker and the other, and leave by one connection."""
    for opened, transport in enumerate(TRANSPORTS, 1):
        phone, caller = await connect(transport), await peer()
        phone.send(register_text(phone, "bob", cseq=opened))
        await phone.expect("200")
        for call_id in call_ids(transport):
            caller.send(invite(caller, call_id), secure.port)
            await caller.expect("100")
            at_phone = await phone.expect("INVITE")
            assert at_phone.header("Via").startswith(f"SIP/2.0/{transport.upper()} ")
            phone.send(phone.answer(at_phone, 200, headers=f"Contact: <{phone.uri}>\r\n"))
            ok = await caller.expect("200")
            routes = "".join(f"Route: {route}\r\n" for route in reversed(ok.items("Record-Route")))
            for method, cseq in (("ACK", 1), ("BYE", 2)):
                caller.send(
                    caller.request(
                        method, phone.uri, branch=f"{method}{call_id}", cseq=cseq, to_tag="you",
                        call_id=call_id, headers=routes,
                    ),
                    secure.port,
                )  # fmt: skip
                arrived = await phone.expect(method)
            phone.send(phone.answer(arrived, 200))
            await caller.expect("200")
        assert len(rows(secure, "core.tcp_list")) == opened
        assert secure.cli("rpc", "ul.rm", "location", "bob").returncode == 0


async def test_a_caller_hears_by_its_connection_whichever_worker_has_the_call(secure, connect, peer):
    phone = await peer()
    await register(phone, secure.port, "bob")
    for opened, transport in enumerate(TRANSPORTS, 1):
        caller = await connect(transport)
        for call_id in call_ids(f"from{transport}"):
            caller.send(invite(caller, call_id))
            await caller.expect("100")
            at_phone = await phone.expect("INVITE")
            phone.send(phone.answer(at_phone, 200, headers=f"Contact: <{phone.uri}>\r\n"), secure.port)
            await caller.expect("200")
            # The callee hangs up: a request that leaves by the caller's connection.
            routes = "".join(f"Route: {route}\r\n" for route in at_phone.items("Record-Route"))
            bye = phone.request(
                "BYE", caller.uri, branch=f"b{call_id}", call_id=call_id, to_tag="peer", headers=routes
            )
            phone.send(bye, secure.port)
            caller.send(caller.answer(await caller.expect("BYE"), 200))
            await phone.expect("200")
        assert len(rows(secure, "core.tcp_list")) == opened


async def on(worker, connect, port):
    """A TCP connection that a worker process has."""
    for _ in range(200):
        one = await connect(tcp=port)
        if await worker_of(one, port) == worker:
            return one
        await one.close()
    raise AssertionError(f"process {worker} gets no connection")


async def test_a_connection_that_died_with_its_worker_leads_to_nobody_else(served, peer, tmp_path):
    """The successor's connections have other numbers: who comes first is not taken for a phone of before."""
    server = served().start("-f", cfg_file(tmp_path), "--workers", SIZE)
    callers = await one_for_each(peer, server.port, SIZE)
    victim, witness = callers
    phone = await on(victim, peer, server.port)
    await register(phone, server.port, "bob")
    os.kill(victim, signal.SIGKILL)
    await asyncio.wait_for(phone.closed.wait(), SOON)
    heir = await successor(server, victim, {witness})
    stranger = await on(heir, peer, server.port)
    for call_id in call_ids("dead"):
        caller = callers[witness]
        caller.send(invite(caller, call_id), server.port)
        answers = [await caller.expect() for _ in range(2)]
        assert answers[-1].status >= 400, "there is nobody to answer"
    await stranger.silence(0.2)


async def test_the_connection_of_a_stored_contact_leads_to_nobody_after_a_restart(kamtool, peer, tmp_path):
    """db_mode 3: what a number meant to the server before is not what it means to this one."""
    path = tmp_path / "kam.db"
    migrate(path)
    text = CFG.replace('"db_mode", 1', '"db_mode", 3')
    defines = {"DBURL": f'"sqlite:///{path}"'}
    server = await kamtool(text, defines=defines)
    phone = await peer(tcp=port_of(server, "tcp"))
    await register(phone, port_of(server), "bob")
    await server.stop()
    await asyncio.wait_for(phone.closed.wait(), SOON)
    server = await kamtool(text, defines=defines)
    stranger, caller = await peer(tcp=port_of(server, "tcp")), await peer()
    stranger.send(stranger.request("OPTIONS", "sip:127.0.0.1"))
    await stranger.expect("200")
    caller.send(invite(caller, "restarted"), port_of(server))
    answers = [await caller.expect() for _ in range(2)]
    assert answers[-1].status >= 400
    await stranger.silence(0.1)
