"""Cfg text into tokens, with its directives obeyed, its defines replaced and its includes spliced in.

One pass, pulled by the parser a token at a time, as directives take effect at the point where they are met:
a `loadmodule` just parsed defines `MOD_x` for the `#!ifdef` on the next line.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from kamtool.errors import ConfigError, Span
from kamtool.script.literals import number, unescape
from kamtool.script.preprocess import DIRECTIVES, NEWER, Preprocessor
from kamtool.script.settings import NAMES
from kamtool.script.source import Source, join, read
from kamtool.script.tokens import (
    BARE_FUNCTIONS,
    CORE_WORDS,
    FAMILY_WORDS,
    OFF_WORDS,
    ON_WORDS,
    OPERATOR_WORDS,
    STATEMENT_WORDS,
    TEST_WORDS,
    Mode,
    T,
    Token,
)

DEEPEST_INCLUDE = 10
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

_BLANK = re.compile(r"(?:[ \t\r\n\b]|\\\r?\n)+")
_DIRECTIVE = re.compile(r"(?:#!|!!)([A-Za-z_]+)(?![A-Za-z0-9_])", re.ASCII)
_MARKER = re.compile(r"#!(KAMAILIO|OPENSER|SER|MAXCOMPAT|ALL)[ \t]*\r?(?=\n|$)")
_SKIPPED = re.compile(r"(?:#!|!!)(ifdef|ifndef|ifexp|else|endif|[a-z_]*def[a-z]*)(?![A-Za-z0-9_])", re.ASCII)
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
_PV = re.compile(r"\$(?:\?|[A-Za-z_]\w*)?", re.ASCII)
_ATTRIBUTE = re.compile(r"\$(?:fu|tu|fd|td|fr|tr|f|t|g)\.[A-Za-z_]\w*", re.ASCII)
_STRING_TAIL = re.compile(r'(?:[^"\\]|\\.)*"', re.S)


class Lexer:
    """The tokens of a cfg. What is wrong is given to `report`; reading goes on."""

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

    def next(self) -> Token:
        """The next token; after the last one, T.END again and again."""
        while True:
            token = self._scan()
            if token is not None:
                if token.kind is not T.END:
                    self.last = token.span
                return token

    @property
    def end(self) -> Span:
        """The last character of the file: where what is missing at its end is reported."""
        text = self.stack[0].text
        return self.stack[0].span(max(len(text) - 1, 0), len(text))

    # Where we are -------------------------------------------------------------------------------------

    def _span(self, start: int, end: int) -> Span:
        return self.stack[-1].span(start, end)

    def _error(self, message: str, span: Span, code: str, hint: str = "") -> None:
        self.report(ConfigError(message, span, code=code, hint=hint))

    def _scan(self) -> Token | None:
        source, offset = self.stack[-1], self.offsets[-1]
        text = source.text
        if not self.preprocessor.reads:
            self._skip(text, offset)
            return None
        blank = _BLANK.match(text, offset)
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
            found = _DIRECTIVE.match(text, offset)
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

    def _take(self, kind: T, start: int, end: int, value: int | str = 0) -> Token:
        self.offsets[-1] = end
        return Token(kind, self.stack[-1].text[start:end], self._span(start, end), value)

    def _plain(self, text: str, offset: int) -> Token | None:
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
        if word in ("include_file", "import_file"):
            self.offsets[-1] = end
            self._include(word, start)
            return None
        if word not in RESERVED and word in self.preprocessor.defines:
            self._replace(word, start, end)
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
        return self._take(T.WORD, start, end)

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

    def _push(self, source: Source) -> None:
        self.stack.append(source)
        self.offsets.append(0)

    # Comments -----------------------------------------------------------------------------------------

    def _comment(self) -> None:
        """Skip to the end of the line. A comment that a define ends in swallows the line it was used on."""
        while True:
            text = self.stack[-1].text
            end = text.find("\n", self.offsets[-1])
            self.offsets[-1] = len(text) if end < 0 else end
            if end >= 0 or not self.stack[-1].define:
                return
            self.stack.pop()
            self.offsets.pop()

    def _block_comment(self, start: int) -> None:
        opened = self._span(start, start + 2)
        text, depth, place = self.stack[-1].text, 1, start + 2
        while depth:
            close, again = text.find("*/", place), text.find("/*", place)
            if close < 0:
                self.is_lost = True
                self.offsets[-1] = len(text)
                end = self._span(max(len(text) - 1, 0), len(text))
                self.report(
                    ConfigError(
                        "this comment is never closed",
                        opened,
                        code="KT1003",
                        place=end,
                        hint="comments nest: each `/*` inside needs its own `*/`",
                    )
                )
                return
            if 0 <= again < close:
                depth, place = depth + 1, again + 2
            else:
                depth, place = depth - 1, close + 2
        self.offsets[-1] = place

    def _hash(self, text: str, offset: int) -> None:
        if found := _MARKER.match(text, offset):
            self.mode = Mode(found[1])
            self.offsets[-1] = found.end()
            return
        found = _DIRECTIVE.match(text, offset)
        if found and found[1] in DIRECTIVES and self._is_whole(found, text) and self._is_known(found[1]):
            self._directive(found)
        else:
            self._comment()

    def _is_known(self, word: str) -> bool:
        """Up to Kamailio 5.6 `#!ifexp` and its kin are comments."""
        return self.preprocessor.knows_ifexp or word not in NEWER

    @staticmethod
    def _is_whole(found: re.Match[str], text: str) -> bool:
        """After `#!else` and `#!endif` only blanks may follow, or it is a comment."""
        if found[1] not in ("else", "endif"):
            return True
        end = text.find("\n", found.end())
        return not text[found.end() : len(text) if end < 0 else end].strip(" \t\r")

    # Directives ---------------------------------------------------------------------------------------

    def _rest_of_line(self, start: int) -> str:
        text, parts = self.stack[-1].text, []
        while True:
            end = text.find("\n", start)
            end = len(text) if end < 0 else end
            piece = text[start:end].rstrip("\r")
            if not piece.endswith("\\") or end == len(text):
                parts.append(piece)
                self.offsets[-1] = end
                return "".join(parts).lstrip()
            parts.append(piece[:-1])
            start = end + 1

    def _directive(self, found: re.Match[str]) -> None:
        word = found[1]
        start = found.start()
        span = self._span(start, found.end())
        if word in ("include_file", "import_file"):
            self.offsets[-1] = found.end()
            self._include(word, start)
            return
        rest = self._rest_of_line(found.end())
        try:
            self.preprocessor.directive(word, rest, span)
        except ConfigError as error:
            self.report(error)

    def _skip(self, text: str, offset: int) -> None:
        """Pass over a branch not taken, up to the next directive that can end it."""
        while found := _SKIPPED.search(text, offset):
            if self._is_whole(found, text) and self._is_known(found[1]):
                self._directive(found)
                return
            offset = found.end()
        self.offsets[-1] = len(text)
        if len(self.stack) == 1:
            self.finish()
            self.preprocessor.conditions.clear()
        else:
            self.stack.pop()
            self.offsets.pop()

    def finish(self) -> None:
        """At the end of the file: complain of every `#!ifdef` still open."""
        hint = "nothing may follow `#!endif` on its line: `#!endif # X` is a comment"
        for condition in self.preprocessor.conditions:
            self.report(
                ConfigError(
                    "this is never ended with `#!endif`",
                    condition.span,
                    hint=hint,
                    code="KT1013",
                    place=self.end,
                )
            )

    def _include(self, word: str, start: int) -> None:
        text = self.stack[-1].text
        blank = _BLANK.match(text, self.offsets[-1])
        begin = blank.end() if blank else self.offsets[-1]
        tail = _STRING_TAIL.match(text, begin + 1) if text[begin : begin + 1] == '"' else None
        if tail is None:
            self._error(f"`{word}` needs a file name in double quotes", self._span(start, begin), "KT1017")
            return
        self.offsets[-1] = tail.end()
        name = self.preprocessor.substitute(unescape(text[begin + 1 : tail.end() - 1]))
        span = self._span(start, tail.end())
        path = self._find(name)
        if path is None:
            if word == "include_file":
                self._error(
                    f"there is no file {name!r} to include", span, "KT1017", "`import_file` does without it"
                )
            return
        if sum(not source.define for source in self.stack) > DEEPEST_INCLUDE:
            self._error(f"files are included more than {DEEPEST_INCLUDE} deep", span, "KT1018")
            return
        try:
            content = read(path)
        except OSError as error:
            self._error(f"cannot read {name!r}: {error.strerror}", span, "KT1017")
            return
        self.files[name] = content
        self.included.append((name, span))
        self._push(Source(name, content, path=path, site=span))

    def _find(self, name: str) -> Path | None:
        places = [Path(name)]
        places += [source.path.parent / name for source in reversed(self.stack) if source.path][:1]
        for path in places:
            try:
                if path.is_file():
                    return path
            except (OSError, ValueError):
                return None
        return None

    # Strings and pseudo-variables ---------------------------------------------------------------------

    def _string(self, start: int) -> Token:
        source = self.stack[-1]
        first = self._span(start, start + 1)
        tail = _STRING_TAIL.match(source.text, start + 1)
        if tail is None:
            return self._unclosed(start)
        parts, end = [unescape(source.text[start + 1 : tail.end() - 1])], tail.end()
        self.offsets[-1] = end
        last = self._span(start, end)
        while True:
            place = self._adjacent()
            if place < 0:
                break
            tail = _STRING_TAIL.match(self.stack[-1].text, place + 1)
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
            blank = _BLANK.match(text, offset)
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
