"""What a well-behaved user agent does with a message that its scenario does not mention."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kamtool.errors import ParseError
from kamtool.sip import build
from kamtool.sip.message import Request, Response, parse, salvage
from kamtool.tools.stress import received
from kamtool.tools.stress.call import Call
from kamtool.tools.stress.endpoint import Endpoint

if TYPE_CHECKING:
    from kamtool.tools.stress.calls import Calls


def answer_unasked(
    engine: Calls, call: Call | None, data: bytes, now: float, endpoint: Endpoint | None = None,
    source: tuple[str, int] | None = None,
) -> None:  # fmt: skip
    """Deal with a message that nobody waits for: repeat, answer, or end the call with the reason."""
    endpoint = endpoint or (call.endpoint if call else None)
    assert endpoint is not None
    source = source or (call.address if call else None)
    if data[:4] == b"SIP/":
        if call is not None:
            _response(engine, call, data)
    else:
        _request(engine, call, data, endpoint, source)


def _response(engine: Calls, call: Call, data: bytes) -> None:
    status = data[8:11]
    cseq = received.cseq(data)
    _, method = cseq
    if status < b"200":
        engine.record.codes[status.decode(errors="replace")] += 1
        call.again_at = 0.0
        return
    if method == b"INVITE" and call.ack and b" INVITE" not in call.resend[:8]:
        # §13.2.2.4: a 2xx that comes again wants its ACK again.
        engine.record.repeated += 1
        call.endpoint.out.append((call.ack, call.address))  # type: ignore[arg-type]
        return
    if method.decode(errors="replace").lower() not in call.clocks:
        engine.record.repeated += 1
        return
    if call.resend and received.cseq(call.resend) != cseq:
        # An earlier request was asked twice and so answered twice: 401 after the proof is on its way.
        engine.record.repeated += 1
        return
    engine.record.codes[status.decode(errors="replace")] += 1
    if method == b"INVITE" and status >= b"300":
        _acknowledge(call, data)
    line = received.first_line(data).removeprefix("SIP/2.0 ")
    engine.fail(call, f"unexpected {line} to {method.decode(errors='replace')}")


def _acknowledge(call: Call, data: bytes) -> None:
    """§17.1.1.3: every final answer to an INVITE has its ACK."""
    try:
        invite, answer = parse(call.sent), parse(data)
    except ParseError:
        return
    if isinstance(invite, Request) and isinstance(answer, Response) and invite.method == "INVITE":
        call.endpoint.out.append((build.ack(invite, answer), call.address))  # type: ignore[arg-type]


def _request(
    engine: Calls, call: Call | None, data: bytes, endpoint: Endpoint, source: tuple[str, int] | None
) -> None:
    method = data[: data.find(b" ")].decode(errors="replace")
    if method == "ACK":
        return
    request = salvage(data)
    if request is None or source is None:
        engine.record.codes["unreadable"] += 1
        return
    status = 200 if method in ("OPTIONS", "NOTIFY", "BYE", "CANCEL", "INFO", "UPDATE") and call else 481
    if call is None and method in ("OPTIONS", "NOTIFY", "MESSAGE"):
        status = 200
    elif call is None and method == "INVITE":
        status = 486
    endpoint.out.append((build.response(request, status, to_tag="unasked"), source))
    if call is not None and method in ("BYE", "CANCEL"):
        engine.fail(call, f"unexpected {method}")
    elif call is None:
        engine.record.codes[f"unasked {method[:20]}"] += 1


def give_up(engine: Calls, call: Call) -> None:
    """Leave nothing ringing: CANCEL an INVITE that was never finally answered (§9.1)."""
    if "invite" not in call.clocks or "ringing" not in call.clocks or not call.resend.startswith(b"INVITE "):
        return
    try:
        invite = parse(call.resend)
    except ParseError:
        return
    if isinstance(invite, Request):
        call.endpoint.out.append((build.cancel(invite), call.address))  # type: ignore[arg-type]
