"""Relaying with a transaction: RFC 3261 §16 and §17, without sockets, time a number."""

import asyncio
import gc
import re

import pytest

from kamtool.script.context import Branch, Exit
from kamtool.transport.target import Target
from tests.support.offline import BOB, CAROL, DAVE, Offline, answer, lines, request
from tests.support.until import until

CAROLS = "sip:carol@192.0.2.30"
DAVES = "sip:dave@192.0.2.40"


def relaying(*uris, on_failure="", on_reply="", on_branch="", **options):
    """A server that relays to the R-URI and to `uris` beside it."""

    async def route(ctx):
        for uri in uris:
            if ctx.msg.method == "INVITE":
                ctx.add_branch(Branch(uri))
        ctx.on_failure, ctx.on_reply, ctx.on_branch = on_failure, on_reply, on_branch
        return await phones.tm.t_relay(ctx)

    phones = Offline(route, **options)
    return phones


def test_a_call_goes_through():
    net = relaying()
    sent = net.receive(request("INVITE"))
    assert lines(sent) == [
        "alice: 100 trying -- your call is important to us",
        "bob: INVITE sip:bob@192.0.2.20",
    ]
    invite = sent[1]
    assert len(invite.msg.items("Via")) == 2
    assert invite.msg.top_via.host == "192.0.2.1"
    assert lines(net.receive(answer(invite, 100), BOB)) == []
    ringing = net.receive(answer(invite, 180, "Ringing"), BOB)
    assert lines(ringing) == ["alice: 180 Ringing"]
    assert ringing[0].msg.items("Via") == ["SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKa1"]
    assert lines(net.receive(answer(invite, 200, "OK"), BOB)) == ["alice: 200 OK"]
    ack = net.receive(request("ACK", branch="a2", to_tag="bob"))
    assert lines(ack) == ["bob: ACK sip:bob@192.0.2.20"]
    bye = net.receive(request("BYE", branch="a3", cseq=2, to_tag="bob"))
    assert lines(bye) == ["bob: BYE sip:bob@192.0.2.20"]
    assert lines(net.receive(answer(bye[0], 200, "OK"), BOB)) == ["alice: 200 OK"]


def test_what_is_not_ours_leaves_octet_for_octet():
    net = relaying()
    headers = "X-Odd :  two   spaces\r\nsubject:\tfolded\r\n  line\r\n"
    before = request("MESSAGE", headers=headers, body="hello\0")
    sent = net.receive(before)[0].msg.data.decode()
    first, _, rest = sent.partition("\r\n")
    via, _, rest = rest.partition("\r\n")
    assert via.startswith("Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK")
    assert f"{first}\r\n{rest}" == before


def test_a_retransmitted_request_gets_the_last_response_and_is_not_relayed_again():
    """RFC 3261 17.2.1, 17.2.2."""
    net = relaying()
    invite = net.receive(request("INVITE"))[1]
    assert lines(net.receive(request("INVITE"))) == ["alice: 100 trying -- your call is important to us"]
    net.receive(answer(invite, 180, "Ringing"), BOB)
    assert lines(net.receive(request("INVITE"))) == ["alice: 180 Ringing"]
    net.receive(answer(invite, 486, "Busy"), BOB)
    assert lines(net.receive(request("INVITE"))) == ["alice: 486 Busy"]
    net.receive(request("ACK", to_tag="bob"))
    assert lines(net.receive(request("INVITE"))) == []


def test_an_accepted_invite_absorbs_retransmissions_and_passes_those_of_the_2xx():
    """RFC 6026 7.1; RFC 3261 16.7 step 5."""
    net = relaying()
    invite = net.receive(request("INVITE"))[1]
    net.receive(answer(invite, 200, "OK"), BOB)
    assert lines(net.receive(request("INVITE"))) == []
    assert lines(net.receive(answer(invite, 200, "OK"), BOB)) == ["alice: 200 OK"]
    assert lines(net.receive(answer(invite, 200, "OK"), BOB)) == ["alice: 200 OK"]


def test_a_retransmitted_final_answer_to_another_request_is_absorbed():
    net = relaying()
    bye = net.receive(request("BYE", to_tag="bob"))[0]
    assert lines(net.receive(answer(bye, 200, "OK"), BOB)) == ["alice: 200 OK"]
    assert lines(net.receive(answer(bye, 200, "OK"), BOB)) == []


