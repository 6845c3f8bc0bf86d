"""The domains in memory."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from kamtool.errors import StoreError

NUMBER, TEXT = 0, 2

Attribute = tuple[str, int | str]


@dataclass(frozen=True, slots=True)
class Domains:
    """`ids` by domain in lower case, `names` as written, `attributes` by id in the order of their rows."""

    ids: dict[str, str] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)
    attributes: dict[str, list[Attribute]] = field(default_factory=dict)


def read_domains(
    names: Iterable[tuple[Any, ...]], attributes: Iterable[tuple[Any, ...]], where: str
) -> Domains:
    """The domains of rows `(domain, did)` and `(did, name, type, value)`. Raises StoreError for a bad row."""
    made = Domains()
    for number, (domain, did) in enumerate(names, 1):
        name = str(domain or "")
        if not name:
            raise StoreError(f"{where}: domain at row {number} is empty")
        if did == "":
            raise StoreError(f"{where}: did of domain {name!r} is empty: it should be NULL or a name")
        if name.lower() not in made.ids:
            made.names.append(name)
        made.ids[name.lower()] = name if did is None else str(did)
    for number, (did, name, kind, value) in enumerate(attributes, 1):
        if not did or not name:
            raise StoreError(f"{where}: attribute at row {number} has no did or no name")
        made.attributes.setdefault(str(did), []).append((str(name), _value(kind, value, where, number)))
    return made


def _value(kind: Any, value: Any, where: str, number: int) -> int | str:
    if kind == TEXT:
        return str(value)
    if kind != NUMBER:
        raise StoreError(f"{where}: attribute at row {number} has type {kind}, neither 0 nor 2")
    try:
        return int(value)
    except (TypeError, ValueError):
        raise StoreError(f"{where}: attribute at row {number} should be a number, not {value!r}") from None
