"""tm: transactions made, answered and released by the script."""

from __future__ import annotations

import asyncio
import logging
import socket
from typing import TYPE_CHECKING

from kamtool.module import FAILURE_ROUTE, ONREPLY_ROUTE, REQUEST_ROUTE, Phrase, Plain, function
from kamtool.modules.tm.base import REQUEST_OR_FAILURE, Part
from kamtool.server.transaction import ServerTransaction

if TYPE_CHECKING:
    from kamtool.script.context import Context

log = logging.getLogger(__name__)


class Replying(Part):
    """t_newtran, t_reply, t_release and what writes a request to another program."""

    default_code: int
    default_reason: str

    @function("t_newtran", routes=REQUEST_ROUTE)
    def t_newtran(self, ctx: Context) -> int:
        """Make a transaction. 1, or 0 (which ends the script) for a retransmission: it has been answered."""
        if ctx.msg.method == "ACK":
            known = self._host.transactions.find(ctx.msg)
            return 0 if known is not None and known.status >= 300 else 1
        if ctx.transaction is not None:
            return -1
        return 1 if self._host.relay.create(ctx) is not None else 0

    @function("t_reply", routes=REQUEST_ROUTE | FAILURE_ROUTE | ONREPLY_ROUTE)
    def t_reply(self, ctx: Context, code: int, reason: Phrase) -> bool:
        """Answer the transaction's request; a final reply cancels the branches that are still pending.

        As in Kamailio the reason is not a format: pseudo-variables inside a longer text stay as they are.
        """
        tx = self._transaction(ctx)
        if tx is None:
            log.error("t_reply: no transaction; t_newtran makes one")
            return False
        status = code if 100 <= code < 700 else self.default_code
        if not self._host.replies.stateful(tx, status, reason or self.default_reason):
            return False
        self._host.relay.answered(tx, status)
        return True

    @function("t_send_reply", routes=REQUEST_ROUTE | FAILURE_ROUTE | ONREPLY_ROUTE)
    def t_send_reply(self, ctx: Context, code: int, reason: str) -> int:
        """t_newtran where there is no transaction yet, and t_reply. 0, which ends the script, for a
        retransmission.
        """
        if self._transaction(ctx) is None and (
            not ctx.msg.is_request or ctx.msg.method == "ACK" or self._host.relay.create(ctx) is None
        ):
            return 0 if ctx.msg.is_request and ctx.msg.method != "ACK" else -1
        return 1 if self.t_reply(ctx, code, reason) else -1

    @function("t_retransmit_reply", routes=REQUEST_ROUTE)
    def t_retransmit_reply(self, ctx: Context) -> bool:
        """Send the transaction's last reply again."""
        tx = self._transaction(ctx)
        if tx is None or not tx.last:
            return False
        return self._host.send(tx.reply_flow, tx.last)

    @function("t_release", routes=REQUEST_ROUTE)
    def t_release(self, ctx: Context) -> bool:
        """Forget the transaction that t_newtran made, unless it has been relayed."""
        tx: ServerTransaction | None = ctx.transaction
        if tx is None or tx.branches:
            return False
        tx.released = True
        ctx.transaction = None
        self._host.transactions.forget(tx)
        return True

    @function("t_save_lumps", routes=REQUEST_ROUTE)
    def t_save_lumps(self, ctx: Context) -> bool:
        """Keep the edits for the failure_route. They are always kept here: true with a transaction."""
        return ctx.transaction is not None

    @function("t_write_unix", routes=REQUEST_OR_FAILURE)
    def t_write_unix(self, ctx: Context, path: Plain, action: Plain) -> bool:
        """Send the request to the unix datagram socket at `path`, after a line with `action`.

        `action` may be `name/append`, as tw_append defines it. True when the socket took it.
        """
        tx = ctx.transaction or self._host.relay.create(ctx)
        if tx is None:
            return False
        message = self._written(ctx, action)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            try:
                sender.sendto(message, path)
            except OSError as error:
                log.error("t_write_unix: %s: %s", path, error.strerror)
                return False
        return True

    @function("t_write_req", routes=REQUEST_OR_FAILURE)
    async def t_write_req(self, ctx: Context, path: Plain, action: Plain) -> bool:
        """Write the request to the FIFO at `path`, after a line with `action`. False when nobody reads it."""
        import os

        tx = ctx.transaction or self._host.relay.create(ctx)
        if tx is None:
            return False
        message = self._written(ctx, action)

        def write() -> bool:
            try:
                fifo = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
            except OSError as error:
                log.error("t_write_req: %s: %s", path, error.strerror)
                return False
            with os.fdopen(fifo, "wb", buffering=0) as out:
                return out.write(message) == len(message)

        return await asyncio.get_running_loop().run_in_executor(None, write)

    def _written(self, ctx: Context, action: str) -> bytes:
        name, _, append = action.partition("/")
        lines = [f":{name}:"]
        for definition in getattr(self, "tw_append", ()):
            label, _, names = definition.partition(":")
            if label == append:
                lines += [f"{h.strip()}: {ctx.msg.header(h.strip()) or ''}" for h in names.split(";")]
        head = "\n".join(lines).encode("utf-8", "surrogateescape")
        return head + b"\n" + ctx.msg.data
