"""textops: a message before and after each function (answers of Kamailio 5.6.3 unless said otherwise)."""

import pytest

from tests.support.messages import BARE_OPTIONS, PLAIN_INVITE, SDP
from tests.support.runtime import Runtime, changed_lines

EDITS = [
    ([("append_hf", "X-New: $rU\r\n")], [], ["X-New: alice"]),
    ([("append_hf", "X-New: 1\r\n"), ("append_hf", "X-New: 2\r\n")], [], ["X-New: 1", "X-New: 2"]),
    ([("append_hf", "X-New: 1\r\n", "Subject")], [], ["X-New: 1"]),
    ([("append_hf", "X-New: 1\r\n", "X-B")], [], ["X-New: 1"]),
    ([("append_hf", "X-New: 1\r\n", "Nope")], [], ["X-New: 1"]),
    ([("insert_hf", "X-New: 1\r\n")], [], ["X-New: 1"]),
    ([("insert_hf", "X-New: 1\r\n", "Subject")], [], ["X-New: 1"]),
    ([("insert_hf", "X-New: 1\r\n"), ("insert_hf", "X-New: 2\r\n")], [], ["X-New: 1", "X-New: 2"]),
    ([("insert_hf", "X-New: 1\r\n", "X-B")], [], ["X-New: 1"]),
    ([("append_urihf", "X-U: <", ">\r\n")], [], ["X-U: <sip:alice@example.com>"]),
    (
        [("$ru", "sip:new@host"), ("append_urihf", "X-U: <", ">\r\n")],
        ["INVITE sip:alice@example.com SIP/2.0"],
        ["INVITE sip:new@host SIP/2.0", "X-U: <sip:alice@example.com>"],
    ),
    ([("remove_hf", "X-B")], ["X-B: b1", "X-B: b2"], []),
    ([("remove_hf", "s")], ["Subject: hello world hello"], []),
    (
        [("remove_hf", "subject"), ("append_hf", "Subject: new\r\n")],
        ["Subject: hello world hello"],
        ["Subject: new"],
    ),
    ([("remove_hf_re", "^X-")], ["X-A: one, two;p=1, three", "X-B: b1", "X-B: b2", "x-bee: zz"], []),
    ([("remove_hf_re", "b")], ["Subject: hello world hello", "X-B: b1", "X-B: b2", "x-bee: zz"], []),
    ([("remove_hf_exp", "^X-", "^X-B")], ["X-A: one, two;p=1, three"], []),
    ([("replace", "hello", "bye")], ["Subject: hello world hello"], ["Subject: bye world hello"]),
    ([("replace", "HELLO", "bye")], ["Subject: hello world hello"], ["Subject: bye world hello"]),
    ([("replace_all", "hello", "bye")], ["Subject: hello world hello"], ["Subject: bye world bye"]),
    ([("replace", "INVITE", "OPTIONS")], ["CSeq: 7 INVITE"], ["CSeq: 7 OPTIONS"]),
    ([("replace", "audio", "video")], ["m=audio 4000 RTP/AVP 0"], ["m=video 4000 RTP/AVP 0"]),
    ([("replace", "h(el)lo", "\\1x")], ["Subject: hello world hello"], ["Subject: \\1x world hello"]),
    ([("replace", "hello", "$rU")], ["Subject: hello world hello"], ["Subject: $rU world hello"]),
    ([("replace_body", "audio", "video")], ["m=audio 4000 RTP/AVP 0"], ["m=video 4000 RTP/AVP 0"]),
    (
        [("replace_body_all", "a", "AA")],
        ["Content-Length: 99", "m=audio 4000 RTP/AVP 0", "a=sendrecv"],
        ["Content-Length: 102", "m=AAudio 4000 RTP/AAVP 0", "AA=sendrecv"],
    ),
    (
        [("replace_body_all", "127", "10")],
        ["Content-Length: 99", "o=- 1 1 IN IP4 127.0.0.1", "c=IN IP4 127.0.0.1"],
        ["Content-Length: 97", "o=- 1 1 IN IP4 10.0.0.1", "c=IN IP4 10.0.0.1"],
    ),
    (
        [("replace_body_atonce", "127", "10")],
        ["Content-Length: 99", "o=- 1 1 IN IP4 127.0.0.1", "c=IN IP4 127.0.0.1"],
        ["Content-Length: 97", "o=- 1 1 IN IP4 10.0.0.1", "c=IN IP4 10.0.0.1"],
    ),
    ([("search_append", "hello", "XX")], ["Subject: hello world hello"], ["Subject: helloXX world hello"]),
    ([("search_append", "hello", "$rU")], ["Subject: hello world hello"], ["Subject: hello$rU world hello"]),
    (
        [("search_append_body", "audio", "XX")],
        ["Content-Length: 99", "m=audio 4000 RTP/AVP 0"],
        ["Content-Length: 101", "m=audioXX 4000 RTP/AVP 0"],
    ),
    ([("subst", "/hello/bye/")], ["Subject: hello world hello"], ["Subject: bye world hello"]),
    ([("subst", "/hello/bye/g")], ["Subject: hello world hello"], ["Subject: bye world bye"]),
    ([("subst", "/HELLO/bye/gi")], ["Subject: hello world hello"], ["Subject: bye world bye"]),
    (
        [("subst", "/^Subject: (.*) world (.*)$/Subject: \\2 $rU \\1/")],
        ["Subject: hello world hello", "X-A: one, two;p=1, three"],
        ["Subject: hello\r alice hello\nX-A: one, two;p=1, three"],
    ),
    (
        [("subst", "/h(e)(l)lo/\\2\\1\\0/g")],
        ["Subject: hello world hello"],
        ["Subject: lehello world lehello"],
    ),
    ([("subst_body", "/audio/video/")], ["m=audio 4000 RTP/AVP 0"], ["m=video 4000 RTP/AVP 0"]),
    (
        [("subst_body", "/127/$rU/g")],
        ["Content-Length: 99", "o=- 1 1 IN IP4 127.0.0.1", "c=IN IP4 127.0.0.1"],
        ["Content-Length: 103", "o=- 1 1 IN IP4 alice.0.0.1", "c=IN IP4 alice.0.0.1"],
    ),
    (
        [("subst_body", "/^a=.*$/a=recvonly/")],
        ["Content-Length: 99", "a=sendrecv", ""],
        ["Content-Length: 98", "a=recvonly\n"],
    ),
    (
        [("subst_hf", "Subject", "/hello/bye/", "a")],
        ["Subject: hello world hello"],
        ["Subject: bye world hello"],
    ),
    (
        [("subst_hf", "Subject", "/hello/bye/g", "a")],
        ["Subject: hello world hello"],
        ["Subject: bye world bye"],
    ),
    ([("subst_hf", "X-B", "/b/c/", "a")], ["X-B: b1", "X-B: b2"], ["X-B: c1", "X-B: c2"]),
    ([("subst_hf", "X-B", "/b/c/", "f")], ["X-B: b1"], ["X-B: c1"]),
    ([("subst_hf", "X-B", "/b/c/", "l")], ["X-B: b2"], ["X-B: c2"]),
    (
        [("subst_uri", "/^sip:(.*)@(.*)$/sip:\\1x@$rd/")],
        ["INVITE sip:alice@example.com SIP/2.0"],
        ["INVITE sip:alicex@example.com SIP/2.0"],
    ),
    ([("subst_uri", "/nope/x/")], [], []),
    (
        [("subst_user", "/a(.*)/b\\1/")],
        ["INVITE sip:alice@example.com SIP/2.0"],
        ["INVITE sip:blice@example.com SIP/2.0"],
    ),
    (
        [("subst_user", "/(.*)/+\\1/")],
        ["INVITE sip:alice@example.com SIP/2.0"],
        ["INVITE sip:+alice@example.com SIP/2.0"],
    ),
    (
        [("set_body", "v=0\r\n", "application/sdp")],
        [
            "Content-Length: 99",
            "o=- 1 1 IN IP4 127.0.0.1",
            "s=-",
            "c=IN IP4 127.0.0.1",
            "t=0 0",
            "m=audio 4000 RTP/AVP 0",
            "a=sendrecv",
        ],
        ["Content-Length: 5"],
    ),
    ([("replace_str", "hello", "bye", "a")], ["Subject: hello world hello"], ["Subject: bye world bye"]),
    ([("replace_str", "hello", "bye", "f")], ["Subject: hello world hello"], ["Subject: bye world hello"]),
    (
        [("replace_body_str", "127", "10", "a")],
        ["Content-Length: 99", "o=- 1 1 IN IP4 127.0.0.1", "c=IN IP4 127.0.0.1"],
        ["Content-Length: 97", "o=- 1 1 IN IP4 10.0.0.1", "c=IN IP4 10.0.0.1"],
    ),
    ([("replace_hdrs", "hello", "bye")], ["Subject: hello world hello"], ["Subject: bye world hello"]),
    ([("replace_hdrs_str", "hello", "bye", "a")], ["Subject: hello world hello"], ["Subject: bye world bye"]),
    (
        [("append_hf", "X-New: 1\r\n"), ("msg_apply_changes",), ("append_hf", "Y: $hdr(X-New)\r\n")],
        [],
        ["X-New: 1", "Y: 1"],
    ),
    (
        [("remove_hf", "Subject"), ("append_hf", "Y: $hdr(Subject)\r\n")],
        ["Subject: hello world hello"],
        ["Y: hello world hello"],
    ),
    ([("$mf", 5), ("append_hf", "R: $mf $mF\r\n")], [], ["R: 5 00000005"]),
]


