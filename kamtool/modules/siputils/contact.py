"""siputils: Contacts that carry the real address in their user."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING

from kamtool.module import FAILURE_ROUTE, ONREPLY_ROUTE, REQUEST_ROUTE, Param, Plain, function
from kamtool.script import edits, uri_text
from kamtool.script.address_text import address
from kamtool.script.values import from_octets, to_octets

if TYPE_CHECKING:
    from collections.abc import Callable

    from kamtool.script.context import Context


def each_contact(ctx: Context, change: Callable[[str], str | None]) -> bool:
    """Queue a new URI for every Contact; false when there is none or `change` refuses one."""
    found = []
    for field in ctx.msg.fields("Contact"):
        at = ctx.msg.data.index(b":", field.start) + 1
        text = ctx.msg.data[at : field.end].decode("latin-1")
        while (item := address(text)) is not None:
            if item.uri == "*":
                return False
            start, end = at + item.uri_start, at + item.uri_end
            changed = change(from_octets(edits.pending(ctx, start, end)))
            if changed is None:
                return False
            found.append((start, end, to_octets(changed)))
            at, text = at + item.end + 1, text[item.end + 1 :]
    for start, end, octets in found:
        edits.put(ctx, start, end, octets)
    return bool(found)


class ContactFunctions:
    """Contacts encoded and decoded again."""

    contact_flds_separator = Param("*", "the character between the fields of an encoded Contact")

    @function("encode_contact", routes=REQUEST_ROUTE | ONREPLY_ROUTE)
    def encode_contact(self, ctx: Context, prefix: Plain, host: Plain) -> bool:
        """Make `sip:user@10.0.0.1:5060` in Contact `sip:prefix*user**10.0.0.1*5060*@host`."""

        def encode(uri: str) -> str | None:
            parts = uri_text.parts(uri)
            if parts is None or not parts.host:
                return None
            fields = (
                prefix,
                parts.user or "",
                parts.password or "",
                parts.host,
                parts.port or "",
                parts.transport,
            )
            return f"sip:{self._separator.join(fields)}@{host}"

        return each_contact(ctx, encode)

    @property
    def _separator(self) -> str:
        return self.contact_flds_separator[:1] or "*"

    def _decode(self, uri: str) -> str | None:
        parts = uri_text.parts(uri)
        fields = (parts.user or "").split(self._separator) if parts is not None else []
        if len(fields) != 6 or not fields[3]:
            return None
        _, user, password, host, port, transport = fields
        who = f"{user}{':' + password if password else ''}@" if user else ""
        where = f"{host}:{port}" if port else host
        return f"sip:{who}{where}" + (f";transport={transport}" if transport else "")

    @function("decode_contact", routes=REQUEST_ROUTE)
    def decode_contact(self, ctx: Context) -> bool:
        """Make the R-URI again what `encode_contact` made it of."""
        decoded = self._decode(ctx.new_uri or ctx.msg.uri)
        if decoded is None or uri_text.parts(decoded) is None:
            return False
        ctx.new_uri = decoded
        return True

    @function("decode_contact_header", routes=REQUEST_ROUTE | ONREPLY_ROUTE | FAILURE_ROUTE)
    def decode_contact_header(self, ctx: Context) -> bool:
        """Make Contact again what `encode_contact` made it of."""
        return each_contact(ctx, self._decode)

    @function("contact_param_encode", routes=REQUEST_ROUTE | ONREPLY_ROUTE)
    def contact_param_encode(self, ctx: Context, name: str, host: str) -> bool:
        """Make Contact `host;name=…` with the whole old URI in the parameter, in base64 of URLs."""

        def encode(uri: str) -> str | None:
            held = base64.urlsafe_b64encode(to_octets(uri)).decode().rstrip("=")
            return f"{host};{name}={held}"

        return each_contact(ctx, encode)

    @function("contact_param_decode", routes=REQUEST_ROUTE | ONREPLY_ROUTE)
    def contact_param_decode(self, ctx: Context, name: str) -> bool:
        """Make Contact again what `contact_param_encode` made it of."""
        return each_contact(ctx, lambda uri: _held(uri, name))

    @function("contact_param_decode_ruri", routes=REQUEST_ROUTE)
    def contact_param_decode_ruri(self, ctx: Context, name: str) -> bool:
        """Make the R-URI again what `contact_param_encode` made it of."""
        decoded = _held(ctx.new_uri or ctx.msg.uri, name)
        if decoded is None or uri_text.parts(decoded) is None:
            return False
        ctx.new_uri = decoded
        return True

    @function("contact_param_rm", routes=REQUEST_ROUTE | ONREPLY_ROUTE)
    def contact_param_rm(self, ctx: Context, name: str) -> bool:
        """Remove a parameter from the URIs in Contact."""

        def without(uri: str) -> str | None:
            parts = uri_text.parts(uri)
            if parts is None:
                return None
            pieces = (parts.params or "").split(";")
            kept = [piece for piece in pieces if piece.partition("=")[0].strip().lower() != name.lower()]
            return str(parts._replace(params=";".join(kept) or None))

        return each_contact(ctx, without)


def _held(uri: str, name: str) -> str | None:
    parts = uri_text.parts(uri)
    value = None if parts is None else uri_text.param(parts.params, name)
    if not value:
        return None
    try:
        return from_octets(base64.b64decode(value + "=" * (-len(value) % 4), b"-_", validate=True))
    except (binascii.Error, ValueError):
        return None
