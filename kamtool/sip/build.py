"""Messages made here: responses (RFC 3261 §8.2.6), ACK (§17.1.1.3), CANCEL (§9.1), new requests."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from kamtool.sip.message import METHODS as METHODS
from kamtool.sip.message import Request, Response
from kamtool.sip.reasons import REASONS as REASONS
from kamtool.speed import respond

Headers = Sequence[tuple[str, str]]


def encode(text: str) -> bytes:
    """Header text as octets; what came as no UTF-8 leaves as it came."""
    return text.encode("utf-8", "surrogateescape")


def header_lines(headers: Headers) -> bytes:
    """`Name: value` lines. Line ends in a value become spaces: nobody adds a header through one."""
    return b"".join([encode(f"{name}: {one_line(value)}\r\n") for name, value in headers])


def one_line(value: str) -> str:
    """The text with its line ends made spaces."""
    return " ".join(value.splitlines()) if "\n" in value or "\r" in value else value


@lru_cache(512)
def status_line(status: int, reason: str = "") -> bytes:
    """`SIP/2.0 200 OK`, with the usual phrase when `reason` is empty."""
    return encode(f"SIP/2.0 {status} {one_line(reason) or REASONS.get(status, '')}")


def response(
    request: Request,
    status: int,
    reason: str = "",
    *,
    to_tag: str = "",
    headers: Headers | Sequence[str] = (),
    body: bytes = b"",
    content_type: str = "",
    received: str = "",
    rport: int = 0,
) -> bytes:
    """The response to `request`: its Vias, From, To, Call-ID, CSeq, Record-Route where a dialog may begin.

    `to_tag` is added where To has none. `received` and `rport` go on the top Via (§18.2.1, RFC 3581).
    `headers` are (name, value) pairs, or whole lines without their line ends.
    """
    extra = b""
    if headers:
        pairs = [line if isinstance(line, tuple) else _pair(line) for line in headers]
        extra = header_lines(pairs)
    if content_type:
        extra += header_lines([("Content-Type", content_type)])
    return respond(
        request, status, status_line(status, reason), to_tag.encode(), received.encode(), rport, extra, body
    )


def _pair(line: str) -> tuple[str, str]:
    name, _, value = line.rstrip("\r\n").partition(":")
    return name.strip(), value.strip()


def ack(invite: Request, response: Response, headers: Headers = ()) -> bytes:
    """The ACK for a final response other than 2xx: the branch is the INVITE's own, To is the response's.

    `invite` is the request as it was sent, our Via on top.
    """
    return _alongside(invite, "ACK", _lines(response, "To"), header_lines(headers) if headers else b"")


def cancel(invite: Request, headers: Headers = ()) -> bytes:
    """The CANCEL for an INVITE as it was sent, our Via on top; `headers` may add a Reason (RFC 3326)."""
    return _alongside(invite, "CANCEL", _lines(invite, "To"), header_lines(headers))


def _alongside(invite: Request, method: str, to: bytes, extra: bytes) -> bytes:
    """A request in the INVITE's transaction: its Request-URI, top Via, From, Call-ID, CSeq number, Route."""
    uri = invite.data[invite.uri_start : invite.uri_end]
    top_via = invite.items("Via")[0]
    return b"".join((
        method.encode(), b" ", uri, b" SIP/2.0\r\nVia: ", encode(top_via), b"\r\n", _lines(invite, "Route"),
        b"Max-Forwards: 70\r\n", _lines(invite, "From"), to, _lines(invite, "Call-ID"),
        f"CSeq: {invite.cseq} {method}\r\n".encode(), extra, b"Content-Length: 0\r\n\r\n",
    ))  # fmt: skip


def _lines(message: Request | Response, name: str) -> bytes:
    """All lines of this header as they came."""
    return b"".join([message.data[start:end] for _, _, start, end in message.fields(name)])


def request(method: str, uri: str, headers: Headers, body: bytes = b"") -> bytes:
    """A request with these headers in this order; Content-Length is added at the end."""
    first_line = encode(f"{method} {uri} SIP/2.0\r\n")
    return b"".join((first_line, header_lines(headers), b"Content-Length: %d\r\n\r\n" % len(body), body))
