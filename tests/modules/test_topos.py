"""topos: what it keeps, its parameters, and what outlives a restart. tests/live/hidden has its dialogs."""

import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kamtool.errors import ConfigError
from kamtool.modules.topoh.hooks import read
from kamtool.modules.topos import Topos
from kamtool.modules.topos.hiding import Hiding
from kamtool.modules.topos.naming import Choices
from kamtool.modules.topos.records import Records
from tests.support.server import port_of

CFG = """#!KAMAILIO
listen=udp:127.0.0.1:PORT
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "siputils.so"
loadmodule "textops.so"
loadmodule "db_sqlite.so"
loadmodule "topos.so"
modparam("topos", "db_url", "sqlite:///DATABASE")
MORE
request_route {
    if (has_totag()) { if (loose_route()) { t_relay(); } else { sl_send_reply("404", "Not here"); } exit; }
    t_check_trans();
    record_route();
    ROUTE
    $du = "sip:127.0.0.1:CALLEE";
    t_relay();
}
EVENTS
"""


@pytest.fixture
async def start(kamtool, peer, tmp_path, free_port):
    """A server with topos between alice and bob; `start()` again is a restart on the same database."""
    alice, bob, port = await peer(), await peer(), free_port()

    async def begin(more="", route="", events=""):
        text = CFG.replace("MORE", more).replace("ROUTE", route).replace("EVENTS", events)
        text = text.replace("CALLEE", str(bob.port)).replace("DATABASE", str(tmp_path / "kamtool.db"))
        return await kamtool(text.replace("PORT", str(port)), listens=()), alice, bob

    return begin


async def rung(server, alice, bob, headers="", **bobs):
    """An INVITE and its 180: what bob and alice saw."""
    to = port_of(server)
    place = f"Contact: <{alice.uri}>\r\n"
    alice.send(alice.request("INVITE", "sip:bob@example.com", headers=place + headers), to)
    invite = await bob.expect("INVITE")
    await alice.expect(100)
    bob.send(bob.answer(invite, 180, headers=f"Contact: <{bob.uri}>\r\n", **bobs), to)
    return invite, await alice.expect(180)


async def answered(server, alice, bob):
    invite, _ = await rung(server, alice, bob)
    bob.send(bob.answer(invite, 200, headers=f"Contact: <{bob.uri}>\r\n"), port_of(server))
    return invite, await alice.expect(200)


def rows(tmp_path, sql):
    connection = sqlite3.connect(tmp_path / "kamtool.db")
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def bye_of(bob, invite, ok):
    return (
        f"BYE {invite.contacts[0].uri} SIP/2.0\r\n"
        f"Via: SIP/2.0/UDP 127.0.0.1:{bob.port};branch=z9hG4bKbob\r\n"
        f"From: {ok.header('To')}\r\nTo: {ok.header('From')}\r\n"
        f"Call-ID: {invite.call_id}\r\nCSeq: 9 BYE\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
    )


async def test_a_call_goes_on_after_a_restart_and_its_rows_are_kamailios(start, tmp_path):
    server, alice, bob = await start()
    invite, ok = await answered(server, alice, bob)
    await server.stop()
    (row,) = rows(
        tmp_path, "SELECT a_uuid, b_uuid, s_method, a_contact, b_contact, a_tag, b_tag, a_callid FROM topos_d"
    )
    assert row[0] in ok.contacts[0].uri
    assert row[1] in invite.contacts[0].uri
    assert row[0][1:] == row[1][1:]
    assert row[2:] == ("INVITE", alice.uri, bob.uri, invite.from_tag, ok.to_tag, invite.call_id)
    assert rows(tmp_path, "SELECT x_vbranch FROM topos_t") == [(invite.branch,)]

    again, *_ = await start()
    to = port_of(again)
    bob.send(bye_of(bob, invite, ok), to)
    bye = await alice.expect("BYE")
    assert bye.uri == alice.uri
    assert str(bob.port).encode() not in bye.data
    alice.send(alice.answer(bye, 200), to)
    done = await bob.expect(200)
    assert done.items("Via") == [f"SIP/2.0/UDP 127.0.0.1:{bob.port};branch=z9hG4bKbob"]


