"""Edits of a message that a script asks for: queued on the context, seen by nobody until the message is sent.

Offsets are those of the message as it was received. `append_hf`, `remove_hf`, `subst` and `$fU = …` end here.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from kamtool import speed
from kamtool.script.values import to_octets

if TYPE_CHECKING:
    from kamtool.script.context import Context
    from kamtool.sip.message import Field

Edit = tuple[int, int, bytes]


def pending(ctx: Context, start: int, end: int) -> bytes:
    """What will stand in place of `data[start:end]`: the replacement queued for that span, else itself."""
    for edit_start, edit_end, text in ctx.edits:
        if edit_start == start and edit_end == end:
            return text
    return ctx.msg.data[start:end]


def put(ctx: Context, start: int, end: int, text: bytes) -> None:
    """Queue a replacement of a span; a second one for the same span takes the place of the first.

    Kamailio applies both and sends `sip:x@ychanged`: see kamtool.script.quirks.
    """
    for place, (edit_start, edit_end, queued) in enumerate(ctx.edits):
        if edit_start == start and edit_end == end and start != end:
            ctx.edits[place] = (start, end, text)  # type: ignore[index]
            return
        if edit_start <= start and end <= edit_end and edit_start < edit_end and not queued:
            return  # what stands around it is to be removed
    ctx.edit(start, end, text)
    if end > ctx.msg.body_start:
        _settle_length(ctx)


def insert(ctx: Context, at: int, text: str) -> None:
    """Queue an insertion."""
    ctx.edit(at, at, to_octets(text))
    if at >= ctx.msg.body_start:
        _settle_length(ctx)


def remove(ctx: Context, fields: Iterable[Field]) -> int:
    """Queue the removal of whole headers; how many there were."""
    count = 0
    for field in fields:
        start, end = field.start, field.end
        if ctx.edits:
            ctx.edits = [
                e for e in ctx.edits if not (start <= e[0] and e[1] <= end and start < e[1] and e[0] < end)
            ]
        ctx.edit(start, end, b"")
        count += 1
    return count


def lines(text: str) -> str:
    """Header lines as they may be inserted: with a line end at the last one, without an empty line."""
    text = text.rstrip("\r\n")
    return f"{text}\r\n" if text else ""


def append_header(ctx: Context, text: str) -> None:
    """Queue header lines after the last header."""
    ctx.edit(ctx.msg.head_end, ctx.msg.head_end, to_octets(lines(text)))


def replace_body(ctx: Context, body: bytes) -> None:
    """Queue another body in place of whatever is there and queued for it."""
    start, end = ctx.msg.body_start, len(ctx.msg.data)
    ctx.edits = [edit for edit in ctx.edits if edit[1] < start or edit[0] < start]
    ctx.edit(start, end, body)
    _settle_length(ctx)


def set_header(ctx: Context, name: str, value: str) -> None:
    """Queue a new value for the first header of that name, or a new header."""
    places = ctx.msg.find(name)
    if not places:
        append_header(ctx, f"{name}: {value}")
        return
    _, _, _, start, end, _ = ctx.msg.row(places[0])
    put(ctx, start, end, to_octets(value)) if start != end else ctx.edit(start, end, to_octets(value))


def _settle_length(ctx: Context) -> None:
    """Keep Content-Length what it will have to be (RFC 3261 §20.14)."""
    start = ctx.msg.body_start
    body = [(begin - start, end - start, text) for begin, end, text in ctx.edits if begin >= start]
    length = str(len(speed.splice(ctx.msg.data[start:], body)))
    places = ctx.msg.find("Content-Length")
    if places:
        _, _, _, begin, end, _ = ctx.msg.row(places[0])
        put(ctx, begin, end, length.encode())
        return
    line = f"Content-Length: {length}\r\n".encode()
    for place, (_, _, text) in enumerate(ctx.edits):
        if text.startswith(b"Content-Length: "):
            ctx.edits[place] = (ctx.msg.head_end, ctx.msg.head_end, line)  # type: ignore[index]
            return
    ctx.edit(ctx.msg.head_end, ctx.msg.head_end, line)


def applied(ctx: Context) -> bytes:
    """The message with all queued edits and the changed R-URI, as it would leave now."""
    edits = list(ctx.edits)
    if ctx.new_uri is not None and ctx.msg.uri:
        edits.append((ctx.msg.uri_start, ctx.msg.uri_end, to_octets(ctx.new_uri)))
    return speed.splice(ctx.msg.data, edits) if edits else ctx.msg.data