@pytest.fixture(scope="module")
def runtime():
    return Runtime("pv", "textops", "textopsx")


@pytest.mark.parametrize(("steps", "removed", "added"), EDITS, ids=[repr(row[0]) for row in EDITS])
def test_what_leaves_the_server(runtime, steps, removed, added):
    ctx = runtime.message(PLAIN_INVITE)
    runtime.run(ctx, steps)
    assert changed_lines(PLAIN_INVITE, runtime.sent(ctx)) == (removed, added)


OURS = [
    # Kamailio lets a header without a line end swallow the empty line.
    ([("append_hf", "X-New: 1")], [], ["X-New: 1"]),
    # A removed header takes the edits in it along.
    (
        [("subst_hf", "Subject", "/hello/bye/", "a"), ("remove_hf", "Subject")],
        ["Subject: hello world hello"],
        [],
    ),
    ([("remove_hf", "Subject"), ("replace", "hello", "bye")], ["Subject: hello world hello"], []),
    ([("replace_body_atonce", "^a", "b")], ["a=sendrecv"], ["b=sendrecv"]),
    (
        [("replace_body_all", "127.0.0.1", "::1"), ("replace_body_all", "audio", "video")],
        ["Content-Length: 99", "o=- 1 1 IN IP4 127.0.0.1", "c=IN IP4 127.0.0.1", "m=audio 4000 RTP/AVP 0"],
        ["Content-Length: 87", "o=- 1 1 IN IP4 ::1", "c=IN IP4 ::1", "m=video 4000 RTP/AVP 0"],
    ),
    ([("remove_hf_idx", "X-B", 1)], ["X-B: b2"], []),
    ([("remove_hf_idx", "X-B", -2)], ["X-B: b1"], []),
    ([("remove_hf_pv", "X-$(rU{s.substr,1,0}{s.len})")], [], []),
    ([("remove_hf_re_pv", "^x-b")], ["X-B: b1", "X-B: b2", "x-bee: zz"], []),
    ([("remove_hf_exp_pv", "^x-", "bee")], ["X-A: one, two;p=1, three", "X-B: b1", "X-B: b2"], []),
    (
        [("replace_hdrs_str", "hello", "$rU", "l")],
        ["Subject: hello world hello"],
        ["Subject: hello world alice"],
    ),
    (
        [("replace_str", "sdp", "SDP", "f")],
        ["Content-Type: application/sdp"],
        ["Content-Type: application/SDP"],
    ),
    ([("replace_body_str", "0", "9", "f")], ["v=0"], ["v=9"]),
]


