"""`kamtool fmt`: a cfg as everybody would write it, its meaning untouched.

Comments, strings, directives and the branches of `#!ifdef` that are not read stay byte for byte.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from kamtool.errors import ConfigError, ConfigErrors, KamtoolError
from kamtool.script.format_layout import Layout
from kamtool.script.format_pieces import P, Piece, PieceLexer
from kamtool.script.format_shape import same
from kamtool.script.source import Source
from kamtool.script.syntax import Syntax, parse, source_of

EMPTY = "KT1100"


class FormatError(KamtoolError):
    """A cfg that cannot be formatted without a change of its meaning. It is our mistake; the file stays."""


def format_text(
    text: str,
    *,
    name: str = "<cfg>",
    path: Path | None = None,
    defines: Mapping[str, str | None] | None = None,
    unit: str = "",
) -> str:
    """The text formatted; `unit` is one step of indentation, "" for the one that the file uses most.

    Raises ConfigErrors when it cannot be parsed, FormatError when its meaning would change.
    """
    # Files from other systems end their lines in CRLF: they keep them.
    is_crlf = "\r\n" in text and text.count("\r\n") == text.count("\n")
    plain = text.replace("\r\n", "\n") if is_crlf else text
    syntax = _read(source_of(plain, name, path), defines)
    lexer = syntax.lexer
    assert isinstance(lexer, PieceLexer)
    result = Layout(lexer.pieces, unit or unit_of(lexer.pieces)).run()
    again = parse(source_of(result, name, path), defines)
    if mistakes(again) or not same(syntax.items, again.items) or not _same_defines(syntax, again):
        raise FormatError(f"{name} cannot be formatted without a change of its meaning; it was left alone")
    return result.replace("\n", "\r\n") if is_crlf else result


def _read(source: Source, defines: Mapping[str, str | None] | None) -> Syntax:
    syntax = parse(source, defines, PieceLexer)
    if found := mistakes(syntax):
        errors = ConfigErrors(sorted(found, key=lambda error: (error.span.line, error.span.column)))
        errors.text = syntax.text
        raise errors
    return syntax


def mistakes(syntax: Syntax) -> list[ConfigError]:
    """What forbids formatting. A file of nothing but defines is no cfg, yet it may be part of one."""
    return [error for error in syntax.errors if error.code != EMPTY]


def _same_defines(first: Syntax, second: Syntax) -> bool:
    one, other = first.preprocessor, second.preprocessor
    return one.defines == other.defines and one.skipped == other.skipped


def unit_of(pieces: Sequence[Piece]) -> str:
    """A tab, or four blanks where most indented lines begin with blanks."""
    margins = [piece.margin for piece in pieces if piece.kind is P.TOKEN and piece.newlines and piece.margin]
    tabs = sum(margin[0] == "\t" for margin in margins)
    return "\t" if tabs * 2 >= len(margins) else "    "
