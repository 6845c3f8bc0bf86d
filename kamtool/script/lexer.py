"""Cfg text into tokens, with its directives obeyed, its defines replaced and its includes spliced in.

One pass, pulled by the parser a token at a time, as directives take effect at the point where they are met:
a `loadmodule` just parsed defines `MOD_x` for the `#!ifdef` on the next line.
"""

from __future__ import annotations

import re

from kamtool.script.lexer_directives import DIRECTIVE, DirectiveLexer
from kamtool.script.lexer_reading import BLANK
from kamtool.script.lexer_strings import StringLexer
from kamtool.script.literals import number
from kamtool.script.preprocess import DIRECTIVES
from kamtool.script.settings import NAMES
from kamtool.script.source import Source
from kamtool.script.tokens import (
    BARE_FUNCTIONS,
    CORE_WORDS,
    FAMILY_WORDS,
    OFF_WORDS,
    ON_WORDS,
    OPERATOR_WORDS,
    STATEMENT_WORDS,
    TEST_WORDS,
    T,
    Token,
)

DEEPEST_DEFINE = 64
MOST_REPLACEMENTS = 100_000

RESERVED = (
    STATEMENT_WORDS
    | NAMES
    | frozenset(["listen", "alias"])
    | CORE_WORDS
    | BARE_FUNCTIONS
    | ON_WORDS
    | OFF_WORDS
    | frozenset(TEST_WORDS)
    | frozenset(OPERATOR_WORDS)
    | frozenset(FAMILY_WORDS)
)

_MEANT = ON_WORDS | OFF_WORDS | frozenset([*OPERATOR_WORDS, *FAMILY_WORDS, "include_file", "import_file"])
"""Words that are more than words."""

_IPV6 = re.compile(
    r"(?:(?:[0-9A-Fa-f]{1,4}:){7}[0-9A-Fa-f]{1,4}"
    r"|(?:[0-9A-Fa-f]{1,4}(?::[0-9A-Fa-f]{1,4}){0,6})?::(?:[0-9A-Fa-f]{1,4}:){0,5}\d{1,3}(?:\.\d{1,3}){3}"
    r"|(?:[0-9A-Fa-f]{1,4}(?::[0-9A-Fa-f]{1,4}){0,6})?::(?:[0-9A-Fa-f]{1,4}(?::[0-9A-Fa-f]{1,4}){0,6})?)"
    r"(?![0-9A-Za-z_:])",
    re.ASCII,
)
_WORD = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_NUMBER = re.compile(r"0[xX][0-9A-Fa-f]+|[01]+b|0[0-7]*|[1-9][0-9]*", re.ASCII)
_DIGITS = re.compile(r"\w+", re.ASCII)
_CAST = re.compile(r"\((?:int|str)\)")
_MARKS = re.compile(r"&&|\|\||==|!=|=~|<=|>=|<<|>>|[-=<>!+*/|&^~(){}\[\],;:.@%]")


class Lexer(DirectiveLexer, StringLexer):
    """The tokens of a cfg. What is wrong is given to `report`; reading goes on."""

    def next(self) -> Token:
        """The next token; after the last one, T.END again and again."""
        while True:
            token = self._scan()
            if token is not None:
                if token.kind is not T.END:
                    self.last = token.span
                return token

    def _scan(self) -> Token | None:
        source, offset = self.stack[-1], self.offsets[-1]
        text = source.text
        if not self.preprocessor.reads:
            self._skip(text, offset)
            return None
        blank = BLANK.match(text, offset)
        if blank:
            offset = self.offsets[-1] = blank.end()
        if offset >= len(text):
            if len(self.stack) == 1:
                return Token(T.END, "", self.end)
            self.stack.pop()
            self.offsets.pop()
            return None
        letter = text[offset]
        if letter in "#/!\"'$(" and (token := self._special(letter, text, offset)) is not self:
            return token  # type: ignore[return-value]
        return self._plain(text, offset)

    def _special(self, letter: str, text: str, offset: int) -> Token | Lexer | None:
        """What begins with a letter of many meanings; the lexer itself when it is a plain token after all."""
        if letter == "#":
            self._hash(text, offset)
            return None
        if letter == "/" and text.startswith("//", offset):
            self._comment()
            return None
        if letter == "/" and text.startswith("/*", offset):
            self._block_comment(offset)
            return None
        if letter == "!" and text.startswith("!!", offset):
            found = DIRECTIVE.match(text, offset)
            if found and found[1] in DIRECTIVES:
                self._directive(found)
                return None
        if letter == '"':
            return self._string(offset)
        if letter == "'":
            return self._quoted(offset)
        if letter == "$":
            return self._pv(offset)
        if letter == "(" and (found := _CAST.match(text, offset)):
            return self._take(T.MARK, offset, found.end())
        return self

    def _plain(self, text: str, offset: int) -> Token | None:
        if ":" in text[offset : offset + 5]:  # where the first colon of every IPv6 address stands
            found = _IPV6.match(text, offset)
            if found and (text[offset] != ":" or text.startswith("::", offset)):
                return self._take(T.IPV6, offset, found.end(), found[0])
        if found := _WORD.match(text, offset):
            return self._word(found)
        if text[offset].isdigit() and text[offset].isascii():
            found = _NUMBER.match(text, offset)
            whole = _DIGITS.match(text, offset)
            if found and whole and found.end() == whole.end():
                return self._take(T.NUMBER, offset, found.end(), number(found[0]))
            end = whole.end() if whole else offset + 1
            return self._take(T.HOSTPART, offset, end)
        if found := _MARKS.match(text, offset):
            return self._take(T.MARK, offset, found.end())
        self.offsets[-1] = offset + 1
        self._error(
            f"the character {text[offset]!r} has no meaning here", self._span(offset, offset + 1), "KT1002"
        )
        return None

    # Words and defines --------------------------------------------------------------------------------

    def _word(self, found: re.Match[str]) -> Token | None:
        word = found[0]
        start, end = found.span()
        if word not in RESERVED and word in self.preprocessor.defines:
            self._replace(word, start, end)
            return None
        if word not in _MEANT:
            return self._take(T.WORD, start, end)
        if word in ("include_file", "import_file"):
            self.offsets[-1] = end
            self._include(word, start)
            return None
        if word in ON_WORDS:
            return self._take(T.NUMBER, start, end, 1)
        if word in OFF_WORDS:
            return self._take(T.NUMBER, start, end, 0)
        if word in FAMILY_WORDS:
            return self._take(T.NUMBER, start, end, FAMILY_WORDS[word])
        if word in OPERATOR_WORDS:
            token = self._take(T.MARK, start, end)
            return Token(T.MARK, OPERATOR_WORDS[word], token.span)
        raise AssertionError(word)

    def _replace(self, word: str, start: int, end: int) -> None:
        self.offsets[-1] = end
        self.preprocessor.used.add(word)
        value = self.preprocessor.defines[word]
        if value is None:
            return
        span = self._span(start, end)
        self.replacements += 1
        depth = sum(bool(source.define) for source in self.stack)
        if any(source.define == word for source in self.stack) or depth >= DEEPEST_DEFINE:
            self._error(f"the define `{word}` leads back to itself", span, "KT1010")
        elif self.replacements > MOST_REPLACEMENTS:
            if self.replacements == MOST_REPLACEMENTS + 1:
                self._error("the defines of this file grow without end", span, "KT1010")
        else:
            self._push(Source(span.file, value, path=self.stack[-1].path, site=span, define=word))
