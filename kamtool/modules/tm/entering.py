"""What a cfg calls of tm for every request, with as little as can be in between. This is compiled."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING

from kamtool.script.context import Context

if TYPE_CHECKING:
    from kamtool.server.relay import Relay
    from kamtool.server.transactions import Transactions


def target(host: str, port: str) -> str:
    """The URI of an explicit next hop, "" without a host."""
    if not host:
        return ""
    shown = f"[{host}]" if ":" in host and not host.startswith("[") else host
    return f"sip:{shown}:{port}" if port and port != "0" else f"sip:{shown}"


class Entering:
    """t_relay and t_precheck_trans, bound to the parts of a server that do them."""

    def __init__(self, relay: Relay, transactions: Transactions) -> None:
        self.relay = relay
        self.transactions = transactions

    def at_once(self, ctx: Context, host: str = "", port: str = "") -> int | Awaitable[int]:
        """The code of t_relay(), or what is to be awaited for it."""
        if not host:
            code = self.relay.at_once(ctx)
            if code is not None:
                return code
        return self.relay.relay(ctx, target(host, port))

    def is_known(self, ctx: Context) -> bool:
        """See Tmx.t_precheck_trans."""
        return self.transactions.find(ctx.msg) is not None