def test_an_unanswered_invite_is_repeated_and_ends_in_408():
    """Timer A doubles from T1; fr_timer is timer B; the caller's ACK ends the matter."""
    net = relaying()
    net.receive(request("INVITE"))
    start, times = net.clock, []
    while net.clock < start + 31:
        for sent in net.wait(0.05):
            times.append((str(sent).split(" sip")[0], round(net.clock - start, 1)))
    assert times[:6] == [("bob: INVITE", at) for at in (0.5, 1.5, 3.5, 7.5, 15.5)] + [
        ("alice: 408 Request Timeout", 30.0)
    ]
    net.receive(request("ACK", to_tag="x"))
    assert lines(net.wait(20)) == []


def test_another_unanswered_request_is_repeated_up_to_every_t2():
    net = relaying()
    net.receive(request("OPTIONS"))
    times = []
    for _ in range(200):
        times += [(round(net.clock - 1000, 1), str(sent)[:9]) for sent in net.wait(0.05)]
    repeated = [(at, "bob: OPTI") for at in (0.5, 1.5, 3.5, 7.5)]
    # RFC 4320 4.1: once timer E has reached T2, the caller is told that we try.
    assert times == [*repeated[:3], (3.5, "alice: 10"), repeated[3]]


def test_no_request_but_invite_is_answered_408():
    """RFC 4320 4.2: its client gives up at the same time. Its retransmissions are absorbed."""
    net = relaying(params={"fr_timer": 1000})
    net.receive(request("OPTIONS"))
    assert [line for line in lines(net.wait(2)) if line.startswith("alice")] == []
    assert net.receive(request("OPTIONS")) == []
    net.wait(40)
    assert len(net.server.transactions) == 0


def test_a_late_2xx_of_a_callee_that_never_rang_reaches_the_caller():
    net = relaying(params={"fr_timer": 1000})
    invite = net.receive(request("INVITE"))[-1]
    assert "alice: 408 Request Timeout" in lines(net.wait(1.2))
    assert lines(net.receive(answer(invite, 180), BOB)) == ["bob: CANCEL sip:bob@192.0.2.20"]
    assert lines(net.receive(answer(invite, 200, "Late"), BOB)) == ["alice: 200 Late"]


def test_a_final_answer_to_an_invite_is_repeated_until_its_ack():
    """RFC 3261 17.2.1, timer G."""
    net = relaying()
    invite = net.receive(request("INVITE"))[1]
    net.receive(answer(invite, 486, "Busy"), BOB)
    assert lines(net.wait(0.6)) == ["alice: 486 Busy"]
    assert lines(net.wait(1.0)) == ["alice: 486 Busy"]
    net.receive(request("ACK", to_tag="bob"))
    assert lines(net.wait(10)) == []


def test_we_acknowledge_a_failure_ourselves_and_again_when_it_is_repeated():
    """RFC 3261 17.1.1.3."""
    net = relaying()
    invite = net.receive(request("INVITE", headers="Route: <sip:192.0.2.20;lr>\r\n"))[1]
    first = net.receive(answer(invite, 486, "Busy"), BOB)
    assert lines(first) == ["bob: ACK sip:bob@192.0.2.20", "alice: 486 Busy"]
    ack = first[0].msg
    assert ack.items("Via") == [invite.msg.items("Via")[0]]
    assert ack.to_tag == "bob"
    assert ack.header("CSeq") == "1 ACK"
    assert ack.headers("Route") == ["<sip:192.0.2.20;lr>"]
    assert lines(net.receive(answer(invite, 486, "Busy"), BOB)) == ["bob: ACK sip:bob@192.0.2.20"]


def test_a_fork_ends_with_the_first_2xx_and_cancels_the_others():
    """RFC 3261 16.7 step 10; RFC 3326."""
    net = relaying(CAROLS, DAVES)
    sent = net.receive(request("INVITE"))
    assert [each.to for each in sent] == ["alice", "bob", "carol", "dave"]
    _, bob, carol, dave = sent
    net.receive(answer(bob, 180, "Ringing"), BOB)
    net.receive(answer(carol, 180, "Ringing"), CAROL)
    won = net.receive(answer(carol, 200, "OK", to_tag="carol"), CAROL)
    assert lines(won) == ["alice: 200 OK", "bob: CANCEL sip:bob@192.0.2.20"]
    assert won[1].msg.header("Reason") == 'SIP;cause=200;text="Call completed elsewhere"'
    # Dave has not answered at all: his CANCEL waits for a provisional response (§9.1).
    assert lines(net.receive(answer(dave, 180, "Ringing"), DAVE)) == ["dave: CANCEL sip:dave@192.0.2.40"]
    late = net.receive(answer(bob, 200, "OK", to_tag="bob"), BOB)
    assert lines(late) == ["alice: 200 OK"]


