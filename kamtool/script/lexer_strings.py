"""Strings and pseudo-variables: their ends, their escapes, what `#!subst` makes of them."""

from __future__ import annotations

import re

from kamtool.errors import ConfigError
from kamtool.script.lexer_reading import BLANK, STRING_TAIL, Reading
from kamtool.script.literals import unescape
from kamtool.script.source import join
from kamtool.script.tokens import T, Token

_PV = re.compile(r"\$(?:\?|[A-Za-z_]\w*)?", re.ASCII)
_ATTRIBUTE = re.compile(r"\$(?:fu|tu|fd|td|fr|tr|f|t|g)\.[A-Za-z_]\w*", re.ASCII)


class StringLexer(Reading):
    """What stands in quotes or behind a `$`."""

    def _string(self, start: int) -> Token:
        source = self.stack[-1]
        first = self._span(start, start + 1)
        tail = STRING_TAIL.match(source.text, start + 1)
        if tail is None:
            return self._unclosed(start)
        parts, end = [unescape(source.text[start + 1 : tail.end() - 1])], tail.end()
        self.offsets[-1] = end
        last = self._span(start, end)
        while True:
            place = self._adjacent()
            if place < 0:
                break
            tail = STRING_TAIL.match(self.stack[-1].text, place + 1)
            if tail is None:
                return self._unclosed(place)
            parts.append(unescape(self.stack[-1].text[place + 1 : tail.end() - 1]))
            last = self._span(place, tail.end())
            self.offsets[-1] = end = tail.end()
        value = self.preprocessor.substitute("".join(parts))
        span = join(first, last)
        return Token(T.STRING, f'"{value}"', span, value)

    def _adjacent(self) -> int:
        """Where the next of two adjacent strings begins, -1 when there is none. A used-up define is left."""
        while True:
            text, offset = self.stack[-1].text, self.offsets[-1]
            blank = BLANK.match(text, offset)
            place = blank.end() if blank else offset
            if place < len(text):
                return place if text[place] == '"' else -1
            if not self.stack[-1].define:
                return -1
            self.stack.pop()
            self.offsets.pop()

    def _quoted(self, start: int) -> Token:
        text = self.stack[-1].text
        end = text.find("'", start + 1)
        if end < 0:
            return self._unclosed(start)
        value = self.preprocessor.substitute(text[start + 1 : end])
        token = self._take(T.STRING, start, end + 1)
        return Token(T.STRING, f"'{value}'", token.span, value)

    def _unclosed(self, start: int) -> Token:
        text = self.stack[-1].text
        end = len(text)
        self.is_lost = True
        self.report(
            ConfigError(
                "this string is never closed",
                self._span(start, start + 1),
                code="KT1004",
                place=self._span(max(end - 1, 0), end),
            )
        )
        self.offsets[-1] = end
        return Token(T.STRING, '"', self._span(start, start + 1), "")

    def _pv(self, start: int) -> Token | None:
        text = self.stack[-1].text
        if self.mode.knows_attributes and (attribute := _ATTRIBUTE.match(text, start)):
            return self._take(T.PV, start, attribute.end(), attribute[0])
        found = _PV.match(text, start)
        end = found.end() if found else start + 1
        if text[end : end + 1] == "(":
            depth, place = 0, end
            while place < len(text):
                letter = text[place]
                depth += (letter == "(") - (letter == ")")
                if letter == "\n" or not depth:
                    break
                place += 1
            if depth:
                span = self._span(start, min(place, len(text)))
                self._error("this pseudo-variable is not closed on its line", span, "KT1005")
                self.offsets[-1] = place
                return Token(T.PV, text[start:place], span, "$null")
            end = place + 1
        elif end == start + 1:
            self.offsets[-1] = end
            self._error("`$` needs a name", self._span(start, end), "KT1002")
            return None
        token = self._take(T.PV, start, end)
        value = self.preprocessor.substitute(token.text)
        return Token(T.PV, value, token.span, value)
