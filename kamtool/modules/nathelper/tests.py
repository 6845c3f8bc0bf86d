"""nathelper: is there a NAT between us and who sent this?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kamtool.module import ANY, ONSEND_ROUTE, Param, function
from kamtool.modules.nathelper.contact import contact
from kamtool.script import sdp_body
from kamtool.script.private import is_private

if TYPE_CHECKING:
    from kamtool.script.context import Context

CONTACT_PRIVATE = 1
VIA_IS_NOT_SOURCE = 2
VIA_PRIVATE = 4
SDP_PRIVATE = 8
VIA_PORT_IS_NOT_SOURCE = 16
SOURCE_PRIVATE = 32
WEBSOCKET = 64
CONTACT_PORT_IS_NOT_SOURCE = 128
SDP_IS_NOT_SOURCE = 256


class TestFunctions:
    """What a message says of itself, held against where it came from."""

    __test__ = False  # no test of pytest's

    nat_addr_mode = Param(
        1,
        "what is private to nat_uac_test: 0 RFC 1918; 1 carriers' too, 100.64/10 and 192.0.0/24",
    )

    def _private(self, host: str) -> bool:
        return is_private(host, shared=self.nat_addr_mode != 0)

    @function("nat_uac_test", routes=ANY & ~ONSEND_ROUTE)
    def nat_uac_test(self, ctx: Context, tests: int) -> bool:
        """True when one of the tests says that the sender is behind a NAT. Their numbers are added up.

        1 Contact has a private address; 2 the top Via is not the source address; 4 Via has a private address;
        8 the SDP has one; 16 the source port is not Via's; 32 the source address is private; 64 it came over
        a WebSocket; 128 the source port is not Contact's; 256 the session's c= is not the source address.
        """
        msg, flow = ctx.msg, ctx.flow
        if tests & VIA_PORT_IS_NOT_SOURCE and flow.remote.port != (msg.via_port or 5060):
            return True
        if tests & VIA_IS_NOT_SOURCE and _other_via(ctx):
            return True
        if tests & (CONTACT_PRIVATE | CONTACT_PORT_IS_NOT_SOURCE) and self._contact(ctx, tests):
            return True
        if tests & SDP_PRIVATE and self._sdp_private(ctx):
            return True
        if tests & VIA_PRIVATE and self._private(msg.via_host):
            return True
        if tests & SOURCE_PRIVATE and self._private(flow.remote.host):
            return True
        if tests & WEBSOCKET and flow.transport in ("ws", "wss"):
            return True
        return bool(tests & SDP_IS_NOT_SOURCE) and _other_connection(ctx)

    def _contact(self, ctx: Context, tests: int) -> bool:
        place = contact(ctx)
        parts = place.parts if place is not None else None
        if parts is None:
            return False
        if tests & CONTACT_PRIVATE and self._private(parts.host):
            return True
        port = int(parts.port or 0) or 5060
        return bool(tests & CONTACT_PORT_IS_NOT_SOURCE) and port != ctx.flow.remote.port

    def _sdp_private(self, ctx: Context) -> bool:
        body = sdp_body.read(ctx.msg)
        if body is None:
            return False
        # A description without a stream describes nothing that could be heard or not.
        return any(
            (host := stream.connection or body.session.connection) is not None and self._private(host.address)
            for stream in body.streams
        )

    @function("is_rfc1918", routes=ANY)
    def is_rfc1918(self, ctx: Context, host: str) -> int:
        """True for a private IPv4 address: RFC 1918, 100.64/10 or 192.0.0/24. An empty text gives -2."""
        if not host:
            return -2
        return 1 if is_private(host) else -1


def _other_via(ctx: Context) -> bool:
    """Whether the top Via, or its `received`, is not where the message came from."""
    host = ctx.msg.via_host
    return host.strip("[]") != ctx.flow.remote.host


def _other_connection(ctx: Context) -> bool:
    body = sdp_body.read(ctx.msg)
    if body is None or not body.streams:
        return False
    host = body.session.connection
    return host is not None and host.address != ctx.flow.remote.host
