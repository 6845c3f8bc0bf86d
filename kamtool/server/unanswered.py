"""What comes of a branch that gets no response (RFC 3261 §16.8, §16.9): too late, not sent, given back."""

from __future__ import annotations

import re

from kamtool.server.answering import Answering
from kamtool.server.blocklist import ignored_by
from kamtool.server.branching import SEND_ERROR
from kamtool.server.transaction import ClientTransaction, ServerTransaction
from kamtool.sip.transaction import PROCEEDING

# Of the request as we sent it, the top Via is the first; ICMP quotes only the beginning.
_OUR_BRANCH = re.compile(rb"\r\nVia:[^\r\n]*?;branch=([^;,.\s]+)\.(\d{1,4})")


class Unanswered(Answering):
    """Has the next place tried, and when there is none, the branch fail."""

    def timed_out(self, tx: ServerTransaction, branch: int) -> None:
        """No final response in time: 408 from this branch (§16.8)."""
        client = tx.branches[branch]
        if client.status >= 200:
            return
        client.status, client.is_local, client.reply = 408, True, None
        client.reason = "Request Timeout"
        if self.server.blocklist is not None and not client.replied:
            place = client.flow.transport, client.flow.remote
            self.server.blocklist.timed_out(*place, tx.method, ignored_by(tx.ctx))
        if client.targets and self.next_target(tx, client):
            return
        if tx.method == "INVITE":
            if client.state == PROCEEDING:
                self.server.relay.cancel_branch(tx, branch)
            elif not self.noisy and not client.replied and self._unheard(tx):
                tx.status = 408
                self.server.transactions.forget(tx)
                return
            client.cancelled = True  # should it ring after all, it is cancelled then
        self._local_final(tx, branch, 408)

    def slow(self, tx: ServerTransaction) -> None:
        """RFC 4320 §4.1: timer E of a request other than INVITE has reached T2: say that we try."""
        if not tx.status and tx.local is None:
            self.server.replies.stateful(tx, 100, "Trying")

    def send_failed(self, tx: ServerTransaction, branch: int) -> None:
        """The network would not take the request (§16.9)."""
        client = tx.branches[branch]
        if client.status < 200:
            client.status, client.is_local = SEND_ERROR, True
            client.reason = "Unfortunately error on sending to next hop occurred"
            if client.targets and self.next_target(tx, client):
                return
            self._local_final(tx, branch, SEND_ERROR)

    def unreachable(self, data: bytes) -> None:
        """ICMP gave this datagram back: no time is lost where the name led to more places (§18.4).

        With no other place, retransmissions go on: a host that restarts is there in a moment.
        """
        found = _OUR_BRANCH.search(data)
        if found is None or data.startswith(b"SIP/2.0 "):
            return
        transactions = self.server.transactions
        tx = transactions.by_label.get(found[1].decode("ascii", "replace"))
        number = int(found[2])
        if tx is None or number >= len(tx.branches):
            return
        client = tx.branches[number]
        if client.targets and client.status < 200 and not client.replied:
            transactions.failed(client.data)

    @staticmethod
    def _unheard(tx: ServerTransaction) -> bool:
        """`noisy_ctimer` off: nobody but the caller would learn of the time-out, who has his own."""
        return len(tx.branches) == 1 and not (tx.on_failure or tx.watchers or tx.local is not None)

    def next_target(self, tx: ServerTransaction, client: ClientTransaction) -> bool:
        """RFC 3263 §4.3: the name led to more places, and this one did not answer: try the next."""
        if client.replied or tx.is_answered or tx.cancelled or tx.no_failover or not client.data:
            return False
        relay = self.server.relay
        while client.targets:
            target, *rest = client.targets
            client.targets = ()
            if relay.again(tx, client, target, tuple(rest)):
                client.dropped = True
                return True
            client.targets = tuple(rest)
        return False

    def _local_final(self, tx: ServerTransaction, branch: int, status: int) -> None:
        if tx.local is not None:
            self.server.transactions.forget(tx)
            tx.local(status, None)
        else:
            self.failed(tx, branch)
