"""Linphone and baresip on kamtool with rtpengine: a call, hold, transfer; media at both ends."""

import asyncio
import wave

import pytest

from tests.interop.test_baresip import account, staffed
from tests.interop.test_rtpengine import CFG, RTPENGINE, WAYS
from tests.support.baresip import seconds_of
from tests.support.until import until

pytestmark = pytest.mark.interop

LINPHONE_TONE, BARESIP_TONE, THIRD_TONE = 440, 620, 850
AUTHENTICATED = """{relay}
loadmodule "db_sqlite.so"
loadmodule "auth.so"
loadmodule "auth_db.so"
modparam("auth_db", "db_url", "sqlite:///{database}")
modparam("auth_db", "load_credentials", "")
"""
CHALLENGE = """if (is_method("REGISTER")) {
        if (!www_authenticate("kamtool", "subscriber")) { www_challenge("kamtool", "1"); exit; }
"""


@pytest.fixture
def office(served, rtpengine, tmp_path):
    """A server that challenges REGISTERs and sends all media through rtpengine: the two."""
    daemon = rtpengine(address="127.0.0.77")
    server = staffed(served())
    relay = RTPENGINE.format(ng=daemon.ng)
    relay = AUTHENTICATED.format(relay=relay, database=server.environment["KAMTOOL_DB"])
    text = CFG.format(relay=relay, manage=WAYS["rtpengine"][1])
    text = text.replace('if (is_method("REGISTER")) {', CHALLENGE, 1)
    path = tmp_path / "office.cfg"
    path.write_text(text)
    server.add_user("carol", "third")
    return server.start("-f", path, limit=90), daemon


async def registered(server, linphone, baresip):
    """alice on linphone and bob on baresip."""
    alice = await linphone("alice", LINPHONE_TONE)
    await alice.tell(f"register sip:alice@office.test sip:127.0.0.1:{server.port} wonderland")
    bob = await baresip("bob", account("bob", server, "udp", "can-we-fix-it"), BARESIP_TONE)
    await bob.hears("REGISTER_OK")
    await until(lambda: "alice" in server.cli("ul", "show").stdout)
    return alice, bob


def recorded(path):
    """The seconds in a recording that may still grow. Linphone writes the header when it first closes it."""
    with path.open("rb") as file:
        rate = int.from_bytes(file.read(44)[24:28], "little") or 8000
    return path.stat().st_size / (2 * rate)


def lengths(*phones):
    """How many seconds each has recorded."""
    return [
        recorded(phone.heard_path) if hasattr(phone, "heard_path")
        else sum(map(recorded, phone.folder.glob("dump-*-dec.wav")))
        for phone in phones
    ]  # fmt: skip


async def hear_more(*phones, seconds=1.5):
    """All of them receive speech for so long. Linphone begins its file anew after each pause."""
    heard, last = [0.0] * len(phones), lengths(*phones)

    def enough():
        now = lengths(*phones)
        for number, length in enumerate(now):
            heard[number] += length - last[number] if length >= last[number] else length
        last[:] = now
        return min(heard) > seconds

    try:
        await until(enough, 40)
    except TimeoutError:
        raise AssertionError(f"seconds heard: {heard}, files {last}") from None


def ear(alice):
    with wave.open(str(alice.heard_path)) as recording:
        octets = recording.readframes(recording.getnframes())
        samples = memoryview(octets).cast("h")
        return samples, recording.getframerate()


def packets(daemon):
    """RTP packets that the relay has forwarded, in all its calls."""
    calls = daemon.ask({"command": "list", "limit": 10})["calls"]
    return sum(daemon.ask({"command": "query", "call-id": c})["totals"]["RTP"]["packets"] for c in calls)


