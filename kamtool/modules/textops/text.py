"""A message's octets as text, and back from places in the text to offsets in the octets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kamtool.script.values import from_octets, to_octets

if TYPE_CHECKING:
    from kamtool.script.context import Context


class Piece:
    """`data[start:end]` of a message as text."""

    __slots__ = ("start", "text")

    def __init__(self, ctx: Context, start: int, end: int) -> None:
        self.start = start
        self.text = from_octets(ctx.msg.data[start:end])

    def offset(self, place: int) -> int:
        """Where in the message the text's character `place` begins."""
        if self.text.isascii():
            return self.start + place
        return self.start + len(to_octets(self.text[:place]))


def whole(ctx: Context) -> Piece:
    """The message from its first line on."""
    return Piece(ctx, 0, len(ctx.msg.data))


def after_first_line(ctx: Context) -> Piece:
    """Headers and body: what may be edited as text. The R-URI has functions of its own."""
    return Piece(ctx, ctx.msg.first_line_end, len(ctx.msg.data))


def head(ctx: Context) -> Piece:
    """The headers."""
    return Piece(ctx, ctx.msg.first_line_end, ctx.msg.head_end)


def body(ctx: Context) -> Piece:
    """The body."""
    return Piece(ctx, ctx.msg.body_start, len(ctx.msg.data))
