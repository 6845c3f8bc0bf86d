"""The engine: one message stops, is looked into, changed, and goes on; all others flow."""

import asyncio

import pytest

from kamtool.debug.words import Mistake
from kamtool.script import load
from kamtool.server.reload import Reloader
from tests.support.debugger import CFG, invite, line_of
from tests.support.server import MODULES, port_of
from tests.support.until import until

pytestmark = pytest.mark.live


@pytest.fixture
async def scene(kamtool, peer, debugger):
    """A server with a debugger, a caller, a callee, and the server's port."""
    server = await kamtool(CFG)
    return server, await debugger(server), await peer(), await peer(), port_of(server)


async def settle(caller, callee, port):
    """Let the call be refused: the callee is busy."""
    callee.send(callee.answer(await callee.expect("INVITE"), 486), port)


async def test_one_message_stops_and_all_others_get_their_answer(scene, peer):
    _server, one, caller, callee, port = scene
    await one.ask("break", text='request_route if $rm == "INVITE"')
    caller.send(invite(caller, callee), port)
    stopped = await one.stops()
    assert (stopped["line"], stopped["route"]) == (line_of("$var(a) = 1"), "request_route")
    assert stopped["message"] == "INVITE sip:bob@example.com SIP/2.0"
    other = await peer()
    for number in range(2000):
        other.send(
            other.request("OPTIONS", "sip:x@127.0.0.1", branch=f"o{number}", call_id=f"o{number}"), port
        )
        assert (await other.expect(200)).call_id == f"o{number}"
    assert list(one.session.parked) == [stopped["id"]]
    await one.ask("resume")
    await callee.expect("INVITE")


async def test_what_is_sent_again_while_parked_is_absorbed(scene):
    server, one, caller, callee, port = scene
    await one.ask("break", text="request_route")
    for _ in range(3):
        caller.send(invite(caller, callee), port)
    await one.stops()
    await until(lambda: server.observers.absorbed == 2)
    await one.ask("resume")
    await callee.expect("INVITE")
    await callee.silence(0.2)
    assert one.events.empty() or (await one.events.get())[0] != "stopped"


async def test_a_step_goes_through_every_route_of_the_call(scene):
    _server, one, caller, callee, port = scene
    await one.ask("break", text="request_route")
    caller.send(invite(caller, callee), port)
    stopped = await one.stops()
    seen = [(stopped["route"], stopped["name"])]
    while stopped["name"] != "exit":
        stopped = await one.step()
        seen.append((stopped["route"], stopped["name"]))
    await one.ask("resume", how="into")
    await settle(caller, callee, port)
    for _ in range(5):
        stopped = await one.stops()
        seen.append((stopped["route"], stopped["name"]))
        await one.ask("resume", how="into")
    await caller.expect(100)
    await caller.expect(480)
    main = [(route, name) for route, name in seen if route == "request_route"]
    assert [name for _, name in main] == [
        "assign", "if", "is_method", "route", "assign", "setflag", "assign", "append_hf", "t_on_failure",
        "t_on_reply", "t_on_branch", "t_relay", "exit",
    ]  # fmt: skip
    assert seen[12] == ("branch_route[B]", "append_hf")
    assert seen[14:] == [
        ("onreply_route[R]", "setflag"), ("onreply_route[R]", "assign"), ("failure_route[F]", "if"),
        ("failure_route[F]", "t_check_status"), ("failure_route[F]", "t_reply"),
    ]  # fmt: skip
    visits = await one.ask("visits", call_id="live")
    assert [each["route"] for each in visits] == [
        "request_route", "branch_route[B]", "reply_route", "onreply_route[R]", "failure_route[F]",
    ]  # fmt: skip
    assert visits[-1]["replied"] == 480


async def test_over_out_and_until_mind_the_depth(scene):
    _server, one, caller, callee, port = scene
    await one.ask("break", text=str(line_of("route(NEXT);")))
    caller.send(invite(caller, callee), port)
    await one.stops()
    inside = await one.step("into")
    assert [place["route"] for place in inside["stack"]] == ["route[NEXT]", "request_route"]
    assert inside["stack"][1]["line"] == line_of("route(NEXT);")
    assert (await one.step("out"))["line"] == line_of("$du =")
    assert (await one.step("over"))["name"] == "append_hf"
    assert (await one.step("until", line=line_of("t_relay();")))["name"] == "t_relay"
    assert (await one.step("over"))["name"] == "exit"  # the branch_route was stepped over


