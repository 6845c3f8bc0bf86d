"""What `log_extra`, `db_extra` and `multi_leg_info` add to a record: names with variables. Compiled."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from kamtool.errors import ConfigError
from kamtool.module import Host, Value

MOST_LEGS = 64

Pairs = list[tuple[str, str | None]]
"""Names with values; None is a pseudo-variable that is undefined."""


class Extras:
    """Some `name=$pv`, in their order: all are read by one function."""

    def __init__(self, server: Host, pairs: list[tuple[str, str]]) -> None:
        self.names = [name for name, _ in pairs]
        self._read: Callable[[Any], tuple[Value, ...]] = server.variables([text for _, text in pairs])

    def of(self, ctx: Any) -> Pairs:
        """Each name with the value that its pseudo-variable has now."""
        found: Pairs = []
        names = self.names
        for place, value in enumerate(self._read(ctx)):
            found.append((names[place], value if value is None or isinstance(value, str) else str(value)))
        return found


def parse(server: Host, text: str, owner: str, most: int) -> Extras:
    """`a=$fU;b=$hdr(X)` in its order. Raises ConfigError."""
    pairs = list(_pairs(text, owner))
    if len(pairs) > most:
        raise ConfigError(f"{owner}: {len(pairs)} are more than acc_extra_size={most}", code="KT1201")
    return Extras(server, pairs)


def _pairs(text: str, owner: str) -> Iterator[tuple[str, str]]:
    for part in filter(None, (part.strip() for part in _parts(text))):
        name, equals, variable = (piece.strip() for piece in part.partition("="))
        if not equals or not name or not variable.startswith("$"):
            raise ConfigError(f"{owner}: {part!r}", hint="name=$pv;name=$pv", code="KT1201")
        yield name, variable


def _parts(text: str) -> Iterator[str]:
    """Cut at the semicolons that stand in no parentheses: `$(hdr(X){param.value,a,;})` is one piece."""
    depth = start = 0
    for at, char in enumerate(text):
        depth += (char in "({") - (char in ")}")
        if char == ";" and depth <= 0:
            yield text[start:at]
            start = at + 1
    yield text[start:]


class Legs:
    """The AVPs of `multi_leg_info`: the first value of each is one leg, the second the next, and so on."""

    def __init__(self, server: Host, text: str) -> None:
        self._server = server
        self._pairs = list(_pairs(text, "multi_leg_info"))
        self._compiled: list[Extras] = []
        for _, variable in self._pairs:
            if not re.fullmatch(r"\$avp\([^()]+\)", variable):
                raise ConfigError(
                    f"multi_leg_info: {variable!r} is no AVP", hint="name=$avp(x)", code="KT1201"
                )

    def of(self, ctx: Any) -> list[Pairs]:
        """The legs, up to the first that has no value at all."""
        legs: list[Pairs] = []
        while self._pairs and len(legs) < MOST_LEGS:
            leg = self._indexed(len(legs)).of(ctx)
            if all(value is None for _, value in leg):
                break
            legs.append(leg)
        return legs

    def _indexed(self, index: int) -> Extras:
        if index == len(self._compiled):
            pairs = [(name, f"$({variable[1:]}[{index}])") for name, variable in self._pairs]
            self._compiled.append(Extras(self._server, pairs))
        return self._compiled[index]
