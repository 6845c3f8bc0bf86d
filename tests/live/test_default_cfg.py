"""default.cfg, what `kamtool serve` runs by itself: who may do what, and what the others hear."""

import asyncio
import re
from contextlib import suppress

import pytest

from kamtool.errors import RpcError
from kamtool.server import control
from kamtool.sip import build
from kamtool.sip.flow import Address
from tests.support.until import SOON

pytestmark = pytest.mark.live


@pytest.fixture(scope="module")
def office(tmp_path_factory, free_port):
    """A server with the accounts alice and bob, shared by the tests of this file."""
    from tests.support.process import Served

    server = Served(tmp_path_factory.mktemp("office"), free_port()).start()
    server.add_user("alice", "wonderland")
    server.add_user("bob", "can-we-fix-it")
    server.address = Address("127.0.0.1", server.port)
    yield server
    assert server.end() == 0
    assert "Traceback" not in server.log(), server.log()


PASSWORDS = {"alice": "wonderland", "bob": "can-we-fix-it"}


@pytest.fixture
def staff(office, phone):
    """Registered phones: `await staff("alice", transport="tcp")`."""

    async def make(name, **options):
        one = await phone(name, office.address, password=PASSWORDS[name], **options)
        assert (await one.register()).status == 200
        return one

    return make


@pytest.fixture(autouse=True)
async def nobody_at_first(office):
    for name in PASSWORDS:
        with suppress(RpcError):  # it has no contact
            await asyncio.to_thread(control.ask, office.folder / "control.sock", "ul.rm", ["location", name])


@pytest.mark.parametrize(
    "transports", [("udp", "udp"), ("tcp", "tcp"), ("udp", "tcp"), ("tcp", "udp")], ids="-".join
)
async def test_a_call_between_two_accounts(office, staff, transports):
    alice, bob = await staff("alice", transport=transports[0]), await staff("bob", transport=transports[1])
    call = await alice.invite(f"sip:bob@{office.address}")
    assert [response.status async for response in call] == [100, 180, 200]
    incoming = await bob.calls.get()
    await asyncio.wait_for(incoming.established.wait(), SOON)
    assert incoming.invite.header("Proxy-Authorization") is None, "the credentials stay with the server"
    assert (await call.bye()).status == 200
    assert (await bob.requests.get()).method == "BYE"


async def test_the_callee_hangs_up(office, staff):
    alice, bob = await staff("alice"), await staff("bob", transport="tcp")
    call = await alice.invite(f"sip:bob@{office.address}")
    assert (await call.answered()).status == 200
    incoming = await bob.calls.get()
    await asyncio.wait_for(incoming.established.wait(), SOON)
    assert (await incoming.bye()).status == 200
    assert (await alice.requests.get()).method == "BYE"


async def test_a_caller_gives_up(office, staff):
    alice, bob = await staff("alice"), await staff("bob", answer=[180])
    call = await alice.invite(f"sip:bob@{office.address}")
    responses = aiter(call)
    while (await anext(responses)).status != 180:
        pass
    assert (await call.cancel()).status == 200
    assert (await anext(responses)).status == 487
    assert (await bob.calls.get()).final == 487


async def test_all_phones_of_a_user_ring_and_the_first_to_answer_has_the_call(office, staff):
    alice = await staff("alice")
    desk, mobile = await staff("bob", answer=[180]), await staff("bob", transport="tcp", answer=[180])
    call = await alice.invite(f"sip:bob@{office.address}")
    waiting = asyncio.ensure_future(call.answered())
    ringing = await desk.calls.get(), await mobile.calls.get()
    answering = asyncio.ensure_future(ringing[1].respond(200))
    assert (await waiting).status == 200
    await answering
    cancelled = await asyncio.wait_for(desk.requests.get(), SOON)
    assert (cancelled.method, ringing[0].final) == ("CANCEL", 487)


@pytest.mark.parametrize("status", [486, 603])
async def test_a_callee_who_refuses_is_heard(office, staff, status):
    alice, _ = await staff("alice"), await staff("bob", answer=[180, status])
    assert (await (await alice.invite(f"sip:bob@{office.address}")).answered()).status == status


async def test_a_user_without_phones_and_one_who_does_not_exist_are_not_found(office, staff):
    alice = await staff("alice")
    for name in ("bob", "nobody"):
        assert (await alice.message(f"sip:{name}@{office.address}", "hello")).status == 404


