"""blst: the list of places to be left alone, from the script."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from kamtool.module import (
    BRANCH_ROUTE,
    FAILURE_ROUTE,
    ONREPLY_ROUTE,
    ONSEND_ROUTE,
    REQUEST_ROUTE,
    Module,
    function,
)
from kamtool.server.blocklist import ADMIN, ALL, BUSY, IGNORED, Blocklist

if TYPE_CHECKING:
    from kamtool.script.context import Context

logger = logging.getLogger("kamtool.modules.blst")

_SOURCE = REQUEST_ROUTE | FAILURE_ROUTE | ONREPLY_ROUTE | ONSEND_ROUTE
_REQUEST = REQUEST_ROUTE | FAILURE_ROUTE | ONREPLY_ROUTE | BRANCH_ROUTE | ONSEND_ROUTE
_REPLY = REQUEST_ROUTE | FAILURE_ROUTE | ONREPLY_ROUTE | BRANCH_ROUTE


class Blst(Module):
    """Puts the source of a message on the destination blocklist, and takes it off.

    The list is the core's: `use_dst_blocklist=yes` turns it on. Without it every function is false.
    """

    async def start(self) -> None:
        if self._list is None:
            logger.warning("blst does nothing: use_dst_blocklist is not set")

    @property
    def _list(self) -> Blocklist | None:
        server: Any = self.server
        found: Blocklist | None = server.blocklist
        return found

    @function("blst_add", routes=_SOURCE)
    def blst_add(self, ctx: Context, timeout: int = 0) -> bool:
        """Put the source of the message on the list, for `timeout` seconds or `dst_blocklist_expire`."""
        flow, blocklist = ctx.flow, self._list
        if blocklist is None:
            return False
        seconds = float(timeout) if timeout > 0 else None
        return blocklist.add(flow.transport, flow.remote, ADMIN, seconds=seconds)

    @function("blst_add_retry_after", routes=_SOURCE)
    def blst_add_retry_after(self, ctx: Context, shortest: int, longest: int) -> bool:
        """Put the source on the list for as long as the message's Retry-After says, within these seconds.

        False without the header.
        """
        flow, blocklist = ctx.flow, self._list
        digits = (ctx.msg.header("Retry-After") or "").partition(";")[0].partition("(")[0].strip()
        if blocklist is None or not digits.isdecimal():
            return False
        seconds = float(min(max(int(digits), shortest), longest))
        return blocklist.add(flow.transport, flow.remote, BUSY, seconds=seconds)

    @function("blst_del", routes=_SOURCE)
    def blst_del(self, ctx: Context) -> bool:
        """Take the source of the message off the list; false when it was not on it."""
        blocklist = self._list
        return blocklist is not None and blocklist.delete(ctx.flow.transport, ctx.flow.remote)

    @function("blst_is_blacklisted", "blst_is_blocklisted", routes=_SOURCE)
    def blst_is_blacklisted(self, ctx: Context) -> bool:
        """True when the source of the message is on the list."""
        blocklist = self._list
        return blocklist is not None and bool(blocklist.why(ctx.flow.transport, ctx.flow.remote))

    @function("blst_set_ignore", routes=_REQUEST)
    def blst_set_ignore(self, ctx: Context, flags: int = ALL) -> int:
        """These events neither put the destination of this request on the list nor keep it from going there.

        2 sending failed, 4 connecting, 8 ICMP, 16 no answer, 32 a 503, 64 by hand; without, all.
        """
        return _set(ctx, IGNORED, flags, True)

    @function("blst_clear_ignore", routes=_REQUEST)
    def blst_clear_ignore(self, ctx: Context, flags: int = ALL) -> int:
        """Undo blst_set_ignore for these events."""
        return _set(ctx, IGNORED, flags, False)

    @function("blst_rpl_set_ignore", routes=_REPLY)
    def blst_rpl_set_ignore(self, ctx: Context, flags: int = ALL) -> int:
        """Accepted: a reply that cannot be sent never puts its destination on the list here."""
        return 1

    @function("blst_rpl_clear_ignore", routes=_REPLY)
    def blst_rpl_clear_ignore(self, ctx: Context, flags: int = ALL) -> int:
        """Accepted, as blst_rpl_set_ignore."""
        return 1


def _set(ctx: Context, where: str, flags: int, ignore: bool) -> int:
    mask = int(ctx.scratch.get(where, 0))
    ctx.scratch[where] = mask | flags if ignore else mask & ~flags
    return 1
