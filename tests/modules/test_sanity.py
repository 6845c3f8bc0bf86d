"""sanity: which requests pass, and what the others are told (answers of Kamailio 5.6.3 but where said)."""

import pytest

from kamtool.script import load
from tests.support.messages import OK_200, PLAIN_INVITE
from tests.support.runtime import Runtime
from tests.support.script import BASE, Run

ALL = 8191


@pytest.fixture
def runtime():
    return Runtime("sanity")


def checked(runtime, text, *arguments):
    """The return code, and the status, reason and Unsupported of what was answered."""
    code = runtime.call(runtime.message(text), "sanity_check", *arguments)
    replies = [(r.status, r.reason, r.header("Unsupported")) for r in runtime.replies]
    return code, replies


def having(line, text=PLAIN_INVITE):
    return text.replace("Subject: hello world hello", line)


PASSES = {
    "as it should be": PLAIN_INVITE,
    "a sips R-URI": PLAIN_INVITE.replace("sip:alice@example.com SIP", "sips:alice@example.com SIP"),
    "a tel R-URI": PLAIN_INVITE.replace("sip:alice@example.com SIP", "tel:+123 SIP"),
    "no Max-Forwards": PLAIN_INVITE.replace("Max-Forwards: 70\r\n", ""),
    "Expires": having("Expires: 3600"),
    "a From without tag": PLAIN_INVITE.replace(";tag=ft1", ""),
    "whole credentials": having(
        'Authorization: Digest username="u", realm="x", nonce="y", uri="sip:z", response="0123456789abcdef"'
    ),
    "credentials of another scheme": having("Authorization: Bearer abc"),
    "all contacts": PLAIN_INVITE.replace("<sip:bob@127.0.0.1:5999;ob>", "*"),
}


@pytest.mark.parametrize("text", PASSES.values(), ids=PASSES.keys())
def test_it_passes_every_check(runtime, text):
    assert checked(runtime, text, ALL, 15) == (1, [])


FAILS = {
    "an unknown scheme": (
        PLAIN_INVITE.replace("sip:alice@example.com SIP", "http://example.com SIP"),
        (416, "Unsupported URI Scheme", None),  # RFC 3261 §8.2.2.1; Kamailio: 400 Bad Request URI
    ),
    "a bad Expires": (having("Expires: abc"), (400, "Expires value is illegal", None)),
    "an extension": (having("Proxy-Require: foo, bar"), (420, "Bad Proxy Require Extension", "foo, bar")),
    "empty credentials": (having("Authorization: Digest foo"), (400, "Bad Auth Header", None)),
    "credentials without a user": (
        having('Authorization: Digest realm="x", nonce="y", uri="sip:z", response="q"'),
        (400, "Bad Auth Credentials", None),
    ),
    "another transport in Via": (
        PLAIN_INVITE.replace("SIP/2.0/UDP", "SIP/2.0/FOO"),
        (400, "Unsupported Protocol in Via", None),
    ),
}


@pytest.mark.parametrize(("text", "answer"), FAILS.values(), ids=FAILS.keys())
def test_it_is_refused(runtime, text, answer):
    assert checked(runtime, text, ALL, 7) == (0, [answer])


URIS = {
    "From": (
        1024,
        2,
        PLAIN_INVITE.replace("<sip:bob@biloxi.example.org>", "<http://x>"),
        "Invalid From Header",
    ),
    "To": (
        1024,
        4,
        PLAIN_INVITE.replace("To: <sip:alice@example.com>", "To: <http://x>"),
        "Invalid To Header",
    ),
    "Contact": (
        1024,
        8,
        PLAIN_INVITE.replace("<sip:bob@127.0.0.1:5999;ob>", "<http://x>"),
        "Bad Contact URI",
    ),
}


@pytest.mark.parametrize(("checks", "uris", "text", "reason"), URIS.values(), ids=URIS.keys())
def test_a_uri_is_parsed_when_it_is_asked_for(runtime, checks, uris, text, reason):
    assert checked(runtime, text, checks, 15 & ~uris) == (1, [])
    assert checked(runtime, text, checks, uris) == (0, [(400, reason, None)])


def test_by_default_the_uris_of_from_and_to_are_not_parsed(runtime):
    assert checked(runtime, URIS["From"][2]) == (1, [])


def test_a_supported_extension_passes(runtime):
    runtime.modules["sanity"].set_param("proxy_require", "Foo, bar")
    assert checked(runtime, FAILS["an extension"][0]) == (1, [])


def test_without_autodrop_it_is_answered_and_the_script_goes_on(runtime):
    runtime.modules["sanity"].set_param("autodrop", 0)
    assert checked(runtime, FAILS["a bad Expires"][0]) == (-1, [(400, "Expires value is illegal", None)])


def test_noreply_leaves_the_answer_to_sanity_reply(runtime):
    runtime.modules["sanity"].set_param("noreply", 1)
    runtime.modules["sanity"].set_param("autodrop", 0)
    ctx = runtime.message(FAILS["a bad Expires"][0])
    assert runtime.call(ctx, "sanity_check") == -1
    assert runtime.replies == []
    assert runtime.call(ctx, "sanity_reply") == 1
    assert runtime.replies[0].status == 400
    assert runtime.call(ctx, "sanity_reply") == -1


def test_an_ack_is_dropped_without_an_answer(runtime):
    ack = having("Expires: abc").replace("INVITE", "ACK")
    assert checked(runtime, ack) == (0, [])


def test_a_tag_given_twice_is_refused(runtime):
    twice = PLAIN_INVITE.replace(";tag=ft1", ";tag=ft1;tag=ft2")
    assert checked(runtime, twice) == (1, [])
    assert checked(runtime, twice, 4096) == (0, [(400, "Duplicate Tag in From", None)])


def test_a_reply_is_checked_for_what_a_reply_has(runtime):
    assert checked(runtime, OK_200, ALL, 15) == (1, [])


@pytest.mark.parametrize("first", [PLAIN_INVITE, OK_200], ids=["request", "response"])
def test_the_version_in_via_is_looked_at_when_it_is_asked_for(runtime, first):
    text = first.replace("SIP/2.0/UDP", "SIP/3.0/UDP", 1)
    assert checked(runtime, text, 4 + 64 + 128, 6)[0] == 1
    assert checked(runtime, text, 8, 6)[0] != 1


def code_in_script(given, text):
    """What a script that calls sanity_check(given) is left with."""
    modules = 'loadmodule "sanity.so"\nmodparam("sanity", "noreply", 1)\n'
    more = 'modparam("sanity", "autodrop", 0)\n'
    body = f"request_route {{ if (sanity_check({given})) exit; return -7; }}"
    return Run(load(f"#!KAMAILIO\n{BASE}{modules}{more}{body}", name="test.cfg"))(text).outcome


@pytest.mark.parametrize("given", ['"17895", "7"', "17895, 7", '"17895", "15"', '"3047"'])
@pytest.mark.parametrize("text", [*PASSES.values(), *(text for text, _ in FAILS.values())])
def test_checks_that_are_known_beforehand_find_the_same(runtime, given, text):
    module = runtime.modules["sanity"]
    module.noreply, module.autodrop = 1, 0
    numbers = [int(number.strip('" ')) for number in given.split(",")]
    code, _ = checked(runtime, text, *numbers)
    assert code_in_script(given, text.replace("\r\n", "\n")) == ("exit" if code > 0 else "return")
