"""A small phone: it registers with digest, calls and is called, over UDP or TCP.

alice = Phone("alice", Address("127.0.0.1", 5060), password="wonderland")
await alice.start()
assert (await alice.register()).status == 200
call = await alice.invite("sip:bob@127.0.0.1")
print([response.status async for response in call])      # [100, 180, 200]
await call.bye()
"""

from __future__ import annotations

import asyncio
import secrets
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any

from kamtool.errors import ParseError, TransportError
from kamtool.sip import build, digest
from kamtool.sip.flow import Address
from kamtool.sip.message import Message, Request, Response
from kamtool.tools.call import IncomingCall, OutgoingCall
from kamtool.tools.wire import WIRES, Wire

Headers = Sequence[tuple[str, str]]

LOOPBACK = Address("127.0.0.1", 0)
"""Any free port of this machine, for nobody else."""

T1 = 0.5
T2 = 4.0
PATIENCE = 32.0
"""64*T1: how long a request waits for its final response (RFC 3261 timers B and F)."""
REMEMBERED = 256


class ClientTransaction:
    """A request on its way: sent again until it is answered, its responses in a queue."""

    def __init__(self, phone: Phone, data: bytes, invite: bool) -> None:
        self.phone, self.data, self.invite = phone, data, invite
        self.responses: asyncio.Queue[Response] = asyncio.Queue()
        self.answered = asyncio.Event()
        self._repeating = asyncio.ensure_future(self._repeat())

    async def _repeat(self) -> None:
        wait = T1
        self.phone.wire.send(self.data)
        while not self.phone.wire.reliable and not self.answered.is_set():
            await asyncio.sleep(wait)
            if not self.answered.is_set():
                self.phone.wire.send(self.data)
            wait = wait * 2 if self.invite else min(wait * 2, T2)

    def receive(self, response: Response) -> None:
        if response.status >= 200 or self.invite:
            self.answered.set()
        self.responses.put_nowait(response)

    async def next(self, patience: float = PATIENCE) -> Response:
        """The next response. Raises TransportError when none comes in time."""
        try:
            return await asyncio.wait_for(self.responses.get(), patience)
        except TimeoutError:
            first_line = self.data.partition(b"\r\n")[0].decode(errors="replace")
            raise TransportError(f"no answer to {first_line}") from None

    def end(self) -> None:
        self._repeating.cancel()


