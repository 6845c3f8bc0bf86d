"""Values with named fields: as frozen, slotted dataclasses, made in a twentieth of the time.

A dataclass writes and compiles the text of six methods when its module is imported. The tree of a cfg has
forty classes and the declarations of modules seven: that was a fifth of a whole `kamtool check`. Here all
classes share their methods. Subclasses name their fields as a dataclass does; fields of the base come first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, NoReturn, Self, dataclass_transform


@dataclass_transform(frozen_default=True)
class _Fields(type):
    """Turns annotations into slots, and what is assigned to them into defaults."""

    def __new__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any]) -> _Fields:
        own = [
            field for field, hint in namespace.get("__annotations__", {}).items()
            if not str(hint).startswith("ClassVar")
        ]  # fmt: skip
        base = bases[0] if bases and isinstance(bases[0], _Fields) else None
        inherited = base._defaults if base else {}
        defaults = inherited | {field: namespace.pop(field) for field in own if field in namespace}
        fields = (*(vars(base)["__match_args__"] if base else ()), *own)
        space = {"__slots__": tuple(own), "__match_args__": fields, **namespace}
        made = super().__new__(cls, name, bases, space)
        made._defaults, made._last = defaults, tuple(defaults.values())
        made._setters = tuple(getattr(made, field).__set__ for field in fields)
        return made

    _defaults: dict[str, Any]
    _last: tuple[Any, ...]
    _setters: tuple[Callable[[Any, Any], None], ...]


def fields(record: Record | type[Record]) -> tuple[str, ...]:
    """The names of its fields, in their order."""
    return record.__match_args__


class Record(metaclass=_Fields):
    """The base of all such values. Equal when the class and all fields are."""

    __match_args__: ClassVar[tuple[str, ...]]
    _defaults: ClassVar[dict[str, Any]]
    _last: ClassVar[tuple[Any, ...]]
    _setters: ClassVar[tuple[Callable[[Any, Any], None], ...]]

    def __init__(self, *values: Any, **named: Any) -> None:
        setters = self._setters
        missing = len(setters) - len(values)
        if missing or named:
            if 0 < missing <= len(self._last) and not named:
                values += self._last[-missing:]
            else:
                values = self._complete(values, named)
        for put, value in zip(setters, values, strict=True):
            put(self, value)

    def _complete(self, values: tuple[Any, ...], named: dict[str, Any]) -> tuple[Any, ...]:
        fields = self.__match_args__
        given = dict(zip(fields, values, strict=False))
        whole = {**self._defaults, **given, **named}
        if len(values) > len(fields) or given.keys() & named or whole.keys() != set(fields):
            raise TypeError(f"{type(self).__name__} has the fields {', '.join(fields)}")
        return tuple([whole[field] for field in fields])

    def values(self) -> tuple[Any, ...]:
        """All fields, in their order."""
        return tuple([getattr(self, field) for field in self.__match_args__])

    def but(self, **changed: Any) -> Self:
        """A copy with other values in some fields."""
        return type(self)(**{**dict(zip(self.__match_args__, self.values(), strict=True)), **changed})

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} does not change: {name}")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} does not change: {name}")

    def __eq__(self, other: object) -> bool:
        return self.values() == other.values() if type(other) is type(self) else NotImplemented

    def __hash__(self) -> int:
        return hash((type(self), *self.values()))

    def __repr__(self) -> str:
        shown = zip(self.__match_args__, self.values(), strict=True)
        return f"{type(self).__name__}({', '.join(f'{field}={value!r}' for field, value in shown)})"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self.values()
