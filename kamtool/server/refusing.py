"""Refusing what is new while the server drains or is overloaded: 503 with Retry-After (RFC 3261 §21.5.4).

While nothing is refused none of this runs: the gate takes the place of the way in, and goes again. What
belongs to a transaction or a dialog passes. What was refused in overload stays so when it comes again: its
503 may be on its way, and a call that is relayed all the same would have two answers.

Memory is bounded by the number of transactions. At the bound new requests are refused; a quarter above it
requests within a dialog are not taken either, but dropped: they come again, and a BYE that is refused would
leave the other side in the call. Responses, ACK, CANCEL and retransmissions always pass: they end something.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable
from sys import maxsize
from typing import TYPE_CHECKING

from kamtool.errors import ParseError
from kamtool.script.context import Context
from kamtool.sip.flow import Flow
from kamtool.sip.message import Request

if TYPE_CHECKING:
    from kamtool.server.server import Server

log = logging.getLogger("kamtool.server")

PASSES = (b"SIP/", b"ACK ", b"CANC", b"BYE ", b"PRAC")
"""How messages begin that belong to something."""
ENDS = PASSES[:3]
"""How messages begin that end something: these pass whatever happens."""
OVER_SWEEPS = 3
"""Looks in a row that find overload until it is one: a single pause is none."""
CALM_SWEEPS = 10
"""Looks without overload until it is over."""
REPEATED = 32.0
"""Seconds (64*T1) in which a client repeats a request over UDP (RFC 3261 §17.1)."""
MOST_REFUSED = 50_000
"""Refused requests that are remembered, some 200 bytes each; the first are forgotten for more."""
HARD = 1.25
"""So many times the bound of transactions are never passed."""


class Gate:
    """The way in of one server, and when it is narrow."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.is_draining = self.is_overloaded = False
        self.retry_after = 5
        self._open: Callable[[bytes, Flow], None] = server.receive
        if server.dispatch is not None:
            self._open = server.dispatch.own  # first to the right worker, then refused or not
        self._calm = self._over = 0
        # A dict finds its first entry ever slower, the more were deleted before it.
        self._refused: OrderedDict[int, float] = OrderedDict()
        """By transaction, what was refused in overload and may come again, and until when."""
        self._refused_until = 0.0
        self._most = maxsize
        """Past so many transactions only what ends one passes."""

    # Who opens and closes it

    def drain(self) -> None:
        """Refuse what is new from now on."""
        self.is_draining = True
        self._swap()

    def look(self, late: float, most_late: float, most_queued: int, most_held: int = 0) -> None:
        """Several times a second: how late the loop is, how much (in percent) may wait to be read, and how
        many transactions there may be."""
        if not (most_late or most_queued or most_held):
            return
        held = len(self.server.transactions)
        is_full = 0 < most_held <= held
        self._most = int(most_held * HARD) or maxsize
        if self._refused and not self.is_overloaded and self.server.now() > self._refused_until:
            self._refused.clear()
            self._swap()
        why = ""
        if is_full:
            why = f"{held} transactions are held"
        elif most_late and late > most_late:
            why = f"the loop is {late * 1000:.0f} ms late"
        elif most_queued and (queued := self.server.transports.queued_percent()) > most_queued:
            why = f"{queued} % of a UDP queue wait"
        over = bool(why)
        self._over = self._over + 1 if over else 0
        if over:
            self._calm = 0
            # A pause passes; what is held does not go by itself.
            if not self.is_overloaded and (is_full or self._over >= OVER_SWEEPS):
                self.is_overloaded = True
                self.server.count("core:overloads")
                log.warning("overload: %s; new requests get 503", why)
                self._swap()
        elif self.is_overloaded:
            self._calm += 1
            if self._calm >= CALM_SWEEPS:
                self.is_overloaded = False
                log.warning("overload is over")
                self._swap()

    def _swap(self) -> None:
        server, narrow = self.server, self.is_draining or self.is_overloaded
        gate = self._narrow if narrow else self._repeated if self._refused else None
        if server.dispatch is not None:
            server.dispatch.own = gate or self._open
            return
        if server.receive not in (self._narrow, self._repeated):
            self._open = server.receive
        server.receive_by(gate or self._open)

    def replace(self, before: Callable[[bytes, Flow], None], own: Callable[[bytes, Flow], None]) -> None:
        """Who takes what is let in is another one from now on."""
        server = self.server
        if self._open == before:
            self._open = own
        if server.dispatch is not None:
            if server.dispatch.own == before:
                server.dispatch.own = own
        elif server.receive == before:
            server.receive_by(own)

    # What passes

    def _narrow(self, data: bytes, flow: Flow) -> None:
        start = data[:4]
        is_full = len(self.server.transactions) >= self._most
        if start in (ENDS if is_full else PASSES) or self._belongs(data, flow, is_full=is_full):
            self._open(data, flow)

    def _belongs(self, data: bytes, flow: Flow, *, is_full: bool) -> bool:
        """Whether a request is within a dialog, or a retransmission; if not, it is refused here."""
        server = self.server
        try:
            msg = Request(data)
        except ParseError:
            return True
        if not msg.is_request or server.transactions.find(msg) is not None:
            return True
        if msg.to_tag:
            if is_full:
                server.count("core:dropped_requests")
            return not is_full
        if self.is_overloaded and flow.transport == "udp":
            self._remember(msg)
        self._refuse(msg, flow)
        return False

    def _refuse(self, msg: Request, flow: Flow) -> None:
        server = self.server
        server.count("core:refused_requests")
        ctx = Context(server, msg, flow)
        ctx.add_reply_header(f"Retry-After: {self.retry_after}\r\n")
        server.replies.stateless(ctx, 503, "Service Unavailable")

    # What was refused

    def _remember(self, msg: Request) -> None:
        refused = self._refused
        if len(refused) >= MOST_REFUSED:
            refused.popitem(last=False)
        self._refused_until = self.server.now() + REPEATED
        refused[hash(self.server.transactions.key_of(msg))] = self._refused_until

    def _repeated(self, data: bytes, flow: Flow) -> None:
        """The way in when overload is over, for as long as what it refused may be repeated."""
        if data[:4] not in PASSES and flow.transport == "udp":
            try:
                msg = Request(data)
                until = self._refused.get(hash(self.server.transactions.key_of(msg)), 0.0)
            except ParseError:
                until = 0.0
            if until > self.server.now():
                self._refuse(msg, flow)
                return
        self._open(data, flow)
