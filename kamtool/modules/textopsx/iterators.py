"""textopsx: walking over the headers and over the lines of the body."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kamtool.errors import ScriptError
from kamtool.module import ANY, Value, function, pv
from kamtool.script import edits
from kamtool.script.values import from_octets, to_octets

if TYPE_CHECKING:
    from kamtool.script.context import Context
    from kamtool.sip.message import Field


class Walk:
    """A named iterator: the things it walks over and where it is, -1 before the first."""

    __slots__ = ("at", "things")

    def __init__(self, things: list[Any]) -> None:
        self.things, self.at = things, -1

    @property
    def here(self) -> Any:
        """What it stands on, None before the first and behind the last."""
        return self.things[self.at] if 0 <= self.at < len(self.things) else None


def _walk(ctx: Context, kind: str, name: str) -> Walk:
    walk: Walk | None = ctx.scratch.get(f"textopsx.{kind}.{name}")
    if walk is None:
        raise ScriptError(f"iterator {name!r} has not been started")
    return walk


def _step(walk: Walk, by: int) -> bool:
    walk.at = min(max(walk.at + by, -1), len(walk.things))
    return walk.here is not None


class IteratorFunctions:
    """Iterators by name. They walk over the message as received; edits on the way are queued."""

    @function("hf_iterator_start", routes=ANY)
    def hf_iterator_start(self, ctx: Context, name: str) -> int:
        """Begin to walk over the headers: before the first one."""
        ctx.scratch[f"textopsx.hf.{name}"] = Walk(ctx.msg.fields())
        return 1

    @function("hf_iterator_next", routes=ANY)
    def hf_iterator_next(self, ctx: Context, name: str) -> bool:
        """Go on to the next header; false behind the last one."""
        return _step(_walk(ctx, "hf", name), 1)

    @function("hf_iterator_prev", routes=ANY)
    def hf_iterator_prev(self, ctx: Context, name: str) -> bool:
        """Go back to the header before; false before the first one."""
        return _step(_walk(ctx, "hf", name), -1)

    @function("hf_iterator_end", routes=ANY)
    def hf_iterator_end(self, ctx: Context, name: str) -> int:
        """Forget the iterator."""
        ctx.scratch.pop(f"textopsx.hf.{name}", None)
        return 1

    @function("hf_iterator_rm", routes=ANY)
    def hf_iterator_rm(self, ctx: Context, name: str) -> bool:
        """Remove the header the iterator stands on."""
        field: Field | None = _walk(ctx, "hf", name).here
        return field is not None and edits.remove(ctx, [field]) > 0

    @function("hf_iterator_append", routes=ANY)
    def hf_iterator_append(self, ctx: Context, name: str, text: str) -> bool:
        """Add header lines after the one the iterator stands on."""
        field: Field | None = _walk(ctx, "hf", name).here
        if field is None:
            return False
        ctx.edit(field.end, field.end, to_octets(edits.lines(text)))
        return True

    @function("hf_iterator_insert", routes=ANY)
    def hf_iterator_insert(self, ctx: Context, name: str, text: str) -> bool:
        """Add header lines before the one the iterator stands on."""
        field: Field | None = _walk(ctx, "hf", name).here
        if field is None:
            return False
        ctx.edit(field.start, field.start, to_octets(edits.lines(text)))
        return True

    @pv("hfitname", kind=str, inner_required=True)
    def get_hfitname(self, ctx: Context, inner: str) -> Value:
        """The name of the header that the iterator stands on."""
        field: Field | None = _walk(ctx, "hf", inner).here
        return None if field is None else field.name

    @pv("hfitbody", kind=str, inner_required=True)
    def get_hfitbody(self, ctx: Context, inner: str) -> Value:
        """The value of the header that the iterator stands on."""
        field: Field | None = _walk(ctx, "hf", inner).here
        return None if field is None else field.value

    @function("bl_iterator_start", routes=ANY)
    def bl_iterator_start(self, ctx: Context, name: str) -> int:
        """Begin to walk over the lines of the body: before the first one."""
        at, spans = ctx.msg.body_start, []
        for line in ctx.msg.body.splitlines(keepends=True):
            spans.append((at, at + len(line)))
            at += len(line)
        ctx.scratch[f"textopsx.bl.{name}"] = Walk(spans)
        return 1

    @function("bl_iterator_next", routes=ANY)
    def bl_iterator_next(self, ctx: Context, name: str) -> bool:
        """Go on to the next line; false behind the last one."""
        return _step(_walk(ctx, "bl", name), 1)

    @function("bl_iterator_end", routes=ANY)
    def bl_iterator_end(self, ctx: Context, name: str) -> int:
        """Forget the iterator."""
        ctx.scratch.pop(f"textopsx.bl.{name}", None)
        return 1

    @function("bl_iterator_rm", routes=ANY)
    def bl_iterator_rm(self, ctx: Context, name: str) -> bool:
        """Remove the line the iterator stands on."""
        span = _walk(ctx, "bl", name).here
        if span is None:
            return False
        edits.put(ctx, span[0], span[1], b"")
        return True

    @function("bl_iterator_append", routes=ANY)
    def bl_iterator_append(self, ctx: Context, name: str, text: str) -> bool:
        """Add a text, with its line end, after the line the iterator stands on."""
        span = _walk(ctx, "bl", name).here
        if span is None:
            return False
        edits.insert(ctx, span[1], text)
        return True

    @function("bl_iterator_insert", routes=ANY)
    def bl_iterator_insert(self, ctx: Context, name: str, text: str) -> bool:
        """Add a text, with its line end, before the line the iterator stands on."""
        span = _walk(ctx, "bl", name).here
        if span is None:
            return False
        edits.insert(ctx, span[0], text)
        return True

    @pv("blitval", kind=str, inner_required=True)
    def get_blitval(self, ctx: Context, inner: str) -> Value:
        """The line that the iterator stands on, with its line end."""
        span = _walk(ctx, "bl", inner).here
        return None if span is None else from_octets(ctx.msg.data[span[0] : span[1]])
