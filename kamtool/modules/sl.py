"""Stateless replies: see `Sl`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, cast

from kamtool.module import (
    FAILURE_ROUTE,
    ONREPLY_ROUTE,
    REQUEST_ROUTE,
    Host,
    Module,
    Param,
    declaration,
    function,
    rpc,
)  # fmt: skip
from kamtool.server.reply import Replies

if TYPE_CHECKING:
    from kamtool.script.context import Context
    from kamtool.server.server import Server

COUNTED = (
    "1xx", "200", "202", "2xx", "300", "301", "302", "3xx", "400", "401", "403", "404", "407", "408", "483",
    "4xx", "500", "5xx", "6xx", "xxx",
)  # fmt: skip

ERRORS = {
    500: "I'm terribly sorry, server error occurred (1/SL)",
    477: "Unfortunately error on sending to next hop occurred (477/SL)",
    478: "Unresolvable destination (478/SL)",
}


log = logging.getLogger(__name__)


class Sl(Module):
    """Replies without a transaction; the ACK that answers one is recognised by its To-tag and swallowed."""

    events = ("sl:local-response", "sl:filtered-ack")

    live = ("default_code", "default_reason", "bind_tm", "rich_redirect")

    default_code = Param(500, "the status of a reply whose code is no status")
    default_reason = Param("Internal Server Error", "the reason phrase of such a reply")
    bind_tm = Param(1, "send_reply answers with the transaction where there is one")

    rich_redirect = Param(0, "in the Contacts of a 3xx: 1 the branch flags, 2 the path, 3 both")
    event_callback_fl_ack = Param("", "ignored: there is no KEMI; event_route[sl:filtered-ack] runs")
    event_callback_lres_sent = Param("", "ignored: there is no KEMI; event_route[sl:local-response] runs")

    def reload(self, program: Any, changed: Mapping[str, Any]) -> Callable[[], None] | None:
        """Some parameters are kept where replies are made."""

        return self._tell if changed else None

    def _tell(self) -> None:
        replies = self._host.replies
        replies.rich_redirect["sl"] = self.rich_redirect
        replies.otherwise = self.default_code, self.default_reason

    async def start(self) -> None:
        self._tell()
        for name in ("event_callback_fl_ack", "event_callback_lres_sent"):
            if getattr(self, name):
                log.warning("modparam sl %s is %s", name, declaration(type(self)).params[name].doc)
        for name in COUNTED:
            self.server.stats.setdefault(f"sl:{name}_replies", 0)
        for name in ("sent_replies", "sent_err_replies", "failures", "received_ACKs"):
            self.server.stats.setdefault(f"sl:{name}", 0)

    def __init__(self, server: Host) -> None:
        super().__init__(server)
        replies = getattr(server, "replies", None)
        if isinstance(replies, Replies):
            # What scripts call, without this module's method around it.
            vars(self)["sl_send_reply"] = replies.by_script

    @property
    def _host(self) -> Server:
        return cast("Server", self.server)

    @function("sl_send_reply", "sl_reply", routes=REQUEST_ROUTE)
    def sl_send_reply(self, ctx: Context, code: int, reason: str) -> bool:
        """Answer without a transaction."""
        return self._host.replies.by_script(ctx, code, reason)

    @function("send_reply", routes=REQUEST_ROUTE | ONREPLY_ROUTE | FAILURE_ROUTE)
    def send_reply(self, ctx: Context, code: int, reason: str) -> bool:
        """Answer with the transaction where there is one, else without."""
        if not 100 <= code < 700:
            code, reason = self.default_code, self.default_reason
        server = self._host
        tx = ctx.transaction if self.bind_tm else None
        if tx is None:
            return ctx.msg.is_request and server.replies.stateless(ctx, code, reason)
        if not server.replies.stateful(tx, code, reason):
            return False
        server.relay.answered(tx, code)
        return True

    @function("send_reply_mode", routes=REQUEST_ROUTE | ONREPLY_ROUTE | FAILURE_ROUTE)
    def send_reply_mode(self, ctx: Context, code: int, reason: str, mode: int) -> bool:
        """send_reply; `mode` 1 makes no new connection for the response, 2 closes the connection after it."""
        if mode & 1:
            ctx.scratch["core.reply_no_connect"] = True
        if mode & 2:
            ctx.scratch["core.reply_close"] = True
        return self.send_reply(ctx, code, reason)

    @function("sl_reply_error", routes=REQUEST_ROUTE)
    def sl_reply_error(self, ctx: Context) -> bool:
        """Answer with what went wrong last: 477 or 478 after a t_relay that failed, else 500.

        With KAMTOOL_QUIRKS as Kamailio does: any statement after the t_relay makes it 500, and the
        transaction answers once more when the route has ended.
        """
        tx, quirks = ctx.transaction, self.server.quirks
        code = tx.error if tx is not None and tx.error and (ctx.rc < 0 or not quirks) else 500
        reason = ERRORS.get(code, "I'm terribly sorry, server error occurred (1/SL)")
        self._host.count("sl:sent_err_replies")
        if tx is None or quirks:
            return self._host.replies.stateless(ctx, code, reason)
        return self._host.replies.stateful(tx, code, reason)

    @function("sl_forward_reply", routes=ONREPLY_ROUTE)
    def sl_forward_reply(self, ctx: Context, code: str = "", reason: str = "") -> bool:
        """True: a reply without a transaction is forwarded by its Via in any case."""
        return not ctx.msg.is_request

    @rpc("sl.stats", workers="sum")
    def stats(self) -> dict[str, int]:
        """How many replies were sent statelessly, by status."""
        counted = self.server.stats
        return {name: counted.get(f"sl:{name}_replies", 0) for name in COUNTED}