@pytest.mark.parametrize(("steps", "removed", "added"), OURS, ids=[repr(row[0]) for row in OURS])
def test_where_we_differ_from_kamailio_or_had_no_answer_of_it(runtime, steps, removed, added):
    ctx = runtime.message(PLAIN_INVITE)
    runtime.run(ctx, steps)
    assert changed_lines(PLAIN_INVITE, runtime.sent(ctx)) == (removed, added)


CODES = [
    (("search", "^contact"), 1),
    (("search", "INVITE sip"), 1),
    (("search", "^INVITE.*SIP"), 1),
    (("search", "\r\nFrom"), 1),
    (("search", "nope"), -1),
    (("search_body", "m=AUDIO"), 1),
    (("search_body", "Contact"), -1),
    (("search_hf", "X-A", "two", "a"), 1),
    (("search_hf", "X-B", "b2", "f"), -1),
    (("search_hf", "X-B", "b2", "l"), 1),
    (("search_hf", "Nope", "two", "a"), -1),
    (("search_str", "$rU", "^AL"), 1),
    (("is_method", "INVITE"), 1),
    (("is_method", "ACK|INVITE"), 1),
    (("is_method", "BYE"), -1),
    (("is_present_hf", "From"), 1),
    (("is_present_hf", "f"), 1),
    (("is_present_hf", "Nope"), -1),
    (("is_present_hf_pv", "$var(none)Subject"), -1),
    (("is_present_hf_re", "^con"), 1),
    (("is_present_hf_re_pv", "^nope"), -1),
    (("has_body",), 1),
    (("has_body", "application/sdp"), 1),
    (("has_body", "text/plain"), -1),
    (("is_privacy", "id"), -1),
    (("cmp_str", "a", "a"), 1),
    (("cmp_str", "a", "A"), -1),
    (("cmp_istr", "a", "A"), 1),
    (("starts_with", "$rU", "al"), 1),
    (("starts_with", "abc", "b"), -1),
    (("ends_with", "abc", "bc"), 1),
    (("str_find", "abc", "b"), 2),
    (("str_find", "abc", "x"), -1),
    (("str_ifind", "abc", "C"), 3),
    (("in_list", "b", "a,b,c", ","), 1),
    (("in_list", "b", "a, b ,c", ","), 1),
    (("in_list", "d", "a,b,c", ","), -1),
    (("in_list_prefix", "bcd", "a,b,c", ","), 1),
    (("in_list_prefix", "x", "a,b,c", ","), -1),
    (("is_audio_on_hold",), -1),
    (("remove_hf", "Nope"), -1),
    (("remove_hf_re", "Nope"), -1),
    (("replace", "nope", "x"), -1),
    (("subst", "/nope/x/"), -1),
    (("search_append", "nope", "x"), -1),
    (("append_hf", ""), -1),
    (("set_body", "x", ""), -1),
    (("filter_body", "application/sdp"), 1),
    (("filter_body", "text/plain"), -1),
    (("subst_uri", "/nope/x/"), -1),
    (("subst_user", "/nope/x/"), -1),
    (("append_body_part", "x", "text/plain"), -1),
    (("regex_substring", "abc123", "([a-z]+)([0-9]+)", 2, 3, "$var(o)"), 1),
    (("regex_substring", "abc", "([0-9]+)", 1, 1, "$var(o)"), -1),
]


