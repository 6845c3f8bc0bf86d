"""Three baresips on kamtool with rtpengine: hold, and a blind transfer; media at both ends."""

import asyncio
from operator import sub

import pytest

from tests.interop.test_baresip import account
from tests.interop.test_linphone import hear_more
from tests.interop.test_linphone import office as office
from tests.support.baresip import seconds_of
from tests.support.until import until

pytestmark = pytest.mark.interop

ALICE_TONE, BOB_TONE, CAROL_TONE = 440, 620, 850
PASSWORDS = {"alice": "wonderland", "bob": "can-we-fix-it", "carol": "third"}
TONES = {"alice": ALICE_TONE, "bob": BOB_TONE, "carol": CAROL_TONE}


async def registered(server, baresip, *names):
    """The phones of these users."""
    phones = [
        await baresip(name, account(name, server, "udp", PASSWORDS[name]), TONES[name]) for name in names
    ]
    for phone in phones:
        await phone.hears("REGISTER_OK")
    return phones


async def called(server, caller, callee):
    """They speak with each other."""
    await caller.tell("dial", f"sip:{callee.name}@127.0.0.1:{server.port}")
    await callee.hears("CALL_INCOMING")
    await callee.tell("accept")
    await caller.hears("CALL_ESTABLISHED")
    await callee.hears("CALL_ESTABLISHED")
    await hear_more(caller, callee)


def received(daemon):
    """RTP packets that the relay has from each of the two, in the one call that there is."""
    (call,) = daemon.ask({"command": "list", "limit": 10})["calls"]
    sides = daemon.ask({"command": "query", "call-id": call})["tags"].values()
    return [side["medias"][0]["streams"][0]["stats"]["packets"] for side in sides]


async def test_a_held_call_is_silent_and_is_heard_again(office, baresip):
    """RFC 3264 §8.4. Counted at the relay: a baresip records no more once it has been on hold."""
    server, daemon = office
    alice, bob = await registered(server, baresip, "alice", "bob")
    await called(server, alice, bob)
    await alice.tell("hold")
    before = None
    async with asyncio.timeout(30):
        while before != (now := received(daemon)):
            before = now
            await asyncio.sleep(0.3)
    assert min(before) > 50
    await alice.tell("resume")
    await until(lambda: min(map(sub, received(daemon), before)) > 50)


@pytest.mark.parametrize("who", ["caller", "callee"])
async def test_a_call_is_transferred(office, baresip, who):
    """RFC 3515, 5589 §6: REFER, the NOTIFYs, the new call that the other makes, and the old one's end."""
    server, _ = office
    alice, bob, carol = await registered(server, baresip, "alice", "bob", "carol")
    await called(server, alice, bob)
    leaving, staying = (alice, bob) if who == "caller" else (bob, alice)
    since = leaving.mark(), staying.mark()
    await leaving.tell("transfer", f"sip:carol@127.0.0.1:{server.port}")
    await carol.hears("CALL_INCOMING")
    await carol.tell("accept")
    await carol.hears("CALL_ESTABLISHED")
    await leaving.hears("CALL_CLOSED", since=since[0])
    await staying.hears("CALL_ESTABLISHED", since=since[1])
    await hear_more(carol)
    for phone in (alice, bob, carol):
        await phone.stop()
    assert seconds_of(*carol.heard(), TONES[staying.name]) > 0.5, "carol hears the one who was transferred"
