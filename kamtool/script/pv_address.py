"""Pseudo-variables of the From and To headers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kamtool.errors import ScriptError
from kamtool.module import Value, pv
from kamtool.script import edits, quirks, uri_text
from kamtool.script.address_text import AddressText, address
from kamtool.script.uri_text import UriText
from kamtool.script.values import length, to_octets, to_str
from kamtool.speed import address_part

if TYPE_CHECKING:
    from kamtool.script.context import Context


def header_address(ctx: Context, name: str) -> AddressText | None:
    """The first address of a header, None when the header is absent or empty."""
    value = ctx.msg.header(name)
    return None if value is None else address(value)


def _uri(text: str, ctx: Context, name: str) -> str | None:
    """`text`, which the index of a sound message has; of a broken one, what can be read."""
    if text:
        return text
    found = header_address(ctx, name)
    return None if found is None else found.uri


def _uri_parts(text: str, ctx: Context, name: str) -> UriText | None:
    uri = text or _uri(text, ctx, name)
    return None if uri is None else uri_text.parts(uri)


def _spans(ctx: Context, name: str) -> tuple[int, AddressText]:
    # Latin-1 makes one character of one octet, so that offsets in the text are offsets in the message.
    for field in ctx.msg.fields(name):
        start = ctx.msg.data.index(b":", field.start) + 1
        found = address(ctx.msg.data[start : field.end].decode("latin-1"))
        if found is not None:
            return start, found
    raise ScriptError(f"there is no {name} to change")


def set_uri(ctx: Context, name: str, value: Value) -> None:
    """Queue a new URI for the header; None changes nothing."""
    if value is None:
        return
    start, found = _spans(ctx, name)
    begin, end = start + found.uri_start, start + found.uri_end
    text = to_octets(to_str(value))
    if ctx.host.quirks:
        quirks.assign(ctx, name, begin, end, (begin, end, text))
    else:
        edits.put(ctx, begin, end, text)


def set_uri_part(ctx: Context, name: str, **changes: Any) -> None:
    """Queue a changed `user` or `host` of the header's URI, on top of what is queued for it already."""
    start, found = _spans(ctx, name)
    begin, end = start + found.uri_start, start + found.uri_end
    if ctx.host.quirks:
        for part, value in changes.items():
            edit = quirks.PARTS[part](ctx.msg.data[begin:end], begin, to_octets(to_str(value)))
            quirks.assign(ctx, name, begin, end, edit)
        return
    current = uri_text.need(edits.pending(ctx, begin, end).decode("utf-8", "surrogateescape"))
    edits.put(ctx, begin, end, to_octets(str(current._replace(**changes))))


def set_display(ctx: Context, name: str, value: Value) -> None:
    """Queue a display name, written as given; None or "" removes it. A bare URI gets its angle brackets."""
    start, found = _spans(ctx, name)
    text = to_octets(to_str(value))
    data = ctx.msg.data
    if data[start + found.uri_start - 1 : start + found.uri_start] == b"<":
        begin, end = start, start + found.uri_start - 1
        if ctx.host.quirks:
            place = data.index(found.name.encode("latin-1"), begin) if found.name else end
            text += b"" if found.name else b" "
            quirks.assign(ctx, f"{name}.name", begin, end, (place, place + len(found.name), text))
            return
        edits.put(ctx, begin, end, b" " + (text + b" " if text else b""))
    else:
        begin, end = start + found.uri_start, start + found.uri_end
        ctx.edit(begin, begin, (text + b" " if text else b"") + b"<")
        ctx.edit(end, end, b">")


