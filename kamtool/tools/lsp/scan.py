"""A cfg's text as tokens for an editor: all of it, branches that are not taken and half-written lines too.

The language's own lexer reads what will run; this reads what is being typed. A string ends with its line
here: one that is not closed yet would swallow the rest of the file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from kamtool.script.preprocess import DIRECTIVES

Kind = Literal["word", "number", "string", "pv", "mark", "directive"]

_TOKEN = re.compile(
    r"""(?P<blank>\s+)
    |(?P<directive>(?:\#!|!!)[A-Za-z_]+)
    |(?P<comment>\#[^\n]*|//[^\n]*)
    |(?P<block>/\*)
    |(?P<string>"(?:[^"\\\n]|\\.)*"?|'[^'\n]*'?)
    |(?P<pv>\$(?:\?|[A-Za-z_]\w*)?)
    |(?P<number>[0-9]\w*)
    |(?P<word>[A-Za-z_]\w*)
    |(?P<mark>&&|\|\||==|!=|=~|<=|>=|.)""",
    re.VERBOSE | re.DOTALL,
)
_LINE = re.compile(r"(?:[^\n\\]|\\\r?\n|\\)*")
_INCLUDE = re.compile(r'[ \t]*"[^"\n]*"?')


@dataclass(frozen=True, slots=True)
class Word:
    """One token; `text` is what stands there. A directive is its whole line."""

    kind: Kind
    text: str
    start: int

    @property
    def end(self) -> int:
        return self.start + len(self.text)

    @property
    def inner(self) -> str:
        """A string without its quotes."""
        if self.kind != "string":
            return self.text
        return self.text[1:-1] if len(self.text) > 1 and self.text[-1] == self.text[0] else self.text[1:]


def scan(text: str) -> list[Word]:
    """Every token but comments."""
    words: list[Word] = []
    place = 0
    while found := _TOKEN.match(text, place):
        kind = found.lastgroup
        end = found.end()
        if kind == "block":
            place = _behind_comment(text, end)
            continue
        if kind == "directive":
            if found[0][2:] in DIRECTIVES:
                pattern = _INCLUDE if found[0].endswith("_file") else _LINE
                more = pattern.match(text, end)
                end = more.end() if more else end
                words.append(Word("directive", text[place:end], place))
            else:
                end = _line_end(text, place)
        elif kind == "pv":
            end = _behind_variable(text, end)
            words.append(Word("pv", text[place:end], place))
        elif kind in ("word", "number", "string", "mark"):
            words.append(Word(kind, found[0], place))  # type: ignore[arg-type]  # mypy sees only a str
        place = end
    return words


def _line_end(text: str, place: int) -> int:
    end = text.find("\n", place)
    return len(text) if end < 0 else end


def _behind_comment(text: str, place: int) -> int:
    """Block comments nest."""
    depth = 1
    while depth:
        close, again = text.find("*/", place), text.find("/*", place)
        if close < 0:
            return len(text)
        if 0 <= again < close:
            depth, place = depth + 1, again + 2
        else:
            depth, place = depth - 1, close + 2
    return place


def _behind_variable(text: str, place: int) -> int:
    """Behind the parenthesis that closes; on the same line, or there is none."""
    if text[place : place + 1] != "(":
        return place
    depth, end = 0, place
    while end < len(text) and text[end] != "\n":
        depth += (text[end] == "(") - (text[end] == ")")
        end += 1
        if not depth:
            return end
    return place
