"""textopsx: values inside headers that are comma lists, and their parameters."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from kamtool.errors import ScriptError
from kamtool.module import ANY, ONSEND_ROUTE, Plain, function
from kamtool.script import edits
from kamtool.script.values import from_octets, to_octets

if TYPE_CHECKING:
    from kamtool.script.context import Context

_QUOTED = rb'"(?:[^"\\]|\\.)*+"'
_ITEM = re.compile(rb"[ \t\r\n]*((?:" + _QUOTED + rb"|<[^>]*>|[^,\"<])*+)", re.DOTALL)
_PARAM = re.compile(rb"(?:" + _QUOTED + rb"|<[^>]*>|[^;\"<])*+", re.DOTALL)
_SPEC = re.compile(r"\s*([^\s\[\].]+)\s*(?:\[\s*(\*|-?\d+)?\s*\])?\s*(?:\.\s*(\S+))?\s*")


class Spec(NamedTuple):
    """`name[index].param`: which value of a header is meant."""

    name: str
    place: int | str | None
    param: str | None


class Item(NamedTuple):
    """One value of a comma list: `data[start:end]`, and its line."""

    start: int
    end: int
    place: int


@lru_cache(maxsize=256)
def spec(text: str) -> Spec:
    """Parse `name[index].param`. Raises ScriptError."""
    found = _SPEC.fullmatch(text)
    if found is None:
        raise ScriptError(f"bad header value {text!r}: write name[index].param")
    index = found[2]
    return Spec(found[1], index if index is None or index == "*" else int(index), found[3])


def items(ctx: Context, name: str) -> list[Item]:
    """Every value of the headers of that name, in order."""
    found = []
    for place in ctx.msg.find(name):
        _, _, _, at, end, _ = ctx.msg.row(place)
        while at <= end:
            match = _ITEM.match(ctx.msg.data, at, end)
            if match is None:
                break
            start, stop = match.span(1)
            stop = start + len(ctx.msg.data[start:stop].rstrip())
            if stop > start:
                found.append(Item(start, stop, place))
            at = match.end() + 1
    return found


def chosen(ctx: Context, wanted: Spec) -> list[Item]:
    """The values that a spec means: `[1]` the first, as no index, `[-1]` the last, `[*]` all."""
    found = items(ctx, wanted.name)
    if wanted.place == "*":
        return found
    number = wanted.place if isinstance(wanted.place, int) else 1
    place = number - 1 if number > 0 else number
    return [found[place]] if number and -len(found) <= place < len(found) else []


def _param_span(ctx: Context, item: Item, name: str) -> tuple[int, int, int] | None:
    """Where a parameter begins (its `;`), where its value begins, and where it ends."""
    at = item.start
    while at <= item.end:
        match = _PARAM.match(ctx.msg.data, at, item.end)
        if match is None:
            return None
        if at > item.start:
            key, equals, _ = match[0].partition(b"=")
            if key.strip().lower() == to_octets(name).lower():
                return at - 1, (at + len(key) + 1 if equals else -1), match.end()
        at = match.end() + 1
    return None


class ValueFunctions:
    """Values named `Header`, `Header[2]`, `Header[-1].param`; counted from 1."""

    @function("append_hf_value", routes=ANY & ~ONSEND_ROUTE)
    def append_hf_value(self, ctx: Context, name: Plain, value: str) -> bool:
        """Add a value after the one that the index names; without an index, a header after the last one."""
        wanted = spec(name)
        found = chosen(ctx, wanted) if wanted.place is not None else []
        if wanted.place is None or not found:
            edits.append_header(ctx, f"{wanted.name}: {value}")
        else:
            ctx.edit(found[-1].end, found[-1].end, to_octets(f",{value}"))
        return True

    @function("insert_hf_value", routes=ANY & ~ONSEND_ROUTE)
    def insert_hf_value(self, ctx: Context, name: Plain, value: str) -> bool:
        """Add a value before the one that the index names; without an index, a header before the first."""
        wanted = spec(name)
        found = items(ctx, wanted.name)
        if not found:
            edits.append_header(ctx, f"{wanted.name}: {value}")
        elif wanted.place is None:
            start = ctx.msg.row(found[0].place)[1]
            ctx.edit(start, start, to_octets(f"{wanted.name}: {value}\r\n"))
        else:
            for item in chosen(ctx, wanted)[:1]:
                ctx.edit(item.start, item.start, to_octets(f"{value}, "))
        return True

    @function("remove_hf_value", routes=ANY & ~ONSEND_ROUTE)
    def remove_hf_value(self, ctx: Context, name: Plain) -> bool:
        """Remove a value, all with `[*]`, or with `.param` one of its parameters."""
        wanted = spec(name)
        found = chosen(ctx, wanted)
        if wanted.param is not None:
            spans = [span for item in found if (span := _param_span(ctx, item, wanted.param)) is not None]
            for start, _, end in spans:
                edits.put(ctx, start, end, b"")
            return bool(spans)
        if wanted.place == "*":
            return edits.remove(ctx, ctx.msg.fields(wanted.name)) > 0
        for item in found:
            _remove(ctx, wanted.name, item)
        return bool(found)

    @function("assign_hf_value", routes=ANY & ~ONSEND_ROUTE)
    def assign_hf_value(self, ctx: Context, name: Plain, value: str) -> bool:
        """Replace a value, or with `.param` one of its parameters, which is added when missing."""
        wanted = spec(name)
        found = chosen(ctx, wanted)
        if not found and wanted.param is None:
            edits.append_header(ctx, f"{wanted.name}: {value}")
            return True
        for item in found:
            if wanted.param is None:
                edits.put(ctx, item.start, item.end, to_octets(value))
                continue
            span = _param_span(ctx, item, wanted.param)
            if span is None:
                ctx.edit(item.end, item.end, to_octets(f";{wanted.param}={value}"))
            else:
                edits.put(ctx, span[0], span[2], to_octets(f";{wanted.param}={value}"))
        return bool(found)

    @function("hf_value_exists", routes=ANY & ~ONSEND_ROUTE)
    def hf_value_exists(self, ctx: Context, name: Plain, value: str) -> bool:
        """True when one of the header's values is this one, in any case."""
        return bool(_same(ctx, spec(name).name, value))

    @function("include_hf_value", routes=ANY & ~ONSEND_ROUTE)
    def include_hf_value(self, ctx: Context, name: Plain, value: str) -> bool:
        """Add a value at the end of the list unless it is there."""
        wanted = spec(name)
        if _same(ctx, wanted.name, value):
            return True
        found = items(ctx, wanted.name)
        if found:
            ctx.edit(found[-1].end, found[-1].end, to_octets(f",{value}"))
        else:
            edits.append_header(ctx, f"{wanted.name}: {value}")
        return True

    @function("exclude_hf_value", routes=ANY & ~ONSEND_ROUTE)
    def exclude_hf_value(self, ctx: Context, name: Plain, value: str) -> bool:
        """Remove a value from the list wherever it stands."""
        wanted = spec(name)
        for item in _same(ctx, wanted.name, value):
            _remove(ctx, wanted.name, item)
        return True

    @function("assign_hf_value2", routes=ANY & ~ONSEND_ROUTE)
    def assign_hf_value2(self, ctx: Context, name: Plain, value: str) -> bool:
        """Like `assign_hf_value` for headers as Authorization is: `Authorization.realm`."""
        wanted = spec(name)
        found = _pair(ctx, wanted)
        if found is None:
            return False
        edits.put(ctx, found[1], found[2], to_octets(value))
        return True

    @function("remove_hf_value2", routes=ANY & ~ONSEND_ROUTE)
    def remove_hf_value2(self, ctx: Context, name: Plain) -> bool:
        """Remove one of the comma-separated parameters of a header as Authorization is."""
        found = _pair(ctx, spec(name))
        if found is None:
            return False
        edits.put(ctx, found[0], found[2], b"")
        return True


