"""Refusing what is new while the server drains or is overloaded: 503 with Retry-After (RFC 3261 §21.5.4).

While nothing is refused none of this runs: the gate takes the place of the way in, and goes again. What
belongs to a transaction or a dialog passes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
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
OVER_SWEEPS = 3
"""Looks in a row that find overload until it is one: a single pause is none."""
CALM_SWEEPS = 10
"""Looks without overload until it is over."""


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

    # Who opens and closes it

    def drain(self) -> None:
        """Refuse what is new from now on."""
        self.is_draining = True
        self._swap()

    def look(self, late: float, most_late: float, most_queued: int) -> None:
        """Several times a second: how late the loop is, and how much (in percent) may wait to be read."""
        if not most_late and not most_queued:
            return
        over = bool(most_late and late > most_late) or bool(
            most_queued and self.server.transports.queued_percent() > most_queued
        )
        self._over = self._over + 1 if over else 0
        if over:
            self._calm = 0
            if not self.is_overloaded and self._over >= OVER_SWEEPS:
                self.is_overloaded = True
                self.server.count("core:overloads")
                log.warning("overload: the loop is %d ms late; new requests get 503", late * 1000)
                self._swap()
        elif self.is_overloaded:
            self._calm += 1
            if self._calm >= CALM_SWEEPS:
                self.is_overloaded = False
                log.warning("overload is over")
                self._swap()

    def _swap(self) -> None:
        server, narrow = self.server, self.is_draining or self.is_overloaded
        if server.dispatch is not None:
            server.dispatch.own = self._narrow if narrow else self._open
        elif narrow:
            if server.receive != self._narrow:
                self._open = server.receive
            server.receive_by(self._narrow)
        else:
            server.receive_by(self._open)

    # What passes

    def _narrow(self, data: bytes, flow: Flow) -> None:
        if data[:4] in PASSES or self._belongs(data, flow):
            self._open(data, flow)

    def _belongs(self, data: bytes, flow: Flow) -> bool:
        """Whether a request is within a dialog, or a retransmission; if not, it is refused here."""
        server = self.server
        try:
            msg = Request(data)
        except ParseError:
            return True
        if not msg.is_request or msg.to_tag or server.transactions.find(msg) is not None:
            return True
        server.stats["core:refused_requests"] += 1
        ctx = Context(server, msg, flow)
        ctx.add_reply_header(f"Retry-After: {self.retry_after}\r\n")
        server.replies.stateless(ctx, 503, "Service Unavailable")
        return False
