# ruff: noqa: E501
"""What happens in each scenario, told from the side of the peers. `s` is the Stage."""

import asyncio

SCENARIOS = {}
"""By name: the family it belongs to, and the coroutine function."""


def scenario(*families):
    def add(function):
        for family in families or ("plain",):
            name = function.__name__ if family == "plain" else f"{function.__name__}__{family}"
            SCENARIOS[name] = (family, function)
        return function

    return add


async def ringing(s, case, *names, **more):
    """An INVITE to `case`, and every one of `names` rings; gives its text and their INVITEs."""
    text = s.invite(case, **more)
    invites = [await s.peers[name].get("INVITE") for name in names]
    for name, invite in zip(names, invites, strict=True):
        s.peers[name].reply(invite, 180, "Ringing")
        await s.alice.get("180")
    return text, *invites


def routes(ok):
    """The route set of the caller (RFC 3261 12.1.2)."""
    return [("Route", r) for r in reversed(ok.all("Record-Route"))]


def relayed(name, case, *headers, peer="bob", status=200, reason="OK", families=("plain",)):
    """A scenario: the INVITE goes to one peer, whose answer reaches the caller."""

    async def play(s):
        s.invite(case, *[(n, v(s) if callable(v) else v) for n, v in headers])
        callee = s.peers[peer]
        callee.reply(await callee.get("INVITE"), status, reason)
        await s.alice.get(str(status))

    play.__name__ = name
    scenario(*families)(play)


async def ack(s, ok, **more):
    """The ACK for a 2xx, by its Record-Routes."""
    uri = ok.get("Contact").strip("<>")
    tag = ok.get("To").partition("tag=")[2]
    s.alice.request("ACK", uri, *routes(ok), to_tag=tag, call=ok.get("Call-ID"), **more)


# Simple --------------------------------------------------------------------------------------------------


@scenario("plain", "parameters", "others")
async def a_call(s):
    _, b = await ringing(s, "rr", "bob")
    s.bob.reply(b, 200, "OK")
    ok = await s.alice.get("200")
    await ack(s, ok)
    await s.bob.get("ACK")
    s.alice.request("BYE", s.bob.uri, *routes(ok), ("X-Direction", "?"), to_tag="to-bob", cseq=2)
    s.bob.reply(await s.bob.get("BYE"), 200, "OK")
    await s.alice.get("200")


@scenario()
async def a_bye_from_the_callee(s):
    _, b = await ringing(s, "rr", "bob")
    s.bob.reply(b, 200, "OK")
    await ack(s, await s.alice.get("200"))
    await s.bob.get("ACK")
    routes = [("Route", r) for r in b.all("Record-Route")]
    s.bob.request(
        "BYE",
        s.alice.uri,
        *routes,
        ("X-Direction", "?"),
        to_tag="from-alice",
        tag="to-bob",
        call=b.get("Call-ID"),
    )
    s.alice.reply(await s.alice.get("BYE"), 200, "OK")
    await s.bob.get("200")


@scenario()
async def an_options_goes_through(s):
    s.invite("simple", method="OPTIONS")
    s.bob.reply(await s.bob.get("OPTIONS"), 200, "OK")
    await s.alice.get("200")


@scenario()
async def a_provisional_answer_to_a_message(s):
    s.invite("simple", method="MESSAGE")
    message = await s.bob.get("MESSAGE")
    s.bob.reply(message, 100, "Trying")
    s.bob.reply(message, 182, "Queued")
    await asyncio.sleep(0.1)
    s.bob.reply(message, 202, "Accepted")
    await s.alice.get("202")


@scenario()
async def a_message_is_stateless(s):
    s.invite("stateless", method="MESSAGE")
    message = await s.bob.get("MESSAGE")
    s.bob.reply(message, 100, "Trying")
    await asyncio.sleep(0.1)
    s.bob.reply(message, 200, "OK")
    await s.alice.get("200")


@scenario("plain", "others")
async def a_stateless_invite_and_its_100(s):
    text = s.invite("stateless")
    invite = await s.bob.get("INVITE")
    s.bob.reply(invite, 100, "Trying")
    await asyncio.sleep(0.1)
    s.bob.reply(invite, 180, "Ringing")
    await s.alice.get("180")
    s.alice.cancel(text)
    await s.bob.get("CANCEL")
    await s.alice.get("487")


@scenario("plain", "others")
async def a_100_of_the_callee(s):
    s.invite("simple")
    invite = await s.bob.get("INVITE")
    s.bob.reply(invite, 100, "Bob tries")
    await asyncio.sleep(0.1)
    s.bob.reply(invite, 486, "Busy")
    await s.alice.get("486")


@scenario()
async def max_forwards_ends_at_zero(s):
    s.invite("simple", forwards=0)
    await s.alice.get("483")


