"""topoh: the deck's own capture octet for octet, Kamailio 5.6.3's alphabets, and dialogs through it.

Where Kamailio would leave a host in sight or a call unroutable (all Contacts but the last, Record-Route of
requests other than INVITE, a CANCEL towards the caller with a masked Call-ID) RFC 3261 and the purpose count.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kamtool.errors import ConfigError
from kamtool.modules.topoh import Topoh
from kamtool.modules.topoh.code import Code, alphabet
from kamtool.modules.topoh.hooks import read
from kamtool.modules.topoh.masks import Marks, Masks
from kamtool.sip.message import Request
from tests.support.server import port_of

KEY = "my secret here"

HEAD = (
    'From: "105" <sip:105@192.168.178.26>;tag=166646806\r\n'
    "To: <sip:101@192.168.178.26>\r\n"
    "Call-ID: 989804978-40416-6@BJC.BGI.BHI.CH\r\n"
    "CSeq: 50 INVITE\r\n"
)
TAIL = (
    "User-Agent: Grandstream GXV3140 1.0.7.3\r\n"
    "Privacy: none\r\n"
    'P-Preferred-Identity: "105" <sip:105@192.168.178.26>\r\n'
    "Supported: replaces, path, timer\r\n"
    "Allow: INVITE, ACK, OPTIONS, CANCEL, BYE, SUBSCRIBE, NOTIFY, INFO, REFER, UPDATE, MESSAGE\r\n"
    "Content-Type: application/sdp\r\n"
    "Accept: application/sdp, application/dtmf-relay\r\n"
    "Content-Length:   0\r\n\r\n"
)
SLIDE_IN = (
    "INVITE sip:101@192.168.178.26 SIP/2.0\r\n"
    "Via: SIP/2.0/UDP 192.168.178.27:40416;branch=z9hG4bK321149767\r\n"
    f"{HEAD}"
    'Contact: "105" <sip:105@192.168.178.27:40416>\r\n'
    "Max-Forwards: 70\r\n"
    f"{TAIL}"
).encode()
ROUTED = (
    "INVITE sip:101@192.168.178.22:1056;line=mu3z2i1j SIP/2.0\r\n"
    "Record-Route: <sip:192.168.178.26;lr=on>\r\n"
    "Via: SIP/2.0/UDP 192.168.178.26;branch=z9hG4bK8d21.062561f6.0\r\n"
)
SLIDE_OUT = (
    f"{ROUTED}"
    "Via: SIP/2.0/UDP 10.1.1.10;branch=z9hG4bKsr-"
    "JfymiMenCtp4urS5CX1ZiHvRItc.TM5nCHOBT6SfCXN94v5pswyRIRDZN80HU6gBI8LqTwDiCMe.CXm0TMNP\r\n"
    f"{HEAD}"
    'Contact: "105" <sip:10.1.1.10;line=sr-ORylIHvlTJS.IXenCXNciHvPItcZTMWfC6m.T5**>\r\n'
    "Max-Forwards: 69\r\n"
    f"{TAIL}"
).encode()


def masks(key=KEY, call_id=False, ours=b"192.168.178.26"):
    marks = Marks(b"10.1.1.10", b";line=sr-", b";branch=z9hG4bKsr-", b"z9hG4bKsr-", b"!!:", call_id)
    return Masks(Code(key), marks, lambda item: ours in item)


def relayed(data):
    """What the server on the slide makes of the request before it is masked."""
    return (
        data.replace(b"INVITE sip:101@192.168.178.26 SIP/2.0\r\n", ROUTED.encode())
        .replace(b"Max-Forwards: 70", b"Max-Forwards: 69")
    )  # fmt: skip


def test_the_slides_invite_leaves_as_on_the_slide():
    both = masks()
    assert both.leaving(Request(relayed(both.arrived(Request(SLIDE_IN))))) == SLIDE_OUT


@pytest.mark.parametrize(
    ("key", "letters"),
    [
        ("my secret here", "S2t6vrwqeD7iCTIhmubXJ48dNsU3OQGF5LkH1y-VWoajKYnAl.ZMfgRPc0B9xpEz"),
        ("a", "5BOoWqERtYxQAljfT16b3pFv.Hc7dDU8M02yemVaZJsKw9zShrkuN4g-PXIGCLni"),
        ("b", "vefFlU6gjRhNHp.TZuynwGD4KOmdaxCtPWL9rMzIBE578-XoJ3V1s0kQb2icAqSY"),
        ("ab", "WPRHN1ELqf2X3A9TMp8nz6yjol-VGaSibUvBcY0JhO4dekuZwQItF.K7DmCxrsg5"),
        ("abc", "kSZE6Ju4qTAje35GVRrP9ca7xDhWzFdgoC8wspUOH.YnKMtlBvyiI12XQ0bN-fLm"),
        ("_static_value_", "FDHAaNBPhmJfWVLXReYbwp8xC.Zjt4u6d27ql3SkgEGM1csKzonU-yvir9QIT05O"),
        ("kamtool", "KoEXvFit2enY9WZGMhRNq.pJQguzraV7cDAml460IHLCBbyd13w8OSUTsk-5xPjf"),
        ("0123456789abcdef", "Eb9ex2gUCiFOkc7rP6lBWNTh3L0wIazstYDmyjqZXu8d-vHQ5KSpon.4RVfJ1GMA"),
    ],
)
def test_the_alphabets_are_kamailios(key, letters):
    assert alphabet(key) == letters


def test_a_key_beyond_ascii_counts_its_octets_as_signed():
    """Kamailio 5.6.3 with the key `é` wrote this for a Contact that began so."""
    assert Code("é").encode(b"sip:a@127.0.0.1:").startswith(b"1oBRKnIAW9QHU6AsW2Yy")


@given(st.text(min_size=1), st.binary(min_size=1))
def test_what_is_encoded_decodes_to_the_same_or_is_no_line(key, data):
    code = Code(key)
    decoded = code.decode(code.encode(data))
    assert decoded == data or (decoded is None and any(c < 32 or c == 127 for c in data))


@given(st.binary(max_size=200))
def test_any_code_is_decoded_or_refused_and_never_breaks_a_line(data):
    decoded = Code(KEY).decode(data)
    assert decoded is None or not set(decoded) & set(b"\r\n\0")


@given(
    st.binary(max_size=300),
    st.sampled_from(["Via", "Contact", "Record-Route", "Route", "Refer-To", "Replaces"]),
)
def test_any_header_is_masked_and_unmasked_without_an_error(data, name):
    """Nothing of the network can raise here."""
    head, _, rest = SLIDE_IN.partition(b"From:")
    msg = read(head + name.encode() + b": " + data + b"\r\nFrom:" + rest)
    if msg is not None:
        both = masks(call_id=True)
        arrived = read(both.arrived(msg))
        assert arrived is not None
        both.leaving(arrived)


def test_hidden_hosts_are_nowhere_in_what_leaves():
    both = masks(call_id=True)
    more = (
        b'Record-Route: <sip:10.9.9.1;lr;x=y>, "a, b" <sip:10.9.9.2;lr>\r\n'
        b"Replaces: c@10.9.9.3;to-tag=1;from-tag=2\r\n"
        b"Via: SIP/2.0/TCP 10.9.9.4;branch=z9hG4bKzz\r\nContact: sip:x@10.9.9.5;q=1, <tel:+49123>\r\nFrom:"
    )
    data = both.leaving(Request(relayed(both.arrived(Request(SLIDE_IN.replace(b"From:", more, 1))))))
    assert b"10.9.9." not in data
    assert b"192.168.178.27" not in data
    assert b"Contact: <sip:10.1.1.10;line=sr-" in data
    assert b">;q=1, <sip:10.1.1.10;line=sr-" in data


@pytest.mark.parametrize("method", ["REGISTER", "PUBLISH"])
def test_register_and_publish_pass_as_they_are(method):
    data = SLIDE_IN.replace(b"INVITE", method.encode())
    both = masks(call_id=True)
    assert both.arrived(Request(data)) == data
    assert both.leaving(Request(relayed(data))) == relayed(data)


def test_a_foreign_cookie_is_not_believed():
    data = SLIDE_IN.replace(b";branch", b";TH=ucr;branch")
    assert masks().arrived(Request(data)).count(b";TH=div") == 1
    assert b"ucr" not in masks().arrived(Request(data))


def test_another_key_leaves_the_codes_alone():
    data = SLIDE_OUT.replace(
        b"INVITE sip:101@192.168.178.22:1056;line=mu3z2i1j",
        b"INVITE sip:10.1.1.10;line=sr-ORylIHvlTJS.IXenCXNciHvPItcZTMWfC6m.T5**",
    )
    assert b"INVITE sip:105@192.168.178.27:40416 SIP" in masks().arrived(Request(data))
    assert b"INVITE sip:10.1.1.10;line=sr-ORy" in masks("another").arrived(Request(data))


CFG = """#!KAMAILIO
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "siputils.so"
loadmodule "textops.so"
loadmodule "topoh.so"
modparam("topoh", "mask_key", "my secret here")
modparam("topoh", "mask_ip", "10.1.1.10")
modparam("topoh", "mask_callid", 1)
request_route {
    if (is_method("CANCEL")) { if (t_check_trans()) t_relay(); exit; }
    if (has_totag()) { if (loose_route()) { t_relay(); } exit; }
    t_check_trans();
    if ($rU == "away") {
        append_to_reply("Contact: <sip:x@7.7.7.7>\\r\\n");
        sl_send_reply("302", "Away");
        exit;
    }
    record_route();
    $du = "sip:127.0.0.1:CALLEE";
    t_relay();
}
EVENTS
"""


def own(headers):
    return next(value for value in headers if "10.1.1.10" not in value)


async def set_up(kamtool, peer, port=0, events=""):
    alice, bob = await peer(), await peer()
    server = await kamtool(CFG.replace("CALLEE", str(bob.port)).replace("EVENTS", events))
    return server, alice, bob


def from_bob(method, bob, invite, ok, route):
    """A request of the callee in the dialog."""
    return (
        f"{method} {invite.contacts[0].uri} SIP/2.0\r\n"
        f"Via: SIP/2.0/UDP 127.0.0.1:{bob.port};branch=z9hG4bKbob\r\n"
        f"Route: {route}\r\nFrom: {ok.header('To')}\r\nTo: {ok.header('From')}\r\n"
        f"Call-ID: {invite.call_id}\r\nCSeq: 9 {method}\r\nContact: <{bob.uri}>\r\nMax-Forwards: 70\r\n"
        f"Content-Length: 0\r\n\r\n"
    )


async def answered(server, alice, bob):
    """A call with the INVITE, 180, 200 and ACK: what bob and alice saw."""
    to = port_of(server)
    alice.send(
        alice.request(
            "INVITE", "sip:bob@example.com", call_id="secret@10.5.5.5",
            headers=f"Contact: <{alice.uri}>\r\n",
        ),
        to,
    )  # fmt: skip
    invite = await bob.expect("INVITE")
    await alice.expect(100)
    bob.send(bob.answer(invite, 180), to)
    await alice.expect(180)
    bob.send(bob.answer(invite, 200, headers=f"Contact: <{bob.uri}>\r\n"), to)
    ok = await alice.expect(200)
    return to, invite, ok


async def test_a_call_shows_neither_side_the_other(kamtool, peer):
    server, alice, bob = await set_up(kamtool, peer)
    to, invite, ok = await answered(server, alice, bob)
    assert str(alice.port).encode() not in invite.data
    assert b"10.5.5.5" not in invite.data
    assert invite.call_id.startswith("!!:")
    assert str(bob.port).encode() not in ok.data
    assert ok.call_id == "secret@10.5.5.5"
    assert ok.items("Via") == [f"SIP/2.0/UDP 127.0.0.1:{alice.port};branch=z9hG4bK1"]

    # In the dialog, both ways, after a restart with the same key.
    await server.stop()
    again = await kamtool(CFG.replace("CALLEE", "9").replace("EVENTS", ""))
    moved = port_of(again)
    route = own(ok.items("Record-Route")).replace(str(to), str(moved))
    alice.send(
        alice.request("ACK", ok.contacts[0].uri, branch="2", to_tag="you", call_id=ok.call_id,
                      headers=f"Route: {route}\r\n"),
        moved,
    )  # fmt: skip
    ack = await bob.expect("ACK")
    assert ack.uri == bob.uri
    assert ack.call_id == invite.call_id
    assert str(alice.port).encode() not in ack.data

    bob.send(from_bob("BYE", bob, invite, ok, route), moved)
    at_alice = await alice.expect("BYE")
    assert (at_alice.uri, at_alice.call_id) == (alice.uri, "secret@10.5.5.5")
    assert str(bob.port).encode() not in at_alice.data
    alice.send(alice.answer(at_alice, 200), moved)
    at_bob = await bob.expect(200)
    assert at_bob.call_id == invite.call_id
    assert at_bob.items("Via") == [f"SIP/2.0/UDP 127.0.0.1:{bob.port};branch=z9hG4bKbob"]


async def test_the_callers_cancel_and_the_callees_reach_the_other_side_under_the_call_id_known_there(
    kamtool, peer
):
    server, alice, bob = await set_up(kamtool, peer)
    to, invite, ok = await answered(server, alice, bob)
    route = own(ok.items("Record-Route"))
    again = from_bob("INVITE", bob, invite, ok, route)
    bob.send(again, to)
    at_alice = await alice.expect("INVITE")
    assert at_alice.call_id == "secret@10.5.5.5"
    assert (await bob.expect(100)).call_id == invite.call_id
    alice.send(alice.answer(at_alice, 180), to)
    await bob.expect(180)
    bob.send(again.replace("INVITE", "CANCEL", 1).replace("9 INVITE", "9 CANCEL"), to)
    await bob.expect(200)
    cancel = await alice.expect("CANCEL")
    assert cancel.call_id == "secret@10.5.5.5"
    alice.send(alice.answer(at_alice, 487), to)
    assert (await alice.expect("ACK")).call_id == "secret@10.5.5.5"
    assert (await bob.expect(487)).call_id == invite.call_id


async def test_a_lost_response_is_repeated_with_the_same_masks(kamtool, peer):
    server, alice, bob = await set_up(kamtool, peer)
    to = port_of(server)
    alice.send(alice.request("INVITE", "sip:bob@example.com", headers=f"Contact: <{alice.uri}>\r\n"), to)
    first = await bob.expect("INVITE")
    second = await bob.expect("INVITE")  # timer A: nobody has answered
    assert first.data == second.data


async def test_a_response_made_here_keeps_its_contact(kamtool, peer):
    """As Kamailio does it: a redirection by this server is meant to be seen."""
    server, alice, _ = await set_up(kamtool, peer)
    alice.send(alice.request("INVITE", "sip:away@example.com"), port_of(server))
    moved = await alice.expect(302)
    assert moved.contacts[0].uri == "sip:x@7.7.7.7"
    assert moved.items("Via") == [f"SIP/2.0/UDP 127.0.0.1:{alice.port};branch=z9hG4bK1"]


async def test_an_event_route_excepts_a_destination(kamtool, peer):
    alice, bob = await peer(), await peer()
    server = await kamtool(
        CFG.replace("EVENTS", "event_route[topoh:msg-outgoing] { if ($sndto(port) == CALLEE) { drop; } }")
        .replace("CALLEE", str(bob.port))
    )  # fmt: skip
    alice.send(
        alice.request("INVITE", "sip:bob@example.com", headers=f"Contact: <{alice.uri}>\r\n"),
        port_of(server),
    )
    assert (await bob.expect("INVITE")).contacts[0].uri == alice.uri


async def test_a_mask_that_is_this_server_is_refused(kamtool):
    with pytest.raises(ConfigError, match="this server itself"):
        await kamtool(CFG.replace("10.1.1.10", "127.0.0.1").replace("CALLEE", "9").replace("EVENTS", ""))


def test_an_empty_key_is_refused():
    with pytest.raises(ConfigError, match="empty"):
        Topoh(None).set_param("mask_key", "")


@pytest.mark.parametrize("method", ["ACK", "CANCEL"])
def test_a_branch_that_is_no_text_is_no_stumble(method):
    """Found by fuzzing."""
    data = SLIDE_IN.replace(b"INVITE", method.encode()).replace(b"z9hG4bK321149767", b"z9hG4bK\xff\xfe")
    assert masks(call_id=True).leaving(Request(data)) != data
