"""Whether two trees say the same: everything in them but where it stands."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import Enum
from typing import Any

from kamtool.errors import Span
from kamtool.record import fields
from kamtool.script.nodes import FlagsLine, Item, Node

PLACES = frozenset(["span", "line", "name_span", "value_span", "operator_span"])


def same(first: Sequence[Item], second: Sequence[Item]) -> bool:
    """Whether two cfgs mean the same."""
    one, other = _flat(tuple(first)), _flat(tuple(second))
    return all(left == right for left, right in zip(one, other, strict=False)) and _both_end(one, other)


def _both_end(one: Iterator[Any], other: Iterator[Any]) -> bool:
    nothing = object()
    return next(one, nothing) is nothing and next(other, nothing) is nothing


def _flat(root: Any) -> Iterator[Any]:
    """A tree as one sequence; without recursion, for a chain of `&&` may be thousands deep."""
    waiting: list[Any] = [root]
    while waiting:
        value = waiting.pop()
        if isinstance(value, FlagsLine):
            yield "FlagsLine", value.is_avp, [(name, number) for name, number, _ in value.names]
        elif isinstance(value, Span):
            continue
        elif isinstance(value, Node):
            yield type(value).__name__
            parts = [getattr(value, name) for name in fields(value) if name not in PLACES]
            waiting.extend(reversed(parts))
        elif isinstance(value, tuple):
            yield len(value)
            waiting.extend(reversed(value))
        else:
            yield value.name if isinstance(value, Enum) else value
