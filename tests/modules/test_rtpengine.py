"""rtpengine: what it asks the relay, as Kamailio 5.6.3 asked it, and what becomes of the SDP."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kamtool.errors import ConfigError, RpcError
from kamtool.modules.rtpengine import bencode
from kamtool.modules.rtpengine.flags import FlagError, read_flags
from tests.support.rtpengine import RELAYED
from tests.support.server import port_of
from tests.support.until import until

SDP = "v=0\r\no=- 1 1 IN IP4 10.0.0.5\r\ns=-\r\nc=IN IP4 10.0.0.5\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"

CFG = """#!KAMAILIO
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "textops.so"
loadmodule "textopsx.so"
loadmodule "rtpengine.so"
modparam("rtpengine", "rtpengine_tout_ms", 100)
modparam("rtpengine", "rtpengine_retr", 2)
modparam("rtpengine", "extra_id_pv", "$avp(extra)")
modparam("rtpengine", "rtp_inst_pvar", "$avp(used)")
{params}
request_route {{
    $du = $hdr(X-To);
    {request}
}}
onreply_route[ANSWER] {{ {reply} }}
branch_route[OUT] {{ {branch} }}
"""


def cfg(*relays, request='sl_send_reply("200", "OK");', reply="return;", branch="return;", params=""):
    sets = [relay if isinstance(relay, str) else relay.url for relay in relays]
    lines = "\n".join(f'modparam("rtpengine", "rtpengine_sock", "{one}")' for one in sets)
    return CFG.format(params=f"{lines}\n{params}", request=request, reply=reply, branch=branch)


def told(call, shown="$avp(used)"):
    """Run a function and answer with its code, a variable, and the body that would leave."""
    return (
        f"$var(code) = -99; $var(code) = {call}; msg_apply_changes();"
        f'append_to_reply("X-Code: $var(code)\\r\\nX-Shown: {shown}\\r\\n");'
        'if ($rb != "") set_reply_body("$rb", "application/sdp"); sl_send_reply("200", "OK");'
    )


def message(peer, method="INVITE", sdp=SDP, to_tag="", headers="", call_id="call", kind="application/sdp"):
    content_type = f"Content-Type: {kind}\r\n" if sdp else ""
    return peer.request(
        method, "sip:x@y", headers=content_type + headers, body=sdp, to_tag=to_tag, call_id=call_id
    )


@pytest.fixture
def ask(kamtool, peer, fake_rtpengine):
    """Call a function on a request: its code, the body as it would leave, and what the relay was asked."""

    async def run(call, *, params="", before="", **options):
        relay = fake_rtpengine()
        server = await kamtool(cfg(relay, request=before + told(call), params=params))
        phone = await peer()
        phone.send(message(phone, **options), port_of(server))
        answer = await phone.expect(200)
        for request in relay.log:
            assert request.pop("supports") == ["load limit"]
            assert request.pop("call-id") in ("call", "foo")
            assert request.pop("received-from") == ["IP4", "127.0.0.1"] or "received" in call
        return int(answer.header("X-Code")), answer.body.decode(), relay.log

    return run


OFFER = {"command": "offer", "from-tag": "peer", "sdp": SDP}


@pytest.mark.parametrize(
    ("words", "entries"),
    [
        ("", {}),
        ("trust-address", {"flags": ["trust-address"]}),
        (
            "SIP-source-address replace-origin replace-session-connection",
            {"flags": ["SIP-source-address"], "replace": ["origin", "session-connection"]},
        ),
        ("replace-session-name replace-zero-address", {"replace": ["session-name", "zero-address"]}),
        ("ICE=remove RTP/AVP", {"ICE": "remove", "transport-protocol": "RTP/AVP"}),
        (
            "ICE=force RTP/SAVPF DTLS=passive SDES-off",
            {"ICE": "force", "DTLS": "passive", "transport-protocol": "RTP/SAVPF", "SDES": ["off"]},
        ),
        ("UDP/TLS/RTP/SAVPF", {"transport-protocol": "UDP/TLS/RTP/SAVPF"}),
        ("RTP AVPF", {"transport-protocol": "RTP/AVPF"}),
        ("SRTP AVPF", {"transport-protocol": "RTP/SAVPF"}),
        ("rtcp-mux-demux rtcp-mux-offer rtcp-mux=accept", {"rtcp-mux": ["demux", "offer", "accept"]}),
        ("direction=pub direction=priv", {"direction": ["pub", "priv"]}),
        ("internal external", {"direction": ["internal", "external"]}),
        ("address-family=IP6 media-address=1.2.3.4", {"address-family": "IP6", "media-address": "1.2.3.4"}),
        ("codec-strip=PCMU codec-offer=PCMA", {"codec": {"strip": ["PCMU"], "offer": ["PCMA"]}}),
        (
            "codec-mask=all codec-transcode=PCMA codec-transcode=opus codec-except=x codec-set=opus",
            {"codec": {"mask": ["all"], "transcode": ["PCMA", "opus"], "except": ["x"], "set": ["opus"]}},
        ),
        ("transcode-PCMA codec-strip-PCMU", {"codec": {"transcode": ["PCMA"], "strip": ["PCMU"]}}),
        ("ptime=20 repacketize=30", {"ptime": "20", "repacketize": 30}),
        ("force asymmetric strict-source", {"flags": ["force", "asymmetric", "strict-source"]}),
        ("label=foo set-label=bar metadata=xx", {"label": "foo", "set-label": "bar", "metadata": "xx"}),
        ("record-call=yes", {"record-call": "yes"}),
        ("record-call", {"flags": ["record-call"]}),
        ("TOS=184 delete-delay=5", {"TOS": 184, "delete delay": 5}),
        ("OSRTP-accept OSRTP=offer", {"OSRTP": "offer", "flags": ["OSRTP-accept"]}),
        ("SDES-no-AES_CM_128_HMAC_SHA1_80 SDES-only-X", {"SDES": ["no-AES_CM_128_HMAC_SHA1_80", "only-X"]}),
        ("T.38=decode T38=force T38-FAX", {"T.38": ["decode", "force", "FAX"]}),
        ("foo=bar baz", {"foo": "bar", "flags": ["baz"]}),
        ("via-branch=1", {"via-branch": "z9hG4bK1"}),
        ("via-branch=auto", {"via-branch": "z9hG4bK1"}),
        ("from-tag=ff to-tag=tt", {"from-tag": "ff", "to-tag": "tt"}),
        ("to-tag call-id=foo", {}),
    ],
)
async def test_the_words_of_the_flags_become_entries_of_the_request(ask, words, entries):
    assert await ask(f'rtpengine_offer("{words}")') == (1, RELAYED, [{**OFFER, **entries}])


@pytest.mark.parametrize("words", ["via-branch=2", "via-branch=extra", "via-branch=9", "TOS=high", "ICE="])
async def test_flags_that_cannot_be_obeyed_are_refused_without_asking_the_relay(ask, words):
    assert await ask(f'rtpengine_offer("{words}")') == (-1, SDP, [])


async def test_the_received_from_flag_tells_another_source(kamtool, peer, fake_rtpengine):
    relay = fake_rtpengine()
    server = await kamtool(cfg(relay, request=told('rtpengine_offer("received-from=IP4-1.2.3.4")')))
    phone = await peer()
    phone.send(message(phone), port_of(server))
    await phone.expect(200)
    assert relay.log[0]["received-from"] == ["IP4", "1.2.3.4"]


BYE = {"method": "BYE", "sdp": ""}
INSIDE = {"to_tag": "you", "sdp": ""}


@pytest.mark.parametrize(
    ("call", "options", "request_"),
    [
        ("rtpengine_offer()", {"to_tag": "you"}, {**OFFER, "to-tag": "you"}),
        ("rtpengine_manage()", {"to_tag": "you", "method": "UPDATE"}, {**OFFER, "to-tag": "you"}),
        ("rtpengine_manage()", BYE, {"command": "delete", "from-tag": "peer"}),
        ("rtpengine_manage()", {**BYE, "to_tag": "you"}, {"command": "delete", "from-tag": "peer"}),
        (
            'rtpengine_delete("to-tag via-branch=1")',
            {**BYE, "to_tag": "you"},
            {"command": "delete", "from-tag": "peer", "to-tag": "you", "via-branch": "z9hG4bK1"},
        ),
        (
            'rtpengine_delete("from-tag=x delete-delay=0")',
            BYE,
            {"command": "delete", "from-tag": "x", "delete delay": 0},
        ),
        ("rtpengine_query()", INSIDE, {"command": "query", "from-tag": "peer", "to-tag": "you"}),
        ("start_recording()", INSIDE, {"command": "start recording", "from-tag": "peer", "to-tag": "you"}),
        ("stop_recording()", INSIDE, {"command": "stop recording", "from-tag": "peer", "to-tag": "you"}),
        ('block_media("all")', INSIDE, {"command": "block media", "flags": ["all"]}),
        ("block_media()", INSIDE, {"command": "block media"}),
        ('block_media("directional")', INSIDE, {"command": "block media", "from-tag": "peer"}),
        ('unblock_media("from-tag=2")', INSIDE, {"command": "unblock media", "from-tag": "2"}),
        ("silence_media()", INSIDE, {"command": "silence media"}),
        ("unsilence_media()", INSIDE, {"command": "unsilence media"}),
        ("block_dtmf()", INSIDE, {"command": "block DTMF"}),
        ("unblock_dtmf()", INSIDE, {"command": "unblock DTMF"}),
        (
            'play_media("file=/x.wav repeat-times=3")',
            INSIDE,
            {
                "command": "play media",
                "file": "/x.wav",
                "repeat-times": "3",
                "from-tag": "peer",
                "to-tag": "you",
            },
        ),
        ("stop_media()", INSIDE, {"command": "stop media", "from-tag": "peer", "to-tag": "you"}),
        (
            'play_dtmf("code=5 volume=10")',
            INSIDE,
            {"command": "play DTMF", "code": "5", "volume": "10", "from-tag": "peer", "to-tag": "you"},
        ),
        ("start_forwarding()", INSIDE, {"command": "start forwarding"}),
        ("stop_forwarding()", INSIDE, {"command": "stop forwarding"}),
    ],
)
async def test_each_function_sends_its_own_command(ask, call, options, request_):
    code, _, log = await ask(call, **options)
    assert (code, log) == (1, [request_])


@pytest.mark.parametrize(
    ("call", "options"),
    [
        ("rtpengine_manage()", {"method": "OPTIONS"}),
        ("rtpengine_manage()", {"method": "PRACK"}),
        ("rtpengine_manage()", {"sdp": ""}),
        ("rtpengine_answer()", {}),
        ("rtpengine_offer()", {"sdp": ""}),
        ("rtpengine_offer()", {"kind": "text/plain"}),
    ],
)
async def test_what_needs_no_relay_asks_none(ask, call, options):
    code, _, log = await ask(call, **options)
    assert (code, log) == (-1, [])


async def test_an_answer_in_ack_names_the_callee_first(kamtool, peer, fake_rtpengine):
    relay = fake_rtpengine()
    server = await kamtool(cfg(relay, request="rtpengine_manage();"))
    phone = await peer()
    phone.send(message(phone, "ACK", to_tag="you"), port_of(server))
    await until(lambda: relay.log)
    request = relay.log[0]
    assert (request["command"], request["from-tag"], request["to-tag"]) == ("answer", "you", "peer")


@pytest.mark.parametrize(
    ("reply_call", "request_sdp", "status", "reply_sdp", "expected"),
    [
        ("rtpengine_manage()", SDP, 200, SDP, {"command": "answer", "from-tag": "peer", "to-tag": "you"}),
        ("rtpengine_manage()", SDP, 183, SDP, {"command": "answer", "from-tag": "peer", "to-tag": "you"}),
        ("rtpengine_manage()", "", 200, SDP, {"command": "offer", "from-tag": "you", "to-tag": "peer"}),
        ("rtpengine_manage()", SDP, 404, "", {"command": "delete", "from-tag": "peer"}),
        ("rtpengine_manage()", SDP, 200, "", None),
        (
            'rtpengine_answer("via-branch=auto")',
            SDP,
            200,
            SDP,
            {"command": "answer", "via-branch": "z9hG4bK1"},
        ),
        ("rtpengine_query()", SDP, 200, SDP, {"command": "query", "from-tag": "you", "to-tag": "peer"}),
    ],
)
async def test_replies_are_answers_or_offers_as_their_request_was(
    kamtool, peer, fake_rtpengine, reply_call, request_sdp, status, reply_sdp, expected
):
    relay = fake_rtpengine()
    server = await kamtool(cfg(relay, request='t_on_reply("ANSWER"); t_relay();', reply=f"{reply_call};"))
    alice, bob = await peer(), await peer()
    alice.send(message(alice, sdp=request_sdp, headers=f"X-To: {bob.uri}\r\n"), port_of(server))
    invite = await bob.expect("INVITE")
    text = bob.answer(invite, status, headers="Content-Type: application/sdp\r\n" if reply_sdp else "")
    text = text.replace("Content-Length: 0\r\n\r\n", f"Content-Length: {len(reply_sdp)}\r\n\r\n{reply_sdp}")
    bob.send(text, port_of(server))
    got = await alice.expect()
    while got.status == 100:
        got = await alice.expect()
    assert got.status == status
    if expected is None:
        assert relay.log == []
        return
    assert {key: relay.log[0].get(key) for key in expected} == expected
    if "sdp" in relay.log[0]:
        assert got.body.decode() == RELAYED


@pytest.mark.parametrize("which", ["next", "auto-next"])
async def test_the_next_branch_is_the_one_the_request_leaves_with_and_its_replies_name_it(
    kamtool, peer, fake_rtpengine, which
):
    relay = fake_rtpengine()
    server = await kamtool(
        cfg(
            relay,
            request='t_on_branch("OUT"); t_on_reply("ANSWER"); t_relay();',
            branch=f'rtpengine_offer("via-branch={which}");',
            reply='rtpengine_answer("via-branch=auto-next");',
        )
    )
    alice, bob = await peer(), await peer()
    alice.send(message(alice, headers=f"X-To: {bob.uri}\r\n"), port_of(server))
    invite = await bob.expect("INVITE")
    assert invite.body.decode() == RELAYED
    text = bob.answer(invite, 200, headers="Content-Type: application/sdp\r\n")
    bob.send(
        text.replace("Content-Length: 0\r\n\r\n", f"Content-Length: {len(SDP)}\r\n\r\n{SDP}"), port_of(server)
    )
    await until(lambda: len(relay.log) == 2)
    assert [request["via-branch"] for request in relay.log] == [invite.branch] * 2


async def test_the_sdp_can_come_from_and_go_to_variables(kamtool, peer, fake_rtpengine):
    relay = fake_rtpengine()
    params = (
        'modparam("rtpengine", "read_sdp_pv", "$avp(in)")\nmodparam("rtpengine", "write_sdp_pv", "$avp(out)")'
    )
    request = '$avp(in) = "v=0"; ' + told("rtpengine_offer()", "$(avp(out){s.len})")
    server = await kamtool(cfg(relay, request=request, params=params))
    phone = await peer()
    phone.send(message(phone), port_of(server))
    answer = await phone.expect(200)
    assert (answer.header("X-Code"), answer.header("X-Shown")) == ("1", str(len(RELAYED)))
    assert answer.body.decode() == SDP
    assert relay.log[0]["sdp"] == "v=0"


async def test_the_other_parts_of_a_multipart_body_stay(ask):
    parts = (
        "--b1\r\nContent-Type: text/plain\r\n\r\nhello\r\n"
        f"--b1\r\nContent-Type: application/sdp\r\n\r\n{SDP}\r\n--b1--\r\n"
    )
    code, body, log = await ask("rtpengine_offer()", sdp=parts, kind="multipart/mixed;boundary=b1")
    assert (code, log[0]["sdp"]) == (1, SDP)
    assert body.startswith("--b1\r\nContent-Type: text/plain\r\n\r\nhello\r\n--b1\r\n")
    assert RELAYED in body
    assert SDP not in body


# What the relay says


async def test_a_refusal_of_the_relay_is_a_failure_and_the_sdp_stays(kamtool, peer, fake_rtpengine):
    relay = fake_rtpengine()
    relay.answers["offer"] = {"result": "error", "error-reason": "out of ports"}
    server = await kamtool(cfg(relay, request=told("rtpengine_offer()")))
    phone = await peer()
    phone.send(message(phone), port_of(server))
    answer = await phone.expect(200)
    assert (answer.header("X-Code"), answer.body.decode()) == ("-1", SDP)


async def test_a_relay_at_its_load_limit_hands_the_call_to_the_next(kamtool, peer, fake_rtpengine):
    full, free = fake_rtpengine(), fake_rtpengine()
    full.answers["offer"] = {"result": "load limit", "message": "too many calls"}
    server = await kamtool(cfg(f"{full.url}=1000 {free.url}=1", request=told("rtpengine_offer()")))
    phone = await peer()
    phone.send(message(phone), port_of(server))
    assert (await phone.expect(200)).header("X-Shown") == free.url
    assert all(node.usable for node in server.modules["rtpengine"].nodes.all), "full is not dead"


REPORT = {"MOS": 43, "packet loss": 1, "jitter": 3, "round-trip time": 2000, "reported at": 1075}
DELETED = {
    "result": "ok",
    "created": 1000,
    "SSRC": {
        "11": {
            "average MOS": {**REPORT, "samples": 4},
            "lowest MOS": {**REPORT, "MOS": 38},
            "highest MOS": REPORT,
        },
        "22": {
            "average MOS": {**REPORT, "MOS": 33, "samples": 2},
            "lowest MOS": {**REPORT, "MOS": 21, "jitter": 9, "reported at": 1130},
            "highest MOS": {**REPORT, "MOS": 35},
        },
    },
    "tags": {
        "a": {"label": "caller", "medias": [{"streams": [{"SSRC": 11}]}]},
        "b": {"label": "callee", "medias": [{"streams": [{"SSRC": 22}]}]},
    },
}


async def test_the_quality_of_a_call_stands_in_variables_once_it_is_deleted(kamtool, peer, fake_rtpengine):
    relay = fake_rtpengine()
    relay.answers["delete"] = DELETED
    names = (
        "min",
        "min_at",
        "min_jitter",
        "max",
        "average",
        "average_samples",
        "average_packetloss",
        "min_A",
        "min_B",
    )
    params = "\n".join(f'modparam("rtpengine", "mos_{name}_pv", "$avp({name})")' for name in names)
    for party, label in (("A", "caller"), ("B", "callee")):
        params += f'\nmodparam("rtpengine", "mos_{party}_label_pv", "{label}")'
    shown = " ".join(f"$avp({name})" for name in names)
    server = await kamtool(cfg(relay, request=told("rtpengine_manage()", shown), params=params))
    phone = await peer()
    phone.send(message(phone, "BYE", sdp=""), port_of(server))
    assert (await phone.expect(200)).header("X-Shown") == "2.1 2:10 9 4.3 3.8 6 1 3.8 2.1"


async def test_a_query_is_json_in_a_variable(kamtool, peer, fake_rtpengine):
    relay = fake_rtpengine()
    server = await kamtool(cfg(relay, request=told('rtpengine_query_v("j", "$avp(q)")', "$avp(q)")))
    phone = await peer()
    phone.send(message(phone, "INFO", sdp="", to_tag="you"), port_of(server))
    assert (await phone.expect(200)).header("X-Shown") == '{"result": "ok"}'


# Dead relays, sets, RPC


async def test_a_dead_relay_delays_only_the_calls_that_ask_it(kamtool, peer, fake_rtpengine):
    dead, alive = fake_rtpengine(), fake_rtpengine()
    dead.silent = True
    server = await kamtool(
        cfg(
            f"{dead.url}=1000 {alive.url}=1",
            request=told("rtpengine_offer()"),
            params='modparam("rtpengine", "ping_mode", 0)',
        )
    )
    phone = await peer()
    phone.send(message(phone), port_of(server))
    phone.send(phone.request("OPTIONS", "sip:x@y", branch="2", call_id="other", cseq=2), port_of(server))
    assert (await phone.expect(200)).call_id == "other"
    assert (await phone.expect(200)).header("X-Shown") == alive.url
    asked = len(dead.log)
    phone.send(message(phone, call_id="next").replace("bK1", "bK3"), port_of(server))
    assert (await phone.expect(200)).header("X-Shown") == alive.url
    assert len(dead.log) == asked


async def test_when_none_is_left_the_dead_are_asked_again(kamtool, peer, fake_rtpengine):
    relay = fake_rtpengine()
    relay.silent = True
    server = await kamtool(cfg(relay, request=told("rtpengine_offer()")))
    await until(lambda: not server.modules["rtpengine"].nodes.all[0].usable)
    relay.silent = False
    phone = await peer()
    phone.send(message(phone), port_of(server))
    assert (await phone.expect(200)).header("X-Code") == "1"


async def test_a_call_goes_on_with_a_relay_that_was_disabled_by_hand(kamtool, peer, fake_rtpengine):
    one, two = fake_rtpengine(), fake_rtpengine()
    params = 'modparam("rtpengine", "rtpengine_allow_op", 1)'
    server = await kamtool(
        cfg(f"{one.url}=1000 {two.url}=1", request=told("rtpengine_manage()"), params=params)
    )
    phone = await peer()
    phone.send(message(phone), port_of(server))
    assert (await phone.expect(200)).header("X-Shown") == one.url
    await server.rpc.call("rtpengine.enable", [one.url, 0])
    phone.send(message(phone, call_id="new").replace("bK1", "bK2"), port_of(server))
    assert (await phone.expect(200)).header("X-Shown") == two.url
    phone.send(message(phone, "BYE", sdp="").replace("bK1", "bK3"), port_of(server))
    assert (await phone.expect(200)).header("X-Shown") == one.url


async def test_media_go_through_a_relay_of_each_of_two_sets(kamtool, peer, fake_rtpengine):
    one, two = fake_rtpengine(), fake_rtpengine()
    request = 'set_rtpengine_set("1", "2"); ' + told("rtpengine_offer()")
    server = await kamtool(cfg(f"1 == {one.url}", f"2 == {two.url}", request=request))
    phone = await peer()
    phone.send(message(phone), port_of(server))
    await phone.expect(200)
    assert one.log[0]["sdp"] == SDP
    assert two.log[0]["sdp"] == RELAYED


@pytest.mark.parametrize(
    ("before", "params", "used"),
    [
        ('set_rtpengine_set("2");', "", "two"),
        ('set_rtpengine_set("9");', "", "one"),
        ("$avp(set) = 2;", 'modparam("rtpengine", "setid_avp", "$avp(set)")', "two"),
        ("", 'modparam("rtpengine", "setid_default", 2)', "two"),
    ],
)
async def test_the_set_is_chosen_by_function_by_variable_or_by_default(
    kamtool, peer, fake_rtpengine, before, params, used
):
    relays = {"one": fake_rtpengine(), "two": fake_rtpengine()}
    server = await kamtool(
        cfg(
            *(f"{number} == {relay.url}" for number, relay in enumerate(relays.values(), 1)),
            request=before + told("rtpengine_offer()"),
            params=params,
        )
    )
    phone = await peer()
    phone.send(message(phone), port_of(server))
    assert (await phone.expect(200)).header("X-Shown") == relays[used].url


async def test_rpc_shows_pings_and_switches_the_relays(kamtool, fake_rtpengine):
    one, two = fake_rtpengine(), fake_rtpengine()
    server = await kamtool(cfg(f"{one.url}=3 5 == {two.url}"))
    two.silent = True
    rows = await server.rpc.call("rtpengine.show", ["all"])
    assert [(row["set"], row["url"], row["weight"], row["disabled"]) for row in rows] == [
        (0, one.url, 3, "0"),
        (5, two.url, 1, "0"),
    ]
    pinged = await server.rpc.call("rtpengine.ping", ["all"])
    assert [row["ping_result"] for row in pinged] == ["success", "fail"]
    assert (await server.rpc.call("rtpengine.enable", ["0", "0"]))[0]["disabled"] == "1 (permanent)"
    assert (await server.rpc.call("rtpengine.get_hash_total")) == 0
    with pytest.raises(RpcError, match="no relay"):
        await server.rpc.call("rtpengine.show", ["udp:127.0.0.1:1"])
    with pytest.raises(RpcError, match="db_url"):
        await server.rpc.call("rtpengine.reload")


async def test_the_table_of_relays_is_read_again_by_rpc(kamtool, fake_rtpengine, tmp_path):
    import sqlite3

    from kamtool.store.migrate import migrate

    one, two = fake_rtpengine(), fake_rtpengine()
    path = tmp_path / "k.db"
    migrate(path)
    with sqlite3.connect(path) as database:
        database.execute("INSERT INTO rtpengine (setid, url, weight) VALUES (4, ?, 2)", (one.url,))
    text = cfg(params=f'modparam("rtpengine", "db_url", "sqlite:///{path}")')
    server = await kamtool(
        text.replace('loadmodule "tm.so"', 'loadmodule "db_sqlite.so"\nloadmodule "tm.so"', 1)
    )
    assert [row["url"] for row in await server.rpc.call("rtpengine.show", ["4"])] == [one.url]
    with sqlite3.connect(path) as database:
        database.execute("DELETE FROM rtpengine")
        database.execute("INSERT INTO rtpengine (setid, url, disabled) VALUES (4, ?, 1)", (two.url,))
    await server.rpc.call("rtpengine.reload")
    rows = await server.rpc.call("rtpengine.show", ["4"])
    assert [(row["url"], row["disabled"]) for row in rows] == [(two.url, "1 (permanent)")]


@pytest.mark.parametrize(
    ("params", "complaint"),
    [
        ('modparam("rtpengine", "rtpengine_sock", "ws://127.0.0.1:8000")', "write udp:host:port"),
        ('modparam("rtpengine", "rtpengine_retr", 0)', "at least 1"),
        ('modparam("rtpengine", "wsapi", "lwsc")', "not supported"),
    ],
)
async def test_a_parameter_that_cannot_work_is_refused(kamtool, params, complaint):
    with pytest.raises(ConfigError, match=complaint):
        await kamtool(cfg(params=params))


# Sans I/O

VALUES = st.recursive(
    st.integers(-(2**62), 2**62) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


@given(VALUES)
def test_a_value_survives_bencoding(value):
    assert bencode.decode(bencode.encode(value)) == value


@given(st.binary(max_size=200))
def test_any_octets_are_bencoding_or_refused(data):
    with suppress(bencode.BencodeError):
        bencode.decode(data)


@pytest.mark.parametrize(
    "data", [b"", b"i5", b"5:abc", b"d3:foo", b"li5e", b"di5ei6ee", b"l" * 1000, b"-1:", b"i5eX"]
)
def test_broken_bencoding_is_refused(data):
    with pytest.raises(bencode.BencodeError):
        bencode.decode(data)


@given(st.text(max_size=100))
def test_any_flags_are_read_or_refused(text):
    with suppress(FlagError):
        bencode.encode(read_flags(text).entries)