def test_a_6xx_cancels_the_others_and_wins():
    net = relaying(CAROLS, DAVES)
    _, bob, carol, dave = net.receive(request("INVITE"))
    for phone, source in ((bob, BOB), (carol, CAROL), (dave, DAVE)):
        net.receive(answer(phone, 180, "Ringing"), source)
    net.receive(answer(bob, 486, "Busy"), BOB)
    declined = net.receive(answer(carol, 603, "Decline"), CAROL)
    assert lines(declined) == ["carol: ACK sip:carol@192.0.2.30", "dave: CANCEL sip:dave@192.0.2.40"]
    assert declined[1].msg.header("Reason") == 'SIP;cause=603;text="Decline"'
    end = net.receive(answer(dave, 487, "Request Terminated"), DAVE)
    assert lines(end) == ["dave: ACK sip:dave@192.0.2.40", "alice: 603 Decline"]


def test_with_disable_6xx_block_a_6xx_is_a_failure_like_others():
    net = relaying(CAROLS, params={"disable_6xx_block": 1})
    _, bob, carol = net.receive(request("INVITE"))
    assert lines(net.receive(answer(bob, 603, "Decline"), BOB)) == ["bob: ACK sip:bob@192.0.2.20"]
    assert lines(net.receive(answer(carol, 200, "OK"), CAROL)) == ["alice: 200 OK"]


@pytest.mark.parametrize(
    ("statuses", "winner"),
    [
        ((486, 404), 404),
        ((480, 486), 480),
        ((500, 404), 404),
        ((302, 301), 301),
        ((484, 415), 415),
        ((502, 500), 500),
        ((603, 600), 600),
        ((404, 302), 302),
        ((404, 401), 401),
        ((404, 484), 484),
        ((503, 502), 502),
        ((503, 503), 500),
        ((404, 600), 600),
    ],
)
def test_the_best_of_the_failures_goes_on(statuses, winner):
    """RFC 3261 16.7 step 6; where it leaves the choice, Kamailio's."""
    net = relaying(CAROLS, params={"disable_6xx_block": 1})
    _, bob, carol = net.receive(request("INVITE"))
    net.receive(answer(bob, statuses[0]), BOB)
    end = net.receive(answer(carol, statuses[1]), CAROL)
    assert end[-1].to == "alice"
    assert end[-1].msg.status == winner


def test_the_challenges_of_all_branches_are_gathered():
    """RFC 3261 16.7 step 7."""
    net = relaying(CAROLS)
    _, bob, carol = net.receive(request("INVITE"))
    net.receive(answer(bob, 401, headers='WWW-Authenticate: Digest realm="b"\r\n'), BOB)
    end = net.receive(answer(carol, 407, headers='Proxy-Authenticate: Digest realm="c"\r\n'), CAROL)
    assert end[-1].msg.status == 401
    assert end[-1].msg.header("WWW-Authenticate") == 'Digest realm="b"'
    assert end[-1].msg.header("Proxy-Authenticate") == 'Digest realm="c"'


def test_cancel_is_answered_and_goes_to_the_branches_that_ring():
    """RFC 3261 9.2, 16.10; e2e_cancel_reason."""
    net = relaying(CAROLS)
    _, bob, carol = net.receive(request("INVITE"))
    net.receive(answer(bob, 180, "Ringing"), BOB)
    reason = 'Reason: SIP;cause=487;text="bored"\r\n'
    sent = net.receive(request("CANCEL", headers=reason))
    assert lines(sent) == ["alice: 200 canceling", "bob: CANCEL sip:bob@192.0.2.20"]
    cancel = sent[1].msg
    assert cancel.items("Via") == [bob.msg.items("Via")[0]]
    assert cancel.header("CSeq") == "1 CANCEL"
    assert cancel.header("Reason") == 'SIP;cause=487;text="bored"'
    assert lines(net.receive(answer(carol, 180, "Ringing"), CAROL)) == [
        "carol: CANCEL sip:carol@192.0.2.30",
        "alice: 180 Ringing",
    ]
    assert lines(net.receive(answer(sent[1], 200, "OK"), BOB)) == []
    net.receive(answer(bob, 487, "Request Terminated"), BOB)
    end = net.receive(answer(carol, 487, "Request Terminated"), CAROL)
    assert lines(end) == ["carol: ACK sip:carol@192.0.2.30", "alice: 487 Request Terminated"]