@pytest.mark.parametrize(
    ("place", "name"),
    [
        ("setflag(3)", "setflag"),
        ("route[NEXT]", "assign"),
        ("branch_route[B]", "append_hf"),
        ("fn:t_relay", "t_relay"),
        ("assign $du", "assign"),
        ("assign $avp(x)", "assign"),
        ('fn:append_hf if $avp(x) == "one"', "append_hf"),
        ("header x", "t_on_failure"),
        ("watch $du", "append_hf"),
        ("watch $T_branch_idx", ""),
    ],
)
async def test_each_kind_of_breakpoint_stops_where_it_says(scene, place, name):
    _server, one, caller, callee, port = scene
    await one.ask("break", text=str(line_of(place)) if place == "setflag(3)" else place)
    caller.send(invite(caller, callee), port)
    if name:
        assert (await one.stops())["name"] == name
        await one.ask("resume")
        await one.ask("clear")
        await one.ask("release")
    await callee.expect("INVITE")


async def test_a_header_breakpoint_stops_for_its_header_and_for_no_other(kamtool, peer, debugger):
    cfg = MODULES + (
        'request_route { append_hf("X: 1\\r\\n"); append_hf("Y: 1\\r\\n"); append_hf("Z: 1\\r\\n");\n'
        'append_hf("X: 2\\r\\n"); $var(a) = 1; sl_send_reply("200", "OK"); }\n'
    )
    server = await kamtool(cfg)
    one, caller = await debugger(server), await peer()
    await one.ask("break", text="header X")
    caller.send(caller.request("OPTIONS", "sip:127.0.0.1"), port_of(server))
    first = await one.stops()
    await one.ask("resume")
    second = await one.stops()
    assert [(each["reason"], each["line"]) for each in (first, second)] == [
        ("header x changed", line_of("append_hf", cfg)),
        ("header x changed", line_of("$var(a)", cfg)),
    ]
    await one.ask("resume")
    await caller.expect("200")
    (row,) = await one.ask("breakpoints")
    assert row["hits"] == 2


async def test_a_response_that_arrives_and_one_that_is_made_can_stop(scene):
    _server, one, caller, callee, port = scene
    await one.ask("break", text="reply 4xx")
    caller.send(invite(caller, callee), port)
    await settle(caller, callee, port)
    arrived = await one.stops()
    assert (arrived["message"], arrived["route"]) == ("SIP/2.0 486 Reason", "reply_route")
    await one.ask("resume")
    made = await one.stops()
    assert (made["route"], made["reason"]) == ("failure_route[F]", "breakpoint 1: 480 was sent")
    await one.ask("resume")
    await caller.expect(100)
    await caller.expect(480)


async def test_an_error_stops_after_the_statement_that_failed(kamtool, peer, debugger):
    server = await kamtool('request_route { $var(a) = 1 / $var(none); sl_send_reply("200", "OK"); }')
    one, caller = await debugger(server), await peer()
    await one.ask("break", text="error")
    caller.send(caller.request("OPTIONS", "sip:x@127.0.0.1"), port_of(server))
    stopped = await one.stops()
    assert stopped["name"] == "sl_send_reply"
    assert "division" in stopped["reason"] or "zero" in stopped["reason"]
    await one.ask("resume")
    await caller.expect(200)


async def test_hits_are_let_pass_once_stops_once_and_log_points_only_log(scene):
    _server, one, caller, _callee, port = scene
    await one.ask("break", text="request_route", ignore=2, once=True)
    await one.ask("break", text="fn:sl_send_reply", log="from $fU")

    def options(number):
        caller.send(caller.request("OPTIONS", "sip:x@127.0.0.1", branch=f"h{number}"), port)

    for number in range(2):
        options(number)
        await caller.expect(200)
    assert (await one.told("logged"))["text"] == "from peer"
    options(2)
    await one.stops()
    await one.ask("resume")
    await caller.expect(200)
    options(3)
    await caller.expect(200)
    assert [each["text"] for each in await one.ask("breakpoints")] == ["fn:sl_send_reply"]


