"""What a trace shows: ladders in all their forms, filters, redaction, the screen without a terminal."""

import json
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path

import pytest

from kamtool.errors import UsageError
from kamtool.repl.ladder.state import COMPARE, LADDER, LIST, MESSAGE, SDP
from kamtool.repl.ladder.view import View
from kamtool.sip.flow import Address
from kamtool.tools.captured import Captured, Place
from kamtool.tools.ladder import html, markdown, mermaid, svg, text
from kamtool.tools.ladder.calls import Calls
from kamtool.tools.ladder.facts import facts
from kamtool.tools.ladder.picture import delay, ladder
from kamtool.tools.trace import filter as filters
from kamtool.tools.trace.redact import Redactor
from kamtool.tools.trace.save import save

ALICE, SERVER, BOB = Address("192.0.2.1", 5062), Address("192.0.2.9", 5060), Address("192.0.2.7", 5066)
PLACE = Place("/etc/kamailio/kamailio.cfg", 41, "t_relay", "route[RELAY]")
BODY = (
    b"v=0\r\no=alice 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"
    b"m=audio 4000 RTP/AVP 0 8\r\na=rtpmap:0 PCMU/8000\r\n"
    b"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwg\r\n"
    b"a=sendrecv\r\n"
)


def message(first, cseq="1 INVITE", body=b"", more=""):
    return (
        f"{first}\r\nVia: SIP/2.0/UDP 192.0.2.1:5062;branch=z9hG4bKa\r\n"
        f'From: "Alice" <sip:alice@example.com>;tag=f\r\nTo: <sip:+4930123456@example.com>\r\n'
        "Call-ID: call1\r\n"
        f"CSeq: {cseq}\r\nMax-Forwards: 70\r\n{more}Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body


def call():
    invite = message("INVITE sip:+4930123456@example.com SIP/2.0", body=BODY)
    digest = (
        'Authorization: Digest username="alice", realm="r", nonce="abc", uri="sip:x", response="0123"\r\n'
    )
    path = [Place(PLACE.file, line, "if", "request_route") for line in (12, 13, 14, 20)] + [PLACE]
    steps = [
        (0.0, ALICE, SERVER, invite, True, {"path": path, "route": "request_route"}),
        (0.5, ALICE, SERVER, invite, True, {}),
        (0.501, SERVER, BOB, invite.replace(b"bKa", b"bKb"), False, {"sent_by": PLACE}),
        (0.6, BOB, SERVER, message("SIP/2.0 180 Ringing"), True, {}),
        (0.601, SERVER, ALICE, message("SIP/2.0 180 Ringing"), False, {}),
        (2.0, BOB, SERVER, message("SIP/2.0 486 Busy Here"), True, {}),
        (2.1, ALICE, SERVER, message("ACK sip:x SIP/2.0", "1 ACK", more=digest), True, {}),
    ]  # fmt: skip
    return [Captured(1_700_000_000 + at, "udp", *rest[:4], **rest[4]) for at, *rest in steps]


@pytest.fixture
def calls():
    return Calls().add_all(call())


def only(calls):
    return next(iter(calls))


def test_retransmissions_are_folded_and_endpoints_stand_in_their_order():
    picture = ladder(call())
    assert picture.columns == ["192.0.2.1:5062", "kamtool 192.0.2.9:5060", "192.0.2.7:5066"]
    assert [(a.source, a.target, a.label) for a in picture.arrows][:3] == [
        (0, 1, "INVITE sdp ×2"), (1, 2, "INVITE sdp"), (2, 1, "180 Ringing"),
    ]  # fmt: skip
    assert len(picture.arrows) == 6


def test_the_ladder_in_text_fits_eighty_columns(calls):
    drawn = text.render(only(calls), 80)
    assert max(map(len, drawn.split("\n")[1:])) <= 80
    assert "INVITE sdp ×2" in drawn
    assert "· request_route kamailio.cfg:12-14, 20 → route[RELAY] 41 t_relay" in drawn
    assert "· sent by kamailio.cfg:41 t_relay in route[RELAY]" in drawn
    assert "rejected 486" in drawn


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.0004, "+0.4ms"),
        (0.012, "+12ms"),
        (1.534, "+1.53s"),
        (125, "+2m05s"),
        (-1, "+0.0ms"),
        (0.99955, "+1.00s"),
    ],
)
def test_a_delay_is_short_to_read(seconds, shown):
    assert delay(seconds) == shown


def test_the_svg_is_the_golden_one(calls):
    """After a change that is meant: look at the new one, then put it in the place of ladder.svg."""
    golden = Path(__file__).with_name("ladder.svg")
    drawn = svg.render(only(calls))
    ElementTree.fromstring(drawn)
    assert drawn == golden.read_text()


