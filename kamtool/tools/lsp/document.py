"""The text of an open file, and positions in it: an editor counts lines from 0 and columns in UTF-16."""

from __future__ import annotations

from bisect import bisect_right
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from kamtool.errors import Span
from kamtool.tools.lsp.scan import Word, scan

Position = dict[str, int]
Range = dict[str, Position]


def path_of(uri: str) -> Path | None:
    """The file that a `file:` URI names, None for others."""
    parts = urlsplit(uri)
    return Path(unquote(parts.path)) if parts.scheme == "file" else None


def uri_of(path: Path) -> str:
    return "file://" + quote(str(path.absolute()))


class Document:
    """One text. `is_wide` says that columns are counted in UTF-16 units, not in characters."""

    def __init__(self, uri: str, text: str, version: int = 0, *, is_wide: bool = True) -> None:
        self.uri, self.version, self.is_wide = uri, version, is_wide
        self.path = path_of(uri)
        self.replace(text)

    def replace(self, text: str) -> None:
        """Another text altogether."""
        self.text = text
        self._starts = [0]
        place = text.find("\n")
        while place >= 0:
            self._starts.append(place + 1)
            place = text.find("\n", place + 1)
        self._words: list[Word] | None = None

    @property
    def name(self) -> str:
        """The name of its file, for people."""
        return self.path.name if self.path else self.uri

    @property
    def words(self) -> list[Word]:
        """The text as tokens, scanned when first asked for."""
        if self._words is None:
            self._words = scan(self.text)
        return self._words

    def change(self, change: dict[str, Any]) -> None:
        """One entry of `contentChanges`."""
        where = change.get("range")
        if where is None:
            self.replace(change["text"])
        else:
            start, end = self.offset(where["start"]), self.offset(where["end"])
            self.replace(self.text[:start] + change["text"] + self.text[end:])

    def line(self, number: int) -> str:
        """A line without its end, "" where there is none."""
        if not 0 <= number < len(self._starts):
            return ""
        end = self._starts[number + 1] - 1 if number + 1 < len(self._starts) else len(self.text)
        return self.text[self._starts[number] : end]

    def offset(self, position: Position) -> int:
        """Where a position is in the text; one beyond the end of its line is that end."""
        number = position["line"]
        if number >= len(self._starts):
            return len(self.text)
        line = self.line(number)
        column = position["character"]
        if self.is_wide and not line.isascii():
            units = 0
            for place, letter in enumerate(line):
                if units >= column:
                    return self._starts[number] + place
                units += 2 if ord(letter) > 0xFFFF else 1
            return self._starts[number] + len(line)
        return self._starts[number] + min(column, len(line))

    def position(self, offset: int) -> Position:
        """The position of an offset."""
        number = bisect_right(self._starts, offset) - 1
        before = self.text[self._starts[number] : offset]
        wide = 0 if before.isascii() or not self.is_wide else sum(ord(letter) > 0xFFFF for letter in before)
        return {"line": number, "character": len(before) + wide}

    def range(self, start: int, end: int) -> Range:
        return {"start": self.position(start), "end": self.position(end)}

    def range_of(self, span: Span) -> Range:
        """The range of a span, kept inside the text."""
        return self.range(self._place(span.line, span.column), self._place(span.end_line, span.end_column))

    def _place(self, line: int, column: int) -> int:
        if line < 1 or line > len(self._starts):
            return len(self.text) if line > 1 else 0
        return self._starts[line - 1] + min(column - 1, len(self.line(line - 1)))

    def word_at(self, offset: int) -> int:
        """The number of the token that an offset stands in or right behind, -1 for none."""
        number = bisect_right(self.words, offset, key=lambda word: word.start) - 1
        if number >= 0 and self.words[number].end < offset:
            return -1
        if number > 0 and self.words[number].start == offset and self.words[number].kind == "mark":
            return number - 1 if self.words[number - 1].end == offset else number
        return number