@scenario()
async def a_spiral_with_another_uri_goes_on(s):
    """It comes back to the server with another R-URI: RFC 3261 16.3 item 4 lets it pass."""
    s.invite("spiral", uri="sip:x@example.com", method="MESSAGE")
    s.bob.reply(await s.bob.get("MESSAGE"), 200, "OK")
    await s.alice.get("200")


@scenario()
async def a_loop_ends_by_max_forwards(s):
    s.invite("loop", uri="sip:x@example.com", method="MESSAGE", forwards=4)
    await s.alice.get("483")


@scenario("plain", "parameters")
async def a_busy_callee(s):
    s.invite("simple")
    s.bob.reply(await s.bob.get("INVITE"), 486, "Busy Here", ("Reason", "Q.850;cause=17"))
    await s.alice.get("486")


@scenario("plain", "parameters")
async def a_503_of_the_callee(s):
    s.invite("simple")
    s.bob.reply(await s.bob.get("INVITE"), 503, "Overloaded", ("Retry-After", "5"))
    await s.alice.get("50")


@scenario()
async def a_redirect_of_the_callee(s):
    s.invite("simple")
    s.bob.reply(await s.bob.get("INVITE"), 302, "Moved", ("X-Note", "there"))
    await s.alice.get("302")


@scenario()
async def an_unresolvable_next_hop(s):
    s.invite("relay_or_error", uri="sip:nobody@no-such-host.invalid")
    await s.alice.get("4")


@scenario()
async def an_unresolvable_next_hop_left_to_the_end(s):
    s.invite("simple", uri="sip:nobody@no-such-host.invalid")
    await s.alice.get("4")


# Answers made here ---------------------------------------------------------------------------------------


def answered(case, status, method="INVITE"):
    async def play(s):
        s.invite(case, method=method)
        await s.alice.get(status)

    play.__name__ = f"answer_{case}" + ("" if method == "INVITE" else f"_to_{method.lower()}")
    scenario("plain")(play)


for case, status in (
    ("sl", 403), ("sl_headers", 486), ("newtran_reply", 404), ("newtran_ringing", 486), ("newtran_twice", 480),
    ("send_reply", 410), ("send_reply_stateless", 410), ("sl_after_newtran", 403), ("release", 480),
    ("reply_200", 200), ("tm_send_reply", 488), ("async_reply", 486), ("next_hop", 480), ("mode0", 480),
    ("mode1", 480), ("sl_302", 302), ("t_302", 302), ("sl_code", 500), ("t_code", 500), ("send_mode", 404),
):  # fmt: skip
    answered(case, status)
for case, status in (("newtran_reply", 404), ("send_reply", 410), ("async_reply", 486), ("reply_200", 200)):
    answered(case, status, "OPTIONS")


@scenario()
async def a_transaction_that_is_left_alone(s):
    text = s.invite("newtran_only")
    await asyncio.sleep(0.3)
    s.alice.put(text)
    await asyncio.sleep(0.5)


@scenario()
async def a_dropped_transaction(s):
    text = s.invite("drop_rcode")
    await asyncio.sleep(0.3)
    s.alice.put(text)
    await asyncio.sleep(0.5)


@scenario()
async def the_script_answers_after_it_relayed(s):
    s.invite("reply_after_relay")
    await s.bob.get("INVITE")
    await s.alice.get("486")
    await asyncio.sleep(0.5)


@scenario()
async def a_local_answer_is_repeated_until_its_ack(s):
    s.alice.acks = False
    s.invite("newtran_reply")
    first = await s.alice.get("404")
    await s.alice.get("404")
    s.alice.ack_failure(first)
    await asyncio.sleep(1.0)


@scenario()
async def a_repeated_request_gets_its_answer_again(s):
    text = s.invite("newtran_reply", method="OPTIONS")
    await s.alice.get("404")
    s.alice.put(text)
    await s.alice.get("404")
    await asyncio.sleep(0.3)
    s.count(s.alice, "SIP/2.0 404")


@scenario()
async def a_repeated_invite_gets_the_last_provisional_again(s):
    text, _ = await ringing(s, "simple", "bob")
    s.alice.put(text)
    await s.alice.get("180")
    await asyncio.sleep(0.3)
    s.count(s.alice, "SIP/2.0 180")
    s.count(s.bob, "INVITE")


# Forking -------------------------------------------------------------------------------------------------


@scenario("plain", "parameters", "others")
async def the_first_2xx_cancels_the_other(s):
    _, b, _ = await ringing(s, "fork", "bob", "carol")
    s.bob.reply(b, 200, "OK")
    await s.alice.get("200")
    await s.carol.get("CANCEL")