class Phone:
    """One user agent. `calls` holds the calls that came in; they are answered with the codes of `answer`."""

    def __init__(
        self,
        user: str,
        server: Address,
        *,
        password: str = "",
        transport: str = "udp",
        domain: str = "",
        local: Address = LOOPBACK,
        answer: Sequence[int] = (180, 200),
    ) -> None:
        self.user, self.server, self.password = user, server, password
        self.domain = domain or str(server)
        self.answer = answer
        self.calls: asyncio.Queue[IncomingCall] = asyncio.Queue()
        self.requests: asyncio.Queue[Request] = asyncio.Queue()
        """Every other request that came in: OPTIONS, MESSAGE, BYE, CANCEL …, already answered."""
        self.wire: Wire = WIRES[transport](server, self._receive)
        self._local = local
        self._clients: dict[tuple[str, str], ClientTransaction] = {}
        self._answers: OrderedDict[tuple[str, str], bytes] = OrderedDict()
        self._ringing: dict[str, IncomingCall] = {}
        self._acks: dict[str, asyncio.Event] = {}
        self._work: set[asyncio.Task[None]] = set()
        self._registration = (secrets.token_hex(8), secrets.token_hex(4))
        self._register_cseq = 0

    async def start(self) -> Phone:
        """Open the socket. Raises TransportError."""
        await self.wire.open(self._local)
        return self

    async def stop(self) -> None:
        """Close the socket and forget all calls, without saying goodbye."""
        for transaction in self._clients.values():
            transaction.end()
        for task in self._work:
            task.cancel()
        self.wire.close()

    @property
    def address_of_record(self) -> str:
        return f"sip:{self.user}@{self.domain}"

    @property
    def contact(self) -> str:
        """Where others reach this phone."""
        return f"<sip:{self.user}@{self.wire.local};transport={self.wire.transport}>"

    async def register(self, expires: int = 3600, headers: Headers = (), contact: str = "") -> Response:
        """Bind the contact to the address of record; 0 takes it back. The final response."""
        call_id, tag = self._registration
        fields = [
            ("From", f"<{self.address_of_record}>;tag={tag}"), ("To", f"<{self.address_of_record}>"),
            ("Call-ID", call_id), ("Contact", contact or self.contact), ("Expires", str(expires)), *headers,
        ]  # fmt: skip
        return await self.ask("REGISTER", f"sip:{self.domain}", fields, cseq=self._next_register())

    def _next_register(self) -> int:
        self._register_cseq += 2  # one for the request, one for it again with credentials
        return self._register_cseq - 1

    async def options(self, uri: str) -> Response:
        """Ask what `uri` can do; the final response."""
        return await self.ask("OPTIONS", uri, self.new_headers(uri))

    async def message(self, uri: str, text: str) -> Response:
        """Send an instant message (RFC 3428); the final response."""
        fields = [*self.new_headers(uri), ("Content-Type", "text/plain")]
        return await self.ask("MESSAGE", uri, fields, text.encode())

    async def invite(self, uri: str, headers: Headers = (), body: bytes = b"") -> OutgoingCall:
        """Call `uri`; iterate over the call for the responses."""
        return OutgoingCall(
            self, uri, [*self.new_headers(uri), ("Contact", self.contact), *headers], body or self.sdp()
        )

    def new_headers(self, uri: str) -> list[tuple[str, str]]:
        """From, To and Call-ID of a request outside a dialog."""
        caller = f"<{self.address_of_record}>;tag={secrets.token_hex(4)}"
        return [("From", caller), ("To", f"<{uri}>"), ("Call-ID", secrets.token_hex(8))]

    def sdp(self) -> bytes:
        """An offer or answer of one audio stream, to a port where nobody listens."""
        host = self.wire.local.host
        family = "IP6" if ":" in host else "IP4"
        return (
            f"v=0\r\no={self.user} 1 1 IN {family} {host}\r\ns=-\r\nc=IN {family} {host}\r\nt=0 0\r\n"
            "m=audio 9 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n"
        ).encode()

    async def ask(
        self, method: str, uri: str, headers: Headers, body: bytes = b"", *, cseq: int = 1
    ) -> Response:
        """Send a request and wait for its final response; a challenge is met once, given a password."""
        response = await self._final(method, uri, [*headers, ("CSeq", f"{cseq} {method}")], body)
        credentials = self.credentials(response, method, uri, body)
        if credentials:
            fields = [*headers, ("CSeq", f"{cseq + 1} {method}"), credentials]
            response = await self._final(method, uri, fields, body)
        return response

    async def _final(self, method: str, uri: str, headers: Headers, body: bytes) -> Response:
        transaction = self.send_request(method, uri, headers, body)
        response = await transaction.next()
        while response.status < 200:
            response = await transaction.next()
        return response

    def credentials(
        self, response: Response, method: str, uri: str, body: bytes = b""
    ) -> tuple[str, str] | None:
        """The header that meets a 401 or 407; None when it is none, or there is no password."""
        headers = {
            401: ("WWW-Authenticate", "Authorization"),
            407: ("Proxy-Authenticate", "Proxy-Authorization"),
        }
        if not self.password or response.status not in headers:
            return None
        asked, answered = headers[response.status]
        # RFC 8760 §2.4: the topmost challenge that we understand.
        for value in response.headers(asked):
            with suppress(ParseError):
                if challenge := digest.parse_challenge(value):
                    made = digest.answer(
                        challenge, self.user, self.password,
                        method=method, uri=uri, cnonce=secrets.token_hex(8), body=body,
                    )  # fmt: skip
                    return answered, str(made)
        return None

    def send_request(
        self, method: str, uri: str, headers: Headers, body: bytes = b"", branch: str = ""
    ) -> ClientTransaction:
        """Send a request with our Via on top; the transaction gives its responses."""
        branch = branch or f"z9hG4bK{secrets.token_hex(8)}"
        data = build.request(method, uri, [self._via(branch), ("Max-Forwards", "70"), *headers], body)
        return self.send_whole(data, branch, method)

    def send_whole(self, data: bytes, branch: str, method: str) -> ClientTransaction:
        """Send a request that is complete; the transaction gives its responses."""
        transaction = ClientTransaction(self, data, method == "INVITE")
        self._clients[branch, method] = transaction
        return transaction

    def send_ack(self, uri: str, headers: Headers) -> None:
        """Send an ACK for a 2xx: a transaction of its own that nobody answers (§13.2.2.4)."""
        branch = f"z9hG4bK{secrets.token_hex(8)}"
        self.wire.send(build.request("ACK", uri, [self._via(branch), ("Max-Forwards", "70"), *headers]))

    def _via(self, branch: str) -> tuple[str, str]:
        return "Via", f"SIP/2.0/{self.wire.transport.upper()} {self.wire.local};branch={branch};rport"

    def _receive(self, message: Message) -> None:
        if isinstance(message, Response):
            transaction = self._clients.get((message.branch, message.cseq_method))
            if transaction:
                transaction.receive(message)
            return
        assert isinstance(message, Request)
        if message.method == "ACK":
            if acknowledged := self._acks.get(message.call_id):
                acknowledged.set()
            return
        answered = self._answers.get((message.branch, message.method))
        if answered is not None:  # a retransmission gets what its original got
            if answered:
                self.wire.send(answered)
            return
        self._remember(message, b"")
        if message.method == "INVITE" and message.is_initial:
            self._start(self._ring(IncomingCall(self, message)))
        else:
            self._answer_other(message)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._work.add(task)
        task.add_done_callback(self._work.discard)

    def _remember(self, request: Request, answer: bytes) -> None:
        self._answers[request.branch, request.method] = answer
        while len(self._answers) > REMEMBERED:
            self._answers.popitem(last=False)

    def reply(
        self, request: Request, status: int, *, to_tag: str = "", headers: Headers = (), body: bytes = b""
    ) -> None:
        """Answer a request."""
        content_type = "application/sdp" if body else ""
        data = build.response(
            request, status, to_tag=to_tag, headers=headers, body=body, content_type=content_type
        )
        self._remember(request, data)
        self.wire.send(data)

    def _answer_other(self, request: Request) -> None:
        call = self._ringing.get(request.call_id)
        if request.method == "CANCEL":
            self.reply(request, 200 if call else 481, to_tag=call.tag if call else secrets.token_hex(4))
            if call:
                call.cancelled()
        elif request.method in ("BYE", "INVITE", "UPDATE", "OPTIONS", "MESSAGE", "INFO", "NOTIFY"):
            tag = "" if request.to_tag else secrets.token_hex(4)
            body = self.sdp() if request.method == "INVITE" else b""
            headers = [("Contact", self.contact)] if request.method in ("INVITE", "UPDATE") else []
            self.reply(request, 200, to_tag=tag, headers=headers, body=body)
        else:
            self.reply(request, 405, to_tag=secrets.token_hex(4))
        self.requests.put_nowait(request)

    async def _ring(self, call: IncomingCall) -> None:
        self._ringing[call.invite.call_id] = call
        self.calls.put_nowait(call)
        for status in self.answer:
            await call.respond(status)

    def settled(self, call: IncomingCall) -> None:
        """The call has its final response: a CANCEL finds nothing any more."""
        self._ringing.pop(call.invite.call_id, None)

    async def acknowledged(self, call: IncomingCall, again: Callable[[], None]) -> bool:
        """Wait for the ACK of a 2xx, sending that again until it comes (§13.3.1.4)."""
        event = self._acks.setdefault(call.invite.call_id, asyncio.Event())
        waited, wait = 0.0, T1
        while waited < PATIENCE:
            try:
                await asyncio.wait_for(event.wait(), wait)
            except TimeoutError:
                again()
                waited, wait = waited + wait, min(wait * 2, T2)
            else:
                return True
        return False
