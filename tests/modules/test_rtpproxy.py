"""rtpproxy: what it sends to the relay and what becomes of the SDP, as Kamailio 5.6.3 did it."""

import asyncio

import pytest

from kamtool.errors import ConfigError, RpcError
from kamtool.modules.rtpproxy.flags import read_flags
from kamtool.modules.rtpproxy.nodes import Nodes
from tests.support.server import port_of
from tests.support.until import SOON, until

SDP = (
    "v=0\r\no=- 1 1 IN IP4 10.0.0.5\r\ns=-\r\nc=IN IP4 10.0.0.5\r\nt=0 0\r\n"
    "m=audio 4000 RTP/AVP 0\r\na=sendrecv\r\n"
    "m=video 4002 RTP/AVP 96\r\nc=IN IP4 10.0.0.6\r\na=rtpmap:96 H264/90000\r\n"
)
RELAYED = (
    "v=0\r\no=- 1 1 IN IP4 9.9.9.9\r\ns=-\r\nc=IN IP4 9.9.9.9\r\nt=0 0\r\n"
    "m=audio 40000 RTP/AVP 0\r\na=sendrecv\r\n"
    "m=video 40002 RTP/AVP 96\r\nc=IN IP4 9.9.9.9\r\na=rtpmap:96 H264/90000\r\na=nortpproxy:yes\r\n"
)
BOTH = ["0 call 127.0.0.1 4000 peer;1", "96 call 127.0.0.1 4002 peer;2"]

CFG = """#!KAMAILIO
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "textops.so"
loadmodule "textopsx.so"
loadmodule "rtpproxy.so"
modparam("rtpproxy", "rtpproxy_tout_ms", 100)
modparam("rtpproxy", "rtpproxy_retr", 2)
modparam("rtpproxy", "extra_id_pv", "$avp(extra)")
modparam("rtpproxy", "rtp_inst_pvar", "$avp(used)")
{params}
request_route {{
    $du = $hdr(X-To);
    {request}
}}
onreply_route[ANSWER] {{ {reply} }}
failure_route[FAILED] {{ {failure} }}
"""
ANSWER = 'sl_send_reply("200", "OK");'


def cfg(*relays, request=ANSWER, reply="return;", failure="return;", params=""):
    sets = [relay if isinstance(relay, str) else relay.url for relay in relays]
    lines = "\n".join(f'modparam("rtpproxy", "rtpproxy_sock", "{one}")' for one in sets)
    return CFG.format(params=f"{lines}\n{params}", request=request, reply=reply, failure=failure)


def told(call):
    """Run a function and answer with its code and the body that would leave."""
    return (
        f"$avp(code) = -99; $avp(code) = {call}; $var(code) = $avp(code); msg_apply_changes();"
        'append_to_reply("X-Code: $var(code)\\r\\nX-Used: $avp(used)\\r\\n");'
        'set_reply_body("$rb", "application/sdp"); sl_send_reply("200", "OK");'
    )


def message(peer, method="INVITE", sdp=SDP, to_tag="", headers="", call_id="call"):
    kind = "Content-Type: application/sdp\r\n" if sdp else ""
    return peer.request(method, "sip:x@y", headers=kind + headers, body=sdp, to_tag=to_tag, call_id=call_id)


@pytest.fixture
def ask(kamtool, peer, rtpproxy):
    """Call a function on a request: its code, the body as it would leave, and what the relay was told."""

    async def run(call, *, params="", before="", **options):
        relay = rtpproxy(address="9.9.9.9")
        server = await kamtool(cfg(relay, request=before + told(call), params=params))
        await until(lambda: "VF 20081102" in relay.log)
        phone = await peer()
        phone.send(message(phone, **options), port_of(server))
        answer = await phone.expect(200)
        return int(answer.header("X-Code")), answer.body.decode(), relay.commands()

    return run


@pytest.mark.parametrize(
    ("flags", "commands"),
    [
        ("", ["Uc" + BOTH[0], "Uc" + BOTH[1]]),
        ("co", ["Uc" + BOTH[0], "Uc" + BOTH[1]]),
        ("r", ["Uc0 call 10.0.0.5 4000 peer;1", "Uc96 call 10.0.0.6 4002 peer;2"]),
        ("a", ["UAc0 call 10.0.0.5 4000 peer;1", "UAc96 call 10.0.0.6 4002 peer;2"]),
        ("w", ["USc" + BOTH[0], "USc" + BOTH[1]]),
        ("ie", ["UIEc" + BOTH[0], "UIEc" + BOTH[1]]),
        ("ei", ["UEIc" + BOTH[0], "UEIc" + BOTH[1]]),
        ("x", ["UIEc" + BOTH[0], "UIEc" + BOTH[1]]),
        ("z20", ["UZ20c" + BOTH[0], "UZ20c" + BOTH[1]]),
        ("1", [f"Uc{line}".replace("call", "call;z9hG4bK1") for line in BOTH]),
        ("3", [f"Uc{line}".replace("call", "call;z9hG4bK1") for line in BOTH]),
    ],
)
async def test_an_offer_names_each_stream_and_puts_the_relay_into_the_sdp(ask, flags, commands):
    assert await ask(f'rtpproxy_offer("{flags}")') == (1, RELAYED, commands)