@scenario()
async def two_2xx_both_reach_the_caller(s):
    s.carol.cancels = False
    _, b, c = await ringing(s, "fork", "bob", "carol")
    s.bob.reply(b, 200, "OK")
    await s.alice.get("200")
    s.carol.reply(await s.carol.get("CANCEL"), 200)
    s.carol.reply(c, 200, "Mine too")
    await s.alice.get("200 Mine")
    s.carol.reply(c, 200, "Mine too")
    await s.alice.get("200 Mine")


@scenario()
async def a_2xx_is_repeated_end_to_end(s):
    _, b = await ringing(s, "simple", "bob")
    for _ in range(3):
        s.bob.reply(b, 200, "OK")
        await s.alice.get("200")
    s.count(s.alice, "SIP/2.0 200")


def best(first, second, *families):
    async def play(s):
        s.invite("fork")
        b, c = await s.bob.get("INVITE"), await s.carol.get("INVITE")
        s.bob.reply(b, first, f"Bob {first}")
        await asyncio.sleep(0.15)
        s.carol.reply(c, second, f"Carol {second}")
        await s.alice.get("")
        await asyncio.sleep(0.5)

    play.__name__ = f"best_of_{first}_and_{second}"
    scenario(*families)(play)


for pair in ((404, 486), (486, 404), (486, 302), (302, 486), (500, 408), (503, 504), (503, 500), (603, 404),
             (404, 603), (401, 486), (486, 401), (415, 404), (600, 603), (404, 604), (480, 480), (488, 606)):  # fmt: skip
    best(*pair, "plain")
best(404, 603, "parameters")
best(603, 404, "parameters")
best(503, 504, "parameters")


@scenario("plain", "parameters")
async def challenges_are_gathered(s):
    s.invite("fork")
    b, c = await s.bob.get("INVITE"), await s.carol.get("INVITE")
    s.bob.reply(b, 401, "No", ("WWW-Authenticate", 'Digest realm="bob", nonce="1"'))
    await asyncio.sleep(0.1)
    s.carol.reply(c, 407, "No", ("Proxy-Authenticate", 'Digest realm="carol", nonce="2"'))
    await s.alice.get("4")


@scenario()
async def a_6xx_cancels_the_other_and_wins(s):
    _, b, _ = await ringing(s, "fork", "bob", "carol")
    s.bob.reply(b, 603, "Decline")
    await s.carol.get("CANCEL")
    await s.alice.get("603")


@scenario("plain", "parameters")
async def a_6xx_is_a_failure_like_others_when_asked(s):
    _, b, c = await ringing(s, "fork_no6xx", "bob", "carol")
    s.bob.reply(b, 603, "Decline")
    await asyncio.sleep(0.2)
    s.carol.reply(c, 200, "OK")
    await s.alice.get("2")


@scenario()
async def three_branches_one_wins(s):
    _, _b, _c, d = await ringing(s, "fork3", "bob", "carol", "dave")
    s.dave.reply(d, 200, "OK")
    await s.alice.get("200")
    await asyncio.sleep(0.5)


@scenario("plain", "parameters", "others")
async def a_silent_branch_and_a_winner(s):
    s.invite("fork")
    await s.bob.get("INVITE")
    c = await s.carol.get("INVITE")
    s.carol.reply(c, 200, "OK")
    await s.alice.get("200")
    await asyncio.sleep(0.4)


@scenario()
async def a_silent_branch_rings_after_the_winner(s):
    s.invite("fork")
    b, c = await s.bob.get("INVITE"), await s.carol.get("INVITE")
    s.carol.reply(c, 200, "OK")
    await s.alice.get("200")
    s.bob.reply(b, 180, "Ringing")
    await s.bob.get("CANCEL")


@scenario()
async def one_branch_silent_one_busy(s):
    s.invite("fork_short")
    await s.bob.get("INVITE")
    s.carol.reply(await s.carol.get("INVITE"), 486, "Busy")
    await s.alice.get("4")


@scenario("others")
async def one_branch_silent_one_server_error(s):
    s.invite("fork_short")
    await s.bob.get("INVITE")
    s.carol.reply(await s.carol.get("INVITE"), 500, "Broken")
    await s.alice.get("")
    await asyncio.sleep(1.5)


# CANCEL --------------------------------------------------------------------------------------------------


@scenario("plain", "parameters", "others")
async def the_caller_cancels_while_it_rings(s):
    text, _ = await ringing(s, "simple", "bob")
    s.alice.cancel(text, ("Reason", 'SIP;cause=487;text="gone"'))
    await s.bob.get("CANCEL")
    await s.alice.get("487")


@scenario()
async def two_reasons_in_a_cancel(s):
    text, _ = await ringing(s, "simple", "bob")
    s.alice.cancel(text, ("Reason", "SIP;cause=487"), ("Reason", 'Q.850;cause=16;text="bye"'))
    await s.bob.get("CANCEL")
    await s.alice.get("487")


