"""Pseudo-variables of the R-URI, the URI as received, the destination URI and the next hop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kamtool.errors import ScriptError
from kamtool.module import Value, pv
from kamtool.script import uri_text
from kamtool.script.pv_via import via_part
from kamtool.script.uri_text import UriText
from kamtool.script.values import length, to_str

if TYPE_CHECKING:
    from kamtool.script.context import Context


def request_uri(ctx: Context) -> str | None:
    """The R-URI as it would leave now; None in a reply."""
    return ctx.new_uri or ctx.msg.uri or None


def received_uri(ctx: Context) -> str | None:
    """The R-URI as it came; None in a reply."""
    return ctx.msg.uri or None


def ruri_parts(ctx: Context) -> UriText | None:
    """The current R-URI's parts; None in a reply or when it is no URI."""
    text = ctx.new_uri or ctx.msg.uri or None
    return None if text is None else uri_text.parts(text)


def change_ruri(ctx: Context, **changes: Any) -> None:
    """Replace parts of the R-URI. Raises ScriptError in a reply or when it is no URI."""
    current = ruri_parts(ctx)
    if current is None:
        raise ScriptError("there is no R-URI to change")
    if "host" in changes and current.scheme.lower() in ("tel", "tels"):
        # A tel URI with a host is a SIP URI of a telephone-subscriber (RFC 3261 §19.1.6).
        current = current._replace(
            scheme="sip" if current.scheme.lower() == "tel" else "sips", params="user=phone"
        )
    ctx.new_uri = str(current._replace(**changes))


def _transport(parts: UriText | None) -> Value:
    if parts is None:
        return None
    return parts.transport or ("TLS" if parts.scheme.lower() == "sips" else "UDP")


def next_hop(ctx: Context) -> str | None:
    """Where the message goes: the destination URI, else the R-URI; of a reply, what the second Via says."""
    return ctx.dst_uri or request_uri(ctx) or _next_via(ctx)


def _next_via(ctx: Context) -> str | None:
    entries = ctx.msg.items("Via")
    if len(entries) < 2:
        return None
    host = via_part(entries[1], "received") or via_part(entries[1], "host")
    port = via_part(entries[1], "rport") or via_part(entries[1], "port") or 5060
    return f"sip:{host}:{port};transport={to_str(via_part(entries[1], 'proto')).lower()}"