@pytest.mark.parametrize(
    "call",
    [
        'rtpproxy_offer("2")',
        'rtpproxy_offer("l")',
        'rtpproxy_offer("q")',
        'rtpproxy_offer("z")',
        'rtpproxy_offer("b")',
        "rtpproxy_answer()",
    ],
)
async def test_what_makes_no_sense_is_refused_without_asking_the_relay(ask, call):
    assert await ask(call) == (-1, SDP, [])


async def test_a_given_address_stands_in_the_sdp_in_place_of_the_relays(ask):
    code, body, _ = await ask('rtpproxy_offer("co", "8.8.8.8")')
    assert (code, body) == (1, RELAYED.replace("9.9.9.9", "8.8.8.8"))


async def test_an_sdp_that_is_marked_is_left_alone_unless_forced(ask):
    marked = SDP + "a=nortpproxy:yes\r\n"
    assert await ask("rtpproxy_offer()", sdp=marked) == (-2, marked, [])
    assert (await ask('rtpproxy_offer("f")', sdp=marked))[:2] == (1, RELAYED)


async def test_the_call_is_named_with_extra_id_pv_too(ask):
    _, _, commands = await ask('rtpproxy_offer("b")', before='$avp(extra) = "leg1"; ')
    assert commands[0] == "Uc0 call;leg1 127.0.0.1 4000 peer;1"


@pytest.mark.parametrize(
    ("sdp", "changes"),
    [
        (SDP.replace("m=video 4002", "m=video 0"), {"m=video 40002": "m=video 0"}),
        (
            SDP.replace("10.0.0.5", "0.0.0.0"),
            {"1 1 IN IP4 9.9.9.9": "1 1 IN IP4 0.0.0.0", "c=IN IP4 9.9.9.9\r\nt": "c=IN IP4 0.0.0.0\r\nt"},
        ),
        (SDP.replace("a=sendrecv", "a=rtcp:4001 IN IP4 10.0.0.5"), {"a=sendrecv": "a=rtcp:40001"}),
        (SDP.replace("IP4 10.0.0.5", "IP6 2001:db8::5"), {}),
    ],
)
async def test_a_refused_stream_a_held_one_rtcp_and_ipv6_are_rewritten_as_they_should(ask, sdp, changes):
    expected = RELAYED
    for old, new in changes.items():
        expected = expected.replace(old, new)
    code, body, commands = await ask("rtpproxy_offer()", sdp=sdp)
    assert (code, body) == (1, expected)
    if "IP6" in sdp:
        assert commands == ["U6c" + BOTH[0], "Uc" + BOTH[1]]


@pytest.mark.parametrize(
    ("call", "options", "code", "commands"),
    [
        ("rtpproxy_manage()", {}, 1, ["Uc" + BOTH[0], "Uc" + BOTH[1]]),
        (
            "rtpproxy_manage()",
            {"method": "UPDATE", "to_tag": "you"},
            1,
            [f"Uc{b} you;{n}" for n, b in enumerate(BOTH, 1)],
        ),
        ("rtpproxy_manage()", {"method": "BYE", "sdp": ""}, 1, ["D call peer"]),
        ("rtpproxy_manage()", {"method": "BYE", "sdp": "", "to_tag": "you"}, 1, ["D call peer you"]),
        ("rtpproxy_manage()", {"method": "OPTIONS"}, -1, []),
        ("rtpproxy_manage()", {"sdp": ""}, -1, []),
        ("rtpproxy_destroy()", {}, 1, ["D call peer"]),
        ('rtpproxy_destroy("1")', {}, 1, ["D call;z9hG4bK1 peer"]),
        ("start_recording()", {"to_tag": "you"}, 1, ["R call peer you"]),
        ('rtpproxy_stream2uac("/p/x", "3")', {}, 1, ["P3 call /p/x session peer;1"]),
        ('rtpproxy_stream2uac("/p/x", "3")', {"to_tag": "you"}, 1, ["P3 call /p/x session peer;1 you;1"]),
        ('rtpproxy_stream2uas("/p/x", "-1")', {"to_tag": "you"}, 1, ["P-1 call /p/x session you;1 peer;1"]),
        ("rtpproxy_stop_stream2uac()", {"to_tag": "you"}, 1, ["S call peer;1 you;1"]),
        ("rtpproxy_stop_stream2uas()", {"to_tag": "you"}, 1, ["S call you;1 peer;1"]),
    ],
)
async def test_each_function_sends_its_own_command(ask, call, options, code, commands):
    got, _, sent = await ask(call, **options)
    assert (got, sent) == (code, commands)


