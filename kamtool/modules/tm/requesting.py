"""tm: requests that the script sends of its own accord, and old transactions swept away."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from kamtool.errors import KamtoolError
from kamtool.module import ANY, function
from kamtool.modules.tm.base import Part
from kamtool.server.uac import header_lines

if TYPE_CHECKING:
    from kamtool.script.context import Context
    from kamtool.sip.flow import Socket

log = logging.getLogger(__name__)


class Requesting(Part):
    """t_uac_send, t_use_uac_headers, t_clean."""

    @function("t_uac_send", routes=ANY)
    def t_uac_send(
        self, ctx: Context, method: str, ruri: str, nexthop: str, socket: str, headers: str, body: str
    ) -> bool:
        """Send a request; its response is not waited for. `nexthop`, `socket` and `body` may be empty.

        `headers` are lines; From and To, Call-ID and CSeq may be among them, and are made where they are not.
        The 2xx to an INVITE is acknowledged.
        """
        if method in ("", "ACK", "CANCEL") or not ruri:
            log.error("t_uac_send: %r to %r is no request of its own", method, ruri)
            return False
        chosen = self.socket_of(socket) if socket else None
        if socket and chosen is None:
            log.error("t_uac_send: no socket %r", socket)
            return False
        text = body.encode("utf-8", "surrogateescape")
        self._host.spawn(
            self._ask(method, ruri, header_lines(headers), text, nexthop, chosen), f"t_uac_send {method}"
        )
        return True

    async def _ask(
        self, method: str, ruri: str, headers: list[tuple[str, str]], body: bytes, nexthop: str,
        socket: Socket | None,
    ) -> None:  # fmt: skip
        try:
            await self._host.uac.request(method, ruri, headers, body, nexthop, socket)
        except KamtoolError as error:
            log.error("t_uac_send: %s %s: %s", method, ruri, error)

    def socket_of(self, text: str) -> Socket | None:
        """The listening socket `udp:host:port`, None when there is none."""
        transport, _, rest = text.partition(":")
        host, _, port = rest.rpartition(":")
        return self._host.transports.find_socket(transport, host, int(port) if port.isdigit() else 0)

    @function("t_use_uac_headers", routes=ANY)
    def t_use_uac_headers(self, ctx: Context) -> bool:
        """True: CANCEL and ACK are always made of the request as it left, with what changed in it."""
        return True

    @function("t_clean", routes=ANY)
    def t_clean(self, ctx: Context) -> bool:
        """Forget transactions that have outlived every timer. There are none unless something went wrong."""
        self._host.transactions.clean()
        return True
