"""Where the lexer is: a stack of texts, the file, the files that it includes, the defines it replaces."""

from __future__ import annotations

import re
from collections.abc import Callable

from kamtool.errors import ConfigError, Span
from kamtool.script.preprocess import Preprocessor
from kamtool.script.source import Source
from kamtool.script.tokens import Mode, T, Token

BLANK = re.compile(r"(?:[ \t\r\n\b]|\\\r?\n)+")
STRING_TAIL = re.compile(r'(?:[^"\\]|\\.)*"', re.S)


class Reading:
    """The place that has been reached, and the places of what is found there."""

    def __init__(
        self, source: Source, preprocessor: Preprocessor, report: Callable[[ConfigError], None]
    ) -> None:
        self.preprocessor, self.report = preprocessor, report
        self.mode = Mode.MAXCOMPAT
        self.stack = [source]
        self.offsets = [0]
        self.files = {source.name: source.text}
        self.included: list[tuple[str, Span]] = []
        self.replacements = 0
        self.last: Span = source.span(0, 0)
        self.is_lost = False
        """Whether a string or comment without end has taken the rest of the file."""

    @property
    def end(self) -> Span:
        """The last character of the file: where what is missing at its end is reported."""
        text = self.stack[0].text
        return self.stack[0].span(max(len(text) - 1, 0), len(text))

    def _span(self, start: int, end: int) -> Span:
        return self.stack[-1].span(start, end)

    def _error(self, message: str, span: Span, code: str, hint: str = "") -> None:
        self.report(ConfigError(message, span, code=code, hint=hint))

    def _take(self, kind: T, start: int, end: int, value: int | str = 0) -> Token:
        self.offsets[-1] = end
        return Token(kind, self.stack[-1].text[start:end], self._span(start, end), value)

    def _push(self, source: Source) -> None:
        self.stack.append(source)
        self.offsets.append(0)
