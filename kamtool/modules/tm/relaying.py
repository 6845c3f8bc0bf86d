"""tm: sending requests on."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING

from kamtool.module import REQUEST_ROUTE, Plain, function
from kamtool.modules.tm.base import REQUEST_OR_FAILURE, Part
from kamtool.modules.tm.entering import target

if TYPE_CHECKING:
    from kamtool.script.context import Context

HOST_AND_PORT = (0, 2)
NO_100, NO_ERROR_REPLY, NO_FAILOVER = 1, 2, 4


def proxy_target(proxy: str) -> tuple[str, str]:
    """`tcp:host:port`, `host:port`, `[v6]:port` as a URI and a transport."""
    transport = ""
    first, colon, rest = proxy.partition(":")
    if colon and first.lower() in ("udp", "tcp", "tls", "sctp", "ws", "wss"):
        transport, proxy = first.lower(), rest
    return (f"sip:{proxy}" if proxy else ""), transport


class Relaying(Part):
    """t_relay and its kin. They return 1 when something was sent, -1 when not, 0 for a retransmission."""

    @function("t_relay", routes=REQUEST_OR_FAILURE, arities=HOST_AND_PORT, at_once="t_relay_at_once")
    async def t_relay(self, ctx: Context, host: str = "", port: str = "") -> int:
        """Relay the request with a transaction: to `host` and `port`, else by `$du` or the R-URI, and to
        every branch that was added.

        1 when at least one branch was sent. On an error nothing is answered here: sl_reply_error() does, or
        the end of the route. 0, which ends the script, for a retransmission: it has been answered.
        """
        code = self.t_relay_at_once(ctx, host, port)
        return code if isinstance(code, int) else await code

    def t_relay_at_once(self, ctx: Context, host: str = "", port: str = "") -> int | Awaitable[int]:
        """The code of t_relay(), or what is to be awaited for it."""
        relay = self._host.relay
        code: int | None = relay.at_once(ctx) if not host else None
        return relay.relay(ctx, target(host, port)) if code is None else code

    @function("t_relay_to_udp", routes=REQUEST_OR_FAILURE, arities=HOST_AND_PORT)
    async def t_relay_to_udp(self, ctx: Context, host: str = "", port: str = "") -> int:
        """Like t_relay, over UDP."""
        return await self._host.relay.relay(ctx, target(host, port), "udp")

    @function("t_relay_to_tcp", routes=REQUEST_OR_FAILURE, arities=HOST_AND_PORT)
    async def t_relay_to_tcp(self, ctx: Context, host: str = "", port: str = "") -> int:
        """Like t_relay, over TCP."""
        return await self._host.relay.relay(ctx, target(host, port), "tcp")

    @function("t_relay_to_tls", routes=REQUEST_OR_FAILURE, arities=HOST_AND_PORT)
    async def t_relay_to_tls(self, ctx: Context, host: str = "", port: str = "") -> int:
        """Like t_relay, over TLS."""
        return await self._host.relay.relay(ctx, target(host, port), "tls")

    @function("t_relay_to_sctp", routes=REQUEST_OR_FAILURE, arities=HOST_AND_PORT)
    async def t_relay_to_sctp(self, ctx: Context, host: str = "", port: str = "") -> int:
        """Like t_relay, over SCTP, for which there is no socket here: it fails."""
        return await self._host.relay.relay(ctx, target(host, port), "sctp")

    @function("t_relay_to", routes=REQUEST_OR_FAILURE)
    async def t_relay_to(self, ctx: Context, proxy: str = "", flags: int = 0) -> int:
        """Like t_relay, to `proxy` (`tcp:host:port`). Flags: 1 sends no 100."""
        if proxy.isdigit() and not flags:  # t_relay_to("0x01"): only flags are given
            proxy, flags = "", int(proxy)
        uri, transport = proxy_target(proxy)
        tx = ctx.transaction or self._host.relay.create(ctx)
        if tx is None:
            return 0
        if flags & NO_100:
            tx.auto_100 = False
        return await self._host.relay.relay(ctx, uri, transport)

    @function("t_relay_to_avp", routes=REQUEST_ROUTE)
    async def t_relay_to_avp(self, ctx: Context, transport: Plain, address: str) -> int:
        """Like t_relay, to the `host:port` that `address` (an AVP) holds."""
        return await self._host.relay.relay(ctx, proxy_target(address)[0], transport.lower())

    @function("t_forward_nonack", routes=REQUEST_ROUTE, arities=HOST_AND_PORT)
    async def t_forward_nonack(self, ctx: Context, host: str = "", port: str = "") -> int:
        """Like t_relay, but not for an ACK."""
        return await self._nonack(ctx, target(host, port), "")

    @function("t_forward_nonack_uri", routes=REQUEST_ROUTE)
    async def t_forward_nonack_uri(self, ctx: Context) -> int:
        """Like t_relay by the R-URI, but not for an ACK."""
        return await self._nonack(ctx, "", "")

    @function("t_forward_nonack_udp", routes=REQUEST_ROUTE)
    async def t_forward_nonack_udp(self, ctx: Context, host: str, port: str) -> int:
        """Like t_relay over UDP, but not for an ACK."""
        return await self._nonack(ctx, target(host, port), "udp")

    @function("t_forward_nonack_tcp", routes=REQUEST_ROUTE)
    async def t_forward_nonack_tcp(self, ctx: Context, host: str, port: str) -> int:
        """Like t_relay over TCP, but not for an ACK."""
        return await self._nonack(ctx, target(host, port), "tcp")

    @function("t_forward_nonack_tls", routes=REQUEST_ROUTE)
    async def t_forward_nonack_tls(self, ctx: Context, host: str, port: str) -> int:
        """Like t_relay over TLS, but not for an ACK."""
        return await self._nonack(ctx, target(host, port), "tls")

    @function("t_forward_nonack_sctp", routes=REQUEST_ROUTE)
    async def t_forward_nonack_sctp(self, ctx: Context, host: str, port: str) -> int:
        """Like t_relay over SCTP, for which there is no socket here: it fails."""
        return await self._nonack(ctx, target(host, port), "sctp")

    @function("t_forward_nonack_to", routes=REQUEST_ROUTE)
    async def t_forward_nonack_to(self, ctx: Context, transport: Plain, address: str) -> int:
        """Like t_relay to the `host:port` that `address` holds, but not for an ACK."""
        return await self._nonack(ctx, proxy_target(address)[0], transport.lower())

    async def _nonack(self, ctx: Context, uri: str, transport: str) -> int:
        return -1 if ctx.msg.method == "ACK" else await self._host.relay.relay(ctx, uri, transport)

    @function("t_relay_cancel", routes=REQUEST_ROUTE)
    def t_relay_cancel(self, ctx: Context) -> int:
        """Relay a CANCEL whose INVITE is known: 0, which ends the script. 1 for everything else."""
        if ctx.msg.method != "CANCEL":
            return 1
        return 1 if self._host.relay.cancel(ctx) is None else 0

    @function("t_replicate", routes=REQUEST_ROUTE)
    async def t_replicate(self, ctx: Context, uri: str = "", port: str = "") -> bool:
        """Send a copy of the request to `uri`; its responses are taken and go nowhere.

        With two arguments they are host and port; without any it goes where t_relay would send it.
        """
        return await self._host.relay.replicate(ctx, target(uri, port) if port else uri, "")

    @function("t_replicate_udp", routes=REQUEST_ROUTE)
    async def t_replicate_udp(self, ctx: Context, host: str, port: str) -> bool:
        """Like t_replicate, to `host` and `port` over UDP."""
        return await self._host.relay.replicate(ctx, target(host, port), "udp")

    @function("t_replicate_tcp", routes=REQUEST_ROUTE)
    async def t_replicate_tcp(self, ctx: Context, host: str, port: str) -> bool:
        """Like t_replicate, to `host` and `port` over TCP."""
        return await self._host.relay.replicate(ctx, target(host, port), "tcp")

    @function("t_replicate_tls", routes=REQUEST_ROUTE)
    async def t_replicate_tls(self, ctx: Context, host: str, port: str) -> bool:
        """Like t_replicate, to `host` and `port` over TLS."""
        return await self._host.relay.replicate(ctx, target(host, port), "tls")

    @function("t_replicate_sctp", routes=REQUEST_ROUTE)
    async def t_replicate_sctp(self, ctx: Context, host: str, port: str) -> bool:
        """Like t_replicate over SCTP, for which there is no socket here: it fails."""
        return await self._host.relay.replicate(ctx, target(host, port), "sctp")

    @function("t_replicate_to", routes=REQUEST_ROUTE)
    async def t_replicate_to(self, ctx: Context, transport: Plain, address: str) -> bool:
        """Like t_replicate, to the `host:port` that `address` holds."""
        return await self._host.relay.replicate(ctx, proxy_target(address)[0], transport.lower())
