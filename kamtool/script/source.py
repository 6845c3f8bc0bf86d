"""Cfg text and where in it things stand: offsets become files, lines and columns."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from pathlib import Path

from kamtool.errors import NOWHERE, Span
from kamtool.record import Record


class Source:
    """The text of one file, or of one define's value while it is being read in its place.

    `site` is where the text was spliced in: the include directive, or the identifier that a define replaced.
    Everything inside a define's value is reported at its site, for that is what the reader sees.
    """

    __slots__ = ("_starts", "define", "name", "path", "site", "text")

    def __init__(
        self, name: str, text: str, *, path: Path | None = None, site: Span = NOWHERE, define: str = ""
    ) -> None:
        self.name, self.text, self.path, self.site, self.define = name, text, path, site, define
        self._starts: list[int] | None = None

    def position(self, offset: int) -> tuple[int, int]:
        """Line and column of an offset, from 1. A tab is one column."""
        if self._starts is None:
            starts, place = [0], self.text.find("\n")
            while place >= 0:
                starts.append(place + 1)
                place = self.text.find("\n", place + 1)
            self._starts = starts
        line = bisect_right(self._starts, offset)
        return line, offset - self._starts[line - 1] + 1

    def span(self, start: int, end: int) -> Span:
        """The span of `text[start:end]`; inside a define, the span of its use."""
        if self.define:
            return self.site
        line, column = self.position(start)
        starts = self._starts
        if starts is not None and (line == len(starts) or end < starts[line]):  # one line, as most are
            return Span(self.name, line, column, line, column + end - start)
        end_line, end_column = self.position(end)
        return Span(self.name, line, column, end_line, end_column)


def read(path: Path) -> str:
    """The text of a file; octets that are no UTF-8 survive as surrogate escapes. Raises OSError."""
    return path.read_bytes().decode("utf-8", "surrogateescape")


def join(first: Span, last: Span) -> Span:
    """From the start of one span to the end of another, as far as they stand in one file."""
    if first.file != last.file or (last.end_line, last.end_column) < (first.line, first.column):
        return first
    return Span(first.file, first.line, first.column, last.end_line, last.end_column)


class Text(Record):
    """Every file that one cfg was read from, by the name used in spans."""

    files: Mapping[str, str]

    def line(self, file: str, number: int) -> str | None:
        """A line without its end, None when the file or the line is not known."""
        text = self.files.get(file)
        if text is None or number < 1:
            return None
        lines = text.split("\n")
        return lines[number - 1].rstrip("\r") if number <= len(lines) else None
