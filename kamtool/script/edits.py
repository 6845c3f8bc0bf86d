"""Edits of a message that a script asks for: queued on the context, seen by nobody until the message is sent.

Offsets are those of the message as it was received. `append_hf`, `remove_hf`, `subst` and `$fU = …` end here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kamtool import speed
from kamtool.script.values import to_octets

if TYPE_CHECKING:
    from kamtool.script.context import Context


def pending(ctx: Context, start: int, end: int) -> bytes:
    """What will stand in place of `data[start:end]`: the replacement queued for that span, else itself."""
    for edit_start, edit_end, text in ctx.edits:
        if edit_start == start and edit_end == end:
            return text
    return ctx.msg.data[start:end]


def put(ctx: Context, start: int, end: int, text: bytes) -> None:
    """Queue a replacement of a span; a second one for the same span takes the place of the first.

    Kamailio applies both and sends `sip:x@ychanged`; nobody can want that.
    """
    for place, (edit_start, edit_end, _) in enumerate(ctx.edits):
        if edit_start == start and edit_end == end and start != end:
            ctx.edits[place] = (start, end, text)  # type: ignore[index]
            return
    ctx.edit(start, end, text)


def header_end(ctx: Context) -> int:
    """Where the next header would be appended: after the last one, before the empty line."""
    return ctx.msg.fields()[-1].end


def append_header(ctx: Context, lines: str) -> None:
    """Queue header lines, with their line ends, after the last header."""
    at = header_end(ctx)
    ctx.edit(at, at, to_octets(lines))


def applied(ctx: Context) -> bytes:
    """The message with all queued edits and the changed R-URI, as it would leave now."""
    edits = list(ctx.edits)
    if ctx.new_uri is not None:
        edits.append((ctx.msg.uri_start, ctx.msg.uri_end, to_octets(ctx.new_uri)))
    return speed.splice(ctx.msg.data, edits) if edits else ctx.msg.data