async def test_what_was_changed_leaves_on_the_wire(scene):
    _server, one, caller, callee, port = scene
    await one.ask("break", text="fn:t_relay")
    caller.send(invite(caller, callee), port)
    await one.stops()
    done = await one.ask("execute", text='$ru = "sip:carol@example.com"')
    assert done["effects"] == [{"what": "$ru", "old": "sip:bob@example.com", "new": "sip:carol@example.com"}]
    await one.ask("execute", text='append_hf("Z: 26\\r\\n")')
    await one.ask("header", action="remove", name="Max-Forwards")
    await one.ask("header", action="add", name="Hint", value="by hand")
    changed = await one.ask("difference")
    assert {"-Max-Forwards: 70", "+Z: 26", "+Hint: by hand"} <= set(changed)
    shown = await one.ask("message")
    await one.ask("resume")
    sent = await callee.expect("INVITE")
    assert (sent.uri, sent.header("Z"), sent.header("Hint")) == ("sip:carol@example.com", "26", "by hand")
    assert sent.header("Max-Forwards") is None
    assert shown[0] == "INVITE sip:carol@example.com SIP/2.0"


async def test_a_whole_message_can_be_replaced(scene):
    _server, one, caller, callee, port = scene
    await one.ask("break", text="request_route")
    caller.send(invite(caller, callee), port)
    await one.stops()
    text = "\n".join(await one.ask("applied")).replace("bob@", "dora@") + "\nNew: yes\n"
    await one.ask("replace", text=text)
    with pytest.raises(Mistake, match="no SIP message"):
        await one.ask("replace", text="rubbish")
    await one.ask("resume")
    sent = await callee.expect("INVITE")
    assert (sent.uri, sent.header("New")) == ("sip:dora@example.com", "yes")


async def test_a_parked_message_can_be_dropped_or_answered(scene):
    _server, one, caller, callee, port = scene
    await one.ask("break", text="request_route")
    caller.send(invite(caller, callee), port)
    await one.stops()
    await one.ask("resume", how="drop")
    await caller.silence(0.2)
    caller.send(invite(caller, callee, branch="2", cseq=2), port)
    await one.stops()
    await one.ask("resume", how="reply", status=503)
    assert (await caller.expect(503)).reason == "Service Unavailable"
    await callee.silence(0.1)


async def test_a_message_goes_on_by_itself_when_its_budget_is_spent(scene):
    _server, one, caller, callee, port = scene
    await one.ask("options", budget=0.2, trying=True)
    await one.ask("break", text="request_route")
    caller.send(invite(caller, callee), port)
    await one.stops()
    await caller.expect(100)
    assert (await one.told("budget"))["seconds"] == 0.2
    await callee.expect("INVITE")


async def test_at_most_so_many_are_parked(scene):
    _server, one, caller, _callee, port = scene
    await one.ask("options", most=2)
    await one.ask("break", text="request_route")
    for number in range(3):
        caller.send(caller.request("OPTIONS", "sip:x@127.0.0.1", branch=f"m{number}", cseq=number + 1), port)
    await one.told("passed")
    await caller.expect(200)
    assert len(one.session.parked) == 2
    assert await one.ask("release") == 2
    await caller.expect(200)
    await caller.expect(200)


async def test_the_timers_of_a_parked_transaction_stand_still(scene):
    server, one, caller, callee, port = scene
    await one.ask(
        "break", text=f"{line_of('exit;', CFG[CFG.index('t_relay') :]) + line_of('t_relay();') - 1}"
    )
    caller.send(invite(caller, callee), port)
    await one.stops()
    await callee.expect("INVITE")
    tx = next(iter(server.transactions.by_label.values()))
    branch = tx.branches[0]
    assert (branch.expire_at, branch.retransmit_at) == (0.0, 0.0)
    await callee.silence(0.8)  # T1 is half a second: it would have come again
    await one.ask("resume")
    await callee.expect("INVITE")
    assert branch.expire_at > server.now() + 20


