"""The preprocessor's memory: defines, substitution rules and the nest of `#!ifdef`.

The lexer finds directives and hands each here, by its word and the rest of its line.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from kamtool.errors import ConfigError, Span
from kamtool.script.ifexp import evaluate
from kamtool.script.substitute import Rule, expand, parse_rule, split_rule

VERSION = (5, 6, 3)
"""The Kamailio whose language is spoken here."""
MOST_DEFINES = 512
DEEPEST_IFDEF = 512

DIRECTIVES = frozenset(
    [
        "define",
        "def",
        "trydef",
        "trydefine",
        "redef",
        "redefine",
        "ifdef",
        "ifndef",
        "else",
        "endif",
        "subst",
        "substdef",
        "substdefs",
        "include_file",
        "import_file",
        "defenv",
        "defenvs",
        "trydefenv",
        "trydefenvs",
        "ifexp",
        "defexp",
        "defexps",
        "undef",
        "tryundef",
    ]
)
NEWER = frozenset(["ifexp", "defexp", "defexps", "undef", "tryundef"])
"""Directives of Kamailio 5.7; to an older one they are comments."""
_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)


@dataclass(slots=True)
class Condition:
    """One open `#!ifdef`: whether its text is read now, and whether it could be at all."""

    reads: bool
    enclosing: bool
    span: Span
    seen_else: bool = False


@dataclass(slots=True)
class Preprocessor:
    """What the directives read so far have said."""

    defines: dict[str, str | None] = field(default_factory=dict)
    rules: list[Rule] = field(default_factory=list)
    conditions: list[Condition] = field(default_factory=list)
    tested: dict[str, Span] = field(default_factory=dict)
    """Names that `#!ifdef` and `#!ifndef` asked for, where each was first asked."""
    ever: set[str] = field(default_factory=set)
    """Every name that was defined at some time."""
    skipped: set[str] = field(default_factory=set)
    """Names that a branch not taken would define."""
    used: set[str] = field(default_factory=set)
    built_in: set[str] = field(default_factory=set)
    knows_ifexp: bool = True
    has_ifexp: bool = False

    @classmethod
    def start(cls, given: Mapping[str, str | None]) -> Preprocessor:
        """With the built-in defines and those of the command line (`-A NAME=VALUE`)."""
        result = cls()
        major, minor, patch = VERSION
        for name in (f"KAMAILIO_{major}", f"KAMAILIO_{major}_{minor}", f"KAMAILIO_{major}_{minor}_{patch}"):
            result.defines[name] = None
        # A cfg that Kamailio shall read too keeps below this what Kamailio does not know.
        result.defines["KAMTOOL"] = None
        result.built_in = set(result.defines)
        result.defines.update(given)
        result.ever = set(result.defines)
        return result

    @property
    def reads(self) -> bool:
        """Whether the text here counts, or stands in a branch not taken."""
        return not self.conditions or self.conditions[-1].reads

    def substitute(self, text: str) -> str:
        """A string, PV or file name after every `subst` rule so far, in their order."""
        for rule in self.rules:
            text = rule.apply(text)
        return text

    def define(self, name: str, value: str | None) -> None:
        """Set a define whatever it was before."""
        self.defines[name] = value
        self.ever.add(name)

    # One method for each directive --------------------------------------------------------------------

    def directive(self, word: str, rest: str, span: Span) -> None:
        """Obey one directive other than an include; `rest` is its line's joined rest. Raises ConfigError."""
        if word == "ifexp":
            self.has_ifexp = True
        if word in ("ifdef", "ifndef", "ifexp"):
            self._open(word, rest, span)
        elif word == "else":
            self._else(span)
        elif word == "endif":
            if not self.conditions:
                raise ConfigError("`#!endif` without an `#!ifdef`", span, code="KT1013")
            self.conditions.pop()
        elif not self.reads:
            found = _NAME.match(rest)
            if found and "def" in word:
                self.skipped.add(found[0])
        else:
            self._act(word, rest, span)

    def _open(self, word: str, rest: str, span: Span) -> None:
        if len(self.conditions) >= DEEPEST_IFDEF:
            raise ConfigError(f"more than {DEEPEST_IFDEF} `#!ifdef` inside each other", span, code="KT1013")
        enclosing = self.reads
        answer = False
        problem: ConfigError | None = None
        if not enclosing:
            pass
        elif word == "ifexp":
            try:
                answer = bool(evaluate(rest, self._operand))
            except ConfigError as error:
                problem = ConfigError(error.message, span, code=error.code)
        elif found := _NAME.match(rest):
            self.tested.setdefault(found[0], span)
            answer = (found[0] in self.defines) is (word == "ifdef")
        else:
            problem = ConfigError(f"`#!{word}` needs the name of a define", span, code="KT1012")
        self.conditions.append(Condition(enclosing and answer, enclosing, span))
        if problem:
            raise problem

    def _else(self, span: Span) -> None:
        if not self.conditions:
            raise ConfigError("`#!else` without an `#!ifdef`", span, code="KT1014", severity="warning")
        top = self.conditions[-1]
        if top.seen_else:
            raise ConfigError("a second `#!else` for one `#!ifdef`", span, code="KT1014", severity="warning")
        top.seen_else = True
        top.reads = top.enclosing and not top.reads

    def _act(self, word: str, rest: str, span: Span) -> None:
        try:
            if word.startswith("subst"):
                self._substitution(word, self.substitute(rest))
            elif "env" in word:
                self._environment(word, rest)
            elif word in ("undef", "tryundef"):
                name, _ = self._name_and_value(word, rest)
                if self.defines.pop(name, self) is self and word == "undef":
                    raise ConfigError(f"`{name}` is not defined", code="KT1012", severity="warning")
            elif word in ("defexp", "defexps"):
                name, value = self._name_and_value(word, rest)
                result = str(evaluate(value or "", self._operand))
                self._once(name, f'"{result}"' if word == "defexps" else result)
            else:
                self._define(word, rest)
        except ConfigError as error:
            if error.span.file:
                raise
            raise ConfigError(
                error.message, span, hint=error.hint, code=error.code, severity=error.severity
            ) from error

    def _operand(self, name: str) -> str | int:
        """A name inside `ifexp`: its value, 1 when it has none, 0 when it is not defined."""
        if name == "KAMAILIO_VERSION":
            return VERSION[0] * 1_000_000 + VERSION[1] * 1000 + VERSION[2]
        if name == "OS_NAME":
            return os.uname().sysname.lower()
        if name not in self.defines:
            return 0
        value = self.defines[name]
        return 1 if value is None else value

    def _name_and_value(self, word: str, rest: str) -> tuple[str, str | None]:
        found = _NAME.match(rest)
        if found is None:
            raise ConfigError(f"`#!{word}` needs a name", code="KT1012")
        value = rest[found.end() :]
        if value and not value[0].isspace():
            raise ConfigError(
                f"{rest.split()[0]!r} cannot be the name of a define",
                code="KT1012",
                hint="letters, digits and `_` only",
            )
        value = value.strip("\r").lstrip()
        return found[0], value or None

    def _define(self, word: str, rest: str) -> None:
        name, value = self._name_and_value(word, rest)
        if word in ("trydef", "trydefine"):
            if name not in self.defines:
                self._once(name, value)
        elif word in ("redef", "redefine"):
            self.define(name, value)
        else:
            self._once(name, value)

    def _once(self, name: str, value: str | None) -> None:
        if name in self.defines:
            raise ConfigError(
                f"`{name}` is already defined",
                code="KT1011",
                hint="`#!trydef` keeps the first value, `#!redef` takes the new one",
            )
        if len(self.defines) >= MOST_DEFINES:
            raise ConfigError(f"more than {MOST_DEFINES} defines", code="KT1011")
        self.define(name, value)

    def _substitution(self, word: str, rest: str) -> None:
        text = rest.strip()
        if len(text) < 2 or text[0] != '"' or text[-1] != '"':
            raise ConfigError(f'`#!{word}` needs its rule in double quotes: "/pattern/value/"', code="KT1021")
        text = text[1:-1]
        self.rules.append(parse_rule(text, self.defines.get))
        if word != "subst":
            name, value, _ = split_rule(text)
            if _NAME.fullmatch(name) is None:
                raise ConfigError(f"{name!r} cannot be the name of a define", code="KT1012")
            value = expand(value, self.defines.get)
            self._once(name, f'"{value}"' if word == "substdefs" else value)

    def _environment(self, word: str, rest: str) -> None:
        name, _, variable = rest.strip().partition("=")
        variable = variable or name
        if _NAME.fullmatch(name) is None:
            raise ConfigError(f"{name!r} cannot be the name of a define", code="KT1012")
        value = os.environ.get(variable)
        if value is None:
            if word.startswith("try"):
                return
            raise ConfigError(
                f"the environment has no variable {variable}",
                code="KT1015",
                hint="`#!trydefenv` does without it",
            )
        self._once(name, f'"{value}"' if word.endswith("s") else value)
