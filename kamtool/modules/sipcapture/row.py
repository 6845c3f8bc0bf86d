"""One captured message as a row of Homer's table."""

from __future__ import annotations

import re
from collections.abc import Sequence

from kamtool.errors import ParseError
from kamtool.sip.flow import Flow
from kamtool.sip.hep import Hep
from kamtool.sip.message import STAR, Message, Request, Response
from kamtool.sip.nameaddr import NameAddr, parse_name_addr
from kamtool.sip.uri import SipUri, TelUri, parse_uri
from kamtool.store.times import to_julian

COLUMNS = (
    "date", "micro_ts", "method", "correlation_id", "reply_reason", "ruri", "ruri_user", "ruri_domain",
    "from_user", "from_domain", "from_tag", "to_user", "to_domain", "to_tag", "pid_user", "contact_user",
    "auth_user", "callid", "callid_aleg", "via_1", "via_1_branch", "cseq", "diversion", "reason",
    "content_type", "auth", "user_agent", "source_ip", "source_port", "destination_ip", "destination_port",
    "contact_ip", "contact_port", "originator_ip", "originator_port", "proto", "family", "rtp_stat", "type",
    "node", "msg", "custom_field1", "custom_field2", "custom_field3",
)  # fmt: skip
PROTOCOLS = {"udp": 1, "tcp": 2, "tls": 3, "sctp": 4, "ws": 5, "wss": 6}
"""Kamailio's numbers of transports."""
REQUEST, REPLY = 1, 2
_USERNAME = re.compile(r'username="([^"]*)"', re.IGNORECASE)
_BRANCH = re.compile(r";[ \t]*branch=([^;,\s]+)", re.IGNORECASE)


def row(
    msg: Message, flow: Flow, hep: Hep | None, node: str, aleg_headers: Sequence[str], at: float
) -> tuple[object, ...]:
    """The values for COLUMNS; what the message does not have is empty."""
    is_request = isinstance(msg, Request)
    via = (msg.headers("Via") or [""])[0]
    branch = _BRANCH.search(via)
    uri = _parts(msg.uri if isinstance(msg, Request) else "")
    caller, callee = _parts(_uri_of(msg, "From")), _parts(_uri_of(msg, "To"))
    contact = _contact(msg)
    identity = (
        msg.header("P-Asserted-Identity")
        or msg.header("P-Preferred-Identity")
        or msg.header("Remote-Party-ID")
    )
    authorization = msg.header("Proxy-Authorization") or msg.header("Authorization") or ""
    username = _USERNAME.search(authorization)
    aleg = next((value for name in aleg_headers if (value := msg.header(name))), "")
    six = ":" in flow.remote.host
    return (
        at_of(at), round(at * 1_000_000),
        msg.method if isinstance(msg, Request) else str(msg.status),
        (hep.correlation if hep else "") or msg.call_id,
        msg.reason if isinstance(msg, Response) else "", msg.uri if isinstance(msg, Request) else "",
        uri[0], uri[1], caller[0], caller[1], msg.from_tag, callee[0], callee[1], msg.to_tag,
        _parts(_uri_in(identity))[0] if identity else "", contact[0], username[1] if username else "",
        msg.call_id, aleg, via, branch[1] if branch else "", msg.header("CSeq") or "",
        msg.header("Diversion") or "", msg.header("Reason") or "", msg.header("Content-Type") or "",
        authorization, msg.header("User-Agent") or msg.header("Server") or "", flow.remote.host,
        flow.remote.port, flow.local.host, flow.local.port, contact[1], contact[2], "", 0,
        PROTOCOLS.get(flow.transport, 0), 10 if six else 2,
        msg.header("P-RTP-Stat") or msg.header("X-RTP-Stat") or "", REQUEST if is_request else REPLY, node,
        msg.data.decode("utf-8", "replace"), "", "", "",
    )  # fmt: skip


def at_of(at: float) -> object:
    """The time as a database of Kamailio's has it."""
    return to_julian(int(at))


def _uri_of(msg: Message, name: str) -> str:
    return _uri_in(msg.header(name) or "")


def _uri_in(value: str) -> str:
    try:
        return parse_name_addr(value).uri
    except ParseError:
        return ""


def _parts(uri: str) -> tuple[str, str, int]:
    """User, host and port of a URI, as far as there are any."""
    try:
        parsed = parse_uri(uri)
    except ParseError:
        return "", "", 0
    if isinstance(parsed, TelUri):
        return parsed.number, "", 0
    if isinstance(parsed, SipUri):
        return parsed.user or "", parsed.host, parsed.port or 0
    return "", "", 0


def _contact(msg: Message) -> tuple[str, str, int]:
    try:
        found = msg.contacts
    except ParseError:
        return "", "", 0
    if found is STAR or not found:
        return "", "", 0
    first = found[0]
    assert isinstance(first, NameAddr)
    return _parts(first.uri)
