"""Comments, directives and included files: what the parser never sees."""

from __future__ import annotations

import re
from pathlib import Path

from kamtool.errors import ConfigError
from kamtool.script.lexer_reading import BLANK, STRING_TAIL, Reading
from kamtool.script.literals import unescape
from kamtool.script.preprocess import DIRECTIVES, NEWER
from kamtool.script.source import Source, read
from kamtool.script.tokens import Mode

DEEPEST_INCLUDE = 10
DIRECTIVE = re.compile(r"(?:#!|!!)([A-Za-z_]+)(?![A-Za-z0-9_])", re.ASCII)
_MARKER = re.compile(r"#!(KAMAILIO|OPENSER|SER|MAXCOMPAT|ALL)[ \t]*\r?(?=\n|$)")
_SKIPPED = re.compile(r"(?:#!|!!)(ifdef|ifndef|ifexp|else|endif|[a-z_]*def[a-z]*)(?![A-Za-z0-9_])", re.ASCII)


class DirectiveLexer(Reading):
    """What stands behind `#`, and obeys or is passed over."""

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
        found = DIRECTIVE.match(text, offset)
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
        blank = BLANK.match(text, self.offsets[-1])
        begin = blank.end() if blank else self.offsets[-1]
        tail = STRING_TAIL.match(text, begin + 1) if text[begin : begin + 1] == '"' else None
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