@scenario()
async def a_reason_that_may_not_be_copied(s):
    text, _ = await ringing(s, "reason_off", "bob")
    s.alice.cancel(text, ("Reason", "SIP;cause=487"))
    await s.bob.get("CANCEL")


@scenario()
async def the_caller_cancels_a_fork(s):
    text, _, _ = await ringing(s, "fork", "bob", "carol")
    s.alice.cancel(text, ("Reason", "SIP;cause=487"))
    await s.bob.get("CANCEL")
    await s.carol.get("CANCEL")
    await s.alice.get("487")


@scenario("plain", "parameters", "others")
async def cancel_before_anything_came_back(s):
    s.unordered()
    text = s.invite("simple")
    b = await s.bob.get("INVITE")
    s.alice.cancel(text)
    await asyncio.sleep(0.3)
    s.bob.reply(b, 180, "Ringing")
    await asyncio.sleep(0.4)


@scenario("plain", "others")
async def cancel_of_a_silent_callee(s):
    s.unordered()
    text = s.invite("short")
    await s.bob.get("INVITE")
    s.alice.cancel(text)
    await s.alice.get("4")


@scenario("plain", "others")
async def cancel_crosses_a_2xx(s):
    s.bob.cancels = False
    text, b = await ringing(s, "simple", "bob")
    s.alice.cancel(text)
    cancel = await s.bob.get("CANCEL")
    s.bob.reply(b, 200, "Too late")
    s.bob.reply(cancel, 481, "Gone")
    await s.alice.get("200 Too late")


@scenario()
async def cancel_after_the_answer(s):
    text = s.invite("newtran_reply")
    await s.alice.get("404")
    s.alice.cancel(text)
    await asyncio.sleep(0.4)


@scenario()
async def cancel_after_the_2xx(s):
    text, b = await ringing(s, "simple", "bob")
    s.bob.reply(b, 200, "OK")
    await s.alice.get("200")
    s.alice.cancel(text)
    await asyncio.sleep(0.4)


@scenario()
async def a_repeated_cancel(s):
    s.bob.cancels = False
    text, _ = await ringing(s, "simple", "bob")
    s.alice.cancel(text)
    await s.bob.get("CANCEL")
    s.alice.cancel(text)
    await asyncio.sleep(0.2)
    s.count(s.alice, "SIP/2.0 200")


@scenario()
async def cancel_of_a_suspended_invite(s):
    s.unordered()
    text = s.invite("suspend")
    await s.alice.get("100")
    s.alice.cancel(text)
    await asyncio.sleep(2.0)


@scenario("plain", "others")
async def cancel_without_an_invite(s):
    text = s.invite("orphan")
    s.bob.reply(await s.bob.get("INVITE"), 486, "Busy")
    await s.alice.get("486")
    stray = text.replace("branch=z9", "branch=z9hG4bKother-z9").replace("Call-ID: ", "Call-ID: other-")
    s.alice.cancel(stray)
    await asyncio.sleep(0.5)


@scenario()
async def cancel_by_call_id(s):
    _, b = await ringing(s, "simple", "bob")
    s.invite("cancel_callid", ("X-Call", b.get("Call-ID")), method="OPTIONS", call="other")
    await s.bob.get("CANCEL")
    await s.alice.get("487")


@scenario()
async def answer_by_call_id(s):
    _, b = await ringing(s, "simple", "bob")
    s.invite("reply_callid", ("X-Call", b.get("Call-ID")), method="OPTIONS", call="other")
    await s.alice.get("487")
    await asyncio.sleep(0.4)


# Failure routes ------------------------------------------------------------------------------------------


@scenario("plain", "parameters", "others")
async def busy_then_elsewhere(s):
    s.invite("serial")
    s.bob.reply(await s.bob.get("INVITE"), 486, "Busy")
    c = await s.carol.get("INVITE")
    s.carol.reply(c, 200, "OK")
    await s.alice.get("200")


@scenario("plain", "parameters", "others")
async def not_found_then_busy(s):
    s.invite("serial")
    s.bob.reply(await s.bob.get("INVITE"), 404, "Not Found")
    s.carol.reply(await s.carol.get("INVITE"), 486, "Busy")
    await s.alice.get("4")


@scenario("plain", "parameters", "others")
async def redirect_then_busy_then_error(s):
    s.invite("serial3")
    s.bob.reply(await s.bob.get("INVITE"), 302, "Moved")
    s.carol.reply(await s.carol.get("INVITE"), 486, "Busy")
    s.dave.reply(await s.dave.get("INVITE"), 500, "Broken")
    await s.alice.get("")
    await asyncio.sleep(0.4)


@scenario()
async def a_fork_fails_then_elsewhere(s):
    s.invite("fork_serial")
    s.bob.reply(await s.bob.get("INVITE"), 486, "Busy")
    s.carol.reply(await s.carol.get("INVITE"), 404, "Not Found")
    s.dave.reply(await s.dave.get("INVITE"), 200, "OK")
    await s.alice.get("200")


