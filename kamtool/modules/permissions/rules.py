"""Allow and deny files: `from [EXCEPT from] : request [EXCEPT request]`, a rule a line."""

from __future__ import annotations

import re
from dataclasses import dataclass

from kamtool.errors import ConfigError
from kamtool.script.regex import compile_ere

Patterns = tuple[re.Pattern[str], ...]

_TOKEN = re.compile(r'\s*(?:"((?:[^"\\]|\\.)*)"|(ALL|EXCEPT)(?![^\s,:#"])|([,:])|(#.*)|(\S+))')


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a rule: no patterns is ALL."""

    patterns: Patterns = ()
    exceptions: Patterns = ()

    def fits(self, text: str) -> bool:
        if self.patterns and not any(pattern.search(text) for pattern in self.patterns):
            return False
        return not any(pattern.search(text) for pattern in self.exceptions)


@dataclass(frozen=True, slots=True)
class Rule:
    """One line."""

    left: Side
    right: Side


def has_rule(rules: tuple[Rule, ...], left: str, right: str) -> bool:
    """Whether a rule fits both texts."""
    return any(rule.left.fits(left) and rule.right.fits(right) for rule in rules)


def read_rules(text: str, name: str) -> tuple[Rule, ...]:
    """The rules of a file. Raises ConfigError with the line of the first that is none."""
    rules = []
    for number, line in enumerate(text.splitlines(), 1):
        try:
            rule = _rule(line)
        except ConfigError as error:
            raise ConfigError(
                f"permissions: {name}:{number}: {error.message}",
                hint='"^sip:alice@" : ALL EXCEPT "^sip:900"',
                code="KT1201",
            ) from error
        if rule is not None:
            rules.append(rule)
    return tuple(rules)


def _rule(line: str) -> Rule | None:
    tokens: list[tuple[str, str]] = []
    for found in _TOKEN.finditer(line):
        quoted, word, mark, comment, other = found.groups()
        if comment is not None:
            break
        if other is not None:
            raise ConfigError(f"{other!r} is neither a quoted expression nor ALL nor EXCEPT")
        tokens.append(("text", quoted) if quoted is not None else (word or mark, ""))
    if not tokens:
        return None
    kinds = [kind for kind, _ in tokens]
    if kinds.count(":") != 1:
        raise ConfigError("a rule has one colon between its sides")
    middle = kinds.index(":")
    return Rule(_side(tokens[:middle]), _side(tokens[middle + 1 :]))


def _side(tokens: list[tuple[str, str]]) -> Side:
    kinds = [kind for kind, _ in tokens]
    if "EXCEPT" in kinds:
        cut = kinds.index("EXCEPT")
        return Side(_patterns(tokens[:cut]), _patterns(tokens[cut + 1 :], no_all=True))
    return Side(_patterns(tokens))


def _patterns(tokens: list[tuple[str, str]], *, no_all: bool = False) -> Patterns:
    if [kind for kind, _ in tokens] == ["ALL"] and not no_all:
        return ()
    for place, (kind, _) in enumerate(tokens):
        if kind != ("," if place % 2 else "text"):
            raise ConfigError("expressions are quoted, with commas between them")
    if len(tokens) % 2 == 0:
        raise ConfigError("an expression is missing")
    return tuple(compile_ere(text, re.IGNORECASE) for kind, text in tokens if kind == "text")
