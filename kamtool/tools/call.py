"""The two ends of a call: what a phone that calls, and one that is called, does with it (RFC 3261 §12)."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kamtool.errors import TransportError
from kamtool.sip import build
from kamtool.sip.message import Request, Response, parse

if TYPE_CHECKING:
    from kamtool.tools.phone import ClientTransaction, Phone

Headers = Sequence[tuple[str, str]]


@dataclass(slots=True)
class Dialog:
    """What both sides of a call share (RFC 3261 §12)."""

    call_id: str
    local: str
    remote: str
    target: str
    route_set: list[str] = field(default_factory=list)
    cseq: int = 1

    def headers(self) -> list[tuple[str, str]]:
        """What every request of ours in it carries, but for CSeq."""
        routes = [("Route", route) for route in self.route_set]
        return [*routes, ("From", self.local), ("To", self.remote), ("Call-ID", self.call_id)]


class IncomingCall:
    """A call to this phone. With `Phone.answer` empty, `respond` decides what the caller hears."""

    def __init__(self, phone: Phone, invite: Request) -> None:
        self.phone, self.invite = phone, invite
        self.tag = secrets.token_hex(4)
        self.final = 0
        self.established = asyncio.Event()
        """Set when the ACK for our 2xx has come."""
        contacts = invite.contacts
        self.dialog = Dialog(
            invite.call_id,
            f"{invite.header('To')};tag={self.tag}",
            invite.header("From") or "",
            contacts[0].uri if isinstance(contacts, list) and contacts else invite.from_.uri,
            [str(route) for route in invite.record_routes],
        )

    async def respond(self, status: int, headers: Headers = ()) -> None:
        """Send a response; after a final one nothing more. A 2xx is repeated until the ACK comes."""
        if self.final:
            return
        contact = [("Contact", self.phone.contact)] if status < 300 else []
        body = self.phone.sdp() if 200 <= status < 300 else b""

        def send() -> None:
            self.phone.reply(self.invite, status, to_tag=self.tag, headers=[*contact, *headers], body=body)

        if status >= 200:
            self.final = status
            self.phone.settled(self)
        send()
        if 200 <= status < 300 and await self.phone.acknowledged(self, send):
            self.established.set()

    def cancelled(self) -> None:
        """The caller gave up."""
        if not self.final:
            self.final = 487
            self.phone.settled(self)
            self.phone.reply(self.invite, 487, to_tag=self.tag)

    async def bye(self) -> Response:
        """Hang up; the final response."""
        return await hang_up(self.phone, self.dialog)


class OutgoingCall:
    """A call from this phone: an iterator over its responses, and then the means to end it."""

    def __init__(self, phone: Phone, uri: str, headers: Headers, body: bytes) -> None:
        self.phone, self.uri, self.headers, self.body = phone, uri, list(headers), body
        self.final: Response | None = None
        self.dialog: Dialog | None = None
        self._cseq = 1
        self._branch = ""
        self._transaction = self._send([])

    def _send(self, extra: Headers) -> ClientTransaction:
        self._branch = f"z9hG4bK{secrets.token_hex(8)}"
        fields = [
            *self.headers,
            *extra,
            ("CSeq", f"{self._cseq} INVITE"),
            ("Content-Type", "application/sdp"),
        ]
        return self.phone.send_request("INVITE", self.uri, fields, self.body, self._branch)

    async def __aiter__(self) -> AsyncIterator[Response]:
        while self.final is None:
            response = await self._transaction.next()
            if response.status >= 300:
                self._ack_failure(response)
                credentials = self.phone.credentials(response, "INVITE", self.uri, self.body)
                if credentials and self._cseq == 1:
                    self._cseq += 1
                    self._transaction = self._send([credentials])
                    continue
            if response.status >= 200:
                self.final = response
            if 200 <= response.status < 300:
                self._establish(response)
            yield response

    async def answered(self) -> Response:
        """Wait for the final response."""
        async for _ in self:
            pass
        assert self.final is not None
        return self.final

    def _ack_failure(self, response: Response) -> None:
        invite = parse(self._transaction.data)
        assert isinstance(invite, Request)
        self.phone.wire.send(build.ack(invite, response))

    def _establish(self, response: Response) -> None:
        contacts = response.contacts
        fields = dict(self.headers)
        self.dialog = Dialog(
            response.call_id,
            fields["From"],
            response.header("To") or "",
            contacts[0].uri if isinstance(contacts, list) and contacts else self.uri,
            [str(route) for route in reversed(response.record_routes)],
            self._cseq,
        )
        self.phone.send_ack(self.dialog.target, [*self.dialog.headers(), ("CSeq", f"{self._cseq} ACK")])

    async def cancel(self) -> Response:
        """Give up before the answer; the response to the CANCEL. The INVITE's own 487 comes by iteration."""
        invite = parse(self._transaction.data)
        assert isinstance(invite, Request)
        return await self.phone.send_whole(build.cancel(invite), self._branch, "CANCEL").next()

    async def bye(self) -> Response:
        """Hang up; the final response."""
        if self.dialog is None:
            raise TransportError("the call was never established")
        return await hang_up(self.phone, self.dialog)


async def hang_up(phone: Phone, dialog: Dialog) -> Response:
    """Send BYE in a dialog; the final response, a challenge met."""
    dialog.cseq += 1
    return await phone.ask("BYE", dialog.target, dialog.headers(), cseq=dialog.cseq)
