"""The phone of kamtool.tools against another of its kind, and against a small registrar of the test's own."""

import asyncio

import pytest

from kamtool.errors import TransportError
from kamtool.sip import build, digest
from kamtool.sip.flow import Address
from kamtool.sip.message import parse
from kamtool.tools.phone import Phone
from tests.support.until import SOON


@pytest.fixture
async def pair():
    """Two phones on UDP, each the other's server."""
    bob = await Phone("bob", Address("127.0.0.1", 9)).start()
    alice = await Phone("alice", bob.wire.local).start()
    bob.wire.remote = alice.wire.local
    yield alice, bob
    await alice.stop()
    await bob.stop()


async def test_a_call_rings_is_answered_and_ends(pair):
    alice, bob = pair
    call = await alice.invite(f"sip:bob@{bob.wire.local}")
    assert [response.status async for response in call] == [180, 200]
    incoming = await bob.calls.get()
    await asyncio.wait_for(incoming.established.wait(), SOON)
    assert (await call.bye()).status == 200
    assert (await bob.requests.get()).method == "BYE"


async def test_the_callee_can_hang_up_too(pair):
    alice, bob = pair
    call = await alice.invite(f"sip:bob@{bob.wire.local}")
    assert (await call.answered()).status == 200
    assert (await (await bob.calls.get()).bye()).status == 200
    assert (await alice.requests.get()).to_tag == call.dialog.local.partition("tag=")[2]


async def test_a_caller_who_cancels_gets_487(pair):
    alice, bob = pair
    bob.answer = [180]
    call = await alice.invite(f"sip:bob@{bob.wire.local}")
    responses = aiter(call)
    assert (await anext(responses)).status == 180
    assert (await call.cancel()).status == 200
    assert (await anext(responses)).status == 487


async def test_a_callee_may_refuse(pair):
    alice, bob = pair
    bob.answer = [486]
    assert (await (await alice.invite(f"sip:bob@{bob.wire.local}")).answered()).status == 486


async def test_other_requests_are_answered(pair):
    alice, bob = pair
    assert (await alice.options(f"sip:bob@{bob.wire.local}")).status == 200
    assert (await alice.message(f"sip:bob@{bob.wire.local}", "hello")).status == 200
    assert [bob.requests.get_nowait().method for _ in range(2)] == ["OPTIONS", "MESSAGE"]


class Registrar(asyncio.DatagramProtocol):
    """Challenges once with SHA-512-256 of an unknown quality, SHA-256 and MD5, and checks what comes."""

    def __init__(self, drop):
        self.drop, self.seen = drop, []

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        request = parse(data)
        self.seen.append(request)
        if len(self.seen) <= self.drop:
            return
        shown = request.header("Authorization")
        if not shown:
            ask = [
                ("WWW-Authenticate", str(digest.Challenge("r", "n", algorithm, qop)))
                for algorithm, qop in (("SHA-512-256", "odd"), ("SHA-256", "auth"), ("MD5", "auth"))
            ]
            self.transport.sendto(build.response(request, 401, to_tag="t", headers=ask), addr)
            return
        credentials = digest.parse_credentials(shown)
        known = digest.ha1("alice", "r", "secret", "SHA-256")
        status = 200 if credentials.proves(known, "REGISTER") else 403
        self.transport.sendto(build.response(request, status, to_tag="t"), addr)


@pytest.mark.parametrize(("password", "status"), [("secret", 200), ("guess", 403), ("", 401)])
async def test_the_topmost_challenge_that_is_understood_is_met(password, status):
    loop = asyncio.get_running_loop()
    transport, registrar = await loop.create_datagram_endpoint(lambda: Registrar(0), ("127.0.0.1", 0))
    alice = await Phone("alice", Address(*transport.get_extra_info("sockname")), password=password).start()
    assert (await alice.register()).status == status
    assert [request.cseq for request in registrar.seen] == ([1, 2] if password else [1])
    await alice.stop()
    transport.close()


async def test_a_lost_request_is_sent_again():
    loop = asyncio.get_running_loop()
    transport, registrar = await loop.create_datagram_endpoint(lambda: Registrar(1), ("127.0.0.1", 0))
    alice = await Phone("alice", Address(*transport.get_extra_info("sockname"))).start()
    assert (await alice.register()).status == 401
    assert len(registrar.seen) == 2
    assert registrar.seen[0].data == registrar.seen[1].data
    await alice.stop()
    transport.close()


async def test_a_server_that_is_not_there_is_said_so():
    with pytest.raises(TransportError):
        await Phone("alice", Address("127.0.0.1", 1), transport="tcp").start()
