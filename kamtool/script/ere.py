"""POSIX extended regular expressions (IEEE 1003.1 §9.4, with glibc's extensions), read into a tree.

The tree is what `regex.py` writes as a Python pattern and what `automaton.py` runs in linear time.
"""

from __future__ import annotations

import re

from kamtool.errors import ConfigError
from kamtool.record import Record

DUP_MAX = 1000
"""The largest number in `{m,n}`; POSIX promises 255."""

_CLASSES = {
    "alpha": "a-zA-Z", "digit": "0-9", "alnum": "a-zA-Z0-9", "upper": "A-Z", "lower": "a-z",
    "space": " \\t\\n\\r\\f\\v", "blank": " \\t", "punct": "!-/:-@\\[-`{-~", "print": " -~", "graph": "!-~",
    "cntrl": "\\x00-\\x1f\\x7f", "xdigit": "0-9A-Fa-f",
}  # fmt: skip

# glibc's own escapes. All others, `\d` among them, are the character itself. Where case is ignored,
# glibc folds the text to upper case, not the character behind the backslash: a lower one matches nothing.
_GNU = {"w": "[a-zA-Z0-9_]", "W": "[^a-zA-Z0-9_]", "s": "[ \\t\\n\\r\\f\\v]", "S": "[^ \\t\\n\\r\\f\\v]"}
_NOTHING = "[^\\s\\S]"
_GNU_ANCHORS = {"b": "\\b", "B": "\\B", "<": "\\b(?=\\w)", ">": "\\b(?<=\\w)", "`": "\\A", "'": "\\Z"}


class Chars(Record):
    """One character: `text` is a Python character class, an escaped character or `.`."""

    text: str


class Anchor(Record):
    """A place: `^`, `$`, or a Python assertion of glibc's extensions."""

    text: str


class BackReference(Record):
    """`\\1`: what a group matched. It makes the expression irregular."""

    number: int


class Sequence(Record):
    parts: tuple[Node, ...]


class Choice(Record):
    options: tuple[Node, ...]


class Group(Record):
    number: int
    body: Node


class Repeat(Record):
    """`most` is None for no limit."""

    body: Node
    least: int
    most: int | None


Node = Chars | Anchor | BackReference | Sequence | Choice | Group | Repeat


class Reader:
    """One expression being read. Raises ConfigError with what POSIX calls the mistake."""

    def __init__(self, pattern: str, *, folds: bool = False) -> None:
        self.pattern, self.at, self.groups, self.folds = pattern, 0, 0, folds

    def read(self) -> Node:
        if not self.pattern:
            return Sequence(())
        return self._choice(depth=0)

    def _fail(self, reason: str) -> ConfigError:
        return ConfigError(f"bad regular expression {self.pattern!r}: {reason}", code="KT1400")

    def _peek(self) -> str:
        return self.pattern[self.at : self.at + 1]

    def _choice(self, depth: int) -> Node:
        if depth > 100:
            raise self._fail("parentheses nest too deep")
        options = [self._sequence(depth)]
        while self._peek() == "|":
            self.at += 1
            options.append(self._sequence(depth))
        return options[0] if len(options) == 1 else Choice(tuple(options))

    def _sequence(self, depth: int) -> Node:
        parts: list[Node] = []
        while (char := self._peek()) and char != "|":
            if char == ")" and depth:
                break
            parts.append(self._repeats(self._atom(depth)))
        return parts[0] if len(parts) == 1 else Sequence(tuple(parts))

    def _atom(self, depth: int) -> Node:
        char = self._peek()
        self.at += 1
        if char == "(":
            self.groups += 1
            number = self.groups
            body = self._choice(depth + 1)
            if self._peek() != ")":
                raise self._fail("a `(` is not closed")
            self.at += 1
            return Group(number, body)
        if char == "[":
            return self._bracket()
        if char == "\\":
            return self._escape()
        if char in "^$":
            return Anchor(char)
        if char in "*+?{":
            raise self._fail(f"nothing to repeat before `{char}`")
        return Chars(char if char == "." else re.escape(char))

    def _escape(self) -> Node:
        char = self._peek()
        if not char:
            raise self._fail("it ends in a backslash")
        self.at += 1
        if char in _GNU:
            return Chars(_GNU[char])
        if char in _GNU_ANCHORS:
            return Anchor(_GNU_ANCHORS[char])
        if char in "123456789":
            if int(char) > self.groups:
                raise self._fail(f"there is no group `\\{char}`")
            return BackReference(int(char))
        if self.folds and "a" <= char <= "z":
            return Chars(_NOTHING)
        return Chars(re.escape(char))

    def _repeats(self, atom: Node) -> Node:
        # `a+?` is not lazy in POSIX: it is an optional `a+`. So each operator wraps what stands before it.
        while (char := self._peek()) and char in "*+?{":
            self.at += 1
            if char == "{":
                least, most = self._interval()
            else:
                least, most = {"*": (0, None), "+": (1, None), "?": (0, 1)}[char]
            atom = Repeat(atom, least, most)
        return atom

    def _interval(self) -> tuple[int, int | None]:
        found = re.compile(r"([0-9]*)(,?)([0-9]*)\}", re.ASCII).match(self.pattern, self.at)
        if not found or (not found[1] and not found[2]):
            raise self._fail("a `{` is followed by no interval")
        self.at = found.end()
        if max(len(found[1]), len(found[3])) > 4:
            raise self._fail("an interval is too large")
        least = int(found[1] or 0)
        most = (int(found[3]) if found[3] else None) if found[2] else least
        if max(least, most or 0) > DUP_MAX or (most is not None and most < least):
            raise self._fail("an interval is out of range")
        return least, most

    def _bracket(self) -> Chars:
        negated = self._peek() == "^"
        self.at += negated
        content, first = "", True
        while True:
            char = self._peek()
            if not char:
                raise self._fail("a `[` is not closed")
            if char == "]" and not first:
                self.at += 1
                return Chars(f"[{'^' if negated else ''}{content}]")
            first = False
            content += self._member()

    def _member(self) -> str:
        if self.pattern.startswith("[:", self.at):
            name = self._named(":")
            if name not in _CLASSES:
                raise self._fail(f"there is no character class `{name}`")
            return _CLASSES[name]
        low = self._element()
        if self._peek() == "-" and self.pattern[self.at + 1 : self.at + 2] not in ("]", ""):
            self.at += 1
            high = self._element()
            if high < low:
                raise self._fail(f"the range `{low}-{high}` is empty")
            return f"{re.escape(low)}-{re.escape(high)}"
        return re.escape(low)

    def _element(self) -> str:
        for mark in ".=":
            if self.pattern.startswith("[" + mark, self.at):
                name = self._named(mark)
                if len(name) != 1:
                    raise self._fail(f"there is no collating element `{name}`")
                return name
        char = self._peek()  # a backslash means itself here
        self.at += 1
        return char

    def _named(self, mark: str) -> str:
        end = self.pattern.find(mark + "]", self.at + 2)
        if end < 0:
            raise self._fail(f"a `[{mark}` is not closed")
        name = self.pattern[self.at + 2 : end]
        self.at = end + 2
        return name


def read_ere(pattern: str, *, folds: bool = False) -> tuple[Node, int]:
    """The tree of an expression and how many groups it has. Raises ConfigError."""
    reader = Reader(pattern, folds=folds)
    node = reader.read()
    return node, reader.groups
