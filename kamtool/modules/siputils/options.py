"""siputils: the server's own answer to OPTIONS."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kamtool.module import REQUEST_ROUTE, Host, Param, function
from kamtool.script.pv_uri import ruri_parts

if TYPE_CHECKING:
    from kamtool.script.context import Context


class OptionsFunctions:
    """OPTIONS to the server itself (RFC 3261 §11.2)."""

    server: Host
    options_accept = Param("*/*", "the Accept header of the answer")
    options_accept_encoding = Param("", "the Accept-Encoding header of the answer")
    options_accept_language = Param("en", "the Accept-Language header of the answer")
    options_support = Param("", "the Supported header of the answer")

    @function("options_reply", routes=REQUEST_ROUTE)
    def options_reply(self, ctx: Context) -> bool:
        """Answer 200 to an OPTIONS for this server itself: one without a user in its R-URI."""
        parts = ruri_parts(ctx)
        if ctx.msg.method != "OPTIONS" or parts is None or parts.user:
            return False
        server: Any = self.server
        headers = (
            ("Accept", self.options_accept),
            ("Accept-Encoding", self.options_accept_encoding),
            ("Accept-Language", self.options_accept_language),
            ("Supported", self.options_support),
        )
        return bool(server.reply(ctx, 200, "OK", headers))