@pytest.mark.parametrize(("call", "code"), CODES, ids=[repr(row[0]) for row in CODES])
def test_the_return_code(runtime, call, code):
    assert runtime.call(runtime.message(PLAIN_INVITE), *call) == code


def test_regex_substring_stores_the_group(runtime):
    ctx = runtime.message(PLAIN_INVITE)
    runtime.call(ctx, "regex_substring", "abc123", "([a-z]+)([0-9]+)", 2, 3, "$var(o)")
    assert runtime.get(ctx, "$var(o)") == "123"


def test_append_to_reply_waits_for_the_next_local_reply(runtime):
    ctx = runtime.message(PLAIN_INVITE)
    runtime.call(ctx, "append_to_reply", "X-Reply: $rU\r\n")
    assert list(ctx.reply_headers) == ["X-Reply: alice"]
    assert not ctx.edits


def test_append_time_writes_a_date_in_gmt(runtime):
    ctx = runtime.message(PLAIN_INVITE)
    runtime.call(ctx, "append_time")
    runtime.call(ctx, "append_time_to_request")
    assert ctx.reply_headers[0].startswith("Date: ")
    assert ctx.reply_headers[0].endswith(" GMT")
    _, added = changed_lines(PLAIN_INVITE, runtime.sent(ctx))
    assert added[0].startswith("Date: ")


