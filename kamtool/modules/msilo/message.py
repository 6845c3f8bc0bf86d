"""What is kept of a MESSAGE, and how it reads when it is sent at last."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from email.utils import formatdate

from kamtool.errors import ParseError
from kamtool.module import Value
from kamtool.script.context import Context
from kamtool.server.uac import Headers, header_lines
from kamtool.sip.headers import canonical
from kamtool.sip.message import Message
from kamtool.sip.uri import SipUri, TelUri, parse_uri, unescape

log = logging.getLogger("kamtool.modules.msilo")

MADE_ANEW = frozenset(
    {
        "Via", "To", "From", "CSeq", "Call-ID", "Contact", "Max-Forwards", "Route", "Record-Route", "Path",
        "Content-Type", "Content-Length", "Content-Disposition", "Authorization", "Proxy-Authorization",
        "Expires", "Supported", "Require", "Proxy-Require", "Unsupported", "Allow", "Event", "Accept",
        "Accept-Language", "Accept-Contact", "Reject-Contact", "Request-Disposition", "Organization",
        "Priority", "Subject", "User-Agent", "Server", "Diversion", "Remote-Party-ID", "Refer-To",
        "Referred-By", "Session-Expires", "Min-SE", "SIP-If-Match", "Subscription-State", "Retry-After",
        "Date", "Identity", "Identity-Info", "Call-Info", "Reason", "WWW-Authenticate", "Proxy-Authenticate",
        "Min-Expires",
    }
)  # fmt: skip
"""Headers that are not kept: those that Kamailio's parser has a type for, but Content-Encoding, without
which nobody could read the body."""

ASCII = ("us-ascii", "utf-8", "iso-8859-", "windows-125")
DAY, LONGEST = 8, 14


@dataclass(frozen=True, slots=True)
class Stored:
    """A row of the table."""

    source: str
    destination: str
    user: str
    domain: str
    received_epoch: int
    expires_epoch: int
    send_epoch: int
    content_type: str
    body: bytes
    headers: bytes
    number: int = 0


def account_of(uri: str) -> tuple[str, str]:
    """User and domain of a URI; a tel URI has no domain. Raises ParseError."""
    parsed = parse_uri(uri)
    if isinstance(parsed, TelUri):
        return parsed.number, ""
    if not isinstance(parsed, SipUri) or not parsed.user:
        raise ParseError(f"{uri!r} names no user")
    return unescape(parsed.user), parsed.host


def stored(ctx: Context, owner: str, longest: int, send_at: Value, extra: Value) -> Stored:
    """What to keep of the message of a script. Raises ParseError when it cannot be kept."""
    msg = ctx.msg
    user, domain = account_of(owner or ctx.ruri)
    if not msg.body:
        raise ParseError("the message has no body")
    content_type = (msg.header("Content-Type") or "").strip()
    if "/" not in content_type:
        raise ParseError(f"{content_type!r} is no media type", header="Content-Type")
    now = int(time.time())
    wish = msg.expires or 0
    headers = str(extra) if extra is not None else _unknown_headers(msg)
    return Stored(
        msg.from_.uri, msg.to.uri, user, domain, now, now + (min(wish, longest) if wish > 0 else longest),
        _moment(send_at), content_type, msg.body,
        headers.encode("utf-8", "surrogateescape"),
    )  # fmt: skip


def _unknown_headers(msg: Message) -> str:
    return "".join(
        f"{field.name}: {field.value}\r\n"
        for field in msg.fields()
        if canonical(field.name) not in MADE_ANEW and field.value
    )


def _moment(value: Value) -> int:
    try:
        return 0 if value is None else read_time(str(value))
    except ParseError as error:  # better a message late than none
        log.error("m_store: kept as a message, not as a reminder: %s", error)
        return 0


def read_time(text: str) -> int:
    """The epoch of `YYYYMMDD[HH[MM[SS]]]` in local time. Raises ParseError."""
    if not (text.isascii() and text.isdigit() and DAY <= len(text) <= LONGEST and len(text) % 2 == 0):
        raise ParseError(f"{text!r} is no time `YYYYMMDDHHMMSS`")
    try:
        return int(time.mktime(time.strptime(text.ljust(LONGEST, "0"), "%Y%m%d%H%M%S")))
    except (ValueError, OverflowError) as error:
        raise ParseError(f"{text!r} is no time: {error}") from error


def headers_of(message: Stored, extra: Headers, *, contact: bool) -> Headers:
    """The headers of the MESSAGE that a row becomes."""
    found = [
        ("From", f"<{message.source}>"),
        ("To", f"<{message.destination}>"),
        ("Date", formatdate(message.received_epoch, usegmt=True)),
        ("Content-Type", message.content_type or "text/plain"),
    ]
    if contact:
        found.append(("Contact", f"<{message.source}>;msilo=yes"))
    return [*found, *extra, *header_lines(message.headers.decode("utf-8", "surrogateescape"))]


def body_of(message: Stored, epoch: int, what: str) -> bytes:
    """The body, after a date when it is plain text and the octets of ASCII mean what they say."""
    media, *params = [part.strip().lower() for part in message.content_type.split(";")]
    charset = next((p.partition("=")[2].strip('" ') for p in params if p.startswith("charset=")), "us-ascii")
    if not epoch or media != "text/plain" or not charset.startswith(ASCII):
        return message.body
    at = time.strftime("%a %b %e %H:%M:%S %Y", time.localtime(epoch))
    return f"[{what} message - {at}] ".encode() + message.body
