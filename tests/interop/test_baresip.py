"""Two real phones on `kamtool serve` as it comes: register with digest, call, hear each other, hang up."""

import asyncio
import signal
import sqlite3
from pathlib import Path

import pytest

from tests.support.baresip import seconds_of
from tests.support.until import SOON

CFG = Path(__file__).parents[2] / "cfg"
pytestmark = pytest.mark.interop

ALICE_TONE, BOB_TONE = 440, 620


def account(name, server, transport, password):
    return f"<sip:{name}@127.0.0.1:{server.port};transport={transport}>;auth_pass={password};regint=600"


def staffed(server):
    """The server with the accounts alice and bob."""
    server.add_user("alice", "wonderland")
    server.add_user("bob", "can-we-fix-it")
    return server


@pytest.fixture
def office(served):
    """A server on default.cfg with two accounts."""
    return staffed(served().start())


async def registered(server, names, limit=SOON):
    """Wait until the database knows contacts of these users and no other."""
    async with asyncio.timeout(limit):
        while contacts(server) != names:  # noqa: ASYNC110 - a file tells nobody
            await asyncio.sleep(0.01)


def contacts(server):
    with sqlite3.connect(server.environment["KAMTOOL_DB"]) as database:
        return sorted(row[0] for row in database.execute("SELECT username FROM location"))


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_two_phones_call_and_hear_each_other(office, baresip, transport):
    alice = await baresip("alice", account("alice", office, transport, "wonderland"), ALICE_TONE)
    bob = await baresip("bob", account("bob", office, transport, "can-we-fix-it"), BOB_TONE)
    await alice.hears("REGISTER_OK")
    await bob.hears("REGISTER_OK")

    await alice.tell("dial", f"sip:bob@127.0.0.1:{office.port}")
    await bob.hears("CALL_INCOMING")
    await bob.tell("accept")
    await alice.hears("CALL_ESTABLISHED")
    await bob.hears("CALL_ESTABLISHED")
    await both_hear(alice, bob)
    await alice.tell("hangup")
    await bob.hears("CALL_CLOSED")

    # And the other way round, ended by the callee.
    since = alice.mark(), bob.mark()
    await bob.tell("dial", f"sip:alice@127.0.0.1:{office.port}")
    await alice.hears("CALL_INCOMING", since=since[0])
    await alice.tell("accept")
    await bob.hears("CALL_ESTABLISHED", since=since[1])
    await alice.tell("hangup")
    await bob.hears("CALL_CLOSED", since=since[1])

    await alice.stop()
    await bob.stop()
    for phone, own, other in ((alice, ALICE_TONE, BOB_TONE), (bob, BOB_TONE, ALICE_TONE)):
        samples, rate = phone.heard()
        assert len(samples) > rate, f"{phone.name} heard less than a second\n{phone.said()}"
        assert seconds_of(samples, rate, other) > 1.0, f"{phone.name} did not hear the other's tone"
        assert not seconds_of(samples, rate, own), f"{phone.name} heard itself"
    # Both took back their registrations as they left; the database hears of it a moment later.
    await registered(office, [])


async def both_hear(*phones, seconds=2, limit=SOON):
    """Wait until the recordings of both have grown to so many seconds of 8 kHz, 16 bit."""

    def recorded(phone):
        return sum(path.stat().st_size for path in phone.folder.glob("dump-*-dec.wav"))

    async with asyncio.timeout(limit):
        while min(map(recorded, phones)) < seconds * 16_000:  # noqa: ASYNC110 - a file tells nobody
            await asyncio.sleep(0.1)


async def test_a_caller_who_gives_up_stops_the_ringing(office, baresip):
    alice = await baresip("alice", account("alice", office, "udp", "wonderland"), ALICE_TONE)
    bob = await baresip("bob", account("bob", office, "tcp", "can-we-fix-it"), BOB_TONE)
    await alice.hears("REGISTER_OK")
    await bob.hears("REGISTER_OK")
    await alice.tell("dial", f"sip:bob@127.0.0.1:{office.port}")
    await bob.hears("CALL_INCOMING")
    await alice.tell("hangup")
    await bob.hears("CALL_CLOSED")


async def test_a_wrong_password_is_refused(office, baresip):
    mallory = await baresip("mallory", account("alice", office, "udp", "guess"), ALICE_TONE)
    failed = await mallory.hears("REGISTER_OK", "REGISTER_FAIL")
    assert failed["type"] == "REGISTER_FAIL"
    assert contacts(office) == []


@pytest.mark.parametrize("options", [(), ("-A", "DURABLE")], ids=["as it comes", "durable"])
async def test_a_registration_survives_the_server_being_killed(served, baresip, options):
    server = staffed(served().start(*options))
    alice = await baresip("alice", account("alice", server, "udp", "wonderland"), ALICE_TONE)
    bob = await baresip("bob", account("bob", server, "udp", "can-we-fix-it"), BOB_TONE)
    await alice.hears("REGISTER_OK")
    await bob.hears("REGISTER_OK")
    if not options:  # what is not durable reaches the disk a moment after the answer
        await registered(server, ["alice", "bob"])
    assert server.end(signal.SIGKILL) == -signal.SIGKILL
    server.start(*options)
    assert contacts(server) == ["alice", "bob"]

    since = bob.mark()
    await alice.tell("dial", f"sip:bob@127.0.0.1:{server.port}")
    await bob.hears("CALL_INCOMING", since=since)
    await bob.tell("accept")
    await alice.hears("CALL_ESTABLISHED")
    await alice.tell("hangup")
    await bob.hears("CALL_CLOSED", since=since)


async def test_an_account_counts_from_the_next_request_on_and_a_changed_password_too(served, baresip):
    server = served().start()
    early = await baresip("early", account("alice", server, "udp", "wonderland"), ALICE_TONE)
    assert (await early.hears("REGISTER_OK", "REGISTER_FAIL"))["type"] == "REGISTER_FAIL"
    server.add_user("alice", "wonderland")
    alice = await baresip("alice", account("alice", server, "tcp", "wonderland"), ALICE_TONE)
    assert (await alice.hears("REGISTER_OK", "REGISTER_FAIL"))["type"] == "REGISTER_OK"
    done = server.cli("user", "passwd", "alice", "--password-stdin", text_in="looking-glass\n")
    assert done.returncode == 0, done.stderr
    late = await baresip("late", account("alice", server, "udp", "wonderland"), ALICE_TONE)
    assert (await late.hears("REGISTER_OK", "REGISTER_FAIL"))["type"] == "REGISTER_FAIL"


async def test_it_gives_up_when_it_is_offered_sha_256_beside_md5(served, baresip):
    """Why default.cfg offers MD5 alone to it."""
    offering = served()
    cfg = offering.folder / "offering.cfg"
    text = (CFG / "default.cfg").read_text()
    assert "|^baresip v?[0-2]" in text
    cfg.write_text(text.replace("|^baresip v?[0-2]", "|^none"))
    server = staffed(offering.start("-f", str(cfg)))
    alice = await baresip("alice", account("alice", server, "udp", "wonderland"), ALICE_TONE)
    await alice.hears("REGISTER_FAIL")
    assert contacts(server) == []