async def test_an_answer_in_ack_names_the_callee_first(kamtool, peer, rtpproxy):
    relay = rtpproxy()
    server = await kamtool(cfg(relay, request="rtpproxy_manage();"))
    phone = await peer()
    phone.send(message(phone, "ACK", to_tag="you"), port_of(server))
    await until(lambda: len(relay.commands()) == 2)
    assert relay.commands() == [f"Lc{b}".replace("peer", "you") + f" peer;{n}" for n, b in enumerate(BOTH, 1)]


@pytest.mark.parametrize(
    ("request_sdp", "status", "reply_sdp", "commands"),
    [
        (SDP, 200, SDP, [f"Lc{b} you;{n}" for n, b in enumerate(BOTH, 1)]),
        (SDP, 183, SDP, [f"Lc{b} you;{n}" for n, b in enumerate(BOTH, 1)]),
        ("", 200, SDP, [f"Uc{b}".replace("peer", "you") + f" peer;{n}" for n, b in enumerate(BOTH, 1)]),
        (SDP, 404, "", ["D call peer you"]),
        (SDP, 200, "", []),
    ],
)
async def test_manage_in_a_reply_answers_or_offers_as_the_request_did(
    kamtool, peer, rtpproxy, request_sdp, status, reply_sdp, commands
):
    relay = rtpproxy(address="9.9.9.9")
    server = await kamtool(cfg(relay, request='t_on_reply("ANSWER"); t_relay();', reply="rtpproxy_manage();"))
    alice, bob = await peer(), await peer()
    alice.send(message(alice, sdp=request_sdp, headers=f"X-To: {bob.uri}\r\n"), port_of(server))
    invite = await bob.expect("INVITE")
    kind = "Content-Type: application/sdp\r\n" if reply_sdp else ""
    text = bob.answer(invite, status, headers=kind)
    text = text.replace("Content-Length: 0\r\n\r\n", f"Content-Length: {len(reply_sdp)}\r\n\r\n{reply_sdp}")
    bob.send(text, port_of(server))
    got = await alice.expect()
    while got.status == 100:
        got = await alice.expect()
    assert got.status == status
    assert relay.commands() == commands
    if commands and reply_sdp:
        assert got.body.decode() == RELAYED


async def test_a_failed_branch_ends_its_session(kamtool, peer, rtpproxy):
    relay = rtpproxy()
    server = await kamtool(
        cfg(
            relay,
            request='rtpproxy_manage(); t_on_failure("FAILED"); t_relay();',
            failure="rtpproxy_manage();",
        )
    )
    alice, bob = await peer(), await peer()
    alice.send(message(alice, headers=f"X-To: {bob.uri}\r\n"), port_of(server))
    invite = await bob.expect("INVITE")
    bob.send(bob.answer(invite, 486), port_of(server))
    await until(lambda: relay.commands("D"))
    assert relay.commands("D") == ["D call peer"]


# Dead relays


async def test_a_dead_relay_delays_only_the_calls_that_ask_it_and_others_take_over(kamtool, peer, rtpproxy):
    dead, alive = rtpproxy(address="1.1.1.1"), rtpproxy(address="9.9.9.9")
    dead.silent = True
    server = await kamtool(cfg(f"{dead.url}=1000 {alive.url}=1", request=told("rtpproxy_offer()")))
    nodes = server.modules["rtpproxy"].nodes
    phone = await peer()
    phone.send(message(phone), port_of(server))
    phone.send(phone.request("OPTIONS", "sip:x@y", branch="2", call_id="other", cseq=2), port_of(server))
    first = await phone.expect(200)
    assert first.call_id == "other", "a request that needs no relay waited for one"
    second = await phone.expect(200)
    assert second.header("X-Code") == "1"
    assert second.header("X-Used") == alive.url
    assert [node.usable for node in nodes.all] == [False, True]
    before = len(dead.log)
    phone.send(message(phone, call_id="next").replace("bK1", "bK3"), port_of(server))
    assert (await phone.expect(200)).header("X-Used") == alive.url
    assert len(dead.log) == before, "a relay that is known to be dead was asked"