def test_a_repeated_cancel_is_answered_and_not_relayed_again():
    net = relaying()
    bob = net.receive(request("INVITE"))[1]
    net.receive(answer(bob, 180, "Ringing"), BOB)
    net.receive(request("CANCEL"))
    assert lines(net.receive(request("CANCEL"))) == ["alice: 200 canceling"]


def test_cancel_of_a_branch_that_never_answers_ends_in_487():
    net = relaying()
    net.receive(request("INVITE"))
    assert lines(net.receive(request("CANCEL"))) == ["alice: 200 canceling"]
    end = [str(sent) for sent in net.wait(31) if sent.to == "alice"]
    assert end[0] == "alice: 487 Request Terminated"


def test_a_2xx_that_crosses_the_cancel_still_reaches_the_caller():
    """RFC 3261 9.1: the 2xx wins the race."""
    net = relaying()
    bob = net.receive(request("INVITE"))[1]
    net.receive(answer(bob, 180, "Ringing"), BOB)
    net.receive(request("CANCEL"))
    assert lines(net.receive(answer(bob, 200, "OK"), BOB)) == ["alice: 200 OK"]


def test_a_2xx_after_our_408_still_reaches_the_caller():
    """RFC 3261 16.7 step 5."""
    net = relaying(params={"fr_inv_timer": 2000})
    bob = net.receive(request("INVITE"))[1]
    net.receive(answer(bob, 180, "Ringing"), BOB)
    late = net.wait(2.1)
    assert lines(late) == ["bob: CANCEL sip:bob@192.0.2.20", "alice: 408 Request Timeout"]
    assert late[0].msg.header("Reason") is None
    assert lines(net.receive(answer(bob, 200, "OK"), BOB)) == ["alice: 200 OK"]


def test_every_provisional_response_restarts_timer_c():
    """RFC 3261 16.7 step 2."""
    net = relaying(params={"fr_inv_timer": 2000})
    bob = net.receive(request("INVITE"))[1]
    for _ in range(4):
        net.receive(answer(bob, 180, "Ringing"), BOB)
        assert lines(net.wait(1.5)) == []
    assert lines(net.wait(1.0)) == ["bob: CANCEL sip:bob@192.0.2.20", "alice: 408 Request Timeout"]


def test_a_cancel_without_its_invite_is_relayed_as_it_is():
    net = relaying()
    assert lines(net.receive(request("CANCEL"))) == ["bob: CANCEL sip:bob@192.0.2.20"]


def test_a_cancel_without_its_invite_is_dropped_when_the_cfg_says_so():
    net = relaying(params={"unmatched_cancel": 2})
    assert lines(net.receive(request("CANCEL"))) == []


def test_a_failure_route_sends_the_call_elsewhere():
    async def voicemail(ctx):
        assert net.tm.t_check_status(ctx, re.compile("486|408"))
        ctx.new_uri = CAROLS
        return await net.tm.t_relay(ctx)

    net = relaying(on_failure="VM", failure_routes={"VM": voicemail})
    bob = net.receive(request("INVITE"))[1]
    sent = net.receive(answer(bob, 486, "Busy"), BOB)
    assert lines(sent) == ["bob: ACK sip:bob@192.0.2.20", "carol: INVITE sip:carol@192.0.2.30"]
    assert sent[1].msg.branch.endswith(".1")
    assert lines(net.receive(answer(sent[1], 200, "OK"), CAROL)) == ["alice: 200 OK"]


def test_a_failure_route_without_new_branches_lets_the_best_response_go_on():
    async def nothing(ctx):
        raise Exit()

    net = relaying(on_failure="F", failure_routes={"F": nothing})
    bob = net.receive(request("INVITE"))[1]
    assert lines(net.receive(answer(bob, 486, "Busy"), BOB))[-1] == "alice: 486 Busy"


def test_a_failure_route_may_answer_itself():
    async def polite(ctx):
        assert net.tm.t_reply(ctx, 480, "Later")
        return 1

    net = relaying(on_failure="F", failure_routes={"F": polite})
    bob = net.receive(request("INVITE"))[1]
    assert lines(net.receive(answer(bob, 486, "Busy"), BOB))[-1] == "alice: 480 Later"


