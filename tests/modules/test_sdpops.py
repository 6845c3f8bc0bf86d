"""sdpops: what Kamailio 5.6.3 answered to the same calls is written here."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.runtime import Runtime, changed_lines

LINES = [
    "v=0", "o=- 123 456 IN IP4 10.0.0.5", "s=-", "c=IN IP4 10.0.0.5", "t=0 0",
    "m=audio 4000 RTP/AVP 0 8 96 101", "a=rtpmap:0 PCMU/8000", "a=rtpmap:96 opus/48000/2",
    "a=fmtp:96 useinbandfec=1", "a=rtpmap:101 telephone-event/8000", "a=fmtp:101 0-15", "a=sendrecv",
    "m=video 4002 RTP/SAVP 97 98", "c=IN IP4 10.0.0.6", "a=rtpmap:97 H264/90000", "a=fmtp:97 x=1",
    "a=rtcp-fb:97 nack", "a=rtpmap:98 VP8/90000", "a=candidate:1 1 UDP 1 10.0.0.6 4002 typ host",
    "m=image 0 udptl t38",
]  # fmt: skip
SDP = "\r\n".join(LINES) + "\r\n"


def invite(sdp=SDP, kind="application/sdp"):
    content_type = f"Content-Type: {kind}\r\n" if sdp else ""
    length = len(sdp.encode("utf-8", "surrogateescape"))
    return (
        "INVITE sip:alice@example.com SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:5999;branch=z9hG4bK1\r\n"
        "From: <sip:bob@b.org>;tag=1\r\nTo: <sip:alice@example.com>\r\nCall-ID: a\r\nCSeq: 1 INVITE\r\n"
        f"{content_type}Content-Length: {length}\r\n\r\n{sdp}"
    )


@pytest.fixture(scope="module")
def runtime():
    return Runtime("pv", "sdpops")


def called(runtime, text, ctx):
    name, _, rest = text.partition("(")
    arguments = [word.strip('"') for word in rest.rstrip(")").split('","') if word.strip('"')]
    return runtime.call(ctx, name, *arguments)


@pytest.mark.parametrize(
    ("call", "code"),
    [
        ('sdp_with_media("audio")', 1),
        ('sdp_with_media("image")', 1),
        ('sdp_with_media("Video")', 1),
        ('sdp_with_media("text")', -1),
        ('sdp_with_active_media("audio")', 1),
        ('sdp_with_active_media("image")', -1),
        ('sdp_with_transport("RTP/AVP")', 1),
        ('sdp_with_transport("RTP/SAVP")', 1),
        ('sdp_with_transport("udptl")', 1),
        ('sdp_with_transport("RTP/SAVPF")', -1),
        ('sdp_with_transport_like("SAVP")', 1),
        ('sdp_with_transport_like("AVP")', 1),
        ('sdp_with_transport_like("WS")', -1),
        ('sdp_with_codecs_by_id("0")', 2),
        ('sdp_with_codecs_by_id("0,8")', 2),
        ('sdp_with_codecs_by_id("0,55")', 2),
        ('sdp_with_codecs_by_id("97")', 2),
        ('sdp_with_codecs_by_id("55")', -1),
        ('sdp_with_codecs_by_id("0,97")', 2),
        ('sdp_with_codecs_by_name("PCMU")', 2),
        ('sdp_with_codecs_by_name("PCMU,PCMA")', 2),
        ('sdp_with_codecs_by_name("opus,G729")', 2),
        ('sdp_with_codecs_by_name("nope")', -1),
        ('sdp_with_codecs_by_name("G729")', -1),
        ('sdp_with_codecs_by_name("H264")', 2),
        ("sdp_content()", 1),
        ('sdp_content("1")', 1),
        ("sdp_with_ice()", 1),
        ("sdp_get_address_family()", 4),
        ('sdp_print("1")', 1),
    ],
)
def test_questions_are_answered_as_kamailio_answers_them(runtime, call, code):
    ctx = runtime.message(invite())
    assert called(runtime, call, ctx) == code
    assert runtime.sent(ctx) == invite()


@pytest.mark.parametrize(
    ("call", "code", "removed", "added"),
    [
        ('sdp_remove_codecs_by_id("8")', 1, [5], ["m=audio 4000 RTP/AVP 0 96 101"]),
        ('sdp_remove_codecs_by_id("0,96")', 1, [5, 6, 7, 8], ["m=audio 4000 RTP/AVP 8 101"]),
        ('sdp_remove_codecs_by_id("96","video")', 1, [], []),
        ('sdp_remove_codecs_by_id("97","video")', 1, [12, 14, 15, 16], ["m=video 4002 RTP/SAVP 98"]),
        ('sdp_remove_codecs_by_id("0,8,96,101")', 1, [5, 6, 7, 8, 9, 10], ["m=audio 4000 RTP/AVP"]),
        ('sdp_remove_codecs_by_id("55")', 1, [], []),
        ('sdp_remove_codecs_by_name("PCMU")', 1, [5, 6], ["m=audio 4000 RTP/AVP 8 96 101"]),
        ('sdp_remove_codecs_by_name("pcma,OPUS")', 1, [5, 7, 8], ["m=audio 4000 RTP/AVP 0 101"]),
        ('sdp_remove_codecs_by_name("telephone-event")', 1, [5, 9, 10], ["m=audio 4000 RTP/AVP 0 8 96"]),
        ('sdp_remove_codecs_by_name("H264","video")', 1, [12, 14, 15, 16], ["m=video 4002 RTP/SAVP 98"]),
        ('sdp_remove_codecs_by_name("H264","audio")', 1, [], []),
        ('sdp_remove_codecs_by_name("nope")', -1, [], []),
        ('sdp_remove_codecs_by_name("G729")', 1, [], []),
        (
            'sdp_keep_codecs_by_id("0")',
            1,
            [5, 7, 8, 9, 10, 12, 14, 15, 16, 17, 19],
            ["m=audio 4000 RTP/AVP 0", "m=video 4002 RTP/SAVP", "m=image 0 udptl"],
        ),
        ('sdp_keep_codecs_by_id("0","audio")', 1, [5, 7, 8, 9, 10], ["m=audio 4000 RTP/AVP 0"]),
        (
            'sdp_keep_codecs_by_id("8,97")',
            1,
            [5, 6, 7, 8, 9, 10, 12, 17, 19],
            ["m=audio 4000 RTP/AVP 8", "m=video 4002 RTP/SAVP 97", "m=image 0 udptl"],
        ),
        ('sdp_keep_codecs_by_id("55","audio")', 1, [5, 6, 7, 8, 9, 10], ["m=audio 4000 RTP/AVP"]),
        (
            'sdp_keep_codecs_by_name("PCMU")',
            1,
            [5, 7, 8, 9, 10, 12, 14, 15, 16, 17, 19],
            ["m=audio 4000 RTP/AVP 0", "m=video 4002 RTP/SAVP", "m=image 0 udptl"],
        ),
        ('sdp_keep_codecs_by_name("PCMA,opus","audio")', 1, [5, 6, 9, 10], ["m=audio 4000 RTP/AVP 8 96"]),
        ('sdp_keep_codecs_by_name("VP8","video")', 1, [12, 14, 15, 16], ["m=video 4002 RTP/SAVP 98"]),
        ('sdp_keep_codecs_by_name("nope","audio")', -1, [], []),
        ('sdp_keep_codecs_by_name("PCMU,nope","audio")', 1, [5, 7, 8, 9, 10], ["m=audio 4000 RTP/AVP 0"]),
        ('sdp_remove_media("video")', 1, [12, 13, 14, 15, 16, 17, 18], []),
        ('sdp_remove_media("image")', 1, [19], []),
        ('sdp_remove_media("text")', -1, [], []),
        ('sdp_remove_transport("RTP/SAVP")', 1, [12, 13, 14, 15, 16, 17, 18], []),
        ('sdp_remove_transport("udptl")', 1, [19], []),
        ('sdp_remove_transport("X")', -1, [], []),
        ('sdp_remove_line_by_prefix("a=rtpmap")', 1, [6, 7, 9, 14, 17], []),
        ('sdp_remove_line_by_prefix("a=fmtp","video")', 1, [15], []),
        ('sdp_remove_line_by_prefix("c=")', 1, [3, 13], []),
        ('sdp_remove_line_by_prefix("a=nope")', 1, [], []),
        ('sdp_remove_line_by_prefix("c=","audio")', 1, [], []),
    ],
)
def test_changes_touch_the_lines_that_kamailio_touches(runtime, call, code, removed, added):
    """`removed` are places among LINES."""
    ctx = runtime.message(invite())
    assert called(runtime, call, ctx) == code
    gone, new = changed_lines(invite(), runtime.sent(ctx))
    assert [line for line in gone if "Length" not in line] == [LINES[place] for place in removed]
    assert [line for line in new if "Length" not in line] == added
    head, _, body = runtime.sent(ctx).partition("\r\n\r\n")
    assert f"Content-Length: {len(body)}\r\n" in f"{head}\r\n"


@pytest.mark.parametrize(
    ("call", "value"),
    [
        ('sdp_get("$avp(a)")', SDP),
        ('sdp_transport("$avp(a)")', "RTP/AVP"),
        ('sdp_get_line_startswith("$avp(a)","m=")', LINES[5]),
        ('sdp_get_line_startswith("$avp(a)","a=rtpmap:96")', LINES[7]),
        ('sdp_get_line_startswith("$avp(a)","zz")', None),
    ],
)
def test_texts_are_stored_in_the_variable(runtime, call, value):
    ctx = runtime.message(invite())
    assert called(runtime, call, ctx) == (-1 if value is None else 1)
    assert runtime.get(ctx, "$avp(a)") == value


@pytest.mark.parametrize(
    ("call", "code"),
    [
        ("sdp_content()", -1), ('sdp_with_media("audio")', -1), ('sdp_remove_codecs_by_id("0")', -1),
        ("sdp_with_ice()", -1), ("sdp_get_address_family()", -1), ('sdp_get("$avp(a)")', -2),
        ('sdp_print("1")', 1), ('sdp_keep_codecs_by_name("PCMU")', -1), ('sdp_remove_media("audio")', -1),
        ('sdp_with_codecs_by_id("0")', -1), ('sdp_remove_line_by_prefix("a=")', -1),
        ('sdp_with_active_media("audio")', -1), ('sdp_transport("$avp(a)")', -1),
        ('sdp_get_line_startswith("$avp(a)","m=")', -1), ('sdp_with_transport("RTP/AVP")', -1),
    ],
)  # fmt: skip
def test_without_an_sdp_everything_is_false(runtime, call, code):
    assert called(runtime, call, runtime.message(invite(""))) == code
    if code == -1:
        assert called(runtime, call, runtime.message(invite(kind="text/plain"))) == -1


def test_two_changes_of_one_line_both_count(runtime):
    ctx = runtime.message(invite())
    assert called(runtime, 'sdp_remove_codecs_by_name("PCMU")', ctx) == 1
    assert called(runtime, 'sdp_remove_codecs_by_name("PCMA")', ctx) == 1
    assert called(runtime, 'sdp_remove_media("video")', ctx) == 1
    assert called(runtime, 'sdp_remove_codecs_by_name("H264")', ctx) == 1
    sent = runtime.sent(ctx)
    assert "m=audio 4000 RTP/AVP 96 101\r\n" in sent
    assert "m=video" not in sent
    assert "VP8" not in sent


def test_the_family_is_the_sessions(runtime):
    six = SDP.replace("IP4", "IP6").replace("10.0.0.5", "::1")
    assert called(runtime, "sdp_get_address_family()", runtime.message(invite(six))) == 6


def test_active_media_are_not_inactive(runtime):
    held = SDP.replace("a=sendrecv", "a=inactive")
    assert called(runtime, 'sdp_with_active_media("audio")', runtime.message(invite(held))) == -1


def test_the_session_version_is_read_set_and_counted_up(runtime):
    ctx = runtime.message(invite())
    assert runtime.get(ctx, "$sdp(sess_version)") == "456"
    assert runtime.get(ctx, "$sdp(body)") == SDP
    runtime.set(ctx, "$sdp(sess_version)", 999)
    assert "o=- 123 999 IN" in runtime.sent(ctx)
    ctx = runtime.message(invite())
    runtime.set(ctx, "$sdp(sess_version)", -1)
    assert "o=- 123 457 IN" in runtime.sent(ctx)
    ctx = runtime.message(invite())
    runtime.set(ctx, "$sdp(body)", "v=0\r\n")
    assert runtime.sent(ctx).endswith("\r\n\r\nv=0\r\n")


def test_an_sdp_within_a_multipart_body_is_changed_in_its_place(runtime):
    other = "--b\r\n\r\na=rtpmap:0 PCMU/8000\r\n--b--\r\n"
    parts = f"--b\r\nContent-Type: application/sdp\r\n\r\n{SDP}\r\n{other}"
    ctx = runtime.message(invite(parts, "multipart/mixed; boundary=b"))
    assert called(runtime, 'sdp_remove_codecs_by_name("PCMU")', ctx) == 1
    assert "m=audio 4000 RTP/AVP 8 96 101\r\n" in runtime.sent(ctx)
    assert runtime.sent(ctx).endswith(other)


CALLS = [
    'sdp_remove_codecs_by_id("0")',
    'sdp_keep_codecs_by_name("PCMU")',
    'sdp_remove_media("audio")',
    'sdp_remove_line_by_prefix("a=")',
    'sdp_with_codecs_by_id("0")',
    "sdp_get_address_family()",
]


@given(st.lists(st.sampled_from([*LINES, "", "m=", "m=audio", "o=", "a=rtpmap:", "\xff"]), max_size=12))
def test_any_lines_are_taken_without_a_failure(lines):
    runtime = Runtime("sdpops")
    for call in CALLS:
        ctx = runtime.message(invite("\r\n".join(lines)))
        called(runtime, call, ctx)
        runtime.sent(ctx)
