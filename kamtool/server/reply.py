"""Responses made here: with a transaction (`t_reply`) or without one (`sl_send_reply`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from os import urandom
from typing import TYPE_CHECKING, Final
from urllib.parse import quote
from zlib import crc32

from kamtool.script.context import Context
from kamtool.server.routing import reply_flow, source
from kamtool.server.tally import Tally
from kamtool.server.transaction import ServerTransaction
from kamtool.sip import build
from kamtool.sip.message import Message
from kamtool.speed import answer, respond

if TYPE_CHECKING:
    from kamtool.server.core import Core

LOCAL_RESPONSE = "tm:local-response"
Headers = Sequence[tuple[str, str]]

# What is Final, compiled code need not look up.
_answer: Final = answer
_respond: Final = respond


@lru_cache(1024)
def status_line(status: int, reason: str) -> bytes:
    return build.status_line(status, reason)


class Replies:
    """Builds and sends the responses of one server.

    The To-tag of a stateless response is made of a key drawn at start and of the request, so that a repeated
    request gets the same answer, and the ACK to it is known as ours (RFC 3261 §8.2.7).
    """

    def __init__(self, server: Core) -> None:
        self.server = server
        self._sent: dict[int, Tally] = {}
        self._last_sent, self._last_status = server.tally(), 0
        self._failures = server.tally("sl:failures")
        self._lines: dict[str, tuple[int, bytes]] = {}
        self.stateless_key = urandom(4).hex()
        self.stateful_key = urandom(4).hex()
        self.server_line = b""
        self.rich_redirect = {"tm": 0, "sl": 0}
        """By module: 1 puts the branch flags, 2 the path into the Contacts of a 3xx."""
        self.otherwise: tuple[int, str] = (500, "Internal Server Error")
        """What is answered where a script gives no status: the parameters of sl."""
        self.told: Callable[[Context, int], None] | None = None
        """Who hears of every response made here, while somebody watches."""

    def stateless_tag(self, msg: Message) -> str:
        # Python's hash of text is keyed anew for each process: nobody can foresee a tag.
        number = hash((msg.branch, msg.call_id, msg.from_tag, msg.cseq)) & 0xFFFFFFFF
        return f"{self.stateless_key}.{number:08x}"

    def stateful_tag(self, tx: ServerTransaction) -> str:
        """The To-tag of the responses that this server makes for a transaction."""
        if not tx.to_tag:
            tx.to_tag = f"{self.stateful_key}-{crc32(tx.label.encode()):08x}"
        return tx.to_tag

    def is_ours(self, to_tag: str) -> bool:
        """Whether an ACK with this To-tag answers a stateless response of this server."""
        return to_tag.startswith(self.stateless_key)

    def reply(
        self, ctx: Context, status: int, reason: str, headers: Headers = (), body: bytes = b"",
        content_type: str = "",
    ) -> bool:  # fmt: skip
        """Answer the request in `ctx`, with its transaction if it has one."""
        if ctx.transaction is None:
            return self.stateless(ctx, status, reason, headers, body, content_type)
        if not ctx.msg.is_request:
            return False
        return self.stateful(ctx.transaction, status, reason, headers, body, content_type)

    def _first_line(self, status: int, reason: str) -> bytes:
        known = self._lines.get(reason)
        if known is not None and known[0] == status:
            return known[1]
        if len(self._lines) >= 1024:
            self._lines.clear()
        line = status_line(status, reason)
        self._lines[reason] = (status, line)
        return line

    def by_script(self, ctx: Context, status: int, reason: str) -> bool:
        """`sl_send_reply`: without a transaction; what is no status is answered `otherwise`."""
        if not 100 <= status < 700:
            status, reason = self.otherwise
        return self.stateless(ctx, status, reason)

    def stateless(
        self,
        ctx: Context,
        status: int,
        reason: str,
        headers: Headers = (),
        body: bytes = b"",
        content_type: str = "",
    ) -> bool:
        """Answer without a transaction. False when there is no way back."""
        if self.told is not None:
            self.told(ctx, status)
        if 300 <= status < 400:
            headers = [*headers, *self.redirect(ctx, "sl")]
        msg, flow = ctx.msg, ctx.flow
        if msg.method == "ACK":
            return False
        server = self.server
        if headers or body or content_type or ctx._scratch:
            tag = self.stateless_tag(msg) if status > 100 and not msg.to_tag else ""
            data = self.make(ctx, status, reason, tag, headers, body, content_type)
        else:
            remote = flow.remote
            data = _answer(
                msg, status, self._first_line(status, reason), self.stateless_key, remote[0], remote[1],
                ctx.force_rport, ctx.reply_headers, self.server_line,
            )  # fmt: skip
        if flow.transport == "udp" and (msg.via_rport >= 0 or ctx.force_rport):
            sent = server.transports.send(flow, data)
        else:
            back = reply_flow(msg, flow, server.transports, ctx.force_rport)
            if ctx._scratch and "core.reply_no_connect" in ctx._scratch:
                sent = server.transports.send(back, data)
            else:
                sent = server.send_reply_by(back, msg, data)
        if sent:
            if status != self._last_status:
                self._last_sent, self._last_status = self._tally(status), status
            self._last_sent.number += 1
        else:
            self._failures.number += 1
        if ctx._scratch and "reply.sent" in ctx._scratch:
            ctx._scratch["reply.sent"](status, data)
        events = (ctx.program or server.program).event_routes
        if events and "sl:local-response" in events:
            server.run_event("sl:local-response", {}, ctx)
        return sent

    def _tally(self, status: int) -> Tally:
        tally = self._sent.get(status)
        if tally is None:
            names = "sl:sent_replies", f"sl:{status // 100}xx_replies", f"sl:{status}_replies"
            tally = self._sent[status] = self.server.tally(*names)
        return tally

    def stateful(
        self, tx: ServerTransaction, status: int, reason: str, headers: Headers = (), body: bytes = b"",
        content_type: str = "",
    ) -> bool:  # fmt: skip
        """Answer by the transaction; false when it has been answered already."""
        ctx = tx.ctx
        if ctx is not None and self.told is not None:
            self.told(ctx, status)
        if ctx is None or (tx.status >= 200 and not (tx.method == "INVITE" and 200 <= status < 300)):
            return False
        tag = ""
        if 300 <= status < 400:
            headers = [*headers, *self.redirect(ctx, "tm")]
        if status > 100 and not ctx.msg.to_tag:
            tag = self.stateful_tag(tx)
        data = self.make(ctx, status, reason, tag, headers, body, content_type)
        self.server.count("tmx:local_replies")
        sent = self.server.transactions.respond(tx, status, data)
        events = (tx.program or self.server.program).event_routes
        if events and LOCAL_RESPONSE in events:
            self.server.run_event(LOCAL_RESPONSE, {}, ctx)
        return sent

    def redirect(self, ctx: Context, module: str) -> list[tuple[str, str]]:
        """The Contacts of a 3xx: the R-URI if the script changed it, and every branch (RFC 3261 §8.1.3.4)."""
        mode = self.rich_redirect[module]
        found = [] if ctx.new_uri is None else [(ctx.new_uri, ctx.q, ctx.branch_flags, ctx.path)]
        found += [(branch.uri, branch.q, branch.flags, branch.path) for branch in ctx.branches]
        contacts = []
        for uri, q, flags, path in found:
            if mode & 2 and path:
                uri += f"{'&' if '?' in uri else '?'}Route={quote(path, safe='')}"
            contact = f"<{uri}>"
            if q >= 0:
                contact += f";q={q / 1000:g}"
            if mode & 1 and flags:
                contact += f";flags={flags}"
            contacts.append(contact)
        return [("Contact", ", ".join(contacts))] if contacts else []

    def make(
        self,
        ctx: Context,
        status: int,
        reason: str,
        tag: str,
        headers: Headers,
        body: bytes,
        content_type: str,
    ) -> bytes:
        """The response's bytes: `headers`, what the script appended, Server, and the body."""
        msg = ctx.msg
        received, rport = source(msg, ctx.flow, ctx.force_rport)
        extra = self.server_line
        if status > 100 and (headers or ctx.reply_headers or content_type or ctx._scratch):
            extra = self._extra(ctx, headers, content_type) + extra
            held = ctx._scratch.get("reply.body") if ctx._scratch else None
            if held and not body:
                body, kind = held
                extra = build.header_lines([("Content-Type", kind)]) + extra
        line = self._first_line(status, reason)
        return _respond(msg, status, line, tag.encode(), received, rport, extra, body)

    @staticmethod
    def _extra(ctx: Context, headers: Headers, content_type: str) -> bytes:
        lines = b""
        for line in ctx.reply_headers:
            # Several lines in one piece are the script's right; a line end at the end is not asked for.
            text = line.rstrip("\r\n")
            if text:
                lines += f"{text}\r\n".encode("utf-8", "surrogateescape")
        if headers:
            lines += build.header_lines(headers)
        if content_type:
            lines += build.header_lines([("Content-Type", content_type)])
        return lines