def test_a_failure_route_must_be_armed_again():
    runs = []

    async def again(ctx):
        runs.append(ctx.branch_index)
        ctx.new_uri = CAROLS
        return await net.tm.t_relay(ctx)

    net = relaying(on_failure="F", failure_routes={"F": again})
    bob = net.receive(request("INVITE"))[1]
    carol = net.receive(answer(bob, 486, "Busy"), BOB)[1]
    assert lines(net.receive(answer(carol, 404, "Nobody"), CAROL))[-1] == "alice: 404 Nobody"
    assert runs == [0]


def test_with_failure_reply_mode_3_only_the_new_branches_count():
    async def again(ctx):
        ctx.new_uri = CAROLS
        return await net.tm.t_relay(ctx)

    net = relaying(on_failure="F", failure_routes={"F": again}, params={"failure_reply_mode": 3})
    bob = net.receive(request("INVITE"))[1]
    carol = net.receive(answer(bob, 404, "Nobody"), BOB)[1]
    assert lines(net.receive(answer(carol, 486, "Busy"), CAROL))[-1] == "alice: 486 Busy"


def test_in_a_failure_route_only_what_it_sets_is_tried():
    """Serial forking: append_branch alone does not try the first R-URI again."""

    async def only_carol(ctx):
        ctx.add_branch(Branch(CAROLS))
        return await net.tm.t_relay(ctx)

    net = relaying(on_failure="F", failure_routes={"F": only_carol})
    bob = net.receive(request("INVITE"))[1]
    sent = net.receive(answer(bob, 486, "Busy"), BOB)
    assert lines(sent[1:]) == ["carol: INVITE sip:carol@192.0.2.30"]


def test_a_timeout_runs_the_failure_route_too():
    seen = []

    async def failed(ctx):
        seen.append((net.tm.t_branch_timeout(ctx), net.tm.t_branch_replied(ctx), ctx.reply))
        return 1

    net = relaying(on_failure="F", failure_routes={"F": failed}, params={"fr_timer": 1000})
    net.receive(request("INVITE"))
    assert lines(net.wait(1.1))[-1] == "alice: 408 Request Timeout"
    assert seen == [(True, False, None)]


def test_a_branch_route_changes_one_branch_and_may_drop_another():
    async def per_branch(ctx):
        if ctx.branch_index == 1:
            raise Exit(dropped=True)
        at = ctx.msg.head_end
        ctx.edit(at, at, f"X-Branch: {ctx.branch_index}\r\n".encode())
        return 1

    net = relaying(CAROLS, on_branch="B", branch_routes={"B": per_branch})
    sent = net.receive(request("INVITE"))
    assert [each.to for each in sent] == ["alice", "bob"]
    assert sent[1].msg.headers("X-Branch") == ["0"]


def test_an_onreply_route_may_drop_a_provisional_response_but_no_final_one():
    async def silent(ctx):
        raise Exit(dropped=True)

    net = relaying(on_reply="R", onreply_routes={"R": silent})
    bob = net.receive(request("INVITE"))[1]
    assert lines(net.receive(answer(bob, 180, "Ringing"), BOB)) == []
    assert lines(net.receive(answer(bob, 200, "OK"), BOB)) == ["alice: 200 OK"]


def test_the_reply_route_may_drop_any_response_and_the_transaction_never_sees_it():
    async def deaf(ctx):
        raise Exit(code=0)

    net = relaying(reply_route=deaf)
    bob = net.receive(request("INVITE"))[1]
    assert lines(net.receive(answer(bob, 200, "OK"), BOB)) == []
    assert net.server.stats["core:drop_replies"] == 1
    net.server.program.reply_route = None
    assert lines(net.receive(answer(bob, 200, "OK"), BOB)) == ["alice: 200 OK"]


def test_exit_in_the_reply_route_lets_the_response_go_on():
    async def leaving(ctx):
        raise Exit()

    net = relaying(reply_route=leaving)
    bob = net.receive(request("INVITE"))[1]
    assert lines(net.receive(answer(bob, 200, "OK"), BOB)) == ["alice: 200 OK"]


