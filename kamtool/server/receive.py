"""What arrives: parsed, counted, matched, and given to the script."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from kamtool.errors import ParseError
from kamtool.script.context import Context
from kamtool.server.running import Running
from kamtool.sip.flow import Flow
from kamtool.sip.framing import Broken
from kamtool.sip.message import Request, Response, salvage

if TYPE_CHECKING:
    from kamtool.server.core import Core

log = logging.getLogger("kamtool.receive")

STREAMS: Final = frozenset(("tcp", "tls"))
"""Where a message without Content-Length has no end; a WebSocket frame has one (RFC 7118 §5.2)."""

RECEIVED_EVENT = "core:msg-received"
PARSE_ERROR_EVENT = "core:receive-parse-error"
FILTERED_ACK_EVENT = "sl:filtered-ack"

# What is Final, compiled code need not look up.
_Request: Final = Request
_Response: Final = Response
_Context: Final = Context


class Receive:
    """The way in of one server."""

    def __init__(self, server: Core) -> None:
        self.server = server
        self.host: Any = server
        """The same as modules know it."""
        self.running: Running = server.running
        self.received = server.tally("core:rcv_requests")
        self.force_rport = server.force_rport
        self.accept_aliases = bool(server.setting("tcp_accept_aliases", False))
        self.length_optional = bool(server.setting("tcp_accept_no_cl", False))
        self.arriving: Callable[[bytes, Flow], bytes] | None = None
        """Other bytes in the place of those that come, before anybody sees them; none at all drops them."""

    def message(self, data: bytes, flow: Flow) -> None:
        """One datagram, or one message cut from a stream. Nothing it contains can raise from here."""
        server = self.server
        transport = flow.transport
        stream = transport != "udp" and transport in STREAMS and not self.length_optional
        try:
            if self.arriving is not None:
                data = self.arriving(data, flow)
                if not data:
                    return
            if data[:4] == b"SIP/":
                server.responses.receive(_Response(data, stream), flow)
            else:
                msg = _Request(data, stream)
                if msg.is_request:
                    self.request(msg, flow)
                else:
                    server.responses.receive(_Response(data, stream), flow)
        except ParseError as error:
            self.malformed(data, flow, error)
        except Exception:
            log.exception("%s from %s: failed on %.200r", server.name, flow.remote, data)
            server.count("core:err_requests")

    def request(self, msg: Request, flow: Flow) -> None:
        server = self.server
        self.received.number += 1
        program = server.program
        if msg.method == "ACK" and self._absorb(msg, flow):
            return
        ctx = Context(self.host, msg, flow)
        if self.force_rport:
            ctx.force_rport = True
        events = program.event_routes
        if events and RECEIVED_EVENT in events:
            server.run_event(RECEIVED_EVENT, {}, ctx)
        if self.accept_aliases and flow.connection:
            self._alias(msg, flow)
        self.running.request(program, ctx)

    def _absorb(self, msg: Request, flow: Flow) -> bool:
        """True for an ACK to a stateless response. One to a transaction still meets the script."""
        server = self.server
        if server.stateful:
            tx = server.transactions.find(msg)
            if tx is not None:
                server.transactions.acknowledged(tx)
                return False
        if msg.to_tag and server.replies.is_ours(msg.to_tag):
            server.count("sl:received_ACKs")
            if FILTERED_ACK_EVENT in server.program.event_routes:
                server.run_event(FILTERED_ACK_EVENT, {}, Context(self.host, msg, flow))
            return True
        return False

    def _alias(self, msg: Request, flow: Flow) -> None:
        if b"alias" in msg.data[msg.via_start : msg.via_end] and "alias" in msg.top_via.params:
            self.server.transports.add_alias(flow, msg.via_port or 5060)

    def malformed(self, data: bytes, flow: Flow, error: ParseError) -> None:
        """Bytes that are no SIP message: counted, and answered where RFC 3261 allows an answer."""
        server = self.server
        if any(taken(data, flow) for taken in server.foreign_data):
            return
        server.count("core:bad_msg_hdr")
        server.count("core:err_replies" if data[:4] == b"SIP/" else "core:err_requests")
        log.info("%s: from %s: %s", server.name, flow.remote, error)
        request = None if data[:4] == b"SIP/" else salvage(data)
        if request is None:
            return
        ctx = Context(self.host, request, flow)
        # No script can ask for rport here, and what a malformed request says of itself is not to be trusted:
        # the answer goes to where it came from.
        ctx.force_rport = True
        if PARSE_ERROR_EVENT in server.program.event_routes:
            server.run_event(PARSE_ERROR_EVENT, {}, ctx)
        reason = " ".join(str(error).split())
        server.replies.stateless(ctx, error.status, _phrase(error.status, reason))

    def broken(self, end: Broken, flow: Flow) -> None:
        """A stream lost its framing: answer what can be answered; the transport closes it."""
        self.malformed(end.head, flow, end.error)


def _phrase(status: int, reason: str) -> str:
    known = {
        400: "Bad Request",
        505: "Version Not Supported",
        513: "Message Too Large",
        501: "Not Implemented",
    }
    phrase = known.get(status, "Bad Request")
    return f"{phrase} - {reason}"[:200] if reason else phrase