@scenario()
async def silent_then_elsewhere(s):
    s.invite("short_failure")
    await s.bob.get("INVITE")
    c = await s.carol.get("INVITE")
    s.carol.reply(c, 200, "OK")
    await s.alice.get("200")


@scenario()
async def silent_then_elsewhere_then_a_late_2xx(s):
    s.invite("short_failure")
    b = await s.bob.get("INVITE")
    c = await s.carol.get("INVITE")
    s.carol.reply(c, 180, "Ringing")
    await s.alice.get("180")
    s.bob.reply(b, 200, "Late")
    await s.alice.get("200 Late")
    await asyncio.sleep(0.4)


@scenario()
async def rings_too_long_then_elsewhere(s):
    s.invite("short_failure")
    b = await s.bob.get("INVITE")
    s.bob.reply(b, 180, "Ringing")
    await s.alice.get("180")
    c = await s.carol.get("INVITE")
    s.carol.reply(c, 200, "OK")
    await s.alice.get("200")
    await asyncio.sleep(0.3)


@scenario()
async def cancel_in_the_second_leg(s):
    text = s.invite("serial")
    s.bob.reply(await s.bob.get("INVITE"), 486, "Busy")
    s.carol.reply(await s.carol.get("INVITE"), 180, "Ringing")
    await s.alice.get("180")
    s.alice.cancel(text)
    await s.carol.get("CANCEL")
    await s.alice.get("4")


@scenario()
async def cancel_leads_to_the_failure_route(s):
    text, _ = await ringing(s, "serial", "bob")
    s.alice.cancel(text)
    await s.bob.get("CANCEL")
    await s.alice.get("4")
    await asyncio.sleep(0.3)


def failing(case, first=486, *families):
    async def play(s):
        s.invite(case)
        s.bob.reply(await s.bob.get("INVITE"), first, f"Bob {first}")
        await s.alice.get("", within=2)
        await asyncio.sleep(0.5)

    play.__name__ = f"failure_route_{case}_{first}"
    scenario(*families)(play)


for case in ("failure_reply", "failure_send_reply", "failure_nothing", "failure_same"):
    failing(case)


@scenario("plain", "parameters")
async def two_branches_in_the_failure_route(s):
    s.invite("failure_two")
    s.bob.reply(await s.bob.get("INVITE"), 486, "Busy")
    c, d = await s.carol.get("INVITE"), await s.dave.get("INVITE")
    s.carol.reply(c, 404, "Not Found")
    await asyncio.sleep(0.1)
    s.dave.reply(d, 480, "Away")
    await s.alice.get("4")


@scenario()
async def a_redirect_is_followed(s):
    s.invite("failure_302")
    b = await s.bob.get("INVITE")
    to = b.get("To") + ";tag=to-bob"
    vias = [f"Via: {v}" for v in b.all("Via")]
    s.bob.put(
        "\r\n".join(
            ["SIP/2.0 302 Moved", *vias, f"From: {b.get('From')}", f"To: {to}", f"Call-ID: {b.get('Call-ID')}",
             f"CSeq: {b.get('CSeq')}", f"Contact: <{s.carol.uri}>", "Content-Length: 0"]
        )
        + "\r\n\r\n",
        b.port,
    )  # fmt: skip
    s.carol.reply(await s.carol.get("INVITE"), 200, "OK")
    await s.alice.get("200")


@scenario()
async def replies_are_dropped_in_the_failure_route(s):
    s.invite("failure_drop")
    s.bob.reply(await s.bob.get("INVITE"), 302, "Moved")
    s.carol.reply(await s.carol.get("INVITE"), 500, "Broken")
    await s.alice.get("")
    await asyncio.sleep(0.3)


@scenario()
async def the_code_in_the_failure_route(s):
    s.invite("failure_code")
    s.bob.reply(await s.bob.get("INVITE"), 500, "Broken")
    s.carol.reply(await s.carol.get("INVITE"), 486, "Busy")
    await s.alice.get("500")


@scenario("plain", "others")
async def the_code_of_a_timeout_in_the_failure_route(s):
    s.invite("failure_code")
    await s.bob.get("INVITE")
    s.carol.reply(await s.carol.get("INVITE"), 500, "Broken")
    await s.alice.get("500")


@scenario()
async def an_unreachable_first_choice(s):
    s.invite("serial", uri="sip:nobody@no-such-host.invalid")
    await asyncio.sleep(1.0)


# Branch and reply routes ---------------------------------------------------------------------------------


@scenario()
async def a_branch_route_marks_each_branch(s):
    s.invite("branch_header")
    b, c = await s.bob.get("INVITE"), await s.carol.get("INVITE")
    s.bob.reply(b, 486, "Busy")
    s.carol.reply(c, 200, "OK")
    await s.alice.get("200")


