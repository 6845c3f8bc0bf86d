"""siputils: URIs and their parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kamtool.errors import ParseError
from kamtool.module import (
    ANY,
    BRANCH_ROUTE,
    FAILURE_ROUTE,
    REQUEST_ROUTE,
    Plain,
    Value,
    Variable,
    function,
    transformation,
)
from kamtool.script import uri_text
from kamtool.script.address_text import uri_of
from kamtool.script.pv_uri import change_ruri, ruri_parts
from kamtool.script.values import to_str
from kamtool.sip.uri import SipUri, parse_uri

if TYPE_CHECKING:
    from kamtool.script.context import Context
    from kamtool.script.uri_text import UriText

_ASKING = REQUEST_ROUTE | BRANCH_ROUTE | FAILURE_ROUTE
_PROTOCOLS = ("", "udp", "tcp", "tls", "sctp", "ws", "wss")


class UriFunctions:
    """URIs compared and changed."""

    @function("uri_param", routes=_ASKING)
    def uri_param(self, ctx: Context, name: Plain, value: Plain | None = None) -> bool:
        """True when the R-URI has the parameter without a value, or with this one."""
        parts = ruri_parts(ctx)
        held = None if parts is None else uri_text.param(parts.params, name)
        return held is not None and held.lower() == (value or "").lower()

    @function("uri_param_any", routes=_ASKING)
    def uri_param_any(self, ctx: Context, name: str) -> bool:
        """True when the R-URI has the parameter, whatever its value."""
        parts = ruri_parts(ctx)
        return parts is not None and uri_text.param(parts.params, name) is not None

    @function("uri_param_value", routes=REQUEST_ROUTE)
    def uri_param_value(self, ctx: Context, name: str, variable: Variable) -> bool:
        """Store the value of a parameter of the R-URI."""
        parts = ruri_parts(ctx)
        held = None if parts is None else uri_text.param(parts.params, name)
        if held is None:
            return False
        variable.set(ctx, held)
        return True

    @function("get_uri_param", routes=REQUEST_ROUTE)
    def get_uri_param(self, ctx: Context, name: Plain, variable: Variable) -> bool:
        """Store the value of a parameter of the R-URI, "" for one without. False when there is none."""
        parts = ruri_parts(ctx)
        held = None if parts is None else uri_text.param(parts.params, name)
        if held is None:
            return False
        variable.set(ctx, held)
        return True

    @function("add_uri_param", routes=REQUEST_ROUTE)
    def add_uri_param(self, ctx: Context, param: Plain) -> bool:
        """Add `name=value` to the parameters of the R-URI."""
        parts = ruri_parts(ctx)
        if parts is None:
            return False
        change_ruri(ctx, params=f"{parts.params};{param}" if parts.params else param)
        return True

    @function("uri_param_rm", routes=_ASKING)
    def uri_param_rm(self, ctx: Context, name: str) -> bool:
        """Remove a parameter from the R-URI; false when it has none of that name."""
        parts = ruri_parts(ctx)
        if parts is None or uri_text.param(parts.params, name) is None:
            return False
        pieces = (parts.params or "").split(";")
        kept = [piece for piece in pieces if piece.partition("=")[0].strip().lower() != name.lower()]
        change_ruri(ctx, params=";".join(kept) or None)
        return True

    @function("is_uri", routes=ANY)
    def is_uri(self, ctx: Context, text: str) -> bool:
        """True when the text is a URI that SIP can route by."""
        return uri_text.parts(text) is not None

    @function("cmp_uri", routes=ANY)
    def cmp_uri(self, ctx: Context, one: str, other: str) -> bool:
        """True when the URIs are equal by RFC 3261 §19.1.4."""
        try:
            left, right = parse_uri(uri_of(one) or one), parse_uri(uri_of(other) or other)
        except ParseError:
            return False
        if isinstance(left, SipUri) and isinstance(right, SipUri):
            return left.equals(right)
        return left == right

    @function("cmp_aor", routes=ANY)
    def cmp_aor(self, ctx: Context, one: str, other: str) -> bool:
        """True when the addresses of record are the same: user, host, and port or its default."""
        left, right = uri_text.parts(uri_of(one) or one), uri_text.parts(uri_of(other) or other)
        return left is not None and right is not None and _aor(left) == _aor(right)

    @function("set_uri_user", routes=ANY)
    def set_uri_user(self, ctx: Context, uri: Variable, user: str) -> bool:
        """Replace the user of the URI that a pseudo-variable holds; an empty one removes it."""
        parts = uri_text.parts(to_str(uri.get(ctx)))
        if parts is None:
            return False
        changed = parts._replace(user=user) if user else parts._replace(user=None, password=None)
        uri.set(ctx, str(changed))
        return True

    @function("set_uri_host", routes=ANY)
    def set_uri_host(self, ctx: Context, uri: Variable, host: str) -> bool:
        """Replace the host of the URI that a pseudo-variable holds."""
        parts = uri_text.parts(to_str(uri.get(ctx)))
        if parts is None or not host:
            return False
        uri.set(ctx, str(parts._replace(host=host)))
        return True

    @transformation("urialias.encode")
    def urialias_encode(self, value: Value) -> Value:
        """A URI as the value of nathelper's alias parameter: `host~port~number of the transport`."""
        parts = uri_text.parts(to_str(value)) if value else None
        if parts is None:
            return None if value is None else ""
        transport = parts.transport.lower() or ("tls" if parts.scheme.lower() == "sips" else "udp")
        number = _PROTOCOLS.index(transport) if transport in _PROTOCOLS else 1
        return f"{parts.host}~{parts.port_or_default}~{number}"

    @transformation("urialias.decode")
    def urialias_decode(self, value: Value) -> Value:
        """The opposite of `urialias.encode`."""
        if value is None:
            return None
        host, _, rest = to_str(value).partition("~")
        port, _, number = rest.partition("~")
        if not port.isdigit() or number not in ("1", "2", "3", "4", "5", "6"):
            return ""
        transport = _PROTOCOLS[int(number)]
        return f"sip:{host}:{port}" + ("" if transport == "udp" else f";transport={transport}")


def _aor(parts: UriText) -> tuple[str, str, str]:
    return parts.user or "", parts.host.lower(), parts.port_or_default
