"""textops: search, and replace what was found."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from kamtool.module import ANY, Plain, Regex, function
from kamtool.modules.textops.text import Piece, after_first_line, body, head, whole
from kamtool.script import edits
from kamtool.script.values import to_octets

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kamtool.script.context import Context


def replace(ctx: Context, piece: Piece, found: Iterable[re.Match[str]], text: str) -> bool:
    """Queue `text` in place of every match; false when there was none."""
    octets, any_found = to_octets(text), False
    for match in found:
        edits.put(ctx, piece.offset(match.start()), piece.offset(match.end()), octets)
        any_found = True
    return any_found


def first(pattern: re.Pattern[str], piece: Piece) -> list[re.Match[str]]:
    """The first match, if any."""
    found = pattern.search(piece.text)
    return [found] if found else []


def every(pattern: re.Pattern[str], piece: Piece) -> list[re.Match[str]]:
    """All matches that are not empty."""
    return [found for found in pattern.finditer(piece.text) if found.end() > found.start()]


def literal(text: str, mode: str, piece: Piece) -> list[re.Match[str]]:
    """Occurrences of a plain text: `a` all, `f` the first, `l` the last."""
    if not text:
        return []
    found = list(re.finditer(re.escape(text), piece.text))
    return {"f": found[:1], "l": found[-1:]}.get(mode[:1].lower(), found)


class SearchFunctions:
    """Search and replace by regular expressions and plain texts."""

    @function("search", routes=ANY)
    def search(self, ctx: Context, pattern: Regex) -> bool:
        """True when the message, first line and body included, matches."""
        return pattern.search(whole(ctx).text) is not None

    @function("search_body", routes=ANY)
    def search_body(self, ctx: Context, pattern: Regex) -> bool:
        """True when the body matches."""
        return pattern.search(body(ctx).text) is not None

    @function("search_hf", routes=ANY)
    def search_hf(self, ctx: Context, name: Plain, pattern: Regex, mode: Plain) -> bool:
        """True when a header's value matches: any (`a`), the first (`f`) or the last (`l`) of that name."""
        values = ctx.msg.headers(name)
        values = {"f": values[:1], "l": values[-1:]}.get(mode[:1].lower(), values)
        return any(pattern.search(value) for value in values)

    @function("search_str", routes=ANY)
    def search_str(self, ctx: Context, text: str, pattern: str) -> bool:
        """True when `text` matches the regular expression `pattern`; both may hold pseudo-variables."""
        from kamtool.script.values import matches

        return matches(pattern, text)

    @function("search_append", routes=ANY)
    def search_append(self, ctx: Context, pattern: Regex, text: Plain) -> bool:
        """Insert a text after the first match in headers and body."""
        return self._append(ctx, after_first_line(ctx), pattern, text)

    @function("search_append_body", routes=ANY)
    def search_append_body(self, ctx: Context, pattern: Regex, text: Plain) -> bool:
        """Insert a text after the first match in the body."""
        return self._append(ctx, body(ctx), pattern, text)

    def _append(self, ctx: Context, piece: Piece, pattern: re.Pattern[str], text: str) -> bool:
        found = pattern.search(piece.text)
        if found is None:
            return False
        edits.insert(ctx, piece.offset(found.end()), text)
        return True

    @function("replace", routes=ANY)
    def replace(self, ctx: Context, pattern: Regex, text: Plain) -> bool:
        """Replace the first match in headers and body."""
        piece = after_first_line(ctx)
        return replace(ctx, piece, first(pattern, piece), text)

    @function("replace_all", routes=ANY)
    def replace_all(self, ctx: Context, pattern: Regex, text: Plain) -> bool:
        """Replace every match in headers and body."""
        piece = after_first_line(ctx)
        return replace(ctx, piece, every(pattern, piece), text)

    @function("replace_hdrs", routes=ANY)
    def replace_hdrs(self, ctx: Context, pattern: Regex, text: Plain) -> bool:
        """Replace the first match in the headers."""
        piece = head(ctx)
        return replace(ctx, piece, first(pattern, piece), text)

    @function("replace_body", routes=ANY)
    def replace_body(self, ctx: Context, pattern: Regex, text: Plain) -> bool:
        """Replace the first match in the body."""
        piece = body(ctx)
        return replace(ctx, piece, first(pattern, piece), text)

    @function("replace_body_all", routes=ANY)
    def replace_body_all(self, ctx: Context, pattern: Regex, text: Plain) -> bool:
        """Replace every match in the body; `^` matches again behind each match."""
        piece = body(ctx)
        return replace(ctx, piece, _restarted(pattern, piece), text)

    @function("replace_body_atonce", routes=ANY)
    def replace_body_atonce(self, ctx: Context, pattern: Regex, text: Plain) -> bool:
        """Replace every match in the body, `^` matching at its lines alone."""
        piece = body(ctx)
        return replace(ctx, piece, every(pattern, piece), text)

    @function("replace_str", routes=ANY)
    def replace_str(self, ctx: Context, what: str, by: str, mode: Plain) -> bool:
        """Replace a plain text in headers and body: all of it (`a`), the first (`f`) or the last (`l`)."""
        piece = after_first_line(ctx)
        return replace(ctx, piece, literal(what, mode, piece), by)

    @function("replace_hdrs_str", routes=ANY)
    def replace_hdrs_str(self, ctx: Context, what: str, by: str, mode: Plain) -> bool:
        """Replace a plain text in the headers: all of it (`a`), the first (`f`) or the last (`l`)."""
        piece = head(ctx)
        return replace(ctx, piece, literal(what, mode, piece), by)

    @function("replace_body_str", routes=ANY)
    def replace_body_str(self, ctx: Context, what: str, by: str, mode: Plain) -> bool:
        """Replace a plain text in the body: all of it (`a`), the first (`f`) or the last (`l`)."""
        piece = body(ctx)
        return replace(ctx, piece, literal(what, mode, piece), by)


def _restarted(pattern: re.Pattern[str], piece: Piece) -> list[re.Match[str]]:
    # `^` is asked of the rest of the text, as if it began behind the last match.
    found, rest, skipped = [], piece.text, 0
    while match := pattern.search(rest):
        if match.end() == match.start():
            break
        found.append(_Shifted(match, skipped))
        skipped += match.end()
        rest = rest[match.end() :]
    return found  # type: ignore[return-value]


class _Shifted:
    """A match in a rest of a text, at its place in the whole."""

    __slots__ = ("_end", "_start")

    def __init__(self, match: re.Match[str], skipped: int) -> None:
        self._start, self._end = match.start() + skipped, match.end() + skipped

    def start(self) -> int:
        return self._start

    def end(self) -> int:
        return self._end