def test_drop_in_the_onsend_route_makes_a_477():
    async def never(ctx):
        assert ctx.scratch["send.flow"].remote == BOB
        raise Exit(dropped=True)

    net = relaying(onsend_route=never)
    assert lines(net.receive(request("INVITE")))[1:] == [
        "alice: 477 Unfortunately error on sending to next hop occurred (477/TM)"
    ]


def test_a_peer_that_cannot_be_reached_makes_a_477():
    net = relaying()
    net.wire.refuse.add(BOB)
    assert lines(net.receive(request("INVITE")))[1:] == [
        "alice: 477 Unfortunately error on sending to next hop occurred (477/TM)"
    ]


def test_a_send_that_fails_later_runs_the_failure_route():
    async def elsewhere(ctx):
        ctx.new_uri = CAROLS
        return await net.tm.t_relay(ctx)

    net = relaying(on_failure="F", failure_routes={"F": elsewhere})
    bob = net.receive(request("INVITE"))[1]
    net.server.unsent(bob.msg.data, bob.flow)
    assert lines(net.taken()) == ["carol: INVITE sip:carol@192.0.2.30"]


def test_a_uri_that_leads_nowhere_makes_a_478():
    net = relaying()
    sent = net.receive(request("OPTIONS", uri="tel:+4930123456"))
    assert lines(sent) == ["alice: 478 Unresolvable destination (478/TM)"]


def test_at_most_twelve_branches():
    net = relaying(*[CAROLS] * 15)
    sent = net.receive(request("INVITE"))
    assert sum(each.msg.is_request for each in sent) == 12


def test_the_ack_of_a_stateless_reply_is_swallowed():
    async def refuse(ctx):
        runs.append(ctx.msg.method)
        net.sl.sl_send_reply(ctx, 404, "Nobody")
        return 1

    runs, net = [], Offline(refuse)
    first = net.receive(request("INVITE"))[0].msg
    assert first.to_tag
    assert net.receive(request("INVITE"))[0].msg.to_tag == first.to_tag
    assert lines(net.receive(request("ACK", to_tag=first.to_tag))) == []
    assert runs == ["INVITE", "INVITE"]
    assert net.server.stats["sl:received_ACKs"] == 1


def test_a_transaction_that_the_script_leaves_is_released():
    async def leave(ctx):
        return net.tm.t_newtran(ctx)

    net = Offline(leave)
    assert lines(net.receive(request("OPTIONS"))) == []
    assert len(net.server.transactions) == 0


def test_t_newtran_ends_the_script_for_a_retransmission():
    codes = []

    async def route(ctx):
        codes.append(net.tm.t_newtran(ctx))
        if codes[-1]:
            net.tm.t_reply(ctx, 486, "Busy")
        return 1

    net = Offline(route)
    assert lines(net.receive(request("INVITE"))) == ["alice: 486 Busy"]
    assert lines(net.receive(request("INVITE"))) == ["alice: 486 Busy"]
    assert codes == [1, 0]


def test_t_check_trans_knows_what_belongs_to_a_transaction():
    seen = []

    async def route(ctx):
        seen.append((ctx.msg.method, net.tm.t_check_trans(ctx)))
        return await net.tm.t_relay(ctx)

    net = Offline(route)
    bob = net.receive(request("INVITE"))[1]
    net.receive(request("INVITE"))
    net.receive(request("CANCEL"))
    net.receive(answer(bob, 200, "OK"), BOB)
    net.receive(request("ACK", branch="a9", to_tag="bob"))
    net.receive(request("ACK", branch="b9", to_tag="bob", call_id="other"))
    assert seen == [("INVITE", -1), ("INVITE", 0), ("CANCEL", 1), ("ACK", 1), ("ACK", -1)]


def test_a_script_that_fails_is_answered_500_and_hurts_nobody_else(caplog):
    async def route(ctx):
        if ctx.msg.method == "INFO":
            raise ZeroDivisionError("1/0")
        return await net.tm.t_relay(ctx)

    net = Offline(route)
    assert lines(net.receive(request("INFO"))) == ["alice: 500 Server Internal Error"]
    assert "call-1" in caplog.text
    assert lines(net.receive(request("OPTIONS", branch="o"))) == ["bob: OPTIONS sip:bob@192.0.2.20"]


