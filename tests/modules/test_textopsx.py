"""textopsx: a message before and after each function (answers of Kamailio 5.6.3 unless said otherwise)."""

import pytest

from tests.support.messages import BARE_OPTIONS, OK_200, PLAIN_INVITE
from tests.support.runtime import Runtime, changed_lines

EDITS = [
    (
        [("remove_body",)],
        [
            "Content-Length: 99",
            "v=0",
            "o=- 1 1 IN IP4 127.0.0.1",
            "s=-",
            "c=IN IP4 127.0.0.1",
            "t=0 0",
            "m=audio 4000 RTP/AVP 0",
            "a=sendrecv",
        ],
        ["Content-Length: 0"],
    ),
    ([("append_hf_value", "X-A", "four")], [], ["X-A: four"]),
    (
        [("append_hf_value", "X-A[1]", "four")],
        ["X-A: one, two;p=1, three"],
        ["X-A: one,four, two;p=1, three"],
    ),
    ([("append_hf_value", "X-Z", "four")], [], ["X-Z: four"]),
    ([("insert_hf_value", "X-A", "zero")], [], ["X-A: zero"]),
    ([("insert_hf_value", "X-Z", "zero")], [], ["X-Z: zero"]),
    ([("remove_hf_value", "X-A[2]")], ["X-A: one, two;p=1, three"], ["X-A: one, three"]),
    ([("remove_hf_value", "X-A[*]")], ["X-A: one, two;p=1, three"], []),
    ([("remove_hf_value", "X-A.p")], [], []),
    ([("remove_hf_value", "X-A[2].p")], ["X-A: one, two;p=1, three"], ["X-A: one, two, three"]),
    ([("remove_hf_value", "X-A[-1]")], ["X-A: one, two;p=1, three"], ["X-A: one, two;p=1"]),
    ([("assign_hf_value", "X-A[2]", "TWO")], ["X-A: one, two;p=1, three"], ["X-A: one, TWO, three"]),
    ([("assign_hf_value", "X-A[2].p", "9")], ["X-A: one, two;p=1, three"], ["X-A: one, two;p=9, three"]),
    ([("assign_hf_value", "X-A[2].q", "9")], ["X-A: one, two;p=1, three"], ["X-A: one, two;p=1;q=9, three"]),
    ([("include_hf_value", "X-A", "four")], ["X-A: one, two;p=1, three"], ["X-A: one, two;p=1, three,four"]),
    ([("include_hf_value", "X-A", "two")], ["X-A: one, two;p=1, three"], ["X-A: one, two;p=1, three,two"]),
    ([("include_hf_value", "X-Z", "two")], [], ["X-Z: two"]),
    ([("exclude_hf_value", "X-A", "two")], [], []),
    ([("hf_value_exists", "X-A", "one"), ("append_hf", "R: $rc\r\n")], [], ["R: 1"]),
    ([("keep_hf", "^X-")], ["Subject: hello world hello", "P-List: foo bar"], []),
    (
        [("$tu", "sip:x@y"), ("msg_apply_changes",), ("append_hf", "T: $tu\r\n")],
        ["To: <sip:alice@example.com>"],
        ["To: <sip:x@y>", "T: sip:x@y"],
    ),
    (
        [("remove_hf", "Subject"), ("msg_apply_changes",), ("append_hf", "Y: $hdr(Subject)\r\n")],
        ["Subject: hello world hello"],
        ["Y: <null>"],
    ),
    # Ours: a blank behind the comma, none before the first value.
    (
        [("insert_hf_value", "X-A[2]", "zero")],
        ["X-A: one, two;p=1, three"],
        ["X-A: one, zero, two;p=1, three"],
    ),
    ([("exclude_hf_value", "X-A", "one")], ["X-A: one, two;p=1, three"], ["X-A: two;p=1, three"]),
    (
        [("remove_hf_value", "X-A[1]"), ("remove_hf_value", "X-A[2]")],
        ["X-A: one, two;p=1, three"],
        ["X-A: three"],
    ),
    ([("exclude_hf_value", "Subject", "hello world hello")], ["Subject: hello world hello"], []),
    ([("assign_hf_value", "X-Z", "new")], [], ["X-Z: new"]),
]


@pytest.fixture(scope="module")
def runtime():
    return Runtime("pv", "textops", "textopsx")


@pytest.mark.parametrize(("steps", "removed", "added"), EDITS, ids=[repr(row[0]) for row in EDITS])
def test_what_leaves_the_server(runtime, steps, removed, added):
    ctx = runtime.message(PLAIN_INVITE)
    runtime.run(ctx, steps)
    assert changed_lines(PLAIN_INVITE, runtime.sent(ctx)) == (removed, added)


def test_every_value_may_be_removed_one_by_one(runtime):
    ctx = runtime.message(PLAIN_INVITE)
    for index in (1, 2, 3):
        assert runtime.call(ctx, "remove_hf_value", f"X-A[{index}]") == 1
    assert changed_lines(PLAIN_INVITE, runtime.sent(ctx)) == (["X-A: one, two;p=1, three"], [])


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (("hf_value_exists", "X-A", "ONE"), 1), (("hf_value_exists", "X-A", "two"), -1),
        (("hf_value_exists", "Nope", "x"), -1), (("fnmatch", "abc", "a*"), 1), (("fnmatch", "abc", "A*"), -1),
        (("fnmatch", "abc", "A?C", "i"), 1), (("remove_hf_value", "X-A[9]"), -1), (("remove_body",), 1),
    ],
)  # fmt: skip
def test_the_return_code(runtime, call, code):
    assert runtime.call(runtime.message(PLAIN_INVITE), *call) == code