async def test_a_message_reaches_its_phone(office, staff):
    alice, bob = await staff("alice"), await staff("bob", transport="tcp")
    assert (await alice.message(f"sip:bob@{office.address}", "hello")).status == 200
    assert (await bob.requests.get()).body == b"hello"


async def test_an_account_is_reached_by_the_name_that_user_add_gave_it(office, phone, staff):
    """That is bob@kamtool; whoever comes as alice@kamtool proves it, and his credentials stay here."""
    alice = await phone("alice", office.address, domain="kamtool", password=PASSWORDS["alice"])
    bob = await staff("bob")
    assert (await alice.message("sip:bob@kamtool", "hello")).status == 200
    request = await bob.requests.get()
    assert (request.body, request.header("Proxy-Authorization")) == (b"hello", None)


async def test_a_wrong_password_and_an_unknown_user_are_told_the_same(office, phone):
    """Nobody learns here which accounts there are."""
    heard = []
    for name in ("alice", "nobody"):
        one = await phone(name, office.address, password="guess")
        response = await one.register()
        text = response.data.decode()
        for known in (name, str(one.wire.local), str(one.wire.local.port)):
            text = text.replace(known, "X")
        heard.append(re.sub(r'(tag=|branch=|nonce="|Call-ID: )[^\s;"]+', r"\1X", text))
    assert heard[0].startswith("SIP/2.0 401 ")
    assert heard[0] == heard[1]


async def test_an_account_cannot_register_or_call_as_another(office, phone):
    alice = await phone("alice", office.address, password=PASSWORDS["alice"])
    alice.user = "bob"
    made = alice.credentials

    def as_alice(*arguments, **more):
        alice.user = "alice"
        try:
            return made(*arguments, **more)
        finally:
            alice.user = "bob"

    alice.credentials = as_alice
    assert (await alice.register()).status in (401, 403)
    assert (await alice.message(f"sip:alice@{office.address}", "I am bob")).status in (403, 407)


async def test_a_stranger_may_call_an_account_but_not_use_us_to_reach_others(office, phone, staff):
    bob = await staff("bob")
    stranger = await phone("mallory", office.address, domain="elsewhere.example")
    assert (await stranger.message(f"sip:bob@{office.address}", "hello")).status == 200
    assert (await bob.requests.get()).body == b"hello"
    for uri in (f"sip:victim@{bob.wire.local}", "sip:victim@192.0.2.1"):
        assert (await stranger.message(uri, "hello")).status == 403
    assert bob.requests.empty()


async def test_one_who_says_to_be_ours_must_prove_it(office, phone):
    mallory = await phone("alice", office.address)
    assert (await mallory.message(f"sip:bob@{office.address}", "hello")).status == 407


async def test_a_route_that_a_caller_brings_along_is_not_followed(office, phone, staff):
    bob = await staff("bob")
    stranger = await phone("mallory", office.address, domain="elsewhere.example")
    headers = [*stranger.new_headers("sip:x@y"), ("Route", f"<sip:{bob.wire.local};lr>")]
    assert (await stranger.ask("MESSAGE", "sip:victim@192.0.2.1", headers)).status == 403
    headers = [*stranger.new_headers("sip:x@y"), ("Route", f"<sip:{bob.wire.local};lr>")]
    assert (await stranger.ask("MESSAGE", f"sip:bob@{office.address}", headers)).status == 200
    assert (await bob.requests.get()).header("Route") is None


async def test_too_many_hops_and_no_hop_left(office, phone):
    one = await phone("mallory", office.address, domain="elsewhere.example")
    via = ("Via", f"SIP/2.0/UDP {one.wire.local};branch=z9hG4bKhops;rport")
    uri = f"sip:bob@{office.address}"
    headers = [via, ("Max-Forwards", "0"), *one.new_headers(uri), ("CSeq", "1 OPTIONS")]
    response = await one.send_whole(build.request("OPTIONS", uri, headers), "z9hG4bKhops", "OPTIONS").next()
    assert response.status == 483


async def test_a_registration_can_be_taken_back_and_shows_while_it_lasts(office, staff):
    alice = await staff("alice")
    shown = await asyncio.to_thread(office.cli, "ul", "show", "alice", "-o", "json")
    assert str(alice.wire.local) in shown.stdout
    assert (await alice.register(expires=0)).status == 200
    shown = await asyncio.to_thread(office.cli, "ul", "show", "-o", "json")
    assert str(alice.wire.local) not in shown.stdout
