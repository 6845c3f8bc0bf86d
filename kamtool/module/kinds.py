"""The kinds of values that pass between a cfg and a module."""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import Enum
from typing import Annotated, Any, Protocol

Value = int | str | None
"""What a pseudo-variable or expression yields: a signed 32-bit int, a str, or None for undefined."""

Index = int | str | None
"""The index of `$(name[index])`: a number, negative from the end, `"*"` for all, None when absent."""


class Kind(Enum):
    """What a parameter of a script function accepts. See the docstring of `kamtool.module`."""

    FORMAT = "format"
    INTEGER = "integer"
    VALUE = "value"
    PLAIN = "plain"
    PHRASE = "phrase"
    REGEX = "regex"
    SUBSTITUTION = "substitution"
    VARIABLE = "variable"
    FLAG = "flag"
    ROUTE = "route"


class Variable(Protocol):
    """A pseudo-variable with its name, index and transformations resolved, ready to be read and written."""

    text: str

    def get(self, ctx: Any) -> Value: ...
    def set(self, ctx: Any, value: Value) -> None: ...


class Substitution(Protocol):
    """A compiled `/regex/replacement/flags`."""

    def apply(self, ctx: Any, text: str) -> str | None:
        """The text with its matches replaced, or None when nothing matched."""

    def edits(self, ctx: Any, text: str) -> Sequence[tuple[int, int, str]]:
        """The span of each match and what takes its place."""


Plain = Annotated[str, Kind.PLAIN]
Phrase = Annotated[str, Kind.PHRASE]
Regex = Annotated[re.Pattern[str], Kind.REGEX]
FlagName = Annotated[int, Kind.FLAG]
RouteName = Annotated[str, Kind.ROUTE]