def test_the_page_is_one_file_that_asks_nothing_of_the_network(calls):
    hostile = call()[0]
    hostile.data = hostile.data.replace(b'"Alice"', b"<script>alert(1)</script>")
    calls.add(hostile)
    page = html.render(calls)
    assert not re.search(r"""(?:src|href)\s*=|@import|url\(|https?://(?!www\.w3\.org/2000/svg)""", page)
    assert "<script>alert" not in page
    assert page.count("<svg") == 1
    assert "486 Busy Here" in page


def test_mermaid_and_markdown_hold_no_sign_that_would_break_them(calls):
    drawn = mermaid.render(only(calls))
    assert drawn.startswith("sequenceDiagram\n")
    assert "p0->>p1: INVITE sdp ×2 (+0.0ms)" in drawn
    assert "p2-->>p1: 180 Ringing (+99ms)" in drawn
    assert not any(";" in re.sub(r"#\d+;", "", line) for line in drawn.split("\n"))
    page = markdown.render(only(calls))
    assert "```mermaid\nsequenceDiagram" in page
    assert page.count("<details>") == page.count("</details>") == 6


def test_facts_are_json_and_tell_where_the_script_was():
    told = [json.loads(json.dumps(facts(seen))) for seen in call()]
    assert told[0]["method"], told[0]["path"][-1] == ("INVITE", {"file": PLACE.file, "line": 41})
    assert told[0]["path"][-1]["line"] == 41
    assert told[2]["sent_by"]["name"] == "t_relay"
    assert told[5]["status"] == 486


# Filters


# As in Kamailio, `$rm` of a response is the method of its CSeq.
@pytest.mark.parametrize(
    ("expression", "count"),
    [
        ('$rm == "INVITE"', 6), ('$rm == "INVITE" && $fU == "alice"', 6), ('$si == "192.0.2.7"', 2),
        ('$Ri == "192.0.2.7"', 1), ('$rs == 486', 1), ('is_method("ACK")', 1), ('$fU == "bob"', 0),
        ("has_body()", 3), ('$rU =~ "^\\+49"', 3),
    ],
)  # fmt: skip
def test_a_filter_is_an_expression_of_the_cfg(expression, count):
    test = filters.expression(expression)
    assert sum(map(test, call())) == count


@pytest.mark.parametrize("expression", ["$rm ==", "$nosuch", "t_relay() || nosuch()", "$rm = 1", ") exit; ("])
def test_a_wrong_filter_is_said_to_be_wrong(expression):
    with pytest.raises(UsageError, match="filter"):
        filters.expression(expression)


def test_whole_calls_go_on_after_the_first_message_that_fits():
    wanted = filters.Filter([filters.expression("$rs == 180")], whole_calls=True)
    assert [wanted(seen) for seen in call()] == [False, False, False, True, True, True, True]


@pytest.mark.parametrize(
    ("test", "count"),
    [
        (filters.by_user("alice"), 7), (filters.by_user("alice@example.com"), 7), (filters.by_user("bob"), 0),
        (filters.by_ip("192.0.2.7"), 3), (filters.by_ip("192.0.2.0/24"), 7), (filters.by_ip("10.0.0.0/8"), 0),
        (filters.by_call_id("call1"), 7), (filters.by_call_id("ca*"), 7), (filters.by_call_id("call"), 0),
    ],
)  # fmt: skip
def test_the_short_filters(test, count):
    assert sum(map(test, call())) == count


# Redaction


def test_no_secret_user_or_number_is_left_and_the_call_still_hangs_together():
    redact = Redactor()
    hidden = [redact(seen) for seen in call()]
    whole = b"".join(seen.data for seen in hidden)
    for secret in (b"alice", b"Alice", b"4930123456", b"WVNfX19zZW1jdGwg", b'0123"', b'nonce="abc"'):
        assert secret not in whole, secret
    assert len({seen.from_user for seen in hidden}) == 1
    assert {seen.call_id for seen in hidden} == {"call1"}
    assert re.search(rb"sip:\+\d{10}@example.com", hidden[0].data)
    for seen in hidden:
        assert seen.malformed == ""
        assert int(seen.header("Content-Length")) == len(seen.body)
    assert Redactor()(call()[0]).from_user != hidden[0].from_user


# The screen


def shown(view, width=80, height=22):
    lines = view.page(width, height)
    assert len(lines) == height
    texts = ["".join(part for _, part in line) for line in lines]
    assert max(map(len, texts)) <= width
    return "\n".join(texts)


def press(view, *keys):
    for key in keys:
        assert view.key(key, 22)


@pytest.fixture
def view():
    made = View("test")
    made.take(call())
    return made


