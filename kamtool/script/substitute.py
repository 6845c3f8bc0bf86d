"""The preprocessor's `subst`, `substdef` and `substdefs`: rules applied to every string read after them."""

from __future__ import annotations

import os
import re
from collections.abc import Callable

from kamtool.errors import ConfigError
from kamtool.record import Record
from kamtool.script.regex import compile_ere


class Rule(Record):
    """One `/pattern/replacement/flags`."""

    pattern: re.Pattern[str]
    replacement: tuple[str | int, ...]
    every: bool

    def apply(self, text: str) -> str:
        """The text with its first match, or with flag `g` every match, replaced."""
        return self.pattern.sub(self._expand, text, 0 if self.every else 1)

    def _expand(self, match: re.Match[str]) -> str:
        parts = (match[part] or "" if isinstance(part, int) else part for part in self.replacement)
        return "".join(parts)


def split_rule(text: str) -> tuple[str, str, str]:
    """Pattern, replacement and flags of `/pattern/replacement/flags`; the first character separates.

    A backslash before the separator makes it an ordinary character. Raises ConfigError.
    """
    if len(text) < 3:
        raise ConfigError(f"a substitution is `/pattern/replacement/flags`, not {text!r}", code="KT1021")
    fields: list[str] = []
    separator, current, place = text[0], "", 1
    while place < len(text):
        if text[place] == "\\" and text[place + 1 : place + 2] == separator:
            current += separator
            place += 2
        elif text[place] == separator and len(fields) < 2:
            fields.append(current)
            current = ""
            place += 1
        else:
            current += text[place]
            place += 1
    if len(fields) != 2:
        raise ConfigError(f"a substitution needs three {separator!r}: {text!r}", code="KT1021")
    return fields[0], fields[1], current


def parse_replacement(text: str, groups: int) -> tuple[str | int, ...]:
    """A replacement as its literal pieces and group numbers. Raises ConfigError."""
    parts: list[str | int] = []
    place = 0
    for found in re.finditer(r"\\(.)", text, re.S):
        parts.append(text[place : found.start()])
        place = found.end()
        letter = found[1]
        if letter.isascii() and letter.isdigit():
            if int(letter) > groups:
                raise ConfigError(f"the pattern has no group {letter}", code="KT1021")
            parts.append(int(letter))
        else:
            parts.append({"n": "\n", "t": "\t", "r": "\r"}.get(letter, letter))
    parts.append(text[place:])
    return tuple(part for part in parts if part != "")


def parse_rule(text: str, lookup: Callable[[str], str | None]) -> Rule:
    """A rule from its spelling; `lookup` gives a define's value for `$def(ID)`. Raises ConfigError."""
    pattern, replacement, flags = split_rule(text)
    wrong = set(flags) - set("gi")
    if wrong:
        raise ConfigError(f"a substitution has no flag {sorted(wrong)[0]!r}", code="KT1021")
    compiled = compile_ere(pattern, re.IGNORECASE if "i" in flags else re.RegexFlag(0))
    return Rule(compiled, parse_replacement(expand(replacement, lookup), compiled.groups), "g" in flags)


def expand(text: str, lookup: Callable[[str], str | None]) -> str:
    """`$env(NAME)` and `$def(ID)` in a value, evaluated once, at load."""

    def value(found: re.Match[str]) -> str:
        if found[1] == "env":
            return os.environ.get(found[2], "")
        return lookup(found[2]) or ""

    return re.sub(r"\$(env|def)\(([^()]*)\)", value, text)
