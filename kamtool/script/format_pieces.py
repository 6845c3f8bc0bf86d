"""A cfg's text cut into pieces, none lost: tokens, comments, and what formatting must not touch.

The language's own lexer does the cutting, so that both always agree on where a string or comment ends,
which `#!ifdef` branch is read, and what a define swallows.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import Any

from kamtool.script.lexer import Lexer
from kamtool.script.tokens import Token

_BLANK = re.compile(r"(?:[ \t\r\n\b]|\\\r?\n)*")


class P(Enum):
    """The kinds of piece."""

    TOKEN = "token"
    COMMENT = "comment"  # to the end of its line
    REMARK = "remark"  # /* … */
    DIRECTIVE = "directive"
    SKIPPED = "a branch not taken, with its blanks"
    GLUED = "the rest of a line, swallowed by a define"


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece and the blanks before it. `newlines` counts the line ends in them.

    `ended` says that what was read before it ends a statement, be it only in the value of a define.
    """

    kind: P
    text: str
    blanks: str
    newlines: int
    ended: bool = False

    @property
    def touches(self) -> bool:
        """Whether nothing stands between this piece and the one before."""
        return not self.blanks

    @property
    def margin(self) -> str:
        """The blanks on the piece's own line."""
        return self.blanks.rpartition("\n")[2]


class PieceLexer(Lexer):
    """Notes each piece of the first file as it is read. Includes and the values of defines are not noted."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.pieces: list[Piece] = []
        self._obeyed = False
        self._ended = False

    def _scan(self) -> Token | None:
        start, depth, reads = self.offsets[0], len(self.stack), self.preprocessor.reads
        self._obeyed = False
        token = super()._scan()
        end = self.offsets[0]
        if end > start:
            self._note(self.stack[0].text[start:end], depth, reads, token)
        if token is not None:
            self._ended = token.text in (";", "{", "}")
        return token

    def _directive(self, found: re.Match[str]) -> None:
        self._obeyed = True
        super()._directive(found)

    def _include(self, word: str, start: int) -> None:
        self._obeyed = True
        super()._include(word, start)

    def _note(self, raw: str, depth: int, reads: bool, token: Token | None) -> None:
        found = _BLANK.match(raw)
        blanks = found[0] if found else ""
        text = raw[len(blanks) :]
        if not reads:
            self.pieces.append(Piece(P.SKIPPED, raw, "", 0))
        elif text:
            kind = self._kind(text, depth, token)
            self.pieces.append(Piece(kind, text, blanks, blanks.count("\n"), self._ended))

    def _kind(self, text: str, depth: int, token: Token | None) -> P:
        if token is not None:
            return P.TOKEN
        if self._obeyed:
            return P.DIRECTIVE
        if depth > 1 and len(self.stack) < depth:
            return P.GLUED
        if text.startswith("/*"):
            return P.REMARK
        if text.startswith(("#!KAMAILIO", "#!OPENSER", "#!SER", "#!MAXCOMPAT", "#!ALL")):
            return P.DIRECTIVE
        return P.COMMENT if text.startswith(("#", "//")) else P.TOKEN