class RequestUriVariables:
    """`$ru` and its parts, `$ou` and its parts."""

    @pv(
        "ru", "ruri", setter="set_ru", kind=str,
        inline="(self.get_ru(ctx) if ctx.new_uri is not None else ctx.msg.uri or None)",
    )  # fmt: skip
    def get_ru(self, ctx: Context) -> Value:
        """The R-URI as it would leave now. Assigning replaces it whole; undefined in replies."""
        text = request_uri(ctx)
        return text if text is not None and uri_text.parts(text) is not None else None

    def set_ru(self, ctx: Context, value: Value) -> None:
        if value is not None:
            ctx.new_uri = to_str(value)

    @pv(
        "rU", "ruri.user", setter="set_rU", kind=str,
        inline="(ctx.new_uri is None and ctx.msg.uri_user or self.get_rU(ctx))",
    )  # fmt: skip
    def get_rU(self, ctx: Context) -> Value:  # noqa: N802
        """The user of the R-URI. Assigning `$null` or an empty text removes it; an int is ignored."""
        parts = ruri_parts(ctx)
        return None if parts is None else parts.user or None

    def set_rU(self, ctx: Context, value: Value) -> None:  # noqa: N802
        if type(value) is int:
            return
        if not value:
            change_ruri(ctx, user=None, password=None)
        else:
            change_ruri(ctx, user=to_str(value))

    @pv(
        "rd", "ruri.domain", setter="set_rd", kind=str,
        inline="(ctx.new_uri is None and ctx.msg.uri_host or self.get_rd(ctx))",
    )  # fmt: skip
    def get_rd(self, ctx: Context) -> Value:
        """The host of the R-URI, IPv6 in its brackets."""
        parts = ruri_parts(ctx)
        return None if parts is None else parts.host or None

    def set_rd(self, ctx: Context, value: Value) -> None:
        if type(value) is str and value:
            change_ruri(ctx, host=value)

    @pv("rp", setter="set_rp", kind=str)
    def get_rp(self, ctx: Context) -> Value:
        """The port of the R-URI as text, "5060" ("5061" for TLS) when it has none. `$null` removes it."""
        parts = ruri_parts(ctx)
        return None if parts is None else parts.port_or_default

    def set_rp(self, ctx: Context, value: Value) -> None:
        change_ruri(ctx, port=to_str(value) or None)

    @pv("rP", kind=str)
    def get_rP(self, ctx: Context) -> Value:  # noqa: N802
        """The transport parameter of the R-URI as written, else "UDP"."""
        return _transport(ruri_parts(ctx))

    @pv("rz", kind=str)
    def get_rz(self, ctx: Context) -> Value:
        """The scheme of the R-URI: sip, sips, tel, urn."""
        parts = ruri_parts(ctx)
        return None if parts is None else parts.scheme

    @pv("rUl", kind=int)
    def get_rUl(self, ctx: Context) -> Value:  # noqa: N802
        """The length of the user of the R-URI."""
        return length(self.get_rU(ctx)) if ctx.msg.uri else None

    @pv("ou", "ouri", kind=str, inline="(ctx.msg.uri or None)")
    def get_ou(self, ctx: Context) -> Value:
        """The R-URI as received."""
        return received_uri(ctx)

    @pv("oU", kind=str)
    def get_oU(self, ctx: Context) -> Value:  # noqa: N802
        """The user of the R-URI as received."""
        parts = uri_text.parts(received_uri(ctx) or "")
        return None if parts is None else parts.user or None

    @pv("od", kind=str)
    def get_od(self, ctx: Context) -> Value:
        """The host of the R-URI as received."""
        parts = uri_text.parts(received_uri(ctx) or "")
        return None if parts is None else parts.host or None

    @pv("op", kind=str)
    def get_op(self, ctx: Context) -> Value:
        """The port of the R-URI as received, as text, "5060" when it has none."""
        parts = uri_text.parts(received_uri(ctx) or "")
        return None if parts is None else parts.port_or_default

    @pv("oP", kind=str)
    def get_oP(self, ctx: Context) -> Value:  # noqa: N802
        """The transport parameter of the R-URI as received, else "UDP"."""
        return _transport(uri_text.parts(received_uri(ctx) or ""))

    @pv("oUl", kind=int)
    def get_oUl(self, ctx: Context) -> Value:  # noqa: N802
        """The length of the user of the R-URI as received."""
        return length(self.get_oU(ctx)) if ctx.msg.uri else None


class NextHopVariables:
    """`$du` and its parts, `$nh(…)`."""

    @pv("du", "duri", setter="set_du", kind=str, inline="ctx.dst_uri")
    def get_du(self, ctx: Context) -> Value:
        """The destination URI: where the request goes whatever its R-URI. `$null` clears it."""
        return ctx.dst_uri

    def set_du(self, ctx: Context, value: Value) -> None:
        if value is None:
            ctx.dst_uri = None
        elif type(value) is str and value:
            # Any text, as in Kamailio: t_relay() is who says that nothing can be reached there (-478).
            ctx.dst_uri = value

    @pv("dd", kind=str)
    def get_dd(self, ctx: Context) -> Value:
        """The host of the destination URI."""
        parts = uri_text.parts(ctx.dst_uri or "")
        return None if parts is None else parts.host or None

    @pv("dp", kind=str)
    def get_dp(self, ctx: Context) -> Value:
        """The port of the destination URI as text, "5060" when it has none."""
        parts = uri_text.parts(ctx.dst_uri or "")
        return None if parts is None else parts.port_or_default

    @pv("dP", kind=str)
    def get_dP(self, ctx: Context) -> Value:  # noqa: N802
        """The transport parameter of the destination URI, else "UDP"."""
        return _transport(uri_text.parts(ctx.dst_uri or ""))

    @pv("nh", kind=str, inner_required=True, form="u|U|d|p|P|i")
    def get_nh(self, ctx: Context, inner: str) -> Value:
        """The next hop, `$du` or else `$ru`: `u` the URI, `U` its user, `d` host, `p` port, `P` transport."""
        text = next_hop(ctx)
        parts = None if text is None else uri_text.parts(text)
        if parts is None:
            return None
        if inner == "u":
            return text
        if inner == "U":
            return parts.user or None
        if inner == "d":
            return parts.host or None
        return parts.port_or_default if inner == "p" else _transport(parts)