async def test_back_shows_the_message_as_it_was_and_who_did_it(scene):
    _server, one, caller, callee, port = scene
    await one.ask("break", text="fn:t_relay")
    caller.send(invite(caller, callee), port)
    await one.stops()
    target = f"sip:127.0.0.1:{callee.port}"
    assert await one.value("$du") == target
    found = await one.ask("who", text="$du")
    assert (found["line"], found["before"], found["value"]) == (line_of("$du ="), None, target)
    assert (await one.ask("who", text="$avp(x)"))["line"] == line_of("$avp(x)")
    assert (await one.ask("who", text="$ci"))["number"] == -1
    here = await one.ask("goto", number=4)
    assert here["line"] == line_of("$avp(x)")
    assert here["effects"] == [{"what": "$avp(x)", "old": None, "new": "one"}]
    assert (await one.value("$du"), await one.value("$avp(x)")) == (None, None)
    with pytest.raises(Mistake, match="past cannot be changed"):
        await one.ask("execute", text="$du = $null")
    await one.ask("now")
    assert (await one.value("$du"), await one.value("$avp(x)")) == (target, "one")
    await one.ask("resume")


async def test_two_hundred_statements_are_stepped_back(kamtool, peer, debugger):
    loop = "".join(f"$var(n) = {number};\n" for number in range(1, 201))
    server = await kamtool("request_route {\n" + loop + 'sl_send_reply("200", "OK"); }')
    one, caller = await debugger(server), await peer()
    await one.ask("break", text="fn:sl_send_reply")
    caller.send(caller.request("OPTIONS", "sip:x@127.0.0.1"), port_of(server))
    await one.stops()
    for number in range(199, 0, -1):
        here = await one.ask("back")
        assert here["number"] == number
        assert await one.value("$var(n)") == number
    assert (await one.ask("who", text="$var(n)"))["number"] == 0
    await one.ask("now")
    assert await one.value("$var(n)") == 200
    await one.ask("resume")


async def test_info_knows_the_message_its_branches_and_its_transaction(scene):
    _server, one, caller, callee, port = scene
    await one.ask("break", text="failure_route[F]")
    caller.send(invite(caller, callee), port)
    await settle(caller, callee, port)
    await one.stops()

    async def info(what):
        return await one.ask("information", what=what)

    (branch,) = await info("branches")
    assert (branch["status"], branch["to"]) == (486, f"udp:127.0.0.1:{callee.port}")
    assert (await info("tm"))["status"] == 100
    assert await info("avps") == {"$avp(x)": "one"}
    assert (await info("flags"))["flags"] == ["3", "5"]
    assert (await info("msg"))["call-id"] == "live"
    stack = await one.ask("backtrace")
    assert [each["route"] for each in stack["visits"]][-1] == "failure_route[F]"
    await one.ask("resume")
    await caller.expect(100)
    await caller.expect(480)


@pytest.mark.parametrize(
    ("command", "arguments", "message", "hint"),
    [
        ("break", {"text": "route[NEX]"}, "there is no route[NEX]", "did you mean `route[NEXT]`?"),
        ("break", {"text": "fn:t_rela"}, "the cfg does not call t_rela", "did you mean `t_relay`?"),
        ("break", {"text": "9999"}, "no statement at or behind", ""),
        ("break", {"text": "nowhere.cfg:3"}, "no statement stands in nowhere.cfg", "the cfg is made of"),
        ("break", {"text": "rubbish"}, "is no place to stop", "a line"),
        ("break", {"text": "request_route if $nosuch == 1"}, "no pseudo-variable `$nosuch`", ""),
        ("break", {"text": "request_route if t_relay()"}, "waits for something", ""),
        ("delete", {"number": 7}, "there is no breakpoint 7", ""),
        ("evaluate", {"text": "$ru"}, "no message is parked", ""),
        ("resume", {"how": "sideways"}, "nothing goes on by", ""),
        ("nosuch", {}, "there is no command 'nosuch'", ""),
        ("break", {"wrong": 1}, "break: ", ""),
        ("options", {"budget": "x"}, "cannot be", ""),
    ],
)
async def test_what_is_asked_wrongly_is_a_line_and_a_hint(scene, command, arguments, message, hint):
    with pytest.raises(Mistake) as caught:
        await scene[1].ask(command, **arguments)
    assert message in caught.value.message
    assert hint in caught.value.hint