async def test_with_no_relay_alive_the_function_fails_and_the_script_goes_on(kamtool, peer, rtpproxy):
    dead = rtpproxy()
    dead.silent = True
    server = await kamtool(cfg(dead, request=told("rtpproxy_offer()")))
    phone = await peer()
    phone.send(message(phone), port_of(server))
    assert (await phone.expect(200)).header("X-Code") == "-1"


async def test_a_port_where_nobody_listens_is_known_dead_at_once(kamtool, peer, rtpproxy):
    gone, alive = rtpproxy(), rtpproxy()
    url = gone.url
    gone.close()
    gone.close = lambda: None
    server = await kamtool(
        cfg(
            f"{url}=1000 {alive.url}=1",
            request=told("rtpproxy_offer()"),
            params='modparam("rtpproxy", "rtpproxy_tout_ms", 60000)',
        )
    )
    phone = await peer()
    phone.send(message(phone), port_of(server))
    assert (await phone.expect(200)).header("X-Used") == alive.url


async def test_a_relay_that_is_back_is_used_again(kamtool, rtpproxy):
    relay = rtpproxy()
    relay.silent = True
    server = await kamtool(cfg(relay, params='modparam("rtpproxy", "rtpproxy_disable_tout", 1)'))
    nodes = server.modules["rtpproxy"].nodes
    await until(lambda: not nodes.all[0].usable)
    relay.silent = False
    await until(lambda: nodes.all[0].usable)


async def test_a_session_stays_with_its_relay_when_another_comes_back(kamtool, peer, rtpproxy):
    one, two = rtpproxy(), rtpproxy()
    server = await kamtool(cfg(f"{one.url}=1000 {two.url}=1", request=told("rtpproxy_manage()")))
    nodes = server.modules["rtpproxy"].nodes
    await until(lambda: "VF 20081102" in one.log)
    phone = await peer()
    await server.rpc.call("rtpproxy.enable", [one.url, 0])
    phone.send(message(phone), port_of(server))
    assert (await phone.expect(200)).header("X-Used") == two.url
    await server.rpc.call("rtpproxy.enable", [one.url, 1])
    assert all(node.usable for node in nodes.all)
    phone.send(message(phone, "BYE", sdp="", to_tag="you").replace("bK1", "bK2"), port_of(server))
    assert (await phone.expect(200)).header("X-Used") == two.url
    assert two.commands("D") == ["D call peer you"]


# Sets, RPC, variables


async def test_a_set_is_chosen_by_number_and_one_that_is_not_there_is_refused(kamtool, peer, rtpproxy):
    one, two = rtpproxy(), rtpproxy()
    request = (
        '$var(a) = set_rtpproxy_set("7"); append_to_reply("X-Seven: $var(a)\\r\\n"); set_rtpproxy_set("2");'
        + told("rtpproxy_offer()")
    )
    server = await kamtool(cfg(f"1 == {one.url}", f"2 == {two.url}", request=request))
    phone = await peer()
    phone.send(message(phone), port_of(server))
    answer = await phone.expect(200)
    assert (answer.header("X-Seven"), answer.header("X-Used")) == ("-1", two.url)


async def test_rpc_lists_the_relays_and_switches_them(kamtool, rtpproxy):
    one, two = rtpproxy(), rtpproxy()
    server = await kamtool(cfg(f"{one.url}=3 5 == {two.url}"))
    listed = await server.rpc.call("rtpproxy.list")
    assert [(row["setid"], row["url"], row["weight"], row["disabled"]) for row in listed] == [
        (0, one.url, 3, 0),
        (5, two.url, 1, 0),
    ]
    await server.rpc.call("rtpproxy.enable", ["all", "0"])
    assert [row["disabled"] for row in await server.rpc.call("rtpproxy.list")] == [1, 1]
    await server.rpc.call("rtpproxy.enable", [one.url, "1"])
    assert [row["disabled"] for row in await server.rpc.call("rtpproxy.list")] == [0, 1]
    with pytest.raises(RpcError, match="no relay"):
        await server.rpc.call("rtpproxy.enable", ["udp:127.0.0.1:1", "1"])