def test_a_request_from_before_rfc_3261_is_matched_by_its_headers():
    """RFC 3261 17.2.3: without the magic cookie."""
    net = relaying()
    old = request("INVITE").replace("z9hG4bK", "")
    bob = net.receive(old)[1]
    assert bob.msg.branch.startswith("z9hG4bK")
    assert lines(net.receive(old)) == ["alice: 100 trying -- your call is important to us"]
    net.receive(answer(bob, 180, "Ringing"), BOB)
    cancelled = net.receive(request("CANCEL").replace("z9hG4bK", ""))
    assert lines(cancelled) == ["alice: 200 canceling", "bob: CANCEL sip:bob@192.0.2.20"]


def test_a_response_whose_top_via_is_not_ours_is_dropped():
    net = relaying()
    foreign = request("OPTIONS", source=CAROL).replace("OPTIONS sip:bob@192.0.2.20 SIP/2.0", "SIP/2.0 200 OK")
    assert lines(net.receive(foreign, BOB)) == []
    assert net.server.stats["core:drop_replies"] == 1


def test_a_forged_branch_finds_nothing():
    net = relaying()
    bob = net.receive(request("INVITE"))[1]
    forged = answer(bob, 200, "OK").replace(bob.msg.branch, bob.msg.branch[:-4] + "zz.0")
    assert [each.msg.status for each in net.receive(forged, BOB)] in ([], [200])
    for branch in (bob.msg.branch[:-1] + "7", bob.msg.branch[:-2], bob.msg.branch + "99999999999"):
        net.receive(answer(bob, 200, "OK").replace(bob.msg.branch, branch), BOB)
    assert not next(iter(net.server.transactions.by_label.values())).is_answered


def test_finished_transactions_are_freed_without_the_garbage_collector():
    """RFC 3261 timers L, M, J and K; then nothing may be left."""
    net = relaying()
    gc.collect()
    gc.disable()
    try:
        invite = net.receive(request("INVITE"))[1]
        net.receive(answer(invite, 180, "Ringing"), BOB)
        net.receive(answer(invite, 200, "OK"), BOB)
        bye = net.receive(request("BYE", branch="b", cseq=2, to_tag="bob"))[0]
        net.receive(answer(bye, 200, "OK"), BOB)
        net.wait(40)
        layer = net.server.transactions
        assert (len(layer), len(layer.by_key), len(layer.dialogs)) == (0, 0, 0)
        names = {type(each).__name__ for each in gc.get_objects()}
        assert not {name for name in names if name.endswith(("ServerTransaction", "ClientTransaction"))}
    finally:
        gc.enable()


def test_reliable_transports_repeat_nothing():
    net = relaying()
    sent = net.receive(request("INVITE", uri="sip:bob@192.0.2.20;transport=tcp"))
    assert sent[1].flow.transport == "tcp"
    assert sent[1].msg.top_via.transport == "TCP"
    assert lines(net.wait(29)) == []
    assert lines(net.wait(2))[0] == "alice: 408 Request Timeout"


def test_a_name_with_two_addresses_is_tried_at_the_second_when_the_first_is_silent():
    """RFC 3263 4.3."""
    net = relaying(params={"fr_timer": 1000})

    async def resolve(host, port, transport, *, secure=False):
        assert (host, port) == ("phones.example", 5060)
        return [Target("udp", BOB), Target("udp", CAROL)]

    net.wire.resolver.resolve = resolve
    first = net.receive(request("OPTIONS", uri="sip:x@phones.example:5060"))
    assert lines(first) == ["bob: OPTIONS sip:x@phones.example:5060"]
    second = [sent for sent in net.wait(1.2) if sent.to == "carol"]
    assert lines(second[:1]) == ["carol: OPTIONS sip:x@phones.example:5060"]
    assert second[0].msg.items("Via")[0] != first[0].msg.items("Via")[0]
    assert second[0].msg.items("Via")[1:] == first[0].msg.items("Via")[1:]
    assert lines(net.receive(answer(second[0], 200, "OK"), CAROL)) == ["alice: 200 OK"]


def test_when_every_address_is_silent_the_caller_gets_408():
    net = relaying(params={"fr_timer": 1000})

    async def resolve(host, port, transport, *, secure=False):
        return [Target("udp", BOB), Target("udp", CAROL)]

    net.wire.resolver.resolve = resolve
    net.receive(request("INVITE", uri="sip:x@phones.example:5060"))
    assert "alice: 408 Request Timeout" in lines(net.wait(2.3))


