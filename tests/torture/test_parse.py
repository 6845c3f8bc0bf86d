"""What the parser takes of RFC 4475 and RFC 5118, what it refuses, with which status; a test a message."""

import json

import pytest

from kamtool.errors import ParseError
from kamtool.sip import build
from kamtool.sip.framing import Broken, Framer
from kamtool.sip.message import Request, Response, parse, salvage, validate
from kamtool.speed import forward
from tests.support.twins import SHARED

FOLDER = SHARED / "torture"
CASES = json.loads((FOLDER / "expectations.json").read_text())["messages"] if FOLDER.is_dir() else []

pytestmark = pytest.mark.skipif(not CASES, reason="the torture messages are not here")


def octets(case):
    return (FOLDER / case["file"]).read_bytes()


def statuses(case):
    """What a refusal may answer: the statuses the RFC names."""
    answers = [*case["preferred"], *case["acceptable"]]
    return {int(answer.removeprefix("reply:")) for answer in answers if answer.startswith("reply:")}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_what_is_valid_parses_and_what_is_not_is_refused(case):
    if case["valid"]:
        message = parse(octets(case))
        assert isinstance(message, Request if case["kind"] == "request" else Response)
        validate(message)
        return
    with pytest.raises(ParseError) as refusal:
        parse(octets(case))
    assert refusal.value.status in (statuses(case) or {400})
    answerable = salvage(octets(case))
    if case["kind"] == "response":
        assert answerable is None
    else:
        answer = parse(build.response(complete(answerable), refusal.value.status, to_tag="1"))
        assert answer.status == refusal.value.status


def complete(request):
    """`insuf` has no From, To or Call-ID, so its answer has none and is no message; lend it some."""
    missing = [name for name in ("From", "To", "Call-ID") if request.header(name) is None]
    lines = b"".join(f"{name}: {'1' if name == 'Call-ID' else '<sip:a>'}\r\n".encode() for name in missing)
    broken_via = b"Via: SIP/2.0/UDP 192.0.2.15;;,;,,"
    data = request.data.replace(b"\r\n", b"\r\n" + lines, 1).replace(
        broken_via, b"Via: SIP/2.0/UDP 192.0.2.15"
    )
    return Request(data, False, True)


@pytest.mark.parametrize("case", [case for case in CASES if case["valid"]], ids=lambda case: case["name"])
def test_what_is_valid_is_forwarded_octet_for_octet(case):
    """All but the new Via and Max-Forwards is as it came, also the body."""
    message = parse(octets(case))
    if not isinstance(message, Request):
        return
    sent = forward(message, b"Via: SIP/2.0/UDP us\r\n", None, (message.max_forwards or 70) - 1)
    again = parse(sent)
    assert again.max_forwards == (message.max_forwards or 70) - 1
    assert (again.vias[1:], again.body, again.uri) == (message.vias, message.body, message.uri)
    untouched = [field for field in message.fields() if field.name.lower() != "max-forwards"]
    for name, _, start, end in untouched:
        assert message.data[start:end] in sent, name


@pytest.mark.parametrize("size", [1, 7, 4096])
@pytest.mark.parametrize(
    "case", [case for case in CASES if case["name"] != "dblreq"], ids=lambda case: case["name"]
)
def test_a_stream_in_pieces_gives_the_same(case, size):
    """dblreq is defined for datagrams only. On a stream, too short a body is a body that is still to come."""
    data, framer, events = octets(case), Framer(), []
    for at in range(0, len(data), size):
        events += framer.feed(data[at : at + size])
    if case["name"] == "clerr":
        assert (events, framer.pending) == ([], len(data))
    elif isinstance(events[0], Broken):
        assert not case["valid"]
    else:
        assert events == [data]