def _same(ctx: Context, name: str, value: str) -> list[Item]:
    wanted = value.strip().lower()
    return [i for i in items(ctx, name) if from_octets(ctx.msg.data[i.start : i.end]).lower() == wanted]


def _remove(ctx: Context, name: str, item: Item) -> None:
    """Take a value and one of its commas; the whole header when nothing is left of it.

    Which comma goes depends on what is left, so the cuts of values removed before are made anew.
    """
    removed: set[Item] = ctx.scratch.setdefault("textopsx.removed", set())
    row = [other for other in items(ctx, name) if other.place == item.place]
    before = _cuts(row, removed)
    removed.add(item)
    ctx.edits = [edit for edit in ctx.edits if edit[2] or edit[:2] not in before]
    _, line_start, _, _, _, line_end = ctx.msg.row(item.place)
    if removed.issuperset(row):
        edits.put(ctx, line_start, line_end, b"")
        return
    for start, end in _cuts(row, removed):
        edits.put(ctx, start, end, b"")


def _cuts(row: list[Item], removed: set[Item]) -> list[tuple[int, int]]:
    """The spans of the removed values: each with the comma before it, behind it when none stays before."""
    cuts, kept = [], False
    for place, item in enumerate(row):
        if item not in removed:
            kept = True
        elif kept:
            cuts.append((row[place - 1].end, item.end))
        elif place + 1 < len(row):
            cuts.append((item.start, row[place + 1].start))
    return cuts


def _pair(ctx: Context, wanted: Spec) -> tuple[int, int, int] | None:
    """Where `, name=value` begins, where its value does, and where it ends."""
    if wanted.param is None:
        raise ScriptError("name the parameter: Header.param")
    pattern = re.compile(
        rb"(?:,\s*|(?<=\s))" + re.escape(to_octets(wanted.param)) + rb'\s*=\s*("(?:[^"\\]|\\.)*"|[^,\s]*)',
        re.I,
    )
    for place in ctx.msg.find(wanted.name):
        _, _, _, start, end, _ = ctx.msg.row(place)
        found = pattern.search(ctx.msg.data, start, end)
        if found is not None:
            return found.start(), found.start(1), found.end()
    return None