def test_parameters_of_credentials_are_found_between_commas(runtime):
    line = 'Authorization: Digest username="a", realm="b,c", nonce=d'
    ctx = runtime.message(BARE_OPTIONS.replace("Content-Length", f"{line}\r\nContent-Length"))
    assert runtime.call(ctx, "assign_hf_value2", "Authorization.realm", '"z"') == 1
    assert runtime.call(ctx, "remove_hf_value2", "Authorization.nonce") == 1
    assert 'Authorization: Digest username="a", realm="z"\r\n' in runtime.sent(ctx)
    assert runtime.call(ctx, "remove_hf_value2", "Authorization.nope") == -1


def test_applied_changes_are_seen_at_once(runtime):
    ctx = runtime.message(PLAIN_INVITE)
    runtime.set(ctx, "$ru", "sip:new@there")
    runtime.set(ctx, "$fU", "carol")
    runtime.call(ctx, "append_hf", "X-New: 1\r\n")
    runtime.call(ctx, "remove_hf", "Subject")
    assert runtime.format("$hdr(X-New) $hdr(Subject) $fU")(ctx) == "<null> hello world hello bob"
    assert runtime.call(ctx, "msg_apply_changes") == 1
    assert runtime.format("$hdr(X-New) $hdr(Subject) $fU $ou")(ctx) == "1 <null> carol sip:new@there"
    assert not ctx.edits


def test_changes_are_not_applied_once_there_is_a_transaction(runtime):
    ctx = runtime.message(PLAIN_INVITE)
    ctx.transaction = object()
    assert runtime.call(ctx, "msg_apply_changes") == -1


def test_changes_that_make_it_no_message_are_not_applied(runtime):
    ctx = runtime.message(PLAIN_INVITE)
    runtime.call(ctx, "remove_hf", "Call-ID")
    assert runtime.call(ctx, "msg_apply_changes") == -1
    assert ctx.msg.call_id == "id0@case"


def test_another_message_may_take_the_place_of_this_one(runtime):
    ctx = runtime.message(PLAIN_INVITE)
    assert runtime.call(ctx, "msg_set_buffer", BARE_OPTIONS) == 1
    assert ctx.msg.method == "OPTIONS"
    assert runtime.call(ctx, "msg_set_buffer", "garbage") == -1


@pytest.mark.parametrize(
    ("status", "code", "allowed"),
    [(404, 480, 1), (404, 200, -1), (200, 404, -1), (183, 180, 1), (180, 200, -1)],
)
def test_a_status_changes_within_its_kind(runtime, status, code, allowed):
    ctx = runtime.message(OK_200.replace("200 Fine with me", f"{status} Old"))
    assert runtime.call(ctx, "change_reply_status", code, "New $rm") == allowed
    if allowed == 1:
        assert runtime.sent(ctx).startswith(f"SIP/2.0 {code} New INVITE\r\nVia")


def test_the_code_alone_may_be_changed(runtime):
    ctx = runtime.message(OK_200.replace("200 Fine with me", "404 Old"))
    assert runtime.call(ctx, "change_reply_status_code", 480) == 1
    assert runtime.sent(ctx).startswith("SIP/2.0 480 Old\r\n")


def test_an_iterator_walks_over_the_headers_and_edits_them(runtime):
    ctx = runtime.message(PLAIN_INVITE)
    runtime.call(ctx, "hf_iterator_start", "i")
    assert runtime.get(ctx, "$hfitname(i)") is None
    names = []
    while runtime.call(ctx, "hf_iterator_next", "i") == 1:
        names.append(runtime.get(ctx, "$hfitname(i)"))
        if names[-1] == "X-A":
            assert runtime.get(ctx, "$hfitbody(i)") == "one, two;p=1, three"
            runtime.call(ctx, "hf_iterator_insert", "i", "Before: 1\r\n")
            runtime.call(ctx, "hf_iterator_append", "i", "After: 1\r\n")
            runtime.call(ctx, "hf_iterator_rm", "i")
    assert names[0] == "Via"
    assert names[-1] == "Content-Length"
    assert runtime.call(ctx, "hf_iterator_prev", "i") == 1
    assert runtime.get(ctx, "$hfitname(i)") == "Content-Length"
    runtime.call(ctx, "hf_iterator_end", "i")
    assert changed_lines(PLAIN_INVITE, runtime.sent(ctx)) == (
        ["X-A: one, two;p=1, three"],
        ["Before: 1", "After: 1"],
    )


def test_an_iterator_walks_over_the_lines_of_the_body(runtime):
    ctx = runtime.message(PLAIN_INVITE)
    runtime.call(ctx, "bl_iterator_start", "i")
    while runtime.call(ctx, "bl_iterator_next", "i") == 1:
        if runtime.get(ctx, "$blitval(i)").startswith("s="):
            runtime.call(ctx, "bl_iterator_insert", "i", "b=0\r\n")
            runtime.call(ctx, "bl_iterator_append", "i", "b=1\r\n")
            runtime.call(ctx, "bl_iterator_rm", "i")
    removed, added = changed_lines(PLAIN_INVITE, runtime.sent(ctx))
    assert (removed, added) == (["Content-Length: 99", "s=-"], ["Content-Length: 104", "b=0", "b=1"])
