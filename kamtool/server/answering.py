"""What a transaction answers in the end: the failure_route, or the best response (RFC 3261 §16.7)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from kamtool import speed
from kamtool.module import Routes
from kamtool.script.context import Context, Exit
from kamtool.script.program import RouteFunction
from kamtool.server.transaction import ClientTransaction, ServerTransaction
from kamtool.sip import build
from kamtool.sip.message import Response

if TYPE_CHECKING:
    from kamtool.server.core import Core

BRANCH_FAILURE = "tm:branch-failure"
ANSWERED_ELSEWHERE = (("Reason", 'SIP;cause=200;text="Call completed elsewhere"'),)
_DROPS = ("n", "a", "l", "a")
"""By failure_reply_mode: none, all, the last leg's, all."""
_CHALLENGES = {401: "WWW-Authenticate", 407: "Proxy-Authenticate"}
_PREFERRED_4XX = {401: 0, 407: 0, 415: 1, 420: 1, 484: 1}


class Answering:
    """The part of response processing that makes one answer of many."""

    def __init__(self, server: Core) -> None:
        self.server = server
        self.relayed = server.tally("core:fwd_replies", "tmx:relayed_replies")
        self.closed = [server.tally(name) for name in _CLASS_COUNTERS]
        self.aggregate_challenges = True
        self.disable_6xx = False
        self.remap_503 = True
        self.faked_reply_prio = 0
        self.relay_100 = False
        self.failure_reply_mode = 3
        self.noisy = True

    def reason(self, status: int, msg: Response | None = None) -> tuple[tuple[str, str], ...]:
        """RFC 3326: why the other branches are cancelled."""
        if not self.server.relay.local_reason:
            return ()
        if status == 200:
            return ANSWERED_ELSEWHERE
        text = f";text={_quoted(msg.reason)}" if msg is not None and msg.reason else ""
        return (("Reason", f"SIP;cause={status}{text}"),)

    def _send(self, tx: ServerTransaction, status: int, data: bytes) -> bool:
        server = self.server
        if not server.transactions.respond(tx, status, data):
            return False
        self.relayed.number += 1
        return True

    def _release(self, tx: ServerTransaction) -> None:
        """The final response is out: what only a failure_route would need may go."""
        self.closed[tx.status // 100].number += 1
        if not tx.on_reply and tx.ctx is not None:
            tx.ctx.transaction = None
            tx.ctx = None

    def failed(self, tx: ServerTransaction, which: int) -> None:
        """A branch has its final response, and it is a failure: its branch-failure route, then `finish`."""
        name = tx.branches[which].on_branch_failure or tx.on_branch_failure
        if name and not tx.is_answered and tx.ctx is not None and not tx.in_failure_route:
            route = (tx.program or self.server.program).event_routes.get(f"{BRANCH_FAILURE}:{name}")
            if route is not None:
                self.server.drive(self._branch_failure(tx, tx.ctx, which, route, name), tx.ctx.msg)
                return
        self.finish(tx)

    async def _branch_failure(
        self, tx: ServerTransaction, ctx: Context, which: int, route: RouteFunction, name: str
    ) -> None:
        prepare_failure_context(ctx, tx, which, f"{BRANCH_FAILURE}:{name}")
        ctx.route_kind = Routes.EVENT
        armed = tx.on_failure, tx.on_reply, tx.on_branch
        tx.in_failure_route = True
        try:
            await route(ctx)
        except Exit:
            pass
        except Exception as error:
            self.server.script_failed(ctx, error)
        finally:
            tx.in_failure_route = False
            # What is armed here is for the branches made here: the transaction keeps its own.
            tx.on_failure, tx.on_reply, tx.on_branch = armed
            ctx.transaction = ctx.reply = None
        self.finish(tx)

    def finish(self, tx: ServerTransaction) -> None:
        """When every branch has its final response: the failure_route, or the best response goes on."""
        if tx.is_answered or tx.suspended or tx.in_failure_route:
            return
        for client in tx.branches:
            if client.status < 200:
                return
        if tx.watchers and (number := best(tx.branches, self.faked_reply_prio)) >= 0:
            for watcher in tx.watchers:
                watcher.failing(tx, number)
        if tx.on_failure and tx.on_failure in (tx.program or self.server.program).failure_routes:
            self.server.drive(self._failure_route(tx), tx.ctx.msg if tx.ctx else None)
        else:
            self.answer(tx)

    async def _failure_route(self, tx: ServerTransaction) -> None:
        ctx, number = tx.ctx, best(tx.branches, self.faked_reply_prio)
        if ctx is None or number < 0:
            self.answer(tx)
            return
        name, tx.on_failure = tx.on_failure, ""
        prepare_failure_context(ctx, tx, number, name)
        await self.failing_further(tx, ctx, (tx.program or self.server.program).failure_routes[name], name)

    async def failing_further(
        self, tx: ServerTransaction, ctx: Context, route: RouteFunction, name: str
    ) -> None:
        """Run a failure_route, or what goes on in its place, and see what becomes of the transaction."""
        had, leg = len(tx.branches), tx.leg
        ctx.route_kind, ctx.route_name = Routes.FAILURE, name
        tx.in_failure_route = True
        try:
            await route(ctx)
        except Exit:
            pass
        except Exception as error:
            self.server.script_failed(ctx, error)
        finally:
            tx.in_failure_route = False
            self.server.relay.arm(tx, ctx)
            if not tx.suspended:
                ctx.transaction = ctx.reply = None
        self._apply_drops(tx, leg, had)
        if tx.is_answered:
            self._release(tx)
            return
        if tx.suspended or any(client.status < 200 for client in tx.branches):
            return
        self.answer(tx)

    def timed_out_suspended(self, tx: ServerTransaction) -> None:
        """Nobody went on with a suspended transaction: as if its branch had been silent."""
        silent = self.server.transactions.client(tx, tx.reply_flow, b"", "")
        silent.status, silent.is_local, silent.reason = 408, True, "Request Timeout"
        tx.branches.append(silent)
        self.failed(tx, len(tx.branches) - 1)

    def _apply_drops(self, tx: ServerTransaction, leg: int, had: int) -> None:
        """What counts no more once new branches are out: as t_drop_replies said, else failure_reply_mode."""
        mode, tx.drop_replies = tx.drop_replies or _DROPS[self.failure_reply_mode], ""
        if mode != "n" and len(tx.branches) > had:
            start = 0 if mode == "a" else leg
            for client in tx.branches[start:had]:
                client.dropped = True

    def answer(self, tx: ServerTransaction) -> None:
        """Send the best response upstream (§16.7 steps 6 to 9)."""
        number = best(tx.branches, self.faked_reply_prio)
        replies = self.server.replies
        if number < 0:
            replies.stateful(tx, 500, "Server Internal Error")
        elif tx.method != "INVITE" and tx.branches[number].status == 408 and not self.server.quirks:
            # RFC 4320 §4.2: no 408 to any request but INVITE, for its client has given up at the same time.
            tx.status = 408
            self.server.transactions.dropped(tx)
        else:
            client = tx.branches[number]
            if client.reply is None:
                status, reason = client.status, client.reason
                if tx.cancelled and status == 408:
                    status, reason = 487, ""
                replies.stateful(tx, status, reason or build.REASONS.get(status, "Error"))
            else:
                if client.status == 503 and self.remap_503:
                    # §16.7 step 6: a 503 would say that this server is overloaded: a 500 of our own.
                    replies.stateful(tx, 500, "Service Unavailable")
                else:
                    self._send(tx, client.status, self._final(tx, client))
        self._release(tx)

    def _final(self, tx: ServerTransaction, client: ClientTransaction) -> bytes:
        """The bytes of the best response: challenges gathered (step 7)."""
        msg = client.reply
        assert msg is not None
        edits = list(client.edits)
        if msg.status in _CHALLENGES and self.aggregate_challenges and len(tx.branches) > 1:
            lines = b"".join(
                [_challenges(other.reply) for other in tx.branches if other.reply and other is not client]
            )
            edits.append((msg.head_end, msg.head_end, lines))
        return speed.relay(msg, edits)


_CLASS_COUNTERS = (
    "tmx:xxx_transactions",
    "tmx:xxx_transactions",
    *(f"tmx:{n}xx_transactions" for n in range(2, 7)),
)


def _challenges(msg: Response) -> bytes:
    if msg.status not in _CHALLENGES:
        return b""
    return b"".join([msg.data[f.start : f.end] for f in msg.fields(_CHALLENGES[msg.status])])


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def best(branches: Sequence[ClientTransaction], faked: int = 0) -> int:
    """§16.7 step 6: a 6xx if there is one, else from the lowest class; -1 when nothing counts.

    `faked` is added to the rank of what was made here: 1000 is a class.

    Within 4xx, those come first that let the caller try again; of 5xx a 503 comes last. Else the lower status
    wins, as in Kamailio; what was made here (a time-out) comes after what was received with the same rank.
    """
    ranked = [
        (_rank(client.status) + (faked if client.is_local else 0), client.is_local, number)
        for number, client in enumerate(branches)
        if client.status >= 300 and not client.dropped
    ]
    return min(ranked)[2] if ranked else -1


def _rank(status: int) -> int:
    """The lower, the better; classes are 1000 apart, so that `faked_reply_prio` means what it says."""
    kind = status // 100
    if kind == 6:
        return status - 600
    if kind == 4:
        return 4000 + 100 * _PREFERRED_4XX.get(status, 2) + status - 400
    return kind * 1000 + status % 100 + (100 if status == 503 else 0)


def prepare_failure_context(ctx: Context, tx: ServerTransaction, number: int, name: str) -> None:
    """Make the request's context that of its failure_route."""
    client = tx.branches[number]
    ctx.route_kind, ctx.route_name = Routes.FAILURE, name
    ctx.transaction, ctx.reply, ctx.branch_index = tx, client.reply, number
    ctx.branches = ()
    ctx.on_failure = ctx.on_reply = ctx.on_branch = ""
    # Text of their own: t_relay asks by identity whether the script has set them since, even to the same.
    ctx.new_uri = None if ctx.new_uri is None else fresh(ctx.new_uri)
    ctx.dst_uri = None if ctx.dst_uri is None else fresh(ctx.dst_uri)
    tx.relayed_uri = (ctx.new_uri, ctx.dst_uri)


def fresh(text: str) -> str:
    """The same text as an object of its own."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")