def test_from_the_list_to_a_ladder_to_a_message_and_back(view):
    assert "rejected" in shown(view)
    press(view, "enter")
    assert view.mode == LADDER
    assert "INVITE sdp ×2" in shown(view)
    press(view, "down", "enter")
    assert view.mode == MESSAGE
    assert "192.0.2.9:5060 → 192.0.2.7:5066" in shown(view)
    press(view, "right")
    assert "180 Ringing" in shown(view)
    press(view, "escape", "escape")
    assert view.mode == LIST
    assert not view.key("q", 22)


def test_two_messages_are_compared(view):
    press(view, "enter", " ", "down", " ")
    assert view.mode == COMPARE
    page = view.page(100, 22)
    changed = ["".join(t for _, t in line) for line in page if any(s == "class:changed" for s, _ in line)]
    assert any("z9hG4bKa" in line and "z9hG4bKb" in line for line in changed)


def test_the_sdp_is_told_and_a_message_without_one_says_so(view):
    press(view, "enter", "d")
    assert view.mode == SDP
    assert "PCMU/8000" in shown(view)
    press(view, "escape", "end", "d")
    assert "no SDP" in view.said


def test_search_and_filter_narrow_the_list(view):
    other = call()[0]
    other.data = other.data.replace(b"call1", b"call2").replace(b"alice", b"carol")
    other._key = other._message = None
    view.take([other])
    view.asking = "search"
    view.answer("carol")
    assert [each.call_id for each in view.shown] == ["call2"]
    view.asking = "search"
    view.answer("")
    view.asking = "filter"
    view.answer("$rs == 486")
    assert [each.call_id for each in view.shown] == ["call1"]
    view.asking = "filter"
    view.answer("$rs ==")
    assert "filter" in view.said


def test_a_paused_screen_keeps_what_comes_for_later(view):
    press(view, "p")
    view.take(call())
    assert view.calls.count == 7
    press(view, "p")
    assert view.calls.count == 14


@pytest.mark.parametrize("suffix", [".pcapng", ".pcap", ".html", ".svg", ".md", ".mmd", ".txt", ".jsonl"])
def test_a_call_is_saved_as_what_the_name_says(tmp_path, calls, suffix):
    path = tmp_path / f"call{suffix}"
    assert "7 messages of 1 call" in save(path, list(calls))
    assert path.stat().st_size > 500


def test_a_name_without_a_kind_is_refused(tmp_path, calls):
    with pytest.raises(UsageError, match="what should it be"):
        save(tmp_path / "call", list(calls))


@pytest.mark.parametrize("size", [(80, 24), (20, 5), (200, 50), (1, 1)])
def test_any_size_of_terminal_can_be_drawn(view, size):
    width, height = size
    for key in ("enter", "end", "enter", "escape", "d", "escape", "home", " ", "down", " ", "escape", "?"):
        view.key(key, height)
        assert len(view.page(width, height)) == height


def test_hostile_text_moves_no_cursor(view):
    seen = call()[0]
    seen.data = seen.data.replace(b"Alice", b"A\x1b[2Jl\x07").replace(b"call1", b"c\x1b]0;x")
    view.take([seen])
    press(view, "down", "enter", "enter")
    assert "\x1b" not in shown(view) + text.render(view.call) + text.message_text(seen)


def test_escape_in_the_list_takes_back_the_filter_and_does_not_quit():
    view = View("test")
    view.take(call())
    view.asking = "filter"
    view.answer('$fU == "nobody"')
    assert not view.shown
    assert view.key("escape", 20)
    assert view.shown
    assert view.key("escape", 20)
    assert view.said == "q quits"
    assert not view.key("q", 20)


def test_a_long_reason_stays_between_its_columns_in_a_picture():
    text = "trying -- your call is important to us, please hold the line"
    messages = call()
    answer = next(seen for seen in messages if seen.status)
    answer.data = answer.data.replace(answer.label.encode(), f"{answer.status} {text}".encode(), 1)
    calls = Calls()
    for seen in messages:
        calls.add(seen)
    drawn = svg.render(next(iter(calls)))
    assert f"{text}</title>" in drawn
    assert f"{text}</text>" not in drawn
    assert "…</text>" in drawn


def test_of_a_long_way_through_the_cfg_the_end_is_shown_too(calls):
    way = " → ".join(f"route[STEP{number}] {number}" for number in range(40))
    drawn = ladder([replace(only(calls).messages[0], error=f"{way} exit → 401")])
    lines = [line.text for line in text.draw(drawn, 80) if line.kind == "note"][-3:]
    assert lines[0].strip().startswith("· error: route[STEP0]")
    assert lines[0].endswith(" …")
    assert lines[-1].endswith("exit → 401")
    assert max(map(len, lines)) <= 80
