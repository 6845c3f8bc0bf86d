"""POSIX regular expressions for scripts: what they mean is POSIX's, what they cost is bounded.

`compile_ere` gives an object with `re.Pattern`'s `search`, `finditer` and `sub`. Friendly texts go through
Python's `re`; where backtracking could run away (see `_budget`), the linear automaton answers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from types import UnionType
from typing import Final, cast

from kamtool.errors import ConfigError
from kamtool.script.automaton import Automaton
from kamtool.script.ere import Anchor, BackReference, Chars, Choice, Group, Node, Repeat, Sequence, read_ere

WORK_LIMIT: Final = 2_000_000
"""How many steps of backtracking a search may need at worst before the automaton is asked instead."""

_CACHE: dict[tuple[str, int, bool], Ere] = {}


KNOWN_TEXTS, KNOWN_LENGTH = 256, 128
"""So many short texts are remembered with the answer of `test`: a User-Agent comes again and again."""


class EreMatch:
    """A match with the part of `re.Match` that scripts need; spans are offsets into the text."""

    __slots__ = ("_spans", "string")

    def __init__(self, text: str, spans: list[int]) -> None:
        self.string, self._spans = text, spans

    def span(self, number: int = 0) -> tuple[int, int]:
        return self._spans[2 * number], self._spans[2 * number + 1]

    def start(self, number: int = 0) -> int:
        return self._spans[2 * number]

    def end(self, number: int = 0) -> int:
        return self._spans[2 * number + 1]

    def group(self, number: int = 0) -> str | None:
        start, end = self.span(number)
        return None if start < 0 else self.string[start:end]

    __getitem__ = group

    def groups(self) -> tuple[str | None, ...]:
        return tuple(self.group(number) for number in range(1, len(self._spans) // 2))


class Ere:
    """A compiled expression: POSIX's leftmost-longest match, in bounded time."""

    def __init__(self, pattern: str, flags: int, line_mode: bool) -> None:
        node, self.groups = read_ere(pattern, folds=bool(flags & re.IGNORECASE))
        self.pattern, self.flags, self._node, self._line_mode = pattern, flags, node, line_mode
        dots = 0 if line_mode else re.DOTALL
        lines = re.MULTILINE if line_mode else 0
        try:
            self._fast = re.compile(_python(node, line_mode), flags | re.ASCII | dots | lines)
        except (re.error, RecursionError, OverflowError) as error:
            raise ConfigError(f"bad regular expression {pattern!r}: {error}", code="KT1400") from error
        self._irregular = _contains(node, BackReference)
        self._first_is_longest = not _contains(node, Choice)
        self._budget = 1 << 62 if self._irregular else _budget(node)
        self._automaton: Automaton | None = None
        self._known: dict[str, bool] = {}

    def _linear(self) -> Automaton:
        if self._automaton is None:
            self._automaton = Automaton(self._node, self.groups, self.flags, self._line_mode)
        return self._automaton

    def test(self, text: str) -> bool:
        """Whether it matches anywhere."""
        answer = self._known.get(text)
        if answer is None:
            short = len(text) <= self._budget
            answer = self._fast.search(text) is not None if short else self._linear().found_in(text)
            if len(text) <= KNOWN_LENGTH:
                if len(self._known) >= KNOWN_TEXTS:
                    self._known.clear()
                self._known[text] = answer
        return answer

    def search(self, text: str, at: int = 0) -> re.Match[str] | None:
        """The leftmost match at or after `at`, and of those the longest."""
        if len(text) <= self._budget:
            found = self._fast.search(text, at)
            if found is None or self._first_is_longest or self._irregular:
                return found
        elif not at and not self._linear().found_in(text):
            return None
        spans = self._linear().spans(text, at)
        return None if spans is None else cast("re.Match[str]", EreMatch(text, spans))

    def finditer(self, text: str) -> Iterator[re.Match[str]]:
        """Every match from left to right, none overlapping another; an empty one moves on by a character."""
        at = 0
        while at <= len(text) and (found := self.search(text, at)) is not None:
            yield found
            at = found.end() + (found.end() == found.start())

    def sub(self, replace: Callable[[re.Match[str]], str], text: str, count: int = 0) -> str:
        """`text` with every match, or the first `count`, replaced by what `replace` makes of it."""
        parts: list[str] = []
        done = 0
        for number, found in enumerate(self.finditer(text), 1):
            parts += (text[done : found.start()], replace(found))
            done = found.end()
            if number == count:
                break
        return "".join((*parts, text[done:]))


def compile_ere(pattern: str, flags: int = 0, *, line_mode: bool = False) -> re.Pattern[str]:
    """Compile an extended expression; `flags` may hold re.IGNORECASE, `line_mode` is POSIX's REG_NEWLINE.

    Raises ConfigError that names the mistake. (The result is an `Ere`, which answers as `re.Pattern` does.)
    """
    key = (pattern, int(flags), line_mode)
    known = _CACHE.get(key)
    if known is None:
        if len(_CACHE) >= 1024:
            _CACHE.clear()
        known = _CACHE[key] = Ere(pattern, int(flags), line_mode)
    return cast("re.Pattern[str]", known)


def _python(node: Node, line_mode: bool) -> str:
    """The same expression for Python's `re`."""
    match node:
        case Chars(text):
            return text.replace("[^", "[^\\n", 1) if line_mode and text[:2] == "[^" else text
        case Anchor(text):
            return text if line_mode else {"^": "\\A", "$": "\\Z"}.get(text, text)
        case BackReference(number):
            return f"(?:\\{number})"
        case Sequence(parts):
            return "".join(
                f"(?:{p})" if "|" in p else p for p in (_python(part, line_mode) for part in parts)
            )
        case Choice(options):
            return "(?:" + "|".join(_python(option, line_mode) for option in options) + ")"
        case Group(_, body):
            return f"({_python(body, line_mode)})"
        case Repeat(body, least, most):
            inner = _python(body, line_mode)
            if not isinstance(body, Chars | Group):
                inner = f"(?:{inner})"
            sign = {(0, None): "*", (1, None): "+", (0, 1): "?"}.get((least, most))
            return inner + (sign or f"{{{least},{'' if most is None else most}}}")


def _children(node: Node) -> tuple[Node, ...]:
    match node:
        case Sequence(parts):
            return parts
        case Choice(options):
            return options
        case Group(_, body) | Repeat(body, _, _):
            return (body,)
    return ()


def _contains(node: Node, kind: type | UnionType) -> bool:
    return isinstance(node, kind) or any(_contains(child, kind) for child in _children(node))


def _loops(node: Node) -> int:
    """How many unlimited (or long) repetitions there are."""
    here = isinstance(node, Repeat) and (node.most is None or node.most > 16)
    return here + sum(_loops(child) for child in _children(node))


def _runs_away(node: Node) -> bool:
    """Whether a repetition has something to choose inside: the backtracking may then be exponential."""
    many = isinstance(node, Repeat) and (node.most is None or node.most > 1)
    if many and any(_contains(child, Repeat | Choice) for child in _children(node)):
        return True
    return any(_runs_away(child) for child in _children(node))


def _budget(node: Node) -> int:
    """The longest text for which a backtracking search is sure to stay within WORK_LIMIT steps."""
    if _runs_away(node):
        return 16
    anchored = isinstance(node, Sequence) and node.parts[:1] == (Anchor("^"),)
    power = _loops(node) + (0 if anchored else 1)
    return 1 << 62 if power <= 1 else int(WORK_LIMIT ** (1 / power))