relayed("a_branch_route_drops_the_first", "branch_drop", peer="carol")


@scenario()
async def a_branch_route_drops_all(s):
    s.invite("branch_drop_all")
    await s.alice.get("4")


relayed("a_branch_route_changes_the_uri", "branch_uri", peer="carol")


@scenario()
async def a_reply_route_of_one_branch(s):
    s.invite("branch_flag")
    b, c = await s.bob.get("INVITE"), await s.carol.get("INVITE")
    s.bob.reply(b, 180, "Ringing")
    await s.alice.get("180")
    s.carol.reply(c, 183, "Progress")
    await s.alice.get("183")
    s.carol.reply(c, 200, "OK")
    await s.alice.get("200")


@scenario()
async def a_reply_route_adds_a_header(s):
    _, b = await ringing(s, "reply_header", "bob")
    s.bob.reply(b, 200, "OK")
    await s.alice.get("200")


@scenario()
async def a_reply_route_sees_the_request(s):
    _, b = await ringing(s, "reply_req", "bob")
    s.bob.reply(b, 486, "Busy")
    await s.alice.get("486")


@scenario()
async def a_reply_route_drops_a_provisional(s):
    s.invite("reply_drop")
    b = await s.bob.get("INVITE")
    s.bob.reply(b, 183, "Progress")
    await asyncio.sleep(0.1)
    s.bob.reply(b, 180, "Ringing")
    await s.alice.get("180")
    s.bob.reply(b, 486, "Busy")
    await s.alice.get("486")


@scenario()
async def a_reply_route_drops_a_final(s):
    s.invite("reply_drop_final")
    s.bob.reply(await s.bob.get("INVITE"), 486, "Busy")
    await s.alice.get("486", within=3)


@scenario()
async def a_reply_route_cancels_the_others(s):
    s.invite("reply_cancel")
    b, c = await s.bob.get("INVITE"), await s.carol.get("INVITE")
    s.carol.reply(c, 180, "Ringing")
    await s.alice.get("180")
    s.bob.reply(b, 183, "Progress")
    await s.carol.get("CANCEL")
    s.bob.reply(b, 200, "OK")
    await s.alice.get("200")


@scenario()
async def a_reply_route_answers_itself(s):
    s.invite("reply_reply")
    b = await s.bob.get("INVITE")
    s.bob.reply(b, 183, "Progress")
    await s.alice.get("500")
    await asyncio.sleep(0.4)


@scenario()
async def a_branch_fails_and_its_route_sends_another(s):
    s.invite("branch_failure")
    b, c = await s.bob.get("INVITE"), await s.carol.get("INVITE")
    s.bob.reply(b, 503, "Down")
    d = await s.dave.get("INVITE")
    s.dave.reply(d, 200, "OK")
    await s.alice.get("200")
    del c
    await asyncio.sleep(0.3)


@scenario()
async def a_branch_fails_and_its_route_does_nothing(s):
    s.invite("branch_failure")
    b, c = await s.bob.get("INVITE"), await s.carol.get("INVITE")
    s.bob.reply(b, 486, "Busy")
    await asyncio.sleep(0.1)
    s.carol.reply(c, 404, "Not Found")
    await s.alice.get("4")


# Time ----------------------------------------------------------------------------------------------------


@scenario("plain", "others")
async def nobody_answers(s):
    s.invite("short")
    await s.bob.get("INVITE")
    await s.alice.get("408", within=3)


@scenario()
async def nobody_answers_a_message(s):
    s.invite("short", method="MESSAGE")
    await s.bob.get("MESSAGE")
    await s.alice.get("408")


@scenario("plain", "others")
async def it_rings_too_long(s):
    await ringing(s, "short", "bob")
    await s.alice.get("408")
    await asyncio.sleep(0.3)


@scenario("plain", "others")
async def it_rings_again_and_again(s):
    s.invite("short")
    b = await s.bob.get("INVITE")
    for _ in range(6):
        s.bob.reply(b, 180, "Ringing")
        await asyncio.sleep(0.3)
    if not any(text.startswith("CANCEL") for text in s.bob.counts):
        s.bob.reply(b, 200, "OK")
    await asyncio.sleep(0.3)


@scenario()
async def a_2xx_after_the_408(s):
    s.bob.cancels = False
    s.invite("short")
    b = await s.bob.get("INVITE")
    await s.alice.get("408")
    s.bob.reply(b, 200, "Late")
    await s.alice.get("200 Late")


@scenario()
async def a_late_failure_after_the_408(s):
    s.invite("short")
    b = await s.bob.get("INVITE")
    await s.alice.get("408")
    s.bob.reply(b, 486, "Late")
    await s.bob.get("ACK", within=1)