async def test_detaching_lets_everything_go_and_leaves_the_same_program(kamtool, peer, debugger):
    server = await kamtool(CFG)
    plain, replies = server.program, server.replies
    one, caller, callee, port = await debugger(server), await peer(), await peer(), port_of(server)
    assert server.program is not plain
    await one.ask("break", text="request_route")
    caller.send(invite(caller, callee), port)
    await one.stops()
    one.session.detach()
    assert (server.program is plain, server.replies is replies) == (True, True)
    assert not any(action.armed for action in server.observers.actions)
    await callee.expect("INVITE")


async def test_attaching_and_detaching_again_and_again_loses_no_message(kamtool, peer, debugger):
    server = await kamtool(CFG)
    caller, port = await peer(), port_of(server)
    answered = 0

    async def attach_all_the_time():
        while answered < 1500:
            one = await debugger(server)
            await one.ask("break", text='request_route if $rm == "BYE"')
            await asyncio.sleep(0.005)
            one.session.detach()
            await asyncio.sleep(0.002)

    attaching = asyncio.ensure_future(attach_all_the_time())
    for number in range(1500):
        caller.send(
            caller.request("OPTIONS", "sip:x@127.0.0.1", branch=f"a{number}", call_id=f"a{number}"), port
        )
        assert (await caller.expect(200)).call_id == f"a{number}"
        answered += 1
    await attaching
    assert server.observers.watching == []


async def test_without_history_only_the_statement_with_the_breakpoint_is_armed(kamtool, debugger):
    server = await kamtool(CFG)
    one = await debugger(server, history=0)
    await one.ask("break", text="fn:t_relay")
    assert [action.name for action in server.observers.actions if action.armed] == ["t_relay"]
    await one.ask("break", text="watch $du")
    assert all(action.armed for action in server.observers.actions)


async def test_a_message_is_stepped_without_any_history(kamtool, peer, debugger):
    server = await kamtool(CFG)
    one, caller, callee = await debugger(server, history=0), await peer(), await peer()
    await one.ask("break", text="fn:t_relay")
    caller.send(invite(caller, callee), port_of(server))
    await one.stops()
    assert (await one.step("over"))["name"] == "exit"
    await one.ask("resume", how="into")
    callee.send(callee.answer(await callee.expect("INVITE"), 486), port_of(server))
    assert (await one.stops())["route"] == "onreply_route[R]"
    with pytest.raises(Mistake, match="nothing was recorded"):
        await one.ask("back")
    await one.ask("resume")


async def test_dbg_breakpoint_in_the_cfg_stops_where_it_stands(kamtool, peer, debugger):
    text = 'loadmodule "sl.so"\nloadmodule "pv.so"\nloadmodule "debugger.so"\n'
    text += 'request_route { dbg_breakpoint("0"); dbg_breakpoint("1"); sl_send_reply("200", "OK"); }'
    server = await kamtool("#!KAMAILIO\n" + text.replace('("0"); ', '("0");\n'))
    one, caller = await debugger(server), await peer()
    caller.send(caller.request("OPTIONS", "sip:x@127.0.0.1"), port_of(server))
    stopped = await one.stops()
    assert (stopped["reason"], stopped["name"], stopped["line"]) == ("dbg_breakpoint", "dbg_breakpoint", 6)
    await one.ask("resume")
    await caller.expect(200)


async def test_after_a_reload_breakpoints_are_found_anew(kamtool, peer, debugger):
    cfg = CFG
    server = await kamtool(cfg)
    one, caller, port = await debugger(server), await peer(), port_of(server)
    await one.ask("break", text="fn:sl_send_reply")
    await one.ask("break", text="branch_route[B]")
    changed = cfg.replace("request_route {", "# moved\nrequest_route {").replace(
        "branch_route[B]", "branch_route[C]"
    )
    await Reloader(server, lambda: load(changed.replace('t_on_branch("B")', 't_on_branch("C")'))).reload()
    told = await one.told("reloaded")
    assert [bool(each["trouble"]) for each in told["breakpoints"]] == [False, True]
    caller.send(caller.request("OPTIONS", "sip:x@127.0.0.1"), port)
    assert (await one.stops())["line"] == line_of("sl_send_reply", changed)
    await one.ask("resume")
    await caller.expect(200)
    one.session.detach()
    assert server.program.actions == ()
