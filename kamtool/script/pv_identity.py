"""Pseudo-variables of who speaks: digest credentials, asserted and preferred identities, diversions."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from kamtool.module import Index, Value, pv
from kamtool.script import uri_text
from kamtool.script.address_text import address
from kamtool.script.pv_address import header_address
from kamtool.script.pv_message import at

if TYPE_CHECKING:
    from kamtool.script.context import Context

_PAIR = re.compile(r'([!#$%&\'*+.^_`|~0-9A-Za-z-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,]+))')


def digest_params(ctx: Context) -> dict[str, str]:
    """The parameters of Proxy-Authorization or else Authorization; names in lower case."""
    known: dict[str, str] | None = ctx.scratch.get("pv.digest")
    if known is None:
        value = ctx.msg.header("Proxy-Authorization") or ctx.msg.header("Authorization") or ""
        scheme, _, rest = value.partition(" ")
        known = {}
        if scheme.lower() == "digest":
            for name, quoted, bare in _PAIR.findall(rest):
                known.setdefault(name.lower(), quoted or bare)
        ctx.scratch["pv.digest"] = known
    return known


class DigestVariables:
    """`$au $ad $aU $ar …`: the digest credentials as the peer claims them, checked or not."""

    @pv("au", kind=str)
    def get_au(self, ctx: Context) -> Value:
        """The user of the credentials, without the domain of a `user@domain`."""
        return digest_params(ctx).get("username", "").partition("@")[0] or None

    @pv("ad", kind=str)
    def get_ad(self, ctx: Context) -> Value:
        """The domain of the credentials' user, else the realm."""
        params = digest_params(ctx)
        return params.get("username", "").partition("@")[2] or params.get("realm")

    @pv("aU", kind=str)
    def get_aU(self, ctx: Context) -> Value:  # noqa: N802
        """The whole username of the credentials."""
        return digest_params(ctx).get("username")

    @pv("ar", kind=str)
    def get_ar(self, ctx: Context) -> Value:
        """The realm of the credentials."""
        return digest_params(ctx).get("realm")

    @pv("aa", kind=str)
    def get_aa(self, ctx: Context) -> Value:
        """The algorithm of the credentials."""
        return digest_params(ctx).get("algorithm")

    @pv("adn", kind=str)
    def get_adn(self, ctx: Context) -> Value:
        """The nonce of the credentials."""
        return digest_params(ctx).get("nonce")

    @pv("adc", kind=str)
    def get_adc(self, ctx: Context) -> Value:
        """The client's nonce of the credentials."""
        return digest_params(ctx).get("cnonce")

    @pv("adr", kind=str)
    def get_adr(self, ctx: Context) -> Value:
        """The response of the credentials."""
        return digest_params(ctx).get("response")

    @pv("ado", kind=str)
    def get_ado(self, ctx: Context) -> Value:
        """The opaque value of the credentials."""
        return digest_params(ctx).get("opaque")

    @pv("adu", kind=str)
    def get_adu(self, ctx: Context) -> Value:
        """The URI of the credentials."""
        return digest_params(ctx).get("uri")

    @pv("Au", kind=str)
    def get_Au(self, ctx: Context) -> Value:  # noqa: N802
        """Who pays: `user@host` of the credentials once they are checked, else of the From URI."""
        checked = ctx.scratch.get("auth.user")
        if checked is not None:
            params = digest_params(ctx)
            return str(checked) if "@" in str(checked) else f"{checked}@{params.get('realm', '')}"
        found = header_address(ctx, "From")
        parts = None if found is None else uri_text.parts(found.uri)
        return None if parts is None or not parts.user else f"{parts.user}@{parts.host}"

    @pv("AU", kind=str)
    def get_AU(self, ctx: Context) -> Value:  # noqa: N802
        """Who pays: the user of the credentials once they are checked, else of the From URI."""
        checked = ctx.scratch.get("auth.user")
        if checked is not None:
            return str(checked).partition("@")[0]
        found = header_address(ctx, "From")
        parts = None if found is None else uri_text.parts(found.uri)
        return None if parts is None else parts.user or None


class IdentityVariables:
    """`$ai $pu $re $rt $di …`: addresses that other headers name."""

    @pv("ai", kind=str)
    def get_ai(self, ctx: Context, index: Index = None) -> Value:
        """The URI of P-Asserted-Identity; `$(ai[1])` the second's (RFC 3325)."""
        found = [address(item) for item in ctx.msg.items("P-Asserted-Identity")]
        return at([item.uri for item in found if item is not None], index)

    @pv("pu", kind=str)
    def get_pu(self, ctx: Context, index: Index = None) -> Value:
        """The URI of P-Preferred-Identity."""
        found = [address(item) for item in ctx.msg.items("P-Preferred-Identity")]
        return at([item.uri for item in found if item is not None], index)

    @pv("pU", kind=str)
    def get_pU(self, ctx: Context) -> Value:  # noqa: N802
        """The user of P-Preferred-Identity's URI."""
        found = header_address(ctx, "P-Preferred-Identity")
        parts = None if found is None else uri_text.parts(found.uri)
        return None if parts is None else parts.user or None

    @pv("pd", kind=str)
    def get_pd(self, ctx: Context) -> Value:
        """The host of P-Preferred-Identity's URI."""
        found = header_address(ctx, "P-Preferred-Identity")
        parts = None if found is None else uri_text.parts(found.uri)
        return None if parts is None else parts.host or None

    @pv("pn", kind=str)
    def get_pn(self, ctx: Context) -> Value:
        """The display name of P-Preferred-Identity, with its quotes."""
        found = header_address(ctx, "P-Preferred-Identity")
        return None if found is None else found.name or None

    @pv("re", kind=str)
    def get_re(self, ctx: Context) -> Value:
        """The URI of Remote-Party-ID."""
        found = header_address(ctx, "Remote-Party-ID")
        return None if found is None else found.uri

    @pv("rt", kind=str)
    def get_rt(self, ctx: Context) -> Value:
        """The URI of Refer-To."""
        found = header_address(ctx, "Refer-To")
        return None if found is None else found.uri

    @pv("di", kind=str)
    def get_di(self, ctx: Context) -> Value:
        """The URI of the first Diversion (RFC 5806)."""
        found = header_address(ctx, "Diversion")
        return None if found is None else found.uri

    @pv("dir", kind=str)
    def get_dir(self, ctx: Context) -> Value:
        """The reason of the first Diversion."""
        return _diversion(ctx, "reason")

    @pv("dip", kind=str)
    def get_dip(self, ctx: Context) -> Value:
        """The privacy of the first Diversion."""
        return _diversion(ctx, "privacy")

    @pv("dic", kind=str)
    def get_dic(self, ctx: Context) -> Value:
        """The counter of the first Diversion."""
        return _diversion(ctx, "counter")


def _diversion(ctx: Context, name: str) -> str | None:
    found = header_address(ctx, "Diversion")
    value = None if found is None else uri_text.param(found.params, name)
    return value.strip('"') if value else None