def test_set_body_replaces_body_type_and_length(runtime):
    ctx = runtime.message(PLAIN_INVITE)
    runtime.call(ctx, "set_body", "hello $rU", "text/plain")
    head, _, body = runtime.sent(ctx).partition("\r\n\r\n")
    assert body == "hello alice"
    assert "\r\nContent-Type: text/plain\r\n" in head + "\r\n"
    assert head.endswith("Content-Length: 11")


def test_set_body_gives_a_message_without_one_all_it_needs(runtime):
    ctx = runtime.message(BARE_OPTIONS.replace("Content-Length: 0\r\n", ""))
    runtime.call(ctx, "set_body", "x=1", "text/plain")
    head, _, body = runtime.sent(ctx).partition("\r\n\r\n")
    assert body == "x=1"
    assert head.endswith("Content-Length: 3\r\nContent-Type: text/plain")


def test_set_reply_body_waits_for_the_next_local_reply(runtime):
    ctx = runtime.message(PLAIN_INVITE)
    assert runtime.call(ctx, "set_reply_body", "é$rU", "text/plain") == 1
    assert ctx.scratch["reply.body"] == ("éalice".encode(), "text/plain")


def test_a_multipart_body_is_made_grown_read_and_cut(runtime):
    ctx = runtime.message(PLAIN_INVITE)
    assert runtime.call(ctx, "set_body_multipart") == 1
    assert runtime.call(ctx, "append_body_part", "hey", "text/plain", "signal") == 1
    head, _, body = runtime.sent(ctx).partition("\r\n\r\n")
    assert 'Content-Type: multipart/mixed;boundary="unique-boundary-1"' in head
    assert body == (
        "--unique-boundary-1\r\nContent-Type: application/sdp\r\n\r\n" + SDP.rstrip("\r\n") + "\r\n"
        "--unique-boundary-1\r\nContent-Type: text/plain\r\nContent-Disposition: signal\r\n\r\nhey\r\n"
        "--unique-boundary-1--\r\n"
    )
    assert f"Content-Length: {len(body)}" in head
    assert runtime.call(ctx, "get_body_part", "text/plain", "$var(part)") == 1
    assert runtime.get(ctx, "$var(part)") == "hey"
    assert runtime.call(ctx, "get_body_part_raw", "text/plain", "$var(part)") == 1
    assert (
        runtime.get(ctx, "$var(part)") == "Content-Type: text/plain\r\nContent-Disposition: signal\r\n\r\nhey"
    )
    assert runtime.call(ctx, "remove_body_part", "text/plain") == 1
    assert "text/plain" not in runtime.sent(ctx)
    assert runtime.call(ctx, "filter_body", "application/sdp") == 1
    assert runtime.sent(ctx).partition("\r\n\r\n")[2] == SDP.rstrip("\r\n")


@pytest.mark.parametrize(
    ("line", "code"),
    [("a=sendonly", 1), ("a=inactive", 1), ("a=recvonly", -1), ("c=IN IP4 0.0.0.0", 1)],
)
def test_audio_on_hold(runtime, line, code):
    text = PLAIN_INVITE.replace("a=sendrecv", line).replace(
        "Content-Length: 99", f"Content-Length: {99 - len('a=sendrecv') + len(line)}"
    )
    assert runtime.call(runtime.message(text), "is_audio_on_hold") == code


def test_privacy_is_a_list(runtime):
    ctx = runtime.message(PLAIN_INVITE.replace("Subject: hello world hello", "Privacy: id; header"))
    assert [runtime.call(ctx, "is_privacy", kind) for kind in ("id", "header", "none")] == [1, 1, -1]


def test_octets_that_are_no_utf8_keep_their_places(runtime):
    ctx = runtime.message(PLAIN_INVITE.replace("Subject: hello", "Subject: h\udce9\udcff hello"))
    runtime.call(ctx, "replace", "world", "w")
    runtime.call(ctx, "replace_body", "audio", "video")
    assert "Subject: h\udce9\udcff hello w hello\r\n" in runtime.sent(ctx)
    assert "m=video 4000" in runtime.sent(ctx)