async def test_linphone_registers_with_digest_calls_through_the_relay_and_holds(office, linphone, baresip):
    server, daemon = office
    alice, bob = await registered(server, linphone, baresip)
    await alice.tell(f"call sip:bob@127.0.0.1:{server.port}")
    await bob.hears("CALL_INCOMING")
    await bob.tell("accept")
    await bob.hears("CALL_ESTABLISHED")
    await alice.says("Media streams established")
    await hear_more(alice, bob)
    assert packets(daemon) > 100, "media did not go through the relay"

    # Hold by linphone: it sends what it plays to those who wait, and is sent nothing.
    await alice.tell("pause")
    await alice.says("is now paused")
    await until(lambda: "a=sendonly" in alice.log() and "a=recvonly" in alice.log())
    before = lengths(alice)[0]
    await asyncio.sleep(1)
    assert lengths(alice)[0] - before < 0.5
    mark = alice.mark()
    await alice.tell("resume")
    await alice.says("Media streams established", since=mark)
    await until(lambda: alice.log().count("a=sendrecv") >= 2)
    await hear_more(alice)  # linphone's own player stands still from now on
    since = bob.mark()
    await alice.tell("terminate")
    await bob.hears("CALL_CLOSED", since=since)

    await alice.stop()
    await bob.stop()
    for name, (samples, rate), own, other in (
        ("linphone", ear(alice), LINPHONE_TONE, BARESIP_TONE),
        ("baresip", bob.heard(), BARESIP_TONE, LINPHONE_TONE),
    ):
        assert len(samples) > rate, f"{name} heard less than a second"
        assert seconds_of(samples, rate, other) > 0.5, f"{name} did not hear the other's tone"
        assert seconds_of(samples, rate, own) < 0.1, f"{name} heard itself"


@pytest.mark.parametrize("way", ["calls", "is called"])
async def test_the_others_bye_reaches_it_by_its_gruu(served, linphone, baresip, way):
    """RFC 5627: the Contact of its dialogs is the GRUU that it got, an address of the server itself."""
    server = staffed(served()).start("-A", 'DOMAIN="office.test"')
    alice, bob = await registered(server, linphone, baresip)
    if way == "calls":
        await alice.tell(f"call sip:bob@127.0.0.1:{server.port}")
        await bob.hears("CALL_INCOMING")
        await bob.tell("accept")
    else:
        await bob.tell("dial", f"sip:alice@127.0.0.1:{server.port}")
        await alice.says("Receiving new incoming call")
        await alice.tell("answer")
    await bob.hears("CALL_ESTABLISHED")
    await alice.says("Media streams established")
    await bob.tell("hangup")
    await alice.says("Call 1 with .* (ended|released)")
    assert "Contact: <sip:alice@office.test;gr=" in alice.log()


@pytest.mark.parametrize("who", ["linphone", "baresip"])
async def test_a_call_is_transferred(office, linphone, baresip, who):
    """RFC 3515, 5589: REFER, the NOTIFYs, and the new call that the other phone makes."""
    server, _ = office
    alice, bob = await registered(server, linphone, baresip)
    carol = await baresip("carol", account("carol", server, "udp", "third"), THIRD_TONE)
    await carol.hears("REGISTER_OK")
    await alice.tell(f"call sip:bob@127.0.0.1:{server.port}")
    await bob.hears("CALL_INCOMING")
    await bob.tell("accept")
    await bob.hears("CALL_ESTABLISHED")
    await hear_more(bob)
    target, since = f"sip:carol@127.0.0.1:{server.port}", bob.mark()
    if who == "linphone":
        await alice.tell(f"transfer {target}")
    else:
        await bob.tell("transfer", target)
    await carol.hears("CALL_INCOMING")
    await carol.tell("accept")
    await carol.hears("CALL_ESTABLISHED")
    if who == "linphone":
        await hear_more(carol, bob)
    else:
        await bob.hears("CALL_CLOSED", since=since)
        await hear_more(carol)
    other = BARESIP_TONE if who == "linphone" else LINPHONE_TONE
    for phone in (alice, bob, carol):
        await phone.stop()
    samples, rate = carol.heard()
    assert seconds_of(samples, rate, other) > 0.5, "carol hears the one who was transferred"
