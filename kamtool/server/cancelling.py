"""CANCEL: what the caller takes back, and what we do (RFC 3261 §9, §16.10; RFC 3326)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kamtool.server.transaction import ClientTransaction, ServerTransaction
from kamtool.sip import build
from kamtool.sip.message import Request
from kamtool.sip.transaction import CALLING, CANCELLING, PROCEEDING

if TYPE_CHECKING:
    from kamtool.server.core import Core


class Cancelling:
    """The part of the relay that ends branches before their time."""

    def __init__(self, server: Core) -> None:
        self.server = server
        self.forwarded = server.tally("core:fwd_requests")
        self.made = server.tally("tmx:UAS_transactions")
        self.transactions = server.transactions
        self.e2e_reason = True
        self.unmatched_cancel = 0
        self.cancel_unreplied = 1
        self.extra_headers = ""

    def cancel_invite(self, tx: ServerTransaction, headers: tuple[tuple[str, str], ...] = ()) -> None:
        """The caller has given up: cancel every branch, or answer 487 where there is none."""
        if tx.is_answered:
            return
        tx.cancelled = True
        self.cancel_others(tx, -1, headers)
        if tx.local is not None:
            return
        if not any(client.status < 200 for client in tx.branches) and not tx.in_failure_route:
            self.server.replies.stateful(tx, 487, "Request Terminated")

    def drop(self, tx: ServerTransaction, status: int) -> None:
        """End a transaction without a response: its branches are cancelled, and nobody is told."""
        if tx.is_answered:
            return
        tx.status, tx.suspended = status if 200 <= status < 700 else 500, False
        self.cancel_others(tx, -1)
        self.transactions.dropped(tx)

    def cancel_others(
        self, tx: ServerTransaction, keep: int, headers: tuple[tuple[str, str], ...] = ()
    ) -> None:
        """Cancel every branch but `keep` that has no final response (§16.7 step 10)."""
        if tx.method == "INVITE":
            for number, client in enumerate(tx.branches):
                if number != keep and client.status < 200:
                    self.cancel_branch(tx, number, headers)

    def answered(self, tx: ServerTransaction, status: int) -> None:
        """A final response was made here: what is still pending is cancelled, with the reason why."""
        if len(tx.branches) and status >= 200:
            self.cancel_others(tx, -1, self.server.responses.reason(status))

    def cancel_branch(
        self, tx: ServerTransaction, number: int, headers: tuple[tuple[str, str], ...] = ()
    ) -> None:
        """§9.1: CANCEL waits for a provisional response; what has a final one is left alone."""
        client = tx.branches[number]
        if client.cancelled or client.state not in (CALLING, PROCEEDING, CANCELLING):
            return
        if client.state == CALLING and not (self.cancel_unreplied == 2 and tx.cancelled):
            # Only the caller's own CANCEL may run ahead of a provisional response, when the cfg wants it so.
            client.cancel_headers = headers
            client.cancelled = True
            if self.cancel_unreplied == 0:
                client.status, client.is_local, client.reason = 487, True, "Request Terminated"
                client.cancel_headers = headers or self.server.responses.reason(487)
            return
        client.cancelled = True
        self.transactions.start_cancel(tx, number, self._cancel_data(client, headers))

    def _cancel_data(self, client: ClientTransaction, headers: tuple[tuple[str, str], ...]) -> bytes:
        invite = Request(client.data)
        return build.cancel(invite, [*headers, *self.extras(invite)])

    def extras(self, invite: Request) -> list[tuple[str, str]]:
        """`ac_extra_hdrs`: the headers that CANCEL and ACK take from the INVITE."""
        if not self.extra_headers:
            return []
        prefix = self.extra_headers.lower()
        return [(f.name, f.value) for f in invite.fields() if f.name.lower().startswith(prefix)]

    def provisional(self, tx: ServerTransaction, number: int) -> None:
        """The first provisional response of a branch that was cancelled before it came."""
        client = tx.branches[number]
        if client.cancelled and client.cancel is None:
            data = self._cancel_data(client, client.cancel_headers)
            self.transactions.start_cancel(tx, number, data)