async def test_an_answer_that_comes_after_a_restart_finds_its_way_back(start):
    server, alice, bob = await start()
    invite, _ = await rung(server, alice, bob)
    await server.stop()
    again, *_ = await start()
    bob.send(bob.answer(invite, 200, headers=f"Contact: <{bob.uri}>\r\n"), port_of(again))
    ok = await alice.expect(200)
    assert str(bob.port).encode() not in ok.data
    assert len(ok.items("Via")) == 1


async def test_each_of_two_that_ring_is_reached_by_its_own_alias(start):
    server, alice, bob = await start()
    invite, first = await rung(server, alice, bob, to_tag="one")
    bob.send(
        bob.answer(invite, 180, to_tag="two", headers=f"Contact: <{bob.uri};second>\r\n"), port_of(server)
    )
    second = await alice.expect(180)
    assert first.contacts[0].uri != second.contacts[0].uri
    for number, (ringing, uri) in enumerate(((first, bob.uri), (second, f"{bob.uri};second"))):
        alice.send(
            alice.request("PRACK", ringing.contacts[0].uri, branch=f"p{number}", to_tag=ringing.to_tag),
            port_of(server),
        )
        assert (await bob.expect("PRACK")).uri == uri


async def test_who_does_not_know_the_tags_is_not_in_the_dialog(start):
    server, alice, bob = await start()
    invite, ok = await answered(server, alice, bob)
    forged = bye_of(bob, invite, ok).replace(f"tag={invite.from_tag}", "tag=guessed")
    bob.send(forged, port_of(server))
    bob.send(bye_of(bob, invite, ok).replace("z9hG4bKbob", "z9hG4bKtrue"), port_of(server))
    assert (await alice.expect("BYE")).to_tag == invite.from_tag


async def test_headers_that_are_only_for_the_script_come_from_nobody_else(start):
    server, alice, bob = await start()
    forged = "P-SR-XUID: atpsh-1\r\np-sr-xbranch: z9hG4bKx\r\n"
    invite, ringing = await rung(server, alice, bob, forged)
    for seen in (invite, ringing):
        assert b"p-sr-x" not in seen.data.lower()


async def test_the_alias_can_be_a_parameter(start):
    server, alice, bob = await start(
        'modparam("topos", "contact_mode", 1)\nmodparam("topos", "cparam_name", "way")'
    )
    invite, ok = await answered(server, alice, bob)
    assert ";way=btpsh-" in invite.contacts[0].uri
    assert ok.contacts[0].uri.startswith("sip:bob@127.0.0.1")
    alice.send(alice.request("BYE", ok.contacts[0].uri, branch="3", to_tag=ok.to_tag), port_of(server))
    assert (await bob.expect("BYE")).uri == bob.uri


async def test_users_and_host_of_the_contacts_come_from_an_xavu(start):
    server, alice, bob = await start(
        'modparam("topos", "contact_mode", 2)\nmodparam("topos", "xavu_cfg", "_tps_")\n'
        'modparam("topos", "xavu_field_a_contact", "a")\nmodparam("topos", "xavu_field_b_contact", "b")\n'
        'modparam("topos", "xavu_field_contact_host", "host")',
        '$xavu(_tps_=>a) = "trunk"; $xavu(_tps_=>b) = "line"; $xavu(_tps_=>host) = "sbc.example.com";',
    )
    invite, ok = await answered(server, alice, bob)
    assert ok.contacts[0].uri.startswith("sip:trunk@sbc.example.com")
    assert invite.contacts[0].uri.startswith("sip:line@sbc.example.com")


@pytest.mark.parametrize("event", ["outgoing", "sending"])
async def test_an_event_route_excepts_a_destination(start, event):
    server, alice, bob = await start(
        events="event_route[topos:msg-EVENT] { if ($sndto(port) == CALLEE) { drop; } }".replace(
            "EVENT", event
        )
    )
    alice.send(
        alice.request("INVITE", "sip:bob@example.com", headers=f"Contact: <{alice.uri}>\r\n"), port_of(server)
    )
    invite = await bob.expect("INVITE")
    assert invite.contacts[0].uri == alice.uri
    assert len(invite.items("Via")) == 2


