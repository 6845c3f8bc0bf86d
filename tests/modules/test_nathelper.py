"""nathelper's functions. What Kamailio 5.6.3 answered to the same messages is written here."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kamtool.sip.flow import Address, Flow
from tests.support.runtime import HERE, THERE, Runtime, changed_lines

SDP = (
    "v=0\r\no=- 1 1 IN IP4 10.0.0.5\r\ns=-\r\nc=IN IP4 10.0.0.5\r\nt=0 0\r\n"
    "m=audio 4000 RTP/AVP 0\r\na=sendrecv\r\n"
    "m=video 4002 RTP/AVP 96\r\nc=IN IP4 10.0.0.6\r\na=rtpmap:96 H264/90000\r\n"
)
PUBLIC_SDP = SDP.replace("10.0.0.5", "127.0.0.1").replace("10.0.0.6", "127.0.0.1")
BEHIND_NAT = "<sip:bob@10.0.0.5:5080;transport=udp>;expires=60"
UDP, TCP, WS = Flow("udp", HERE, THERE), Flow("tcp", HERE, THERE, 3), Flow("ws", HERE, THERE, 3)


def invite(
    contact=BEHIND_NAT,
    *,
    via="10.0.0.5:5080",
    sdp=SDP,
    uri="sip:alice@example.com",
    extra="",
    kind="application/sdp",
):
    contacts = f"Contact: {contact}\r\n" if contact else ""
    content_type = f"Content-Type: {kind}\r\n" if sdp and kind else ""
    return (
        f"INVITE {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {via};branch=z9hG4bK1\r\nMax-Forwards: 70\r\n"
        "From: <sip:bob@b.org>;tag=1\r\nTo: <sip:alice@example.com>\r\nCall-ID: a\r\nCSeq: 1 INVITE\r\n"
        f"{contacts}{extra}{content_type}Content-Length: {len(sdp)}\r\n\r\n{sdp}"
    )


@pytest.fixture(scope="module")
def runtime():
    made = Runtime("pv", "nathelper")
    module = made.modules["nathelper"]
    module.set_param("received_avp", "$avp(received)")
    asyncio.run(module.start())
    return made


@pytest.fixture
def done(runtime):
    """Call a function on a message: its code, the lines that went and those that came, the context."""

    def call(text, name, *arguments, flow=UDP):
        ctx = runtime.message(text, flow)
        code = runtime.call(ctx, name, *arguments)
        removed, added = changed_lines(text, runtime.sent(ctx))
        drop = [line for line in removed + added if line.startswith("Content-Length")]
        return code, [x for x in removed if x not in drop], [x for x in added if x not in drop], ctx

    return call


NO_NAT = invite("<sip:bob@127.0.0.1:5999>", via="127.0.0.1:5999", sdp=PUBLIC_SDP)
BARE = invite(None, via="nohost.example.com", sdp="")


@pytest.mark.parametrize(
    ("message", "true"),
    [
        (invite(), {1, 2, 4, 8, 16, 128, 256}),
        (NO_NAT, set()),
        (BARE, {2, 16}),
        (invite("<sip:b@1.1.1.1>, <sip:b@10.0.0.1>"), {1, 2, 4, 8, 16, 128, 256}),
        (invite("<sip:a@10.0.0.1>, <sip:b@2.2.2.2>"), {2, 4, 8, 16, 128, 256}),
        (invite("<sip:b@100.64.0.1>", via="100.64.0.1"), {1, 2, 4, 8, 16, 128, 256}),
        (invite("*"), {2, 4, 8, 16, 256}),
        (invite(via="127.0.0.1:5999;received=1.1.1.1"), {1, 8, 128, 256}),
        (invite(via="localhost:5999", sdp=""), {1, 2, 128}),
        (invite(sdp=SDP.replace("10.0.0.5", "1.2.3.4")), {1, 2, 4, 8, 16, 128, 256}),
        (
            invite(sdp=SDP.replace("10.0.0.5", "0.0.0.0").replace("10.0.0.6", "127.0.0.1")),
            {1, 2, 4, 16, 128, 256},
        ),
        (invite(sdp=SDP.replace("10.0.0.5", "127.0.0.1")), {1, 2, 4, 8, 16, 128}),
        (invite(sdp=SDP.replace("10.0.0.6", "127.0.0.1")), {1, 2, 4, 8, 16, 128, 256}),
        (
            invite(sdp=SDP.replace("10.0.0.5", "1.1.1.1").replace("10.0.0.6", "host.org")),
            {1, 2, 4, 16, 128, 256},
        ),
        (invite(sdp="v=0\r\nc=IN IP4 10.0.0.1\r\n"), {1, 2, 4, 16, 128}),
        (invite("<sip:a@127.0.0.1:6000>", via="127.0.0.1:5999", sdp=""), {128}),
    ],
)
def test_each_bit_of_nat_uac_test_asks_its_own_question(done, message, true):
    bits = [1 << number for number in range(9)]
    assert {bit for bit in bits if done(message, "nat_uac_test", str(bit))[0] == 1} == true
    assert done(message, "nat_uac_test", "511")[0] == (1 if true else -1)


def test_a_private_source_and_a_websocket_are_seen(done):
    flow = Flow("udp", HERE, Address("192.168.1.2", 5999))
    assert done(NO_NAT, "nat_uac_test", "32", flow=flow)[0] == 1
    assert done(NO_NAT, "nat_uac_test", "64", flow=WS)[0] == 1


def test_with_nat_addr_mode_0_only_rfc_1918_is_private(done, runtime):
    message = invite("<sip:b@100.64.0.1>")
    runtime.modules["nathelper"].set_param("nat_addr_mode", 0)
    try:
        assert done(message, "nat_uac_test", "1")[0] == -1
        assert done(invite(), "nat_uac_test", "1")[0] == 1
    finally:
        runtime.modules["nathelper"].set_param("nat_addr_mode", 1)


@pytest.mark.parametrize(
    ("address", "code"),
    [
        ("10.1.1.1", 1),
        ("172.16.0.1", 1),
        ("172.32.0.1", -1),
        ("192.168.3.3", 1),
        ("100.64.0.1", 1),
        ("192.0.0.1", 1),
        ("1.1.1.1", -1),
        ("x", -1),
        ("", -2),
        ("[::1]", -1),
        ("fd00::1", -1),
    ],
)
def test_is_rfc1918_knows_the_private_networks(done, address, code):
    assert done(BARE, "is_rfc1918", address)[0] == code


@pytest.mark.parametrize(
    ("contact", "changed"),
    [
        (BEHIND_NAT, "<sip:bob@127.0.0.1:5999;transport=udp>;expires=60"),
        ("sip:bob@10.0.0.5;expires=5", "sip:bob@127.0.0.1:5999;expires=5"),
        (
            "<sip:a@10.0.0.1>, <sip:b@10.0.0.2>, <sip:c@10.0.0.3>",
            "<sip:a@10.0.0.1>, <sip:b@10.0.0.2>, <sip:c@127.0.0.1:5999>",
        ),
        ("<sip:a@10.0.0.1;maddr=1.2.3.4>", "<sip:a@127.0.0.1:5999>"),
        ("<sips:a@10.0.0.1:99>", "<sips:a@127.0.0.1:5999>"),
        ('"x" <sip:a@[2001:db8::1]:99;x=1>;q=1', '"x" <sip:a@127.0.0.1:5999;x=1>;q=1'),
        ("<sip:10.0.0.1>", "<sip:127.0.0.1:5999>"),
    ],
)
def test_fix_nated_contact_puts_the_source_into_contact(done, contact, changed):
    code, removed, added, _ = done(invite(contact), "fix_nated_contact")
    assert (code, removed, added) == (1, [f"Contact: {contact}"], [f"Contact: {changed}"])


@pytest.mark.parametrize("contact", [None, "*", "<tel:123>"])
@pytest.mark.parametrize(
    ("name", "missing"), [("fix_nated_contact", -1), ("add_contact_alias", 2), ("set_contact_alias", -1)]
)
def test_a_contact_that_is_no_sip_uri_is_left_alone(done, contact, name, missing):
    code, removed, added, _ = done(invite(contact), name)
    assert (code, removed, added) == (missing if contact is None else -1, [], [])


def test_fix_nated_contact_twice_is_an_error(runtime):
    ctx = runtime.message(invite())
    assert [runtime.call(ctx, "fix_nated_contact") for _ in range(2)] == [1, -1]


@pytest.mark.parametrize(
    ("contact", "flow", "arguments", "changed"),
    [
        (BEHIND_NAT, UDP, (), "<sip:bob@10.0.0.5:5080;alias=127.0.0.1~5999~1;transport=udp>;expires=60"),
        ("sip:bob@10.0.0.5;expires=5", UDP, (), "<sip:bob@10.0.0.5;alias=127.0.0.1~5999~1>;expires=5"),
        (BEHIND_NAT, TCP, (), "<sip:bob@10.0.0.5:5080;alias=127.0.0.1~5999~2;transport=udp>;expires=60"),
        (BEHIND_NAT, WS, (), "<sip:bob@10.0.0.5:5080;alias=127.0.0.1~5999~5;transport=udp>;expires=60"),
        ("<sip:bob@127.0.0.1:5999>", UDP, (), "<sip:bob@127.0.0.1:5999;alias=127.0.0.1~5999~1>"),
        (
            BEHIND_NAT,
            UDP,
            ("1.2.3.4", "5070", "tcp"),
            "<sip:bob@10.0.0.5:5080;alias=1.2.3.4~5070~2;transport=udp>;expires=60",
        ),
        (
            '"x" <sip:a@[2001:db8::1]:99;x=1>;q=1',
            UDP,
            (),
            '"x" <sip:a@[2001:db8::1]:99;alias=127.0.0.1~5999~1;x=1>;q=1',
        ),
    ],
)
def test_add_contact_alias_remembers_the_source_in_contact(done, contact, flow, arguments, changed):
    code, removed, added, _ = done(invite(contact), "add_contact_alias", *arguments, flow=flow)
    assert (code, removed, added) == (1, [f"Contact: {contact}"], [f"Contact: {changed}"])


@pytest.mark.parametrize(
    "arguments", [("1.2.3.4", "0", "udp"), ("1.2.3.4", "70000", "udp"), ("1.2.3.4", "5060", "carrier-pigeon")]
)
def test_an_alias_that_leads_nowhere_is_refused(done, arguments):
    assert done(invite(), "add_contact_alias", *arguments)[:3] == (-1, [], [])


@pytest.mark.parametrize(
    ("contact", "trim", "changed"),
    [
        (BEHIND_NAT, "0", "<sip:bob@10.0.0.5:5080;transport=udp;alias=127.0.0.1~5999~1>;expires=60"),
        ("sip:bob@10.0.0.5;expires=5", "0", "<sip:bob@10.0.0.5;alias=127.0.0.1~5999~1>;expires=5"),
        (
            '"Q" <sip:c@10.0.0.1;alias=9.9.9.9~1~1>;q=1',
            "0",
            '"Q" <sip:c@10.0.0.1;alias=9.9.9.9~1~1;alias=127.0.0.1~5999~1>;q=1',
        ),
        (
            '"Q" <sip:c@10.0.0.1;alias=9.9.9.9~1~1>;q=1',
            "1",
            '"Q" <sip:c@10.0.0.1;alias=127.0.0.1~5999~1>;q=1',
        ),
    ],
)
def test_set_contact_alias_puts_it_last_and_can_trim_an_old_one(done, contact, trim, changed):
    code, removed, added, _ = done(invite(contact), "set_contact_alias", trim)
    assert (code, removed, added) == (1, [f"Contact: {contact}"], [f"Contact: {changed}"])


@pytest.mark.parametrize(
    ("uri", "mode", "code", "left", "target"),
    [
        ("sip:a@10.0.0.1;alias=9.9.9.9~77~1", "0", 1, "sip:a@10.0.0.1", "sip:9.9.9.9:77"),
        (
            "sip:a@10.0.0.1;alias=9.9.9.9~77~2;x=1",
            "0",
            1,
            "sip:a@10.0.0.1;x=1",
            "sip:9.9.9.9:77;transport=tcp",
        ),
        (
            "sip:a@10.0.0.1;x=2;alias=9.9.9.9~77~5",
            "0",
            1,
            "sip:a@10.0.0.1;x=2",
            "sip:9.9.9.9:77;transport=ws",
        ),
        ("sip:a@10.0.0.1;alias=9.9.9.9~77~6;z", "0", 1, "sip:a@10.0.0.1;z", "sip:9.9.9.9:77;transport=ws"),
        ("sip:a@10.0.0.1;alias=9.9.9.9~77~4;z", "1", 1, "sip:a@10.0.0.1;z", "sip:9.9.9.9:77;transport=sctp"),
        (
            "sip:a@10.0.0.1;alias=1.1.1.1~1~1;k;alias=2.2.2.2~2~1;j",
            "0",
            1,
            "sip:a@10.0.0.1;k;alias=2.2.2.2~2~1;j",
            "sip:1.1.1.1:1",
        ),
        (
            "sip:a@10.0.0.1;alias=1.1.1.1~1~1;k;alias=2.2.2.2~2~1;j",
            "1",
            1,
            "sip:a@10.0.0.1;alias=1.1.1.1~1~1;k;j",
            "sip:2.2.2.2:2",
        ),
        (
            "sip:a@10.0.0.1;x=alias=1;alias=9.9.9.9~77~3;z",
            "0",
            1,
            "sip:a@10.0.0.1;x=alias=1;z",
            "sip:9.9.9.9:77;transport=tls",
        ),
        ("sip:a@10.0.0.1;alias=[::1]~77~1", "0", 1, "sip:a@10.0.0.1", "sip:[::1]:77"),
        ("sip:a@10.0.0.1", "0", 2, None, None),
        ("sip:a@10.0.0.1;alias", "0", 2, None, None),
        ("sip:a@10.0.0.1;Alias=9.9.9.9~77~3;z", "0", 2, None, None),
        ("tel:1;alias=9.9.9.9~77~1;z", "0", 2, None, None),
        ("sip:a@10.0.0.1;alias=9.9.9.9", "0", -1, None, None),
        ("sip:a@10.0.0.1;alias=9.9.9.9~1", "0", -1, None, None),
        ("sip:a@10.0.0.1;alias=9.9.9.9~1~9", "0", -1, None, None),
        # Kamailio sends this one on to port 99999, and fails on a last alias that ends the URI:
        ("sip:a@10.0.0.1;alias=h.org~99999~1;z", "0", -1, None, None),
        ("sip:a@10.0.0.1;alias=9.9.9.9~77~1", "1", 1, "sip:a@10.0.0.1", "sip:9.9.9.9:77"),
    ],
)
def test_handle_ruri_alias_makes_the_alias_the_destination(done, uri, mode, code, left, target):
    got, _, _, ctx = done(invite(uri=uri), "handle_ruri_alias", mode)
    assert (got, ctx.new_uri, ctx.dst_uri) == (code, left, target)


@pytest.mark.parametrize(
    ("contact", "code", "value"),
    [
        ("<sip:c@10.0.0.1;alias=9.9.9.9~1~2>", 1, "sip:9.9.9.9:1;transport=tcp"),
        ("<sip:c@10.0.0.1;alias=9.9.9.9~1~1;y=1>", 1, "sip:9.9.9.9:1;transport=udp"),
        (BEHIND_NAT, -1, None),
        (None, -1, None),
        ("*", -1, None),
    ],
)
def test_set_alias_to_pv_stores_the_alias_of_contact(done, runtime, contact, code, value):
    got, _, _, ctx = done(invite(contact), "set_alias_to_pv", "$avp(a)")
    assert (got, runtime.get(ctx, "$avp(a)")) == (code, value)


@pytest.mark.parametrize(
    ("flow", "uri"), [(UDP, "sip:127.0.0.1:5999"), (TCP, "sip:127.0.0.1:5999;transport=tcp")]
)
def test_fix_nated_register_leaves_contact_and_sets_the_avp(done, runtime, flow, uri):
    code, removed, added, ctx = done(invite(), "fix_nated_register", flow=flow)
    assert (code, removed, added, runtime.get(ctx, "$avp(received)")) == (1, [], [], uri)


@pytest.mark.parametrize(
    ("contact", "flag", "flow", "changed"),
    [
        (BEHIND_NAT, "0", UDP, f'{BEHIND_NAT};received="sip:127.0.0.1:5999"'),
        (BEHIND_NAT, "0", TCP, f'{BEHIND_NAT};received="sip:127.0.0.1:5999;transport=tcp"'),
        (
            BEHIND_NAT,
            "1",
            UDP,
            "<sip:bob@10.0.0.5:5080;transport=udp;received=sip:127.0.0.1:5999>;expires=60",
        ),
        ("sip:bob@10.0.0.5;expires=5", "1", UDP, "sip:bob@10.0.0.5;received=sip:127.0.0.1:5999;expires=5"),
        (
            "<sip:b@h>, <sip:c@10.0.0.1>;q=1",
            "0",
            UDP,
            '<sip:b@h>;received="sip:127.0.0.1:5999", <sip:c@10.0.0.1>;q=1;received="sip:127.0.0.1:5999"',
        ),
        # Kamailio refuses this one:
        ("<sip:b@h.org>", "1", TCP, "<sip:b@h.org;received=sip:127.0.0.1:5999%3Btransport%3Dtcp>"),
    ],
)
def test_add_rcv_param_tells_the_next_server_the_source(done, contact, flag, flow, changed):
    code, removed, added, _ = done(invite(contact), "add_rcv_param", flag, flow=flow)
    assert (code, removed, added) == (1, [f"Contact: {contact}"], [f"Contact: {changed}"])


C, O = ["c=IN IP4 10.0.0.5", "c=IN IP4 10.0.0.6"], ["o=- 1 1 IN IP4 10.0.0.5"]  # noqa: E741
NEW_C, NEW_O = ["c=IN IP4 127.0.0.1"] * 2, ["o=- 1 1 IN IP4 127.0.0.1"]
OLD = [f"a=oldmediaip:{a}" for a in ("10.0.0.5", "10.0.0.6", "10.0.0.5")]


@pytest.mark.parametrize(
    ("flags", "code", "removed", "added"),
    [
        ("1", 2, [], ["a=direction:active"] * 2),
        ("2", 1, C, NEW_C + OLD[:2]),
        ("4", 2, [], ["a=nortpproxy:yes"]),
        ("8", 1, O, NEW_O + OLD[:1]),
        ("16", 2, [], []),
        ("10", 1, O + C, NEW_O + NEW_C + OLD),
        (
            "15",
            1,
            O + C,
            [
                *NEW_O,
                NEW_C[0],
                "a=direction:active",
                NEW_C[1],
                "a=direction:active",
                "a=nortpproxy:yes",
                *OLD,
            ],
        ),
    ],
)
def test_each_flag_of_fix_nated_sdp_changes_its_own_lines(done, flags, code, removed, added):
    assert done(invite(), "fix_nated_sdp", flags)[:3] == (code, removed, added)


def test_fix_nated_sdp_keeps_content_length_right_and_what_was_on_hold(done, runtime):
    held = invite(sdp=SDP.replace("10.0.0.5", "0.0.0.0"))
    code, removed, added, ctx = done(held, "fix_nated_sdp", "10", "3.3.3.3")
    assert (code, removed, added) == (1, ["c=IN IP4 10.0.0.6"], ["c=IN IP4 3.3.3.3", "a=oldmediaip:10.0.0.6"])
    head, _, body = runtime.sent(ctx).partition("\r\n\r\n")
    assert f"Content-Length: {len(body)}" in head


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (invite(sdp=""), -1),
        (invite(kind="text/plain"), -1),
        (invite(kind=""), 1),
        (invite(sdp=PUBLIC_SDP), 2),
    ],
)
def test_fix_nated_sdp_wants_an_sdp_with_another_address(done, message, code):
    assert done(message, "fix_nated_sdp", "2")[0] == code


def test_an_address_of_the_other_family_changes_the_family_too(done):
    """Kamailio writes `IN IP4 ::7` here."""
    _, _, added, _ = done(invite(), "fix_nated_sdp", "2", "::7")
    assert added[:2] == ["c=IN IP6 ::7"] * 2


def test_the_sdp_of_a_multipart_body_is_found_and_its_neighbours_stay(done):
    parts = (
        "--b1\r\nContent-Type: text/plain\r\n\r\nc=IN IP4 10.0.0.5\r\n"
        f"--b1\r\nContent-Type: application/sdp\r\n\r\n{SDP}\r\n--b1--\r\n"
    )
    code, removed, added, _ = done(
        invite(sdp=parts, kind="multipart/mixed;boundary=b1"), "fix_nated_sdp", "2"
    )
    assert (code, removed, added) == (1, C, NEW_C + OLD[:2])


@settings(deadline=None)
@given(st.binary(max_size=400))
def test_any_body_is_read_or_has_no_sdp(body):
    runtime = Runtime("nathelper")
    head = invite(sdp="").replace("Content-Length: 0", f"Content-Length: {len(body)}")
    ctx = runtime.message(head + body.decode("utf-8", "surrogateescape"))
    assert runtime.call(ctx, "fix_nated_sdp", "15") in (1, 2, -1)
    runtime.sent(ctx)


RR = "Record-Route: {}\r\n"


@pytest.mark.parametrize(
    ("headers", "count", "top"),
    [
        ("", 0, 0),
        (RR.format("<sip:1.1.1.1;lr>, <sip:2.2.2.2;lr;r2=on>"), 2, 1),
        (
            RR.format("<sip:1.1.1.1;lr;r2=on>, <sip:2.2.2.2;lr;r2=on>, <sip:3.3.3.3;lr>")
            + RR.format("<sip:4.4.4.4>"),
            4,
            2,
        ),
    ],
)
def test_rr_count_and_rr_top_count_count_record_routes(runtime, headers, count, top):
    ctx = runtime.message(invite(extra=headers))
    assert (runtime.get(ctx, "$rr_count"), runtime.get(ctx, "$rr_top_count")) == (count, top)
