"""The kernel of the load generator and its pure twin: same messages in, same messages and figures
out.
"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kamtool.speed import durations, lines
from kamtool.speed import volley as pure
from kamtool.speed.stages import (
    CALL,
    CALL_ID,
    CSEQ,
    END,
    FIELD,
    LAST,
    LENGTH,
    NEXT_URL,
    NUMBER,
    PAUSE,
    PROOF,
    RECV,
    ROUTES,
    SEND,
    TO_TAG,
)
from kamtool.tools.stress import received

HERE, THERE = ("127.0.0.1", 5060), ("127.0.0.2", 5070)
INVITE = 2


def native():
    return pytest.importorskip("kamtool.speed._volley", reason="the kernel is not built")


def caller(twin, out):
    """A script with every operation in it."""
    invite = (
        b"INVITE sip:",
        (FIELD, 0, False),
        b" SIP/2.0\r\nCall-ID: ",
        (CALL_ID, None, False),
        b"\r\nCSeq: ",
        (CSEQ, 0, False),
        b" INVITE\r\nContent-Length: ",
        (LENGTH, 2, False),
        b"\r\n\r\n",
    )
    ack = (
        b"ACK ",
        (NEXT_URL, None, False),
        b" SIP/2.0\r\n",
        (ROUTES, None, True),
        b"To: x",
        (TO_TAG, None, False),
        b"\r\n",
        (LAST, b"Via", True),
        (FIELD, 9, True),
        (PROOF, ("a", "b"), True),
        b"\r\n",
    )
    stages = [
        twin.Stage(
            SEND, head=invite, body=(b"call ", (NUMBER, 7, False)), starts=True, retrans=0.5, measure=INVITE
        ),
        twin.Stage(RECV, status=180, optional=True, provisional=True, measure=INVITE),
        twin.Stage(RECV, 3, status=401, optional=True, auth=True),
        twin.Stage(RECV, status=200, rrs=True, final=True, measure=INVITE, methods=(b"INVITE",)),
        twin.Stage(SEND, head=ack, is_ack=True),
        twin.Stage(PAUSE, seconds=0.2),
        twin.Stage(RECV, method=b"BYE"),
        twin.Stage(END),
    ]
    return twin.Script(stages, out, THERE)


def callee(twin, out):
    lines = tuple((LAST, name, True) for name in (b"Via", b"Record-Route", b"From", b"Call-ID", b"CSeq"))
    stages = [
        twin.Stage(RECV, method=b"INVITE"),
        twin.Stage(SEND, head=(b"SIP/2.0 200 OK\r\n", *lines, b"\r\n"), retrans=0.5),
        twin.Stage(RECV, method=b"ACK"),
        twin.Stage(END),
    ]
    return twin.Script(stages, out, HERE)


def routing(data):
    return received.route_set(data), received.contact_uri(data)


def prove(argument, challenge, first, row, number):
    return b"Proof: %d %d " % (row, number) + first


class Side:
    """A volley of one twin, and all that came of it."""

    def __init__(self, twin):
        self.out, self.seen = [], []
        self.volley = twin.Volley(
            rows=[[b"bob"], [b"carol", b"x"]], prove=prove, routing=routing, timeout=3.0, keep=True
        )
        self.calls, self.answers = caller(twin, self.out), callee(twin, self.out)

    def step(self, kind, argument, now):
        if kind == "begin":
            self.volley.begin(self.calls, argument, b"%d@x" % argument, argument, now - 0.01, now)
        elif kind == "begin many":
            first, rows = argument
            self.volley.begin_many(self.calls, first, b"x", rows, [now - 0.2, now, now], now)
        elif kind == "receive":
            rest = self.volley.receive([(argument, HERE, now - 0.001)], self.answers, now)
            self.seen.append(("rest", rest))
        elif kind == "sweep":
            self.volley.sweep(now)
        elif kind == "give up":
            shot = self.volley.give_up(b"%d@x" % argument)
            self.seen.append(shot and facts(shot))
        else:
            self.seen.append(self.volley.take())
            self.volley.forget()
        self.seen += [(facts(shot), *rest) for shot, *rest in self.volley.odd]
        self.volley.odd.clear()
        self.seen += self.out
        self.seen.append(
            (self.volley.next_at(), self.volley.under_way, [*self.calls.counts], [*self.answers.counts])
        )
        self.out.clear()


NAMES = (
    "ack",
    "address",
    "again_at",
    "armed",
    "at",
    "began",
    "begun",
    "call_id",
    "challenge",
    "clocks",
    "cseq",
    "done",
    "interval",
    "last",
    "next_url",
    "number",
    "own",
    "paused",
    "resend",
    "ringing",
    "routes",
    "row",
    "sent",
    "since",
    "taken",
    "wakes_at",
)


def facts(shot):
    return {name: getattr(shot, name) for name in NAMES}


FIRST = [
    b"SIP/2.0 180 Ringing",
    b"SIP/2.0 200 OK",
    b"SIP/2.0 401 No",
    b"SIP/2.0 486 Busy",
    b"SIP/2.0 2",
    b"SIP/2.0200 OK",
    b"BYE sip:x SIP/2.0",
    b"INVITE sip:x SIP/2.0",
    b"ACK sip:x SIP/2.0",
    b"",
    b"SIP/2.0 \xb2\xb2\xb2 x",
]
LINES = [
    b"CSeq: 1 INVITE",
    b"CSeq: 2 BYE",
    b"cseq: 1 INVITE",
    b"Via: one",
    b"Via: two",
    b"v: three",
    b"VIA : four",
    b" folded",
    b"To: <x>;tag=1;x",
    b"t: <y>;tag=2",
    b"From: z;tag=3",
    b"Contact: <sip:c@d>",
    b"m: <sip:e>",
    b'Contact: "<" <sip:f>',
    b"Record-Route: <sip:a;lr>",
    b"Record-Route: <sip:b>, <sip:c>",
    b"record-route: <sip:d>",
    b"x",
    b"T",
    b"\rTo: y",
]


@st.composite
def messages(draw):
    ends = draw(st.sampled_from([b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r"]))
    number = draw(st.sampled_from([1, 1, 1, 2, 3, 10]))
    name = draw(st.sampled_from([b"Call-ID: ", b"Call-ID: ", b"Call-ID: ", b"Call-ID:", b"i: "]))
    lines = [
        draw(st.sampled_from(FIRST) | st.sampled_from(FIRST[:2])),
        name + b"%d%bx" % (number, b"-" if number == 10 else b"@"),
        *draw(st.sampled_from([LINES[:1], LINES[:1], LINES[1:2], []])),
        *draw(st.lists(st.sampled_from(LINES), max_size=6)),
    ]
    return ends.join(lines) + draw(st.sampled_from([b"\r\n\r\n", b"\r\n\r\nTo: body\r\n", b"\r\n", b""]))


STEPS = st.one_of(
    st.tuples(st.just("begin"), st.integers(1, 3)),
    st.tuples(st.just("begin many"), st.tuples(st.just(10), st.none() | st.just([0, 5, 1]))),
    st.tuples(st.just("receive"), messages()),
    st.tuples(st.just("receive"), messages()),
    st.tuples(st.just("sweep"), st.none()),
    st.tuples(st.just("give up"), st.integers(1, 3)),
    st.tuples(st.just("take"), st.none()),
)


@settings(max_examples=400, deadline=None)
@given(st.lists(st.tuples(STEPS, st.sampled_from([0.0, 0.05, 0.3, 1.7])), min_size=3, max_size=14))
def test_the_twins_do_the_same_with_any_course_of_calls(course):
    sides, now = [Side(pure), Side(native())], 10.0
    begun = {1}
    for side in sides:
        side.step("begin", 1, now)
    for (kind, argument), passes in course:
        if (kind == "begin" and argument in begun) or (kind == "begin many" and 10 in begun):
            continue
        if kind == "begin many":
            begun.add(10)
        begun |= {argument} if kind == "begin" else set()
        now += passes
        for side in sides:
            side.step(kind, argument, now)
        assert sides[0].seen == sides[1].seen
        for side in sides:
            side.seen.clear()


@settings(max_examples=300, deadline=None)
@given(messages(), st.sampled_from([b"Via", b"To", b"From", b"Contact", b"Record-Route", b"X", b"CSeq"]))
def test_the_twins_read_the_same(data, name):
    for function, more in (("header_line", (name,)), ("to_tag", ()), ("call_id_of", ())):
        assert getattr(lines, function)(data, *more) == getattr(native(), function)(data, *more), function


@given(st.floats(min_value=-1, max_value=4000))
def test_the_twins_have_the_same_buckets(seconds):
    assert durations.bucket_of(seconds) == native().bucket_of(seconds)


def test_durations_are_given_once():
    noted = durations.Durations(2)
    noted.note(1, 0.010, 0.001)
    noted.note(1, 0.010, 0.004)
    bucket = durations.bucket_of(0.010)
    responses, longest, services, _ = noted.take()[1]
    assert (responses, longest) == ({bucket: 2}, 0.010)
    assert sum(services.values()) == 2
    assert noted.take() == [None, None]


def test_a_call_goes_its_way_and_is_timed():
    """INVITE 180 200 ACK BYE, the 200 once more, and what comes after the end."""
    side = Side(pure)
    head = b"\r\nCall-ID: 1@x\r\nCSeq: 1 INVITE\r\nTo: <x>;tag=9\r\nContact: <sip:c>\r\n\r\n"
    side.step("begin", 1, 10.0)
    assert side.seen[0][0] == (
        b"INVITE sip:carol SIP/2.0\r\nCall-ID: 1@x\r\nCSeq: 1 INVITE\r\nContent-Length: 8\r\n\r\ncall 8"
    )
    side.step("sweep", None, 10.6)
    assert side.volley.repeated == 1, "§17.1.1.2: sent again after T1"
    for text in (b"SIP/2.0 180 Ringing", b"SIP/2.0 200 OK", b"SIP/2.0 200 OK"):
        side.seen.clear()
        side.step("receive", text + head, 11.0)
    assert side.seen[1][0].startswith(b"ACK sip:c SIP/2.0\r\nTo: x;tag=9\r\n"), (
        "a 2xx that comes again has its ACK"
    )
    side.step("sweep", None, 11.3)
    side.step("receive", b"BYE sip:x SIP/2.0" + head, 12.0)
    counts, times = side.volley.take()
    assert counts["succeeded"] == 1
    assert [bool(one) for one in times[:3]] == [True, True, True]
    assert times[INVITE][1] == pytest.approx(1.009)
    response, service = times[CALL][1], times[CALL][3]
    assert (response, service) == (pytest.approx(2.009), pytest.approx(1.999)), "it began 10 ms late"
    side.step("receive", b"SIP/2.0 200 OK" + head, 12.1)
    assert side.seen[-2][0] == "rest"


def test_a_call_that_waits_too_long_is_given_up_as_it_stands():
    side = Side(pure)
    side.step("begin", 1, 10.0)
    for now in (10.5, 11.5, 13.1):
        side.seen.clear()
        side.step("sweep", None, now)
    given = side.seen[0]
    assert given[1:] == (b"", None, 13.1)
    assert given[0]["resend"].startswith(b"INVITE ")
    assert side.volley.under_way == 0


def test_a_script_that_leads_nowhere_is_refused():
    for twin in (pure, native()):
        with pytest.raises(ValueError, match="leads nowhere"):
            twin.Script([twin.Stage(SEND, 5), twin.Stage(END)], [], HERE)
        with pytest.raises(ValueError, match="ends with an END"):
            twin.Script([twin.Stage(SEND)], [], HERE)