@pytest.mark.parametrize("event", ["incoming", "receiving"])
async def test_an_event_route_excepts_a_source(start, event):
    server, alice, bob = await start(
        'modparam("topos", "event_mode", 12)',
        events=f"event_route[topos:msg-{event}] {{ if ($sp == CALLEE && $rm == 'BYE') drop; }}",
    )
    invite, ok = await answered(server, alice, bob)
    bob.send(bye_of(bob, invite, ok), port_of(server))
    assert (await bob.expect(404)).cseq_method == "BYE"  # the alias is not looked for


async def test_a_context_is_part_of_the_alias_and_the_row(start, tmp_path):
    server, alice, bob = await start('modparam("topos", "context", "one")', 'tps_set_context("two");')
    invite, _ = await answered(server, alice, bob)
    assert invite.contacts[0].uri.partition("@")[0].endswith("-two")
    await server.stop()
    assert rows(tmp_path, "SELECT x_context FROM topos_d") == [("two",)]


async def test_a_call_that_has_ended_is_forgotten(start):
    server, alice, bob = await start()
    invite, ok = await answered(server, alice, bob)
    bob.send(bye_of(bob, invite, ok), port_of(server))
    bye = await alice.expect("BYE")
    alice.send(alice.answer(bye, 200), port_of(server))
    await bob.expect(200)
    records = server.modules["topos"].records
    assert records.by_a
    true_now = records.now
    records.now = lambda: true_now() + 181
    await server.modules["topos"]._clean()
    assert not records.by_a
    assert not records.by_b
    assert not records.legs


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("storage", "memcached", "there is no storage"),
        ("contact_mode", 3, "`contact_mode` is 3"),
        ("cparam_name", "", "is empty"),
        ("context", "a-very-long-name", "more than 12"),
        ("dialog_expire", 0, "`dialog_expire` is 0"),
        ("event_callback", "x", "there is no KEMI"),
    ],
)
def test_what_cannot_work_is_refused(name, value, said):
    with pytest.raises(ConfigError, match=said):
        Topos(None).set_param(name, value)


async def test_two_that_hide_are_refused(kamtool, tmp_path):
    text = CFG.replace("MORE", 'loadmodule "topoh.so"').replace("ROUTE", "").replace("EVENTS", "")
    with pytest.raises(ConfigError, match="hides the topology already"):
        await kamtool(
            text.replace("CALLEE", "9")
            .replace("DATABASE", str(tmp_path / "k.db"))
            .replace("listen=udp:127.0.0.1:PORT", "")
        )


HEAD = (
    b"INVITE sip:atpsh-1@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bK1\r\n"
    b"Via: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK2\r\n"
)
TAIL = b"From: <sip:a@b>;tag=1\r\nTo: <sip:a@b>;tag=2\r\nCall-ID: 1\r\nCSeq: 1 INVITE\r\n\r\n"


@given(
    st.binary(max_size=300),
    st.sampled_from(["Via", "Contact", "Record-Route", "Route", "P-SR-XUID", "P-SR-XBranch", "To"]),
)
def test_any_header_passes_without_an_error(data, name):
    """Nothing of the network can raise here."""
    hiding = Hiding(Records(lambda: 0.0, 10, 10), Choices(), lambda item: b"127.0.0.1" in item)
    for head in (HEAD, HEAD.replace(b"INVITE sip:atpsh-1@127.0.0.1 SIP/2.0", b"SIP/2.0 200 OK")):
        for tail in (TAIL, TAIL.replace(b";tag=2", b"")):
            msg = read(head + name.encode() + b": " + data + b"\r\n" + tail)
            if msg is not None:
                arrived = read(hiding.arrived(msg))
                assert arrived is not None
                left = read(hiding.leaving(arrived))
                assert left is None or not left.find("P-SR-XUID")
