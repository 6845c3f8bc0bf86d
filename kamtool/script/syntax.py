"""A cfg's text as a tree, before anybody asks whether it makes sense: what fmt, the editor and adapt need."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from kamtool.errors import ConfigError, Span
from kamtool.script.lexer import Lexer
from kamtool.script.nodes import Item
from kamtool.script.parser import Parser
from kamtool.script.preprocess import Preprocessor
from kamtool.script.source import Source, Text, read

MakeLexer = Callable[[Source, Preprocessor, Callable[[ConfigError], None]], Lexer]


@dataclass(frozen=True, slots=True)
class Syntax:
    """What reading a cfg gave. With errors, `items` holds what could be read in spite of them."""

    items: tuple[Item, ...]
    errors: tuple[ConfigError, ...]
    text: Text
    preprocessor: Preprocessor
    lexer: Lexer


def source_of(source: Path | str, name: str = "", path: Path | None = None) -> Source:
    """A Path is read, a str is the text itself; includes are looked for beside `path`. Raises OSError."""
    if isinstance(source, Path):
        return Source(name or str(source), read(source), path=source)
    return Source(name or "<cfg>", source, path=path)


def parse(first: Source, defines: Mapping[str, str | None] | None = None, lexer: MakeLexer = Lexer) -> Syntax:
    """Read a cfg and what it includes. Raises nothing for what a file holds."""
    given = dict(defines or {})
    result = _parse(first, Preprocessor.start(given), lexer)
    if result.preprocessor.has_ifexp and _unclosed(result):
        # Written for 5.6 or older, where `#!ifexp` is a comment and wants no `#!endif`?
        preprocessor = Preprocessor.start(given)
        preprocessor.knows_ifexp = False
        older = _parse(first, preprocessor, lexer)
        if not _unclosed(older):
            return older
    return result


def _unclosed(syntax: Syntax) -> bool:
    return any(error.code == "KT1013" for error in syntax.errors)


def _parse(first: Source, preprocessor: Preprocessor, make: MakeLexer) -> Syntax:
    errors: dict[tuple[Span, str], ConfigError] = {}

    def report(finding: ConfigError) -> None:
        if finding.severity == "error":
            errors.setdefault((finding.span, finding.message), finding)

    lexer = make(first, preprocessor, report)
    parser = Parser(lexer, report)
    parser.loaded = lambda load: preprocessor.define(f"MOD_{load.name}", None)
    items = tuple(parser.file())
    lexer.finish()
    return Syntax(items, tuple(errors.values()), Text(lexer.files), preprocessor, lexer)
