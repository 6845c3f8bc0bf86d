"""siputils: what kind of message this is."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from kamtool.module import ANY, REQUEST_ROUTE, function
from kamtool.script import uri_text
from kamtool.script.pv_identity import digest_params
from kamtool.script.pv_uri import request_uri
from kamtool.sip.headers import same
from kamtool.sip.message import Response

if TYPE_CHECKING:
    from kamtool.script.context import Context


def _inline_is_gruu(arguments: Sequence[str | None]) -> str:
    """Most R-URIs are none, which is soon seen."""
    if arguments:
        return ""
    uri = "(ctx.msg.uri if ctx.new_uri is None else ctx.new_uri)"
    return f"-1 if ';gr' not in {uri}.lower() else self.is_gruu(ctx)"


class CheckFunctions:
    """Questions with a yes or a no."""

    @function("is_request", routes=ANY)
    def is_request(self, ctx: Context) -> bool:
        """True for a request."""
        return ctx.msg.is_request

    @function("is_reply", routes=ANY)
    def is_reply(self, ctx: Context) -> bool:
        """True for a reply."""
        return isinstance(ctx.msg, Response)

    @function("has_totag", routes=ANY, inline=lambda _: "ctx.msg.to_tag != ''")
    def has_totag(self, ctx: Context) -> bool:
        """True when To has a tag: the request is inside a dialog (RFC 3261 §12.2)."""
        return ctx.msg.to_tag != ""

    @function("is_user", routes=REQUEST_ROUTE)
    def is_user(self, ctx: Context, user: str) -> bool:
        """True when the digest credentials are this user's."""
        return digest_params(ctx).get("username", "").partition("@")[0] == user

    @function("is_first_hop", routes=ANY)
    def is_first_hop(self, ctx: Context, mode: int = 0) -> bool:
        """True when the message comes straight from the phone that made it: no proxy has added a Via."""
        if isinstance(ctx.msg, Response):
            return len(ctx.msg.items("Via")) <= 2
        return len(ctx.msg.items("Via")) == 1

    @function("is_gruu", routes=ANY, inline=_inline_is_gruu)
    def is_gruu(self, ctx: Context, uri: str | None = None) -> int:
        """1 for a temporary, 2 for a public GRUU (RFC 5627), in the R-URI or in `uri`."""
        text = uri or request_uri(ctx) or ""
        if ";gr" not in text.lower():
            return -1
        parts = uri_text.parts(text)
        value = None if parts is None else uri_text.param(parts.params, "gr")
        if value is None:
            return -1
        return 2 if value else 1

    @function("is_supported", routes=ANY)
    def is_supported(self, ctx: Context, option: str) -> bool:
        """True when the option tag stands in Supported."""
        return option.lower() in [tag.lower() for tag in ctx.msg.items("Supported")]

    @function("cmp_hdr_name", routes=ANY)
    def cmp_hdr_name(self, ctx: Context, one: str, other: str) -> bool:
        """True when both name the same header, in any case, compact or not."""
        return same(one, other)

    @function("hdr_date_check", routes=ANY)
    def hdr_date_check(self, ctx: Context, seconds: int) -> int:
        """True when the Date header is at most so many seconds old. -1 no Date, -2 bad, -3 too old."""
        from email.utils import parsedate_to_datetime  # 2 ms, which a check does without

        value = ctx.msg.header("Date")
        if value is None:
            return -1
        try:
            moment = parsedate_to_datetime(value).timestamp()
        except (ValueError, TypeError, OverflowError):
            return -2
        return 1 if time.time() <= moment + seconds else -3