class FromVariables:
    """`$fu` and its parts. Assignments are queued: they are read back only after `msg_apply_changes()`."""

    @pv("fu", "from", setter="set_fu", kind=str)
    def get_fu(self, ctx: Context) -> Value:
        """The URI of the From header."""
        return _uri(ctx.msg.from_address, ctx, "From")

    def set_fu(self, ctx: Context, value: Value) -> None:
        set_uri(ctx, "From", value)

    @pv("fU", "from.user", setter="set_fU", kind=str, inline="(ctx.msg.from_user or self.get_fU(ctx))")
    def get_fU(self, ctx: Context) -> Value:  # noqa: N802
        """The user of the From URI."""
        user = address_part(ctx.msg, False, False)
        if user is not None:
            return user
        parts = _uri_parts(ctx.msg.from_address, ctx, "From")
        return None if parts is None else parts.user or None

    def set_fU(self, ctx: Context, value: Value) -> None:  # noqa: N802
        if type(value) is not int:
            set_uri_part(ctx, "From", user=value or None)

    @pv("fd", "from.domain", setter="set_fd", kind=str, inline="(ctx.msg.from_host or self.get_fd(ctx))")
    def get_fd(self, ctx: Context) -> Value:
        """The host of the From URI."""
        host = address_part(ctx.msg, False, True)
        if host is not None:
            return host
        parts = _uri_parts(ctx.msg.from_address, ctx, "From")
        return None if parts is None else parts.host or None

    def set_fd(self, ctx: Context, value: Value) -> None:
        if type(value) is str and value:
            set_uri_part(ctx, "From", host=value)

    @pv("fn", setter="set_fn", kind=str)
    def get_fn(self, ctx: Context) -> Value:
        """The display name of the From header, with its quotes."""
        found = header_address(ctx, "From")
        return None if found is None else found.name or None

    def set_fn(self, ctx: Context, value: Value) -> None:
        set_display(ctx, "From", value)

    @pv("ft", kind=str, inline="(ctx.msg.from_tag or None)")
    def get_ft(self, ctx: Context) -> Value:
        """The tag of the From header."""
        return ctx.msg.from_tag or None

    @pv("fUl", kind=int)
    def get_fUl(self, ctx: Context) -> Value:  # noqa: N802
        """The length of the user of the From URI."""
        return length(self.get_fU(ctx))


class ToVariables:
    """`$tu` and its parts. Assignments are queued: they are read back only after `msg_apply_changes()`."""

    @pv("tu", "to", setter="set_tu", kind=str)
    def get_tu(self, ctx: Context) -> Value:
        """The URI of the To header."""
        return _uri(ctx.msg.to_address, ctx, "To")

    def set_tu(self, ctx: Context, value: Value) -> None:
        set_uri(ctx, "To", value)

    @pv("tU", "to.user", setter="set_tU", kind=str)
    def get_tU(self, ctx: Context) -> Value:  # noqa: N802
        """The user of the To URI."""
        user = address_part(ctx.msg, True, False)
        if user is not None:
            return user
        parts = _uri_parts(ctx.msg.to_address, ctx, "To")
        return None if parts is None else parts.user or None

    def set_tU(self, ctx: Context, value: Value) -> None:  # noqa: N802
        if type(value) is not int:
            set_uri_part(ctx, "To", user=value or None)

    @pv("td", "to.domain", setter="set_td", kind=str)
    def get_td(self, ctx: Context) -> Value:
        """The host of the To URI."""
        host = address_part(ctx.msg, True, True)
        if host is not None:
            return host
        parts = _uri_parts(ctx.msg.to_address, ctx, "To")
        return None if parts is None else parts.host or None

    def set_td(self, ctx: Context, value: Value) -> None:
        if type(value) is str and value:
            set_uri_part(ctx, "To", host=value)

    @pv("tn", setter="set_tn", kind=str)
    def get_tn(self, ctx: Context) -> Value:
        """The display name of the To header, with its quotes."""
        found = header_address(ctx, "To")
        return None if found is None else found.name or None

    def set_tn(self, ctx: Context, value: Value) -> None:
        set_display(ctx, "To", value)

    @pv("tt", kind=str, inline="(ctx.msg.to_tag or None)")
    def get_tt(self, ctx: Context) -> Value:
        """The tag of the To header, undefined outside a dialog."""
        return ctx.msg.to_tag or None

    @pv("tUl", kind=int)
    def get_tUl(self, ctx: Context) -> Value:  # noqa: N802
        """The length of the user of the To URI."""
        return length(self.get_tU(ctx))