@scenario()
async def a_failure_is_acknowledged_again(s):
    s.invite("simple")
    b = await s.bob.get("INVITE")
    s.bob.reply(b, 486, "Busy")
    await s.bob.get("ACK")
    s.bob.reply(b, 486, "Busy")
    await s.bob.get("ACK")


@scenario("plain", "others")
async def the_2xx_of_a_message_after_its_time(s):
    """RFC 4320: a late answer to another request than INVITE goes nowhere."""
    s.invite("short", method="MESSAGE")
    b = await s.bob.get("MESSAGE")
    await s.alice.get("408")
    s.bob.reply(b, 200, "Late")
    await asyncio.sleep(0.4)


# Record-Route and Route ----------------------------------------------------------------------------------


def recorded(case, *headers, **more):
    relayed(f"record_{case}", case, *headers, **more)


recorded("rr_param")
recorded("rr_preset")
recorded("rr_preset2")
recorded("rr_advertised")
recorded("rr_removed")
recorded("rr_other", ("X-Socket", lambda s: f"udp:127.0.0.1:{s.second}"), families=("plain", "others"))


@scenario()
async def record_route_in_both_legs(s):
    s.invite("rr_serial")
    s.bob.reply(await s.bob.get("INVITE"), 486, "Busy")
    s.carol.reply(await s.carol.get("INVITE"), 200, "OK")
    await s.alice.get("200")


@scenario()
async def a_double_route_is_followed(s):
    routes = [
        ("Route", f"<sip:127.0.0.1:{s.port};r2=on;lr;ftag=from-alice>"),
        ("Route", f"<sip:127.0.0.1:{s.second};r2=on;lr;ftag=from-alice>"),
    ]
    s.alice.request("BYE", s.bob.uri, *routes, ("X-Direction", "?"), to_tag="to-bob")
    s.bob.reply(await s.bob.get("BYE"), 200, "OK")
    await s.alice.get("200")


@scenario()
async def the_parameters_of_our_route(s):
    route = ("Route", f"<sip:127.0.0.1:{s.port};lr;k=v;ftag=from-alice>")
    s.alice.request("INFO", s.bob.uri, route, ("X-Direction", "?"), to_tag="to-bob")
    s.bob.reply(await s.bob.get("INFO"), 200, "OK")
    await s.alice.get("200")


def routed(name, routes, uri="bob", to_tag="to-bob", method="BYE", goes="bob", case=()):
    async def play(s):
        place = {n: f"127.0.0.1:{p.port}" for n, p in s.peers.items()} | {"server": f"127.0.0.1:{s.port}"}
        headers = [("Route", r.format(**place)) for r in routes]
        target = uri.format(**place) if ":" in uri else s.peers[uri].uri
        s.alice.request(method, target, *headers, *case, ("X-Direction", "?"), to_tag=to_tag)
        if goes:
            peer = s.peers[goes]
            peer.reply(await peer.get(method), 200, "OK")
        await s.alice.get("")
        await asyncio.sleep(0.2)

    play.__name__ = f"route_{name}"
    scenario("plain")(play)


routed("ours_then_a_loose_one", ["<sip:{server};lr>", "<sip:{carol};lr>"], goes="carol")
routed("ours_then_a_strict_one", ["<sip:{server};lr>", "<sip:{carol}>"], goes="carol")
routed("ours_then_two_loose_ones", ["<sip:{server};lr>, <sip:{carol};lr>, <sip:{dave};lr>"], goes="carol")
routed("from_a_strict_router", ["<sip:bob@{bob}>"], uri="sip:{server}", goes="bob")
routed(
    "from_a_strict_router_to_a_loose_one",
    ["<sip:{carol};lr>", "<sip:bob@{bob}>"],
    uri="sip:{server};lr",
    goes="carol",
)
routed(
    "from_a_strict_router_to_a_strict_one",
    ["<sip:{carol}>", "<sip:bob@{bob}>"],
    uri="sip:{server};lr",
    goes="carol",
)
routed("of_somebody_else", ["<sip:{carol};lr>"], goes="carol")
routed("of_somebody_else_strict", ["<sip:{carol}>"], goes="carol")
routed("ours_twice", ["<sip:{server};lr>", "<sip:{server};lr>"], goes="bob")
routed("lr_with_a_value", ["<sip:{server};lr=on>", "<sip:{carol};lr=true>"], goes="carol")
routed("preloaded", ["<sip:{server};lr>", "<sip:{carol};lr>"], to_tag="", method="INVITE", goes="carol",
       case=[("X-Case", "preloaded")])  # fmt: skip
routed("preloaded_only_ours", ["<sip:{server};lr>"], to_tag="", method="OPTIONS", goes="bob",
       case=[("X-Case", "preloaded")])  # fmt: skip
routed("preloaded_none", [], to_tag="", method="OPTIONS", goes="", case=[("X-Case", "preloaded")])
routed("function_preloaded", ["<sip:{server};lr>"], to_tag="", method="OPTIONS", goes="",
       case=[("X-Case", "preloaded_only")])  # fmt: skip