def test_serial_forking_by_q():
    """t_load_contacts and t_next_contacts: the highest q first, equals together, -2 when none is left."""
    codes = []

    async def route(ctx):
        ctx.q = 500
        ctx.add_branch(Branch(CAROLS, q=900))
        ctx.add_branch(Branch(DAVES, q=900))
        assert net.tm.t_load_contacts(ctx) == 1
        codes.append(net.tm.t_next_contacts(ctx))
        net.tm.t_on_failure(ctx, "NEXT")
        return await net.tm.t_relay(ctx)

    async def following(ctx):
        codes.append(net.tm.t_next_contacts(ctx))
        if codes[-1] == 1:
            net.tm.t_on_failure(ctx, "NEXT")
            await net.tm.t_relay(ctx)
        return 1

    net = Offline(route, failure_routes={"NEXT": following})
    _, carol, dave = net.receive(request("INVITE"))
    assert (carol.to, dave.to) == ("carol", "dave")
    net.receive(answer(carol, 486), CAROL)
    bob = net.receive(answer(dave, 486), DAVE)[-1]
    assert str(bob) == "bob: INVITE sip:bob@192.0.2.20"
    assert net.receive(answer(bob, 404), BOB)[-1].msg.status == 404
    assert codes == [1, 1, -2]


def test_timers_of_one_transaction():
    """t_set_fr: the second parameter is fr_timer."""

    async def route(ctx):
        net.tm.t_set_fr(ctx, 0, 700)
        return await net.tm.t_relay(ctx)

    net = Offline(route)
    net.receive(request("INVITE"))
    assert "alice: 408 Request Timeout" in lines(net.wait(0.8))


def test_replicated_requests_have_no_voice():
    async def route(ctx):
        await net.tm.t_replicate(ctx, CAROLS)
        net.sl.sl_send_reply(ctx, 200, "OK")
        return 1

    net = Offline(route)
    sent = net.receive(request("REGISTER"))
    assert lines(sent) == ["carol: REGISTER sip:bob@192.0.2.20", "alice: 200 OK"]
    assert lines(net.receive(answer(sent[0], 500), CAROL)) == []
    net.wait(40)
    assert len(net.server.transactions) == 0


def test_path_becomes_route():
    """RFC 3327 5.3: the Path of a binding is the Route of what is sent to it."""

    async def route(ctx):
        ctx.path = "<sip:192.0.2.30;lr>"
        ctx.dst_uri = "sip:192.0.2.30;lr"
        return await net.tm.t_relay(ctx)

    net = Offline(route)
    sent = net.receive(request("OPTIONS"))
    assert lines(sent) == ["carol: OPTIONS sip:bob@192.0.2.20"]
    assert sent[0].msg.headers("Route") == ["<sip:192.0.2.30;lr>"]


async def test_a_request_of_our_own_gets_its_answer():
    net = await asyncio.to_thread(Offline)
    work = asyncio.ensure_future(net.server.uac.request("OPTIONS", "sip:bob@192.0.2.20", []))
    await until(lambda: net.wire.sent)
    sent = net.taken()[0]
    assert sent.to == "bob"
    assert sent.msg.header("Max-Forwards") == "70"
    net.receive(answer(sent, 200, "OK"), BOB)
    status, response = await work
    assert (status, response.reason) == (200, "OK")
    assert len(net.server.transactions) == 0


def test_a_503_goes_on_as_500_with_its_reason():
    """RFC 3261 16.7 step 6; the phrase stays, as in Kamailio 5.6."""
    net = relaying()
    bob = net.receive(request("INVITE"))[1]
    assert (
        lines(net.receive(answer(bob, 503, "Service Unavailable"), BOB))[-1]
        == "alice: 500 Service Unavailable"
    )


def test_a_failure_route_keeps_du_and_t_relay_without_a_new_destination_fails():
    """As Kamailio 5.6.3 does: `$du` is what it was when t_relay ran; the best reply goes on."""
    codes = []

    async def route(ctx):
        ctx.dst_uri = "sip:192.0.2.30"
        net.tm.t_on_failure(ctx, "F")
        return await net.tm.t_relay(ctx)

    async def failed(ctx):
        assert ctx.dst_uri == "sip:192.0.2.30"
        codes.append(await net.tm.t_relay(ctx))
        return 1

    net = Offline(route, failure_routes={"F": failed})
    carol = net.receive(request("INVITE"))[1]
    assert carol.to == "carol"
    assert lines(net.receive(answer(carol, 404, "Nobody"), CAROL))[-1] == "alice: 404 Nobody"
    assert codes == [-1]