async def test_relays_stand_in_the_database_too(kamtool, rtpproxy, tmp_path):
    import sqlite3

    from kamtool.store.migrate import migrate

    one = rtpproxy()
    path = tmp_path / "k.db"
    migrate(path)
    with sqlite3.connect(path) as database:
        database.execute("INSERT INTO rtpproxy (setid, url, weight) VALUES (4, ?, 2)", (one.url,))
    text = cfg(params=f'modparam("rtpproxy", "db_url", "sqlite:///{path}")')
    server = await kamtool(
        text.replace('loadmodule "tm.so"', 'loadmodule "db_sqlite.so"\nloadmodule "tm.so"', 1)
    )
    assert [(row["setid"], row["url"], row["weight"]) for row in await server.rpc.call("rtpproxy.list")] == [
        (4, one.url, 2)
    ]


async def test_rtpstat_is_what_the_relay_counted(kamtool, peer, rtpproxy):
    """The stand-in answers from the same loop, so the 50 ms pass: a thread serves this one question."""
    import socket
    import threading

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as relay:
        relay.bind(("127.0.0.1", 0))
        relay.settimeout(SOON)
        asked = []

        def serve():
            while not any(command.startswith("Q") for command in asked):
                data, source = relay.recvfrom(2000)
                cookie, _, command = data.decode().partition(" ")
                asked.append(command)
                answer = {"V": "20040107", "Q": "120 1 2 3 0"}.get(command.split()[0], "1")
                relay.sendto(f"{cookie} {answer}\n".encode(), source)

        thread = threading.Thread(target=serve)
        thread.start()
        url = f"udp:127.0.0.1:{relay.getsockname()[1]}"
        request = 'append_to_reply("X-Stat: $rtpstat\\r\\n"); sl_send_reply("200", "OK");'
        server = await kamtool(cfg(url, request=request))
        phone = await peer()
        phone.send(message(phone, "BYE", sdp="", to_tag="you"), port_of(server))
        assert (await phone.expect(200)).header("X-Stat") == "120 1 2 3 0"
        await asyncio.to_thread(thread.join)
    assert asked[-1] == "Q call peer you"


async def test_over_a_unix_socket_each_command_has_its_own_connection(kamtool, peer, tmp_path):
    asked = []

    async def serve(reader, writer):
        command = (await reader.read(2000)).decode()
        asked.append(command)
        answer = {"V": "20040107", "U": "41000 9.9.9.9"}.get(command[0] if command[:2] != "VF" else "", "1")
        writer.write(f"{answer}\n".encode())
        await writer.drain()
        writer.close()

    path = tmp_path / "rtpproxy.sock"
    listener = await asyncio.start_unix_server(serve, path)
    server = await kamtool(cfg(f"unix:{path}", request=told("rtpproxy_offer()")))
    phone = await peer()
    phone.send(message(phone), port_of(server))
    answer = await phone.expect(200)
    assert answer.header("X-Code") == "1"
    assert b"m=audio 41000" in answer.body
    assert "Uc" + BOTH[0] in asked
    listener.close()


@pytest.mark.parametrize(
    ("params", "complaint"),
    [
        ('modparam("rtpproxy", "rtpproxy_sock", "tcp:127.0.0.1:7722")', "write udp:host:port"),
        ('modparam("rtpproxy", "rtpproxy_sock", "udp:127.0.0.1")', "no port"),
        ('modparam("rtpproxy", "rtpproxy_sock", "")', "empty list"),
        ('modparam("rtpproxy", "rtpproxy_tout_ms", -1)', "at least 1"),
        ('modparam("rtpproxy", "rtpproxy_retr", 0)', "at least 1"),
        ('modparam("rtpproxy", "ice_candidate_priority_avp", "$avp(i)")', "not supported"),
    ],
)
async def test_a_parameter_that_cannot_work_is_refused(kamtool, params, complaint):
    with pytest.raises(ConfigError, match=complaint):
        await kamtool(cfg(params=params))


def test_calls_are_shared_by_weight_and_a_call_is_always_with_the_same_relay():
    async def never(node):
        return True

    nodes = Nodes("test", lambda: 0.0, 60, never)
    nodes.add_text("udp:a:1=1 udp:b:1=3")
    picked = [nodes.sets[0].pick(f"{n:05}@x").url for n in range(4000)]
    assert 0.15 < picked.count("udp:a:1") / len(picked) < 0.35
    assert picked == [nodes.sets[0].pick(f"{n:05}@x").url for n in range(4000)]
    nodes.all[0].down_until = 5.0
    assert {nodes.sets[0].pick(f"{n}").url for n in range(100)} == {"udp:b:1"}


def test_unknown_flags_mean_nothing_at_all():
    assert read_flags("coq") is None
    assert read_flags("s") is None
    assert read_flags("z0") is None
    assert read_flags("z20w").options == "Z20S"
