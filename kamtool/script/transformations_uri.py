"""Transformations of URIs: `{uri.…}`. An absent part is an empty text; so is every part of what is no URI."""

from __future__ import annotations

from kamtool.module import Value, transformation
from kamtool.script.uri_text import UriText, param, parts
from kamtool.script.values import to_str


def _parts(value: Value) -> UriText | None:
    return parts(to_str(value)) if value else None


def _part(value: Value, name: str) -> Value:
    if value is None:
        return None
    found = _parts(value)
    return "" if found is None else getattr(found, name) or ""


def _param(value: Value, name: str) -> Value:
    if value is None:
        return None
    found = _parts(value)
    held = None if found is None else param(found.params, name)
    return held.strip('"') if held else ""


class UriTransformations:
    """`{uri.user}`, `{uri.param,NAME}` and the other parts of a SIP URI."""

    @transformation("uri.user")
    def uri_user(self, value: Value) -> Value:
        """The user."""
        return _part(value, "user")

    @transformation("uri.host", "uri.domain")
    def uri_host(self, value: Value) -> Value:
        """The host, IPv6 in brackets."""
        return _part(value, "host")

    @transformation("uri.passwd")
    def uri_passwd(self, value: Value) -> Value:
        """The password."""
        return _part(value, "password")

    @transformation("uri.port")
    def uri_port(self, value: Value) -> Value:
        """The port as text, empty when the URI has none."""
        return _part(value, "port")

    @transformation("uri.params")
    def uri_params(self, value: Value) -> Value:
        """All parameters, without the first `;`."""
        return _part(value, "params")

    @transformation("uri.param")
    def uri_param_value(self, value: Value, name: Value) -> Value:
        """The value of one parameter without its quotes; empty for a bare or an absent one."""
        return _param(value, to_str(name))

    @transformation("uri.headers")
    def uri_headers(self, value: Value) -> Value:
        """The headers, without the `?`."""
        return _part(value, "headers")

    @transformation("uri.scheme")
    def uri_scheme(self, value: Value) -> Value:
        """The scheme: sip, sips, tel, urn."""
        return _part(value, "scheme")

    @transformation("uri.transport")
    def uri_transport(self, value: Value) -> Value:
        """The transport parameter."""
        return _param(value, "transport")

    @transformation("uri.ttl")
    def uri_ttl(self, value: Value) -> Value:
        """The ttl parameter."""
        return _param(value, "ttl")

    @transformation("uri.uparam")
    def uri_uparam(self, value: Value) -> Value:
        """The user parameter."""
        return _param(value, "user")

    @transformation("uri.maddr")
    def uri_maddr(self, value: Value) -> Value:
        """The maddr parameter."""
        return _param(value, "maddr")

    @transformation("uri.method")
    def uri_method(self, value: Value) -> Value:
        """The method parameter."""
        return _param(value, "method")

    @transformation("uri.lr")
    def uri_lr(self, value: Value) -> Value:
        """The value of the lr parameter."""
        return _param(value, "lr")

    @transformation("uri.r2")
    def uri_r2(self, value: Value) -> Value:
        """The value of the r2 parameter."""
        return _param(value, "r2")

    @transformation("uri.rmparam")
    def uri_rmparam(self, value: Value, name: Value) -> Value:
        """The URI without one of its parameters."""
        found = _parts(value)
        if found is None or found.params is None:
            return value
        wanted = to_str(name).lower()
        kept = [p for p in found.params.split(";") if p.partition("=")[0].strip().lower() != wanted]
        return str(found._replace(params=";".join(kept) or None))

    @transformation("uri.tosocket")
    def uri_tosocket(self, value: Value) -> Value:
        """`proto:host:port`, the transport being UDP unless the URI names one; empty without a port."""
        found = _parts(value)
        if found is None or not found.port or not found.host:
            return None if value is None else ""
        return f"{_transport(found)}:{found.host}:{found.port}"

    @transformation("uri.duri")
    def uri_duri(self, value: Value) -> Value:
        """What a destination URI needs of it: scheme, host, port and transport."""
        found = _parts(value)
        if found is None:
            return None if value is None else ""
        return _bare(found, user=False)

    @transformation("uri.saor")
    def uri_saor(self, value: Value) -> Value:
        """The address of record: scheme, user and host."""
        found = _parts(value)
        if found is None:
            return None if value is None else ""
        return f"{found.scheme}:{found.user}@{found.host}" if found.user else f"{found.scheme}:{found.host}"

    @transformation("uri.suri")
    def uri_suri(self, value: Value) -> Value:
        """The URI with its user, host, port and transport alone."""
        found = _parts(value)
        if found is None:
            return None if value is None else ""
        return _bare(found, user=True)


def _transport(uri: UriText) -> str:
    return uri.transport.lower() or ("tls" if uri.scheme.lower() == "sips" else "udp")


def _bare(uri: UriText, *, user: bool) -> str:
    who = f"{uri.user}@" if user and uri.user else ""
    port = f":{uri.port}" if uri.port else ""
    transport = f";transport={uri.transport}" if uri.transport else ""
    return f"{uri.scheme}:{who}{uri.host}{port}{transport}"
