"""How pseudo-variables are spelt: `$name`, `$name(inner)`, `$(name(inner)[index]{step,…})`, formats.

This reads the spelling alone; whether such a variable exists is the scope's business.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from kamtool.errors import ConfigError
from kamtool.record import Record

_NAME = re.compile(r"[A-Za-z0-9_.?]+", re.ASCII)
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,9})", re.ASCII)
DEEPEST = 20


class Step(Record):
    """One transformation; its arguments are literals (numbers as ints) or variables."""

    name: str
    arguments: tuple[int | str | Reference, ...]
    text: str
    """All that stands between name and `}`, for a transformation that reads it as a whole."""


class Reference(Record):
    """One use of a pseudo-variable."""

    text: str
    name: str
    inner: tuple[str | Reference, ...] | None = None
    inner_text: str = ""
    index: int | str | Reference | None = None
    steps: tuple[Step, ...] = ()


Template = tuple["str | Reference", ...]
"""A format: texts and variables in turn."""

Limit = Callable[[str], int]
"""How many arguments a transformation takes at most: what is beyond belongs to the last."""


def _bad(why: str, text: str, hint: str = "") -> ConfigError:
    return ConfigError(f"{why} in {text!r}", code="KT1130", hint=hint)


class _Reader:
    def __init__(self, text: str, limit: Limit, depth: int) -> None:
        self.text, self.limit, self.depth = text, limit, depth
        if depth > DEEPEST:
            raise _bad("variables are nested too deeply", text[:40])

    def variable(self, start: int) -> tuple[Reference, int]:
        """The variable at `start`, where a `$` stands, and the place behind it."""
        if self.text[start + 1 : start + 2] == "(":
            return self._enclosed(start)
        found = _NAME.match(self.text, start + 1)
        if found is None:
            raise _bad("`$` needs a name", self.text, "`$$` is a dollar sign")
        inner, inner_text, end = self._inner(found.end())
        return Reference(self.text[start:end], found[0], inner, inner_text), end

    def _enclosed(self, start: int) -> tuple[Reference, int]:
        found = _NAME.match(self.text, start + 2)
        if found is None:
            raise _bad("`$(` needs a name", self.text)
        inner, inner_text, place = self._inner(found.end())
        index: int | str | Reference | None = None
        if self.text[place : place + 1] == "[":
            index, place = self._index(place)
        steps: list[Step] = []
        while self.text[place : place + 1] == "{":
            step, place = self._step(place)
            steps.append(step)
        if self.text[place : place + 1] != ")":
            raise _bad(f"`$({found[0]}…` is not closed", self.text)
        whole = self.text[start : place + 1]
        return Reference(whole, found[0], inner, inner_text, index, tuple(steps)), place + 1

    def _inner(self, place: int) -> tuple[Template | None, str, int]:
        if self.text[place : place + 1] != "(":
            return None, "", place
        end = self._closing(place, "(", ")")
        text = self.text[place + 1 : end]
        return _Reader(text, self.limit, self.depth + 1).template(), text, end + 1

    def _closing(self, start: int, opens: str, closes: str) -> int:
        depth = 0
        for place in range(start, len(self.text)):
            depth += (self.text[place] == opens) - (self.text[place] == closes)
            if depth == 0:
                return place
        raise _bad(f"`{opens}` is not closed", self.text)

    def _index(self, start: int) -> tuple[int | str | Reference, int]:
        end = self._closing(start, "[", "]")
        text = self.text[start + 1 : end].strip()
        if text == "*":
            return "*", end + 1
        if text.startswith("$"):
            return self._whole(text), end + 1
        if _NUMBER.fullmatch(text) is None:
            raise _bad(f"{text!r} is no index", self.text)
        return int(text), end + 1

    def _whole(self, text: str) -> Reference:
        return parse_variable(text, self.limit, self.depth + 1)

    def _step(self, start: int) -> tuple[Step, int]:
        end = self._closing(start, "{", "}")
        name, comma, rest = self.text[start + 1 : end].partition(",")
        name = name.strip()
        pieces = self._split(rest, max(self.limit(name), 1)) if comma else []
        return Step(name, tuple(self._argument(piece) for piece in pieces), rest), end + 1

    def _split(self, text: str, most: int) -> list[str]:
        pieces: list[str] = []
        depth, begin = 0, 0
        for place, letter in enumerate(text):
            depth += (letter in "(") - (letter in ")")
            if letter == "," and depth <= 0 and len(pieces) < most - 1:
                pieces.append(text[begin:place])
                begin, depth = place + 1, 0
        return [*pieces, text[begin:]]

    def _argument(self, text: str) -> int | str | Reference:
        if text.startswith("$") and len(text) > 1:
            return self._whole(text)
        return int(text) if _NUMBER.fullmatch(text) else text

    def template(self) -> Template:
        """The whole text as a format."""
        parts: list[str | Reference] = []
        literal, place = "", 0
        while place < len(self.text):
            dollar = self.text.find("$", place)
            if dollar < 0:
                break
            literal += self.text[place:dollar]
            if self.text[dollar + 1 : dollar + 2] == "$":
                literal += "$"
                place = dollar + 2
                continue
            if literal:
                parts.append(literal)
                literal = ""
            reference, place = self.variable(dollar)
            parts.append(reference)
        literal += self.text[place:]
        return tuple([*parts, literal] if literal else parts)


def parse_variable(text: str, limit: Limit, depth: int = 0) -> Reference:
    """A text that is one variable and nothing else. Raises ConfigError (KT1130)."""
    if not text.startswith("$") or len(text) < 2:
        raise _bad("a pseudo-variable begins with `$`", text)
    reference, end = _Reader(text, limit, depth).variable(0)
    if end != len(text):
        raise _bad(f"{text[end:]!r} is left over after a pseudo-variable", text)
    return reference


def parse_template(text: str, limit: Limit) -> Template:
    """A format string. Raises ConfigError (KT1130)."""
    return _Reader(text, limit, 0).template()


def references(template: Template) -> list[Reference]:
    """The variables of a format, those inside others not included."""
    return [part for part in template if isinstance(part, Reference)]