routed("function_preloaded_in_dialog", ["<sip:{server};lr>"], to_tag="x", method="OPTIONS", goes="",
       uri="sip:{server}", case=[("X-Case", "preloaded_only")])  # fmt: skip
routed(
    "function_preloaded_none", [], to_tag="", method="OPTIONS", goes="", case=[("X-Case", "preloaded_only")]
)
routed("mode_0", ["<sip:{carol};lr>", "<sip:{server};lr>"], uri="sip:{server}", to_tag="", method="OPTIONS", goes="",
       case=[("X-Case", "mode0")])  # fmt: skip
routed("mode_1", ["<sip:{server};lr>", "<sip:{carol};lr>"], uri="sip:{server}", to_tag="", method="OPTIONS", goes="",
       case=[("X-Case", "mode1")])  # fmt: skip
routed("next_hop_route", ["<sip:{server};lr>", "<sip:{carol};lr>"], to_tag="", method="OPTIONS", goes="",
       case=[("X-Case", "next_hop")])  # fmt: skip


# Waiting -------------------------------------------------------------------------------------------------


@scenario()
async def a_suspended_invite_that_nobody_takes_up(s):
    s.invite("suspend")
    await s.alice.get("408", within=4)


@scenario()
async def a_request_goes_on_later(s):
    text = s.invite("suspend_later")
    await s.alice.get("100")
    s.alice.put(text)
    b = await s.bob.get("INVITE")
    s.bob.reply(b, 200, "OK")
    await s.alice.get("200")


@scenario()
async def a_message_goes_on_later(s):
    text = s.invite("suspend_later", method="MESSAGE")
    await asyncio.sleep(0.05)
    s.alice.put(text)
    s.bob.reply(await s.bob.get("MESSAGE"), 200, "OK")
    await s.alice.get("200")
    s.count(s.bob, "MESSAGE")


relayed("a_task_goes_on", "async_task", status=486, reason="Busy")


relayed("a_request_sleeps", "async_sleep")


@scenario()
async def what_goes_on_does_nothing(s):
    s.invite("async_nothing")
    await s.alice.get("5", within=3)


# The rest ------------------------------------------------------------------------------------------------


@scenario()
async def contacts_one_after_the_other(s):
    s.invite("contacts")
    s.dave.reply(await s.dave.get("INVITE"), 486, "Busy")
    s.carol.reply(await s.carol.get("INVITE"), 480, "Away")
    await s.alice.get("", within=2)
    await asyncio.sleep(0.5)


@scenario()
async def a_request_of_our_own(s):
    s.invite("uac", method="OPTIONS")
    s.carol.reply(await s.carol.get("MESSAGE"), 200, "OK")
    await s.alice.get("200")


@scenario()
async def no_answer_of_its_own_after_an_error(s):
    s.invite("no_internal", uri="sip:nobody@no-such-host.invalid")
    await asyncio.sleep(0.6)


relayed("t_clean_hurts_nobody", "clean")


@scenario("plain", "others")
async def extra_headers_go_into_cancel_and_ack(s):
    text = s.invite("simple", ("P-Note", "n1"), ("X-Keep", "k"))
    s.bob.reply(await s.bob.get("INVITE"), 180, "Ringing")
    await s.alice.get("180")
    s.alice.cancel(text)
    await s.bob.get("CANCEL")
    await s.alice.get("487")
    await asyncio.sleep(0.2)


@scenario()
async def without_a_100(s):
    s.invite("no_100")
    await asyncio.sleep(0.1)
    s.bob.reply(await s.bob.get("INVITE"), 486, "Busy")
    await s.alice.get("486")


relayed("newtran_then_relay", "newtran_relay")


@scenario()
async def an_ack_that_nobody_knows(s):
    s.alice.request("ACK", s.bob.uri, to_tag="unknown")
    await asyncio.sleep(0.4)


@scenario()
async def a_bye_without_a_route(s):
    s.alice.request("BYE", s.bob.uri, to_tag="unknown")
    await s.alice.get("404")


@scenario()
async def a_reply_from_nowhere(s):
    s.bob.request("OPTIONS", s.alice.uri, ("X-Case", "sl"))
    await s.bob.get("403")
    s.bob.put(
        f"SIP/2.0 200 Stray\r\nVia: SIP/2.0/UDP 127.0.0.1:{s.port};branch=z9hG4bKnobody.0\r\n"
        f"Via: SIP/2.0/UDP 127.0.0.1:{s.alice.port};branch=z9hG4bKx\r\nFrom: <sip:a@b>;tag=from-x\r\n"
        "To: <sip:c@d>;tag=to-x\r\nCall-ID: stray\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
    )
    await asyncio.sleep(0.4)
